"""Rewriting the query (ORES, first stage) and two of its back ends as nodes."""

from comfy_api.latest import io, ui

from ..guards.endpoints import host as endpoints
from ..guards.host import checks, progress
from ..guards.rewriters import rules as written_rules
from ..guards.rewriting import host as rewriting
from ..guards.rewriting import notice as noticing
from ..guards.rewriting import rewrite as rewrites

Rewriter = io.Custom("GUARD_REWRITER")


class GuardRewritePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRewritePrompt",
            display_name="Rewrite Prompt (ORES)",
            category="guards",
            description="Has a language model (or rules) rewrite the query without the forbidden concepts, checks that they are gone, "
            "and says what it did. Encode query and rewritten prompt for Prompt Intervention.",
            inputs=[
                Rewriter.Input("rewriter", tooltip="Who rewrites: any of the Rewriter nodes."),
                io.String.Input("query", multiline=True, default="", tooltip="The prompt as it was asked for."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="",
                    tooltip="What must not appear, separated by commas or lines: from Forbidden Concepts, or typed.",
                ),
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    tooltip="What the language model is told to do. Empty: the instruction that comes with the pack. Rules "
                    "do not need one.",
                ),
                io.Combo.Input(
                    "on_failure",
                    options=list(rewrites.ON_FAILURE),
                    default="block",
                    tooltip="When every answer still holds a concept. block: stop the graph. strip: take the words out of the "
                    "query. original: let the query pass as it is, with a warning in the report.",
                ),
                io.Int.Input(
                    "attempts",
                    default=3,
                    min=1,
                    max=rewrites.MOST_ATTEMPTS,
                    tooltip="How often the language model is asked, each time a little warmer and told what was wrong.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=False,
                    tooltip="The same inputs and seed give the same rewrite where the back end can.",
                ),
                io.Combo.Input(
                    "notice",
                    options=list(noticing.WAYS),
                    default=noticing.MODEL,
                    optional=True,
                    tooltip="Who notices a concept that the query does not name. model: the language model is asked, in one short "
                    "call, what a picture of the query, and of its rewrite, would show. words: only words that the model once "
                    "listed. Rules: always words.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="rewritten"),
                io.Boolean.Output(display_name="changed"),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    async def execute(cls, rewriter, query, concepts, instruction, on_failure, attempts, seed, notice=noticing.WORDS):
        # A graph from before this input brings none, and does what it did.
        checks.inputs(cls, **locals())
        outcome = await rewriting.rewrite(rewriter, query, concepts, instruction, on_failure, attempts, seed, notice)
        progress.under_node(cls.hidden.unique_id)(f"{outcome.sentence}\n\n{outcome.text}")
        return io.NodeOutput(outcome.text, outcome.changed, outcome.report, ui=ui.PreviewText(outcome.report))


class GuardRewriterEndpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRewriterEndpoint",
            display_name="Rewriter: OpenAI-compatible Endpoint",
            category="guards/rewriters",
            description="A language model behind an OpenAI-compatible address that the server's operator has set up: Ollama, LM Studio, "
            "llama.cpp, vLLM, a service. Address and key stay on the server; the graph holds the profile's name only.",
            inputs=[
                io.Combo.Input(
                    "endpoint",
                    options=endpoints.names(),
                    tooltip="A profile that this server knows. Its operator adds more in concept_guards/endpoints.json in "
                    "ComfyUI's user folder.",
                ),
                io.String.Input(
                    "model_name",
                    default="",
                    tooltip="Which model to ask. Empty: the profile's, else the first that the endpoint lists.",
                ),
                io.Int.Input(
                    "max_length",
                    default=96,
                    min=1,
                    max=4096,
                    tooltip="Most tokens of an answer. Models that think before they answer need many more.",
                ),
                io.Float.Input(
                    "temperature",
                    default=0.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="0: always the likeliest words. Further attempts are warmer by themselves.",
                ),
                io.Float.Input(
                    "timeout",
                    default=30.0,
                    min=1.0,
                    max=600.0,
                    step=1.0,
                    tooltip="Seconds that an answer may take, with all retries.",
                ),
            ],
            outputs=[Rewriter.Output(display_name="rewriter")],
        )

    @classmethod
    def validate_inputs(cls, endpoint):
        return True if endpoint is None else endpoints.problem(endpoint) or True

    @classmethod
    def fingerprint_inputs(cls, **kwargs):
        return endpoints.stamp()

    @classmethod
    def execute(cls, endpoint, model_name, max_length, temperature, timeout):
        checks.inputs(
            cls, max_length=max_length, temperature=temperature, timeout=timeout
        )  # endpoint has an error of its own
        return io.NodeOutput(endpoints.rewriter(endpoint, model_name, max_length, temperature, timeout))


class GuardRewriterRules(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRewriterRules",
            display_name="Rewriter: Rules",
            category="guards/rewriters",
            description="Rewrites by rules instead of a language model: always the same, at once, without any download.",
            inputs=[
                io.String.Input(
                    "rules",
                    multiline=True,
                    default="cat -> dog",
                    tooltip="One replacement a line, such as: cat -> dog. Other forms follow (cats -> dogs). Nothing right "
                    "of the arrow takes the word out. Lines that start with # are notes.",
                )
            ],
            outputs=[Rewriter.Output(display_name="rewriter")],
        )

    @classmethod
    def execute(cls, rules):
        return io.NodeOutput(written_rules.parse(rules))


NODES = [GuardRewritePrompt, GuardRewriterEndpoint, GuardRewriterRules]
