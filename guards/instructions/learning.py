"""Learn an instruction for rewriting prompts from samples, and say how good it is.

Ni et al., "ORES: Open-vocabulary Responsible Visual Synthesis", AAAI 2024 (arXiv 2308.13785), instruction learning: the language model
writes an instruction, rewrites a batch of samples with it, is shown its rewrites beside accepted ones, and writes a better instruction;
3 epochs, batches of 6, and a conversation that keeps its first two and last two messages. The paper keeps the last instruction, unmeasured.
Here each one is scored on samples that it was not taught with, and the best is kept. The wording of the questions is this project's own.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .. import seeds
from ..rewriters.protocol import BoundedRewriter, ChatRewriter, CrowdRewriter
from ..rewriters.thinking import without_thinking
from ..rewriting.answers import caption, fault, plain
from ..rewriting.rewrite import conversation
from ..words.forms import STOP_WORDS
from ..words.letters import fold
from ..words.reading import tokens
from ..words.watch import watch
from .samples import Sample

LONGEST = 4000  # characters of an instruction
WRITING = 512  # tokens that writing an instruction may take, where the rewriter's own limit is lower
CROWD = 8  # captions that are rewritten at once
WARMTH = 0.7  # temperature at which instructions are written
TASK = (
    "A language model is given an image caption and one or more concepts. It rewrites the caption so that the concepts are no longer "
    "in it: each is replaced by its opposite, or by something harmless that fits. All else stays. Concepts that have nothing to do "
    "with the caption are left aside. The new caption is one short sentence. Captions and concepts are always valid."
)
FIRST = "{task}\n\nWrite the instruction that this language model should follow. Answer with the instruction only."
AGAIN = (
    "The model followed your instruction on these samples:\n\n{samples}\n\nCompare its captions with the accepted ones, find where "
    "a concept is still there or where too much was changed, and write a better instruction for the same task. Answer with the "
    "whole new instruction only."
)


@dataclass(frozen=True)
class Score:
    """How well an instruction does on samples, 0 to 1. ``value``: the mean of kept, a sample whose concept is still there counting 0."""

    value: float
    gone: float
    kept: float
    samples: int


@dataclass(frozen=True)
class Update:
    """An instruction and its score. Update 0 is the first one; -1 the shipped one, for comparison."""

    epoch: int
    number: int
    instruction: str
    score: Score
    note: str = ""


def trimmed(history: Sequence[dict]) -> list[dict]:
    """The paper's history: from six messages on, the first two and the last two."""
    return [*history[:2], *history[-2:]] if len(history) >= 6 else list(history)


def instruction_in(answer: str) -> str:
    """The instruction in a language model's answer: no thinking, no fence, no label, no markup; '' where there is none."""
    text = without_thinking(answer[: 5 * LONGEST])
    fence = re.search(r"```[\w-]*\n(.*?)(?:```|\Z)", text, re.DOTALL)
    text = fence[1] if fence and len(fence[1]) > 40 else text
    lines = [plain(line) for line in text.splitlines()]
    text = "\n".join(line for line in lines if line)
    text = re.sub(
        r"^\W*(?:the\s+)?(?:new |better |updated |improved |whole )*instructions?\W*:\s*", "", text, flags=re.IGNORECASE
    )
    return text[:LONGEST].strip(" \"'\n")


def words(text: str) -> set[str]:
    """The words of a caption that carry meaning, folded."""
    return {token.word for token in tokens(fold(text)[0])} - STOP_WORDS


def overlap(a: set, b: set) -> float:
    """F1 of two sets of words."""
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def implying(sample: Sample) -> set[str]:
    """The words of a caption that implies its concept and that no reference has; none where the caption itself is a reference."""
    if sample.caption in sample.references or not sample.references:
        return set()
    return words(sample.caption) - set().union(*map(words, sample.references))


