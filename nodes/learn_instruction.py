"""Learning an instruction for Rewrite Prompt (ORES), as a node."""

from comfy_api.latest import io, ui

from ..guards.host import checks, progress
from ..guards.instructions import host as learning
from ..guards.instructions import host_samples as sample_folder


class GuardLearnInstruction(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        files = sample_folder.names()
        return io.Schema(
            node_id="GuardLearnInstruction",
            display_name="Learn Instruction (ORES)",
            category="guards/rewriters",
            description="Lets a language model improve the instruction that it rewrites prompts with, from samples of captions and "
            "accepted rewrites. Each instruction is scored on samples it was not taught with; the best comes out, for Rewrite "
            "Prompt.",
            inputs=[
                io.Custom("GUARD_REWRITER").Input(
                    "rewriter",
                    tooltip="The language model to learn for: an instruction suits the model that wrote it. Not Rules.",
                ),
                io.Combo.Input(
                    "samples",
                    options=files,
                    tooltip="A sample file: included with the pack, or yours in models/concept_guards_samples (the paper's text "
                    "format or JSON lines).",
                ),
                io.Int.Input(
                    "epochs",
                    default=3,
                    min=1,
                    max=50,
                    tooltip="How often all samples are gone through. The paper uses 3.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=6,
                    min=1,
                    max=64,
                    tooltip="Samples between two updates of the instruction. The paper uses 6.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Order of the samples and wording of the instructions. The same seed gives the same result where the "
                    "back end can.",
                ),
                io.Combo.Input(
                    "evaluation",
                    options=[learning.HELD_OUT, *files],
                    default=learning.HELD_OUT,
                    optional=True,
                    tooltip="What the instructions are scored on: the samples that the file marks as held out (a quarter of "
                    "them where none is marked), or another file, such as the ORES dataset.",
                ),
            ],
            outputs=[io.String.Output(display_name="instruction"), io.String.Output(display_name="report")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, samples, epochs, batch_size, seed, evaluation=learning.HELD_OUT):
        return sample_folder.state(samples), sample_folder.state(evaluation), epochs, batch_size, seed

    @classmethod
    async def execute(cls, rewriter, samples, epochs, batch_size, seed, evaluation=learning.HELD_OUT):
        checks.inputs(cls, **locals())
        learned = await learning.learn(rewriter, samples, epochs, batch_size, seed, evaluation)
        progress.under_node(cls.hidden.unique_id)(learned.table)
        return io.NodeOutput(learned.instruction, learned.report, ui=ui.PreviewText(learned.report))


NODES = [GuardLearnInstruction]
