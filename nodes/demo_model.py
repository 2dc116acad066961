"""The demo model as a node."""

from comfy_api.latest import io

from ..guards.demo import host as demo_model


class GuardDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardDemoModel",
            display_name="Demo Model",
            category="guards/demo",
            description="A tiny text-to-image model that comes with the pack: everyday things, people and places, 96x96 pixels, no "
            "download. For trying out the guards and for measuring them.",
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.Vae.Output(display_name="vae"),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls):
        return demo_model.fingerprint()

    @classmethod
    def execute(cls):
        return io.NodeOutput(*demo_model.load())


NODES = [GuardDemoModel]
