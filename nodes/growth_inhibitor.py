"""Growth inhibitors (GIE) and their scale adapters as nodes."""

from comfy_api.latest import io

from ..guards.host import checks, progress
from ..guards.inhibitors import host_adapters as adapters
from ..guards.inhibitors import host_training as train_adapter
from ..guards.judging import host as judges
from ..guards.tokens import host as growth_inhibitor
from ..guards.training.plot import plot

Adapter = io.Custom("GUARD_ADAPTER")
Feedback = io.Custom("GUARD_FEEDBACK")


class GuardGrowthInhibitor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardGrowthInhibitor",
            display_name="Growth Inhibitor (GIE)",
            category="guards",
            description="Suppresses what you name through the model's own attention to it. Changes no weights. For SD1.x, SD2.x, SDXL, and "
            "for transformers such as Flux and Qwen-Image. Use both outputs: the model in the sampler, the conditioning as positive.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="SD1.x, SD2.x, SDXL; or a transformer: Flux, Chroma, SD3, Qwen-Image, Lumina2, Z-Image, Wan. The sampler must "
                    "get the model that comes out of this node.",
                ),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the model."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="The prompt, as for CLIP Text Encode. It comes out as conditioning.",
                ),
                io.String.Input(
                    "targets",
                    default="",
                    tooltip="What must not appear, in the words of the picture's content, separated by "
                    "commas: weapon, van gogh style. embedding:name works as well.",
                ),
                io.Float.Input(
                    "scale",
                    default=-1.5,
                    min=-20.0,
                    max=20.0,
                    step=0.05,
                    tooltip="Factor on the targets' attention: negative suppresses (-1 weakens, -1.5 to -2 takes out, stronger "
                    "harms the rest), positive lets them grow, 0 switches the guard off. Not used with an adapter.",
                ),
                io.Combo.Input(
                    "mode",
                    options=["paired", "single_pass"],
                    default="single_pass",
                    tooltip="single_pass: ours, hardly any cost. paired: the published algorithm, with an unguarded twin of "
                    "every picture beside it, at twice the cost.",
                ),
                Adapter.Input(
                    "adapter",
                    optional=True,
                    tooltip="Infers a scale for every picture and token from the first step, so that "
                    "prompts without the targets are left alone. See Load Scale Adapter.",
                ),
                io.Float.Input(
                    "cross_end",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the steps in which the targets are suppressed. 0.8 as published. 1 for styles and "
                    "textures, which form in the last steps.",
                ),
                io.Float.Input(
                    "self_end",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Mode paired: share of the steps in which the picture's layout is taken from the twin. 0.4 as "
                    "published.",
                ),
                io.Combo.Input(
                    "reading",
                    options=["code", "paper"],
                    default="code",
                    optional=True,
                    tooltip="Mode paired: where the authors' code and paper differ. code: the prompt's words are encoded "
                    "together with the targets. paper: on their own.",
                ),
                io.Combo.Input(
                    "variant",
                    options=["aligned", "words", "words and end", "local"],
                    default="aligned",
                    optional=True,
                    tooltip="Mode single_pass. aligned: only as far as the prompt's own attention agrees with the target's, so "
                    "that other prompts are left alone. words: the targets' words always, as paired does; words and "
                    "end: their end token, too. local: in every place of the picture by itself, also in scenes, where another thing "
                    "stands in for the target; scale -1 and below replace it whole.",
                ),
                io.Combo.Input(
                    "form",
                    options=["aligned", "sign_flip"],
                    default="aligned",
                    optional=True,
                    tooltip="Transformers only. aligned: as variant aligned does in UNets, by a gate that the first step opens. sign_flip: "
                    "the picture's attention sees the targets' words with their values turned round (Value Sign Flip); needs no gate, so "
                    "choose it for runs of few steps.",
                ),
                io.String.Input(
                    "replacement",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Variant local: what stands in the targets' place. One text for all of them, such as: milk; or a line "
                    "for each: beer -> milk. Name a definite thing. Empty: one that this model draws clearly, named in scales.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Conditioning.Output(display_name="conditioning"),
                io.String.Output(display_name="scales"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        clip,
        text,
        targets,
        scale,
        mode,
        cross_end,
        self_end,
        adapter=None,
        reading="code",
        variant="aligned",
        form="aligned",
        replacement="",
    ):
        checks.inputs(cls, **locals())
        node = cls.hidden.unique_id if cls.hidden else None
        return io.NodeOutput(
            *growth_inhibitor.guard(
                model,
                clip,
                text,
                targets,
                scale,
                mode,
                adapter,
                cross_end=cross_end,
                self_end=self_end,
                reading=reading,
                variant=variant,
                form=form,
                report=progress.under_node(node),
                replacement=replacement,
                tick=progress.Bar(),
            )
        )


class GuardLoadAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardLoadAdapter",
            display_name="Load Scale Adapter",
            category="guards",
            description="A scale adapter for the Growth Inhibitor, from models/concept_adapters: our files and the official .pth.",
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=adapters.names(),
                    tooltip="Files in models/concept_adapters; the shipped one is the demo model's, for cross_end 1. An "
                    "adapter belongs to one family of models.",
                )
            ],
            outputs=[Adapter.Output(display_name="adapter")],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter_name):
        return adapters.fingerprint(adapter_name)

    @classmethod
    def execute(cls, adapter_name):
        return io.NodeOutput(adapters.load(adapter_name))


class GuardTrainAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardTrainAdapter",
            display_name="Train Scale Adapter",
            category="guards",
            description="Learns which scale the Growth Inhibitor needs, from pictures that it makes of your prompts. A re-implementation: "
            "the published training data is not public.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model that the adapter is for: its family is what it will work on."
                ),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the model."),
                io.Vae.Input("vae", tooltip="Makes the pictures that the judge looks at."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    default="",
                    tooltip="One prompt a line, half of them with the target and half "
                    "without. With judge 'labels' every line ends in a scale: a "
                    "beer on the beach | -1.2 (or a tab and the scale, as pasted from a "
                    "table).",
                ),
                io.String.Input(
                    "targets",
                    default="",
                    tooltip="What the Growth Inhibitor will get as targets; one target, unless the judge is 'labels'.",
                ),
                io.Combo.Input(
                    "judge",
                    options=list(judges.NAMES),
                    default=judges.ORACLE,
                    tooltip="Who says whether a picture shows the target. demo oracle: the pack's classifier, for the demo "
                    "model only. labels: your own scales, written behind the prompts. clip vision: CLIP, asked in "
                    "words. ratings: what people's ratings taught.",
                ),
                io.Int.Input(
                    "images",
                    default=4,
                    min=1,
                    max=1000,
                    tooltip="Pictures of each prompt, every one from another seed.",
                ),
                io.Int.Input(
                    "size",
                    default=64,
                    min=64,
                    max=2048,
                    step=32,
                    tooltip="Width and height of the pictures in pixels; 96 for the demo model.",
                ),
                io.Int.Input("steps", default=20, min=4, max=100, tooltip="Sampling steps of every picture."),
                io.Float.Input(
                    "cfg", default=3.0, min=1.0, max=30.0, step=0.1, tooltip="Guidance scale of every picture."
                ),
                io.Float.Input(
                    "strongest", default=-4.0, min=-20.0, max=-0.1, step=0.1, tooltip="The strongest scale to try."
                ),
                io.Int.Input(
                    "rounds",
                    default=4,
                    min=1,
                    max=10,
                    tooltip="Bisection rounds: each halves the error of a label and costs one more picture.",
                ),
                io.Int.Input(
                    "epochs",
                    default=2000,
                    min=1,
                    max=100000,
                    tooltip="Training steps over all examples; takes seconds.",
                ),
                io.Float.Input(
                    "cover",
                    default=0.9,
                    min=0.5,
                    max=0.99,
                    step=0.01,
                    tooltip="For which share of the pictures the scale is to be strong enough.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFF, tooltip="Seed of the pictures and of the training."
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Judges clip vision and ratings look at the pictures with it. Judge clip vision needs the one "
                    "that belongs to its text encoder: CLIP ViT-L/14 for clip_l.",
                ),
                io.Clip.Input(
                    "judge_clip",
                    optional=True,
                    tooltip="Judge clip vision: the text encoder, with its text projection, such as clip_l.safetensors by Load "
                    "CLIP. Without it the node's own clip, which does for SDXL and SD2 but not for SD1.x.",
                ),
                Feedback.Input(
                    "feedback",
                    optional=True,
                    tooltip="Judge ratings: rated pictures of the target, from Load Feedback.",
                ),
                io.String.Input(
                    "judge_text",
                    default="",
                    optional=True,
                    tooltip="Judge clip vision: what a picture with the target shows, in words. Empty: a picture of, and the "
                    "target.",
                ),
                io.String.Input(
                    "judge_against",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Judge clip vision: what pictures may show instead, one text a line, such as: a picture of "
                    "milk. Empty: neutral texts; naming what your prompts hold instead is surer.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.01,
                    max=0.99,
                    step=0.01,
                    optional=True,
                    tooltip="Judges clip vision and ratings find the target in a picture whose score (0 to 1) is above this. "
                    "Lower: stricter, and stronger scales.",
                ),
                io.Float.Input(
                    "cross_end",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="The cross_end of the Growth Inhibitor that the adapter is for: in which share of the steps it "
                    "suppresses. 1 for styles.",
                ),
            ],
            outputs=[
                Adapter.Output(display_name="adapter"),
                io.Image.Output(display_name="loss_plot"),
                io.String.Output(display_name="report"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        clip,
        vae,
        prompts,
        targets,
        judge,
        images,
        size,
        steps,
        cfg,
        strongest,
        rounds,
        epochs,
        cover,
        seed,
        clip_vision=None,
        judge_clip=None,
        feedback=None,
        judge_text="",
        judge_against="",
        threshold=0.5,
        cross_end=0.8,
    ):
        checks.inputs(cls, **locals())
        adapter, losses, report = train_adapter.train(
            model,
            clip,
            vae,
            prompts,
            targets,
            judge,
            images=images,
            size=size,
            steps=steps,
            cfg=cfg,
            strongest=strongest,
            rounds=rounds,
            epochs=epochs,
            cover=cover,
            seed=seed,
            folder=adapters.examples_folder(),
            tick=progress.Bar(),
            clip_vision=clip_vision,
            judge_clip=judge_clip,
            feedback=feedback,
            judge_text=judge_text,
            judge_against=judge_against,
            threshold=threshold,
            cross_end=cross_end,
        )
        return io.NodeOutput(adapter, plot("loss of the scales", {"loss": list(enumerate(losses, 1))}, "step"), report)


class GuardSaveAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardSaveAdapter",
            display_name="Save Scale Adapter",
            category="guards",
            is_output_node=True,
            description="Writes a scale adapter to models/concept_adapters.",
            inputs=[
                Adapter.Input("adapter", tooltip="From Train Scale Adapter."),
                io.String.Input(
                    "filename", default="my_adapter", tooltip="A plain name without folder; .safetensors is added."
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    optional=True,
                    tooltip="Off: a file of that name is never replaced; the node says so instead.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, adapter, filename, overwrite=False):
        path = adapters.save(adapter, filename, overwrite=overwrite)
        return io.NodeOutput(ui={"text": [f"Saved as {adapters.relative(path)}"]})


NODES = [GuardGrowthInhibitor, GuardLoadAdapter, GuardTrainAdapter, GuardSaveAdapter]
