"""The operator's policy: what it says on this server, and the nodes that the server itself puts into graphs."""

from comfy_api.latest import io

from ..guards.policy import host_guard, host_office
from ..guards.policy.explaining import explain

FINGERPRINT = (
    "The policy that the graph was admitted under, and the language of whoever sent it. The server fills it in."
)


class GuardPolicyReport(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardPolicyReport",
            display_name="Policy",
            category="guards/policy",
            is_output_node=True,
            description="What this server's policy forbids and does, in words, and whether there is one.",
            inputs=[],
            outputs=[io.String.Output(display_name="report"), io.Boolean.Output(display_name="in_force")],
        )

    @classmethod
    def fingerprint_inputs(cls):
        policy, fault = host_office.office.look()
        if policy is None:
            return str(fault)
        groups = [[name, own.fingerprint] for name, own in policy.groups]  # the report tells them, too
        return [policy.fingerprint, policy.header, groups]

    @classmethod
    def execute(cls):
        policy, fault = host_office.office.look()
        if policy is not None:
            lines = explain(policy, policy.show_concepts)
            report = "\n".join(filter(None, [*lines, policy.message, policy.contact and f"Ask: {policy.contact}."]))
        else:
            report = fault.reason() if fault else "No policy is in force on this server."
        return io.NodeOutput(report, policy is not None or fault is not None, ui={"text": (report,)})


class GuardPolicyModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardPolicyModel",
            display_name="Policy: Model",
            category="guards/policy",
            description="Put in by the server where a policy is in force: guards the MODEL.",
            is_dev_only=True,
            inputs=[
                io.AnyType.Input("model", tooltip="The MODEL that a node is about to sample; anything else passes."),
                io.String.Input("fingerprint", default="", tooltip=FINGERPRINT),
                io.Clip.Input("clip", optional=True, tooltip="The text encoder that says what the concepts are."),
            ],
            outputs=[io.AnyType.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, fingerprint, clip=None):
        return io.NodeOutput(host_guard.guard(model, clip, fingerprint))


class GuardPolicyText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardPolicyText",
            display_name="Policy: Text",
            category="guards/policy",
            description="Put in by the server where a policy is in force: reads a text that is made while the graph runs.",
            is_dev_only=True,
            inputs=[
                io.AnyType.Input("text", tooltip="The text; anything else passes."),
                io.String.Input("fingerprint", default="", tooltip=FINGERPRINT),
            ],
            outputs=[io.AnyType.Output(display_name="text")],
        )

    @classmethod
    def execute(cls, text, fingerprint):
        return io.NodeOutput(host_guard.read(text, fingerprint))


class GuardPolicyOutput(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardPolicyOutput",
            display_name="Policy: Output",
            category="guards/policy",
            description="Put in by the server where a policy is in force: looks at pictures before they are saved or shown.",
            is_output_node=True,
            is_dev_only=True,
            inputs=[
                io.AnyType.Input("images", optional=True, tooltip="What goes into an output node."),
                io.String.Input("fingerprint", default="", optional=True, tooltip=FINGERPRINT),
                io.String.Input("refusal", default="", optional=True, tooltip="Why the graph was refused."),
            ],
            outputs=[io.AnyType.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, images=None, fingerprint="", refusal=""):
        if refusal:
            raise ValueError(refusal)
        return io.NodeOutput(host_guard.look(images, fingerprint))


NODES = [GuardPolicyReport, GuardPolicyModel, GuardPolicyText, GuardPolicyOutput]
