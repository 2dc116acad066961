"""Which concepts to keep out: named lists and free text."""

from comfy_api.latest import io

from ..guards.host import checks
from ..guards.lists.written import PRESETS, compose


class GuardForbiddenConcepts(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardForbiddenConcepts",
            display_name="Forbidden Concepts",
            category="guards",
            description="The concepts that must not appear, as text for the other guards. Encode it with CLIP Text Encode for Safe Latent "
            "Diffusion, or hand it to Rewrite Prompt as it is.",
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="custom",
                    tooltip="custom: the text below alone. The named lists are the published ones; text below is added to "
                    "them.",
                ),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="",
                    tooltip="Concepts separated by commas or lines, such as: weapons, blood. Lines that start with # are "
                    "notes.",
                ),
            ],
            outputs=[io.String.Output(display_name="concepts")],
        )

    @classmethod
    def execute(cls, preset, concepts):
        checks.inputs(cls, **locals())
        return io.NodeOutput(compose(preset, concepts))


NODES = [GuardForbiddenConcepts]
