"""Closed-form erasing (UCE) as a node."""

from comfy_api.latest import io

from ..guards.erasing import host as erasing
from ..guards.host import checks
from ..guards.host.progress import Progress


class GuardEraseConcept(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardEraseConcept",
            display_name="Erase Concept (closed form)",
            category="guards",
            description="Rewrites the weights that read the prompt, so that a concept's words mean something harmless: once, in seconds, "
            "without training. Sampling costs nothing more, whatever the sampler, the steps and the cfg.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="SD1.x, SD2.x, SDXL, Wan, the demo model; SD3, Flux, Chroma, Qwen-Image, Lumina 2 and Z-Image in "
                    "part (see the help). LoRAs that it has are kept; those behind this node are not seen by it.",
                ),
                io.Clip.Input("clip", tooltip="The text encoder that the prompts are encoded with."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="",
                    tooltip="What must go, one a line, and what takes its place: gun -> banana. Without an arrow something "
                    "harmless is chosen (see the report); gun -> with nothing behind it: nothing. An attribute: "
                    "{} with a gun -> {}. Lines that start with # are notes.",
                ),
                io.String.Input(
                    "replacement",
                    default="",
                    tooltip="What takes the place of all concepts that name nothing themselves, such as: banana. A definite "
                    "thing works best. Empty: chosen for each.",
                ),
                io.String.Input(
                    "keep",
                    multiline=True,
                    default="",
                    tooltip="Captions whose meaning is held, one a line: what your prompts are about. Empty: some 200 that "
                    "come with the pack. Those that name a concept are left out.",
                ),
                io.String.Input(
                    "templates",
                    multiline=True,
                    default="",
                    tooltip="Sentences that the concepts are read in, one a line, with {} where the concept stands. Empty: 22 that "
                    "come with the pack, alone and in scenes. Attributes do without.",
                ),
                io.Float.Input(
                    "preserve",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How much keep counts against the concepts. More holds other pictures better and takes away less.",
                ),
                io.Float.Input(
                    "regularise",
                    default=0.1,
                    min=0.0001,
                    max=100000.0,
                    step=0.1,
                    tooltip="How much the weights as they are count. More changes them less, in all directions.",
                ),
                io.Boolean.Input(
                    "keys",
                    default=True,
                    tooltip="Also edit the keys, which say where in the picture a word is heeded; off: only the values, "
                    "which say what it brings. Makes no difference where one matrix reads the text (SD3, Flux and the like).",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How much of the edit is applied, to model and lora alike. 0: the model as it came in.",
                ),
                io.Int.Input(
                    "rank",
                    default=0,
                    min=0,
                    max=1024,
                    optional=True,
                    tooltip="The largest rank of the lora. 0: as many as it takes to lose nothing. Less makes a smaller file; "
                    "the report says what it loses.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.LoraModel.Output(display_name="lora"),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, concepts, replacement, keep, templates, preserve, regularise, keys, strength, rank=0):
        checks.inputs(cls, **locals())
        if strength == 0:
            return io.NodeOutput(model, {}, "strength is 0: the model is as it came in, and the lora is empty.")
        progress = Progress(100, cls.hidden.unique_id)
        settings = erasing.Settings(concepts, replacement, keep, templates, preserve, regularise, keys, rank or 0)
        edit = erasing.erase(model, clip, settings, lambda share, text: progress.at(int(100 * share), text))
        edited, lora = erasing.apply(model, edit, strength)
        progress.at(100, "\n".join(edit.lines))
        return io.NodeOutput(edited, lora, "\n".join(edit.lines))


NODES = [GuardEraseConcept]
