"""What a run costs, as the nodes that evaluations put into graphs."""

from comfy_api.latest import io

from ..guards.host import checks
from ..guards.judging import host_meter


class GuardMeter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardMeter",
            display_name="Meter",
            category="guards/measuring",
            description="Put in by evaluations before a sampler: counts what sampling costs.",
            is_dev_only=True,
            inputs=[io.Model.Input("model", tooltip="The MODEL that is about to be sampled.")],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model):
        checks.inputs(cls, **locals())
        return io.NodeOutput(host_meter.attach(model))


class GuardMeterReading(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardMeterReading",
            display_name="Meter: Reading",
            category="guards/measuring",
            description="Put in by evaluations behind the picture: says what was counted since the last time.",
            is_output_node=True,
            is_dev_only=True,
            inputs=[
                io.Model.Input("model", tooltip="The MODEL that Meter gives out."),
                io.Image.Input("images", tooltip="The finished pictures: it reads once they are there."),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, model, images):
        checks.inputs(cls, **locals())
        return io.NodeOutput(ui={name: (value,) for name, value in host_meter.meter_of(model).take().items()})


NODES = [GuardMeter, GuardMeterReading]