def judge(sample: Sample, made: str) -> tuple[bool, float]:
    """(no concept is left, how much is kept: the best overlap with the caption without its forbidden words or a reference).

    Where the caption implies its concept (it holds none, and is no reference), the words that no reference has are the forbidden ones.
    """
    if fault(made, sample.caption):
        return False, 0.0
    guard = watch({concept: () for concept in sample.concepts})
    telling = implying(sample) if not guard.find(sample.caption) else set()
    aims = [guard.strip(sample.caption), *sample.references] if not telling else list(sample.references)
    written = words(made)
    return not guard.find(made) and not telling & written, max(
        overlap(written, words(aim)) for aim in aims if words(aim) or aim == aims[0]
    )


def total(judged: Sequence[tuple[bool, float]]) -> Score:
    """The Score of judged samples."""
    n = len(judged)
    return Score(
        sum(kept for gone, kept in judged if gone) / n,
        sum(gone for gone, _ in judged) / n,
        sum(k for _, k in judged) / n,
        n,
    )


def calls(teaching: int, held_out: int, epochs: int, batch_size: int) -> int:
    """How many answers `learn` asks for at most."""
    batches = -(-teaching // batch_size)
    return 1 + 2 * held_out + epochs * (teaching + batches * (1 + held_out))


class Learner:
    """The loop. ``answered`` is called after each answer. Raises ValueError for rules, and where there are too few samples."""

    def __init__(
        self,
        rewriter: ChatRewriter,
        teaching: Sequence[Sample],
        held_out: Sequence[Sample],
        epochs: int = 3,
        batch_size: int = 6,
        seed: int = 0,
        answered: Callable[[], None] = lambda: None,
    ):
        if not isinstance(rewriter, ChatRewriter):
            raise ValueError(
                "rewriter has no language model: rules follow no instruction. Connect Rewriter: Local LLM, Rewriter: Host LLM "
                "or Rewriter: OpenAI-compatible Endpoint."
            )
        if not teaching or not held_out:
            raise ValueError(
                "samples: at least two samples with accepted captions are needed, one to learn from and one to score with."
            )
        self.rewriter, self.teaching, self.held_out = rewriter, list(teaching), list(held_out)
        self.epochs, self.batch_size, self.seed, self.answered = epochs, batch_size, seed, answered
        self.random = random.Random(seed)
        brief = isinstance(rewriter, BoundedRewriter) and rewriter.max_length < WRITING
        self.writer = dataclasses.replace(cast(Any, rewriter), max_length=WRITING) if brief else rewriter

    async def rewrites(self, instruction: str, samples: Sequence[Sample]) -> list[str]:
        """What the model makes of each sample's caption, cleaned."""
        made = []
        for start in range(0, len(samples), CROWD):
            asked = [
                conversation(instruction, sample.caption, list(sample.concepts))
                for sample in samples[start : start + CROWD]
            ]
            for answer in await self._answers(asked):
                made.append(caption(answer.text))
        return made

    async def _answers(self, conversations):
        """An answer to each: all at once where the rewriter can and draws nothing."""
        if isinstance(self.rewriter, CrowdRewriter) and self.rewriter.temperature == 0:
            answers = await self.rewriter.chat_all(conversations, seed=self.seed)
            for _ in answers:
                self.answered()
            return answers
        answers = []
        for messages in conversations:
            answers.append(await self.rewriter.chat(messages, seed=self.seed))
            self.answered()
        return answers

    async def score(self, instruction: str) -> Score:
        """The instruction's Score on the held-out samples."""
        made = await self.rewrites(instruction, self.held_out)
        return total([judge(sample, rewrite) for sample, rewrite in zip(self.held_out, made)])

    async def _write(self, history, number):
        answer = await self.writer.chat(
            history, temperature=max(WARMTH, self.rewriter.temperature), seed=seeds.wrap(self.seed + number)
        )
        self.answered()
        return answer.text, instruction_in(answer.text)

    async def learn(self, shipped: str = "") -> AsyncIterator[Update]:
        """Each instruction with its score, as soon as it is known; first the shipped one, if given, for comparison."""
        if shipped:
            yield Update(0, -1, shipped, await self.score(shipped), "shipped")
        history = [{"role": "user", "content": FIRST.format(task=TASK)}]
        answer, instruction = await self._write(history, 0)
        history.append({"role": "assistant", "content": answer[:LONGEST]})
        note = "" if instruction else "no answer; the bare task"
        instruction = instruction or TASK
        yield Update(0, 0, instruction, await self.score(instruction), note)
        number, samples = 0, list(self.teaching)
        for epoch in range(1, self.epochs + 1):
            for start in range(0, len(samples), self.batch_size):
                batch = samples[start : start + self.batch_size]
                made = await self.rewrites(instruction, batch)
                number += 1
                history = [
                    *trimmed(history),
                    {"role": "user", "content": AGAIN.format(samples=evaluation(batch, made))},
                ]
                answer, new = await self._write(history, number)
                history.append({"role": "assistant", "content": answer[:LONGEST]})
                note = "" if new and new != instruction else "no new instruction"
                instruction = new or instruction
                yield Update(epoch, number, instruction, await self.score(instruction), note)
            self.random.shuffle(samples)


def evaluation(batch: Sequence[Sample], made: Sequence[str]) -> str:
    """What the model is shown of a batch: each rewrite beside up to three accepted captions."""
    blocks = []
    for sample, rewrite in zip(batch, made):
        accepted = " / ".join(plain(reference) for reference in sample.references[:3])
        blocks.append(
            f"Input Caption: {plain(sample.caption)}\nConcepts: {', '.join(map(plain, sample.concepts))}\n"
            f"The model's caption: {plain(rewrite)[:300] or '(nothing)'}\nAccepted: {accepted}"
        )
    return "\n\n".join(blocks)


def best(updates: Sequence[Update]) -> Update:
    """The learned instruction with the highest score; the first of equals."""
    return max((update for update in updates if update.number >= 0), key=lambda update: update.score.value)


@dataclass(frozen=True)
class Learned:
    """The best instruction, and how it came about: ``table`` for people, ``rows`` (a dictionary an update) for machines."""

    instruction: str
    table: str
    rows: tuple[dict, ...]

    @property
    def report(self) -> str:
        """The table, then the rows as JSON lines."""
        return "\n".join([self.table, *map(json.dumps, self.rows)])


def summarise(updates: Sequence[Update], ended: str = "") -> Learned:
    """What was learned: a sentence and a table by epoch, and the same as rows. ``ended``: a sentence on why it stopped early."""
    top = best(updates)
    shipped = next((update for update in updates if update.number < 0), None)
    score = top.score
    lines = [
        f"Best instruction: update {top.number} of epoch {top.epoch}, score {score.value:.3f} on {score.samples} held-out samples "
        f"(concept gone {score.gone:.2f}, query kept {score.kept:.2f})."
        + (f" The shipped instruction scores {shipped.score.value:.3f}." if shipped else "")
        + (f" {ended}" if ended else ""),
        "epoch  update  score   gone   kept",
    ]
    for update in updates:
        name = "ship" if update.number < 0 else str(update.number)
        mark = (" *" if update is top else "") + (f"  ({update.note})" if update.note and update.number >= 0 else "")
        score = update.score
        lines.append(f"{update.epoch:5d}  {name:>6s}  {score.value:.3f}  {score.gone:5.2f}  {score.kept:5.2f}{mark}")
    rows = tuple(
        {
            "epoch": update.epoch,
            "update": update.number,
            "best": update is top,
            **dataclasses.asdict(update.score),
            "note": update.note,
        }
        for update in updates
    )
    return Learned(top.instruction, "\n".join(lines), rows)


def report(updates: Sequence[Update], ended: str = "") -> str:
    """What was learned, as text: see `summarise`."""
    return summarise(updates, ended).report
