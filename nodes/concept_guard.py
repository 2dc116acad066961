"""The one node that most people need: what must not appear, and the guards that measure best for this model."""

from comfy_api.latest import io

from ..guards.concepts import host as concept_guard
from ..guards.host import checks
from ..guards.host.progress import Progress


class GuardConcepts(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardConcepts",
            display_name="Concept Guard",
            category="guards",
            description="Keeps what you name out of pictures, with the guards that measure best for the model that you connect. A "
            "forbidden thing is replaced by a harmless one where it would stand; the rest of the picture stays.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Any model that ComfyUI samples, with its LoRAs. What the guard does on it is in the report.",
                ),
                io.Clip.Input("clip", tooltip="The text encoder that the prompts are encoded with."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="",
                    tooltip="What must not appear, one a line, and what takes its place: beer -> milk. Without an arrow something harmless "
                    "is chosen (see the report). Lines that start with # are notes.",
                ),
                io.Combo.Input(
                    "strictness",
                    options=list(concept_guard.STRICTNESS),
                    default="balanced",
                    tooltip="gentle: texts that mean it are read as something else, which costs nothing. balanced: it is looked for in the "
                    "picture, too, and replaced in place. strict: from weaker signs on, and from the first step on, so more of the picture "
                    "changes.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, concepts, strictness):
        checks.inputs(cls, **locals())
        progress = Progress(100, cls.hidden.unique_id)
        guarded, lines = concept_guard.guard(
            model, clip, concepts, strictness, lambda share, text: progress.at(int(100 * share), text)
        )
        report = "\n".join(lines)
        progress.at(100, report)
        return io.NodeOutput(guarded, clip, report)


NODES = [GuardConcepts]
