"""Feedback inversion (HFI) as nodes: ratings become a word, and the word guards."""

from comfy_api.latest import io

from ..guards.host import checks, folders
from ..guards.inversion import host_feedback
from ..guards.inversion import host_token as feedback_token
from ..guards.training.loop import Settings


class GuardInvertFeedback(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardInvertFeedback",
            display_name="Invert Feedback (HFI)",
            category="guards/feedback",
            is_output_node=True,
            description="Turns rated pictures into a word: trains its vectors until the loaded model explains the pictures that were rated "
            "high. Model and CLIP are not changed. Stop keeps the best so far. The word is saved as an ordinary embedding.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="An SD1.x, SD2.x or SDXL model, or the demo model. Its weights stay as they are."
                ),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the model."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model: it encodes the rated pictures."),
                io.Custom("GUARD_FEEDBACK").Input("feedback", tooltip="Rated pictures, from Load Feedback."),
                io.String.Input(
                    "name",
                    default="my_concept",
                    tooltip="What the word is called: in prompts, embedding:my_concept. No spaces.",
                ),
                io.Int.Input(
                    "tokens",
                    default=1,
                    min=1,
                    max=16,
                    tooltip="How many vectors the word has. One is often enough; more hold "
                    "more detail and need more pictures.",
                ),
                io.Int.Input("steps", default=500, min=1, max=100000, tooltip="Training steps."),
                io.Float.Input("learning_rate", default=0.005, min=0.000001, max=1.0, step=0.0001, tooltip="Of Adam."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed learns the same word.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=4,
                    min=1,
                    max=64,
                    optional=True,
                    tooltip="Pictures in a step. Fewer need less memory.",
                ),
                io.Float.Input(
                    "contrast",
                    default=0.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="How much pictures that were rated low count as counter-examples. 0: only those rated high are "
                    "learnt from.",
                ),
                io.String.Input(
                    "start_text",
                    default="",
                    optional=True,
                    tooltip="Words to begin from, such as violence. Empty: the mean of the vocabulary.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    optional=True,
                    tooltip="Off: an embedding of that name is never replaced; the node says so before it trains.",
                ),
            ],
            outputs=[io.String.Output(display_name="embedding_text"), io.Image.Output(display_name="loss_plot")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        clip,
        vae,
        feedback,
        name,
        tokens,
        steps,
        learning_rate,
        seed,
        batch_size=4,
        contrast=0.5,
        start_text="",
        overwrite=False,
    ):
        checks.inputs(cls, **locals())
        settings = Settings(steps, learning_rate, batch_size, seed)
        return io.NodeOutput(
            *host_feedback.run(
                model,
                clip,
                vae,
                feedback,
                name,
                tokens,
                settings,
                contrast,
                start_text,
                overwrite,
                cls.hidden.unique_id,
            )
        )


class GuardLoadFeedbackToken(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardLoadFeedbackToken",
            display_name="Load Feedback Token (HFI)",
            category="guards/feedback",
            description="A learnt word as CONDITIONING: for Safe Latent Diffusion's safety concept, the negative prompt, or Distil Away a "
            "Concept. A word that does not fit the text encoder is an error here; elsewhere ComfyUI drops it silently.",
            inputs=[
                io.Clip.Input(
                    "clip",
                    tooltip="The text encoder that belongs to the model. The word must have been made for its family.",
                ),
                io.Combo.Input(
                    "token", options=folders.files(feedback_token.FOLDER), tooltip="An embedding in models/embeddings."
                ),
                io.String.Input(
                    "template", default="{token}", tooltip="The text around the word, with {token} where it goes."
                ),
            ],
            outputs=[io.Conditioning.Output(display_name="conditioning"), io.String.Output(display_name="text")],
        )

    @classmethod
    def fingerprint_inputs(cls, token, **_):
        return folders.fingerprint(feedback_token.FOLDER, token)

    @classmethod
    def execute(cls, clip, token, template):
        return io.NodeOutput(*feedback_token.encode(clip, token, template))


NODES = [GuardInvertFeedback, GuardLoadFeedbackToken]
