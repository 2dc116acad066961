"""Score instructions for rewriting with a language model of this machine, on the held-out samples; or let it learn one.

python3 -m tools.measuring.instructions [--model FILE] [FILE.txt ...]            each file's instruction (default: the shipped one)
python3 -m tools.measuring.instructions [--model FILE] --learn [--epochs 3] [--batch-size 6]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from .. import PROJECT
from ..setup.language_model import language_model


async def score(learner, files, shipped, judge, total) -> None:
    """The score of each instruction, and what the model made of each sample."""
    for name, text in files or [("the shipped instruction", shipped)]:
        made = await learner.rewrites(text, learner.held_out)
        judged = [judge(sample, one) for sample, one in zip(learner.held_out, made)]
        result = total(judged)
        print(
            f"{name}: score {result.value:.3f} (concept gone {result.gone:.2f}, query kept {result.kept:.2f}, {result.samples} samples)"
        )
        for sample, one, (gone, kept) in zip(learner.held_out, made, judged):
            print(
                f"    {'gone' if gone else 'LEFT'} {kept:.2f}  {', '.join(sample.concepts)}: {sample.caption} -> {one[:100]}",
                flush=True,
            )


async def learn(learner, shipped, report) -> None:
    """The report of a whole run, and each instruction as it comes."""
    updates = []
    async for update in learner.learn(shipped):
        updates.append(update)
        print(f"{update.epoch} {update.number} {update.score.value:.3f} {update.instruction!r}", flush=True)
    print(report(updates))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files", nargs="*", type=Path, help="instructions as text files (lines that start with # are not sent)"
    )
    parser.add_argument(
        "--model", type=Path, help="a .gguf file or a folder with safetensors (default: the small one of the tests)"
    )
    parser.add_argument("--max-length", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=6)
    options = parser.parse_args()
    if "CONCEPT_GUARDS_HOST" not in os.environ:
        from ..setup.prepare import prepare

        return prepare(tests=True).run("tools.measuring.instructions", sys.argv[1:])
    from ..testing import hosting

    hosting.start()
    import comfy.model_management  # noqa: F401 - the host reads its options before torch starts

    samples, rewriting, learning, local_llm = (
        hosting.module(f"guards.{name}")
        for name in ("rewriting.samples", "rewriting.rewrite", "rewriting.learning", "rewriters.host_local")
    )
    model = options.model or language_model()
    rewriter = local_llm.LocalRewriter(str(model), model.name, options.max_length, 0.0, keep_loaded=True)
    path = PROJECT / "models" / "rewrite_samples.jsonl"
    teaching, held_out = samples.parts(samples.read(path.read_text(encoding="utf-8"), path.name), options.seed)
    learner = learning.Learner(rewriter, teaching, held_out, options.epochs, options.batch_size, options.seed)
    shipped = rewriting.shipped_instruction()
    files = [(file.name, rewriting.shipped_instruction(file)) for file in options.files]
    asyncio.run(
        learn(learner, shipped, learning.report)
        if options.learn
        else score(learner, files, shipped, learning.judge, learning.total)
    )
    return 0


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
