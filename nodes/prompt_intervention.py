"""Prompt intervention (ORES/TIN) as a node."""

from comfy_api.latest import io

from ..guards.host import checks
from ..guards.intervention import host as prompt_intervention


class GuardPromptIntervention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardPromptIntervention",
            display_name="Prompt Intervention (TIN)",
            category="guards",
            description="Starts sampling on the query and goes on with the rewritten prompt: the layout stays close to what was asked for, "
            "the content follows the rewrite. No extra cost. Use both outputs: the model in the sampler, the conditioning as "
            "positive.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Any model. The sampler must get the model that comes out of this node."
                ),
                io.Conditioning.Input(
                    "query", tooltip="The prompt as it was asked for, encoded. Drives the first steps."
                ),
                io.Conditioning.Input(
                    "rewritten", tooltip="The prompt without the forbidden concept, encoded. Drives the rest."
                ),
                io.Float.Input(
                    "ratio",
                    default=0.2,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the executed steps that the query drives. 0: the rewritten prompt only; 1: the query "
                    "only. The paper uses 0.2; more keeps the layout and lets more of the concept through.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model"), io.Conditioning.Output(display_name="conditioning")],
        )

    @classmethod
    def execute(cls, model, query, rewritten, ratio):
        checks.inputs(cls, **locals())
        return io.NodeOutput(*prompt_intervention.guard(model, query, rewritten, ratio))


NODES = [GuardPromptIntervention]
