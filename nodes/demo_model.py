"""The demo model as a node."""

from comfy_api.latest import io

from ..guards.demo import host as demo_model
from ..guards.demo import host_dit
from ..guards.host import checks

KINDS = {"unet": demo_model, "dit": host_dit}


class GuardDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardDemoModel",
            display_name="Demo Model",
            category="guards/demo",
            description="A tiny text-to-image model that comes with the pack: everyday things, people and places, 96x96 pixels, no "
            "download. For trying out the guards and for measuring them.",
            inputs=[
                io.Combo.Input(
                    "architecture",
                    options=[*KINDS],
                    default="unet",
                    optional=True,
                    tooltip="unet: of the kind of Stable Diffusion, with cross-attention. dit: a transformer in the class of Lumina 2 and "
                    "Z-Image, for seeing what guards do on newer models; it draws one thing well, two in four pictures of ten.",
                )
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.Vae.Output(display_name="vae"),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, architecture="unet"):
        return KINDS.get(architecture, demo_model).fingerprint()

    @classmethod
    def execute(cls, architecture="unet"):
        checks.inputs(cls, architecture=architecture)
        return io.NodeOutput(*KINDS[architecture].load())


NODES = [GuardDemoModel]
