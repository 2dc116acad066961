"""Safe self-distillation (SDD) as a node."""

from comfy_api.latest import io

from ..guards.distillation import formula as distillation
from ..guards.distillation import host as host_distillation
from ..guards.host import checks


class GuardSelfDistill(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardSelfDistill",
            display_name="Distil Away a Concept (SDD)",
            category="guards/feedback",
            description="Trains a LoRA with which the model no longer draws a concept: it learns to predict for the concept what it "
            "predicts for an empty prompt, from pictures that it makes itself. Stop keeps what has been learnt so far.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="An SD1.x, SD2.x or SDXL model, or the demo model. It comes out as it was, beside the "
                    "guarded one.",
                ),
                io.Conditioning.Input(
                    "concept",
                    tooltip="What must go, encoded: words, or a learnt word from Load Feedback Token. Several "
                    "concepts: join them with Conditioning (Combine).",
                ),
                io.Conditioning.Input("empty", tooltip="An empty prompt, encoded."),
                io.Int.Input(
                    "steps", default=1500, min=1, max=100000, tooltip="Training steps. The paper trains 1,500."
                ),
                io.Float.Input(
                    "learning_rate",
                    default=1e-5,
                    min=1e-8,
                    max=1.0,
                    step=1e-6,
                    tooltip="Of AdamW. The paper uses 0.00001 for a full change; a thin one (rank) wants about 0.0005.",
                ),
                io.Int.Input(
                    "rank",
                    default=16,
                    min=0,
                    max=256,
                    tooltip="Of the LoRA. 0: a full change of every cross-attention weight, "
                    "as in the paper; needs far more memory.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Pictures in a step. The paper uses 1."),
                io.Int.Input(
                    "sample_steps",
                    default=50,
                    min=2,
                    max=1000,
                    tooltip="Of the teacher, which makes the pictures. The paper uses 50.",
                ),
                io.Int.Input("width", default=512, min=16, max=4096, step=8, tooltip="Of the pictures."),
                io.Int.Input("height", default=512, min=16, max=4096, step=8, tooltip="Of the pictures."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed learns the same.",
                ),
                io.Float.Input(
                    "average",
                    default=0.999,
                    min=0.0,
                    max=0.99999,
                    step=0.001,
                    optional=True,
                    tooltip="How slowly the teacher follows the student (EMA). With few steps take less, such as 0.99.",
                ),
                io.Combo.Input(
                    "times",
                    options=list(distillation.TIMES),
                    default="uniform",
                    optional=True,
                    tooltip="Where in its run the teacher stops: anywhere alike (SDD), or mostly in the middle (HFI).",
                ),
                io.Combo.Input(
                    "roles",
                    options=list(distillation.ROLES),
                    default="readme",
                    optional=True,
                    tooltip="With several concepts. readme: one in turn is drawn, all joined are unlearnt. code: all joined are "
                    "drawn, one in turn is unlearnt.",
                ),
                io.LoraModel.Input("start", optional=True, tooltip="The lora of an earlier run, to go on from."),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Only for the preview, with models that the host has no quick preview for.",
                ),
                io.Conditioning.Input(
                    "keep",
                    optional=True,
                    tooltip="Prompts that must go on meaning what they mean, encoded; several: join them with "
                    "Conditioning (Combine). They and the empty prompt are held in turn. Without it the training "
                    "is as published.",
                ),
                io.Float.Input(
                    "keep_weight",
                    default=1.0,
                    min=0.0,
                    max=10000.0,
                    step=0.1,
                    optional=True,
                    tooltip="Counts when keep is connected: how hard it holds. More keeps other pictures better and takes less "
                    "of the concept away.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.LoraModel.Output(display_name="lora"),
                io.Image.Output(display_name="loss_plot"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        concept,
        empty,
        steps,
        learning_rate,
        rank,
        batch_size,
        sample_steps,
        width,
        height,
        seed,
        average=0.999,
        times="uniform",
        roles="readme",
        start=None,
        vae=None,
        keep=None,
        keep_weight=1.0,
    ):
        checks.inputs(cls, **locals())
        settings = distillation.Settings(
            steps,
            learning_rate,
            batch_size,
            rank,
            average,
            sample_steps,
            times=times,
            roles=roles,
            seed=seed,
            keep_weight=keep_weight,
        )
        return io.NodeOutput(
            *host_distillation.run(
                model, concept, empty, settings, width, height, start, vae, keep, cls.hidden.unique_id
            )
        )


NODES = [GuardSelfDistill]
