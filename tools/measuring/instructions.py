"""Score instructions for rewriting with a language model of this machine, on the held-out samples; or let it learn one.

python3 -m tools.measuring.instructions [--model FILE] [FILE.txt ...]            each file's instruction (default: the shipped one)
python3 -m tools.measuring.instructions [--model FILE] --learn [--epochs 3] [--batch-size 6]

--endpoint URL asks a server instead; --answers FILE keeps what a model has said, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guards import files

from .. import PROJECT
from ..setup.language_model import language_model

PATIENCE = 600.0  # seconds that a server may take for an answer


@dataclass(frozen=True)
class Remembered:
    """A ChatRewriter that keeps what ``rewriter`` has said in a file, a JSON line an answer, and asks for nothing twice."""

    rewriter: Any
    max_length: int
    path: Path
    answer: Callable[..., Any]
    known: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self):
        self.known.update((row.pop("asked"), row) for row in files.rows(self.path))

    @property
    def name(self):
        return self.rewriter.name

    @property
    def temperature(self):
        return self.rewriter.temperature

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        temperature = self.temperature if temperature is None else temperature
        asked = repr((self.name, self.max_length, temperature, seed if temperature else 0, sorted(banned), messages))
        key = hashlib.sha256(asked.encode()).hexdigest()[:32]
        if key not in self.known:
            one = dataclasses.replace(self.rewriter, max_length=self.max_length)
            answer = await one.chat(messages, temperature=temperature, seed=seed, banned=banned)
            self.known[key] = dataclasses.asdict(answer)
            files.append_row(self.path, {"asked": key, **self.known[key]})
        return self.answer(**self.known[key])

    def release(self):
        self.rewriter.release()


async def score(learner, own, shipped, judge, total) -> None:
    """The score of each instruction, and what the model made of each sample."""
    for name, text in own or [("the shipped instruction", shipped)]:
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
    parser.add_argument("--endpoint", help="address of an OpenAI-compatible server, up to /v1, to be asked instead")
    parser.add_argument("--answers", type=Path, help="a file of answers: what is in it is not asked again")
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

    samples, rewriting, learning, local_llm, endpoint, profiles, protocol = (
        hosting.module(f"guards.{name}")
        for name in (
            *("instructions.samples", "rewriting.rewrite", "instructions.learning"),
            *("rewriters.host_local", "endpoints.endpoint", "endpoints.profiles", "rewriters.protocol"),
        )
    )
    if options.endpoint:
        profile = profiles.Profile(options.endpoint)
        rewriter = endpoint.Endpoint(options.endpoint, profile, "", options.max_length, 0.0, PATIENCE)
    else:
        model = options.model or language_model()
        rewriter = local_llm.LocalRewriter(str(model), model.name, options.max_length, 0.0, keep_loaded=True)
    if options.answers:
        rewriter = Remembered(rewriter, options.max_length, options.answers, protocol.Answer)
    path = PROJECT / "models" / "rewrite_samples.jsonl"
    teaching, held_out = samples.parts(samples.read(path.read_text(encoding="utf-8"), path.name), options.seed)
    learner = learning.Learner(rewriter, teaching, held_out, options.epochs, options.batch_size, options.seed)
    shipped = rewriting.shipped_instruction()
    own = [(file.name, rewriting.shipped_instruction(file)) for file in options.files]
    asyncio.run(
        learn(learner, shipped, learning.report)
        if options.learn
        else score(learner, own, shipped, learning.judge, learning.total)
    )
    return 0


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
