"""Rewrite a query so that no forbidden concept is left in it, and prove it.

Ni et al., "ORES: Open-vocabulary Responsible Visual Synthesis", AAAI 2024 (arXiv 2308.13785), stage 1. The paper takes the language
model's answer as it is; here it is cleaned, checked and asked for again, and where nothing helps the graph stops, the words go, or the
query passes with a warning. This file asks; what is heard is judged in `decisions`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..files import MODELS
from ..rewriters.protocol import Answer, ChatRewriter, CrowdJudge, DrawingRewriter, RewriterError, TextRewriter, Verdict
from ..words.lists import split
from . import decisions, filling
from . import notice as noticing
from . import synonyms as other_words
from .answers import caption, plain
from .decisions import ON_FAILURE, Attempt, Case, Outcome, Record, RewriteBlocked
from .refusals import kept

__all__ = ["ON_FAILURE", "Outcome", "RewriteBlocked", "conversation", "forbidden", "rewrite", "shipped_instruction"]
INSTRUCTION = MODELS / "rewrite_instruction.txt"
# characters that a language model is given; a longer query that touches a concept counts as a failed rewrite
LONGEST_QUERY = 4000
MOST_CONCEPTS = 200
MOST_ATTEMPTS = 10


class Example(NamedTuple):
    """What a rewrite is, shown: a caption, the concept that it implies or names, the words that bring it, and the rewrite."""

    caption: str
    concept: str
    words: str
    rewrite: str


EXAMPLES = (  # go with the shipped instruction alone
    Example(
        "The statue dwarfs every house in the village.",
        "huge",
        "dwarfs",
        "The statue overlooks every house in the village.",
    ),
    Example(
        "The brewery opens its first barrel of the year.",
        "beer",
        "brewery, barrel",
        "The bakery opens its first oven of the year.",
    ),
    Example(
        "Ripe tomatoes fill the basket, ready to be sold",
        "red",
        "tomatoes",
        "Ripe cucumbers fill the basket, ready to be sold",
    ),
    Example("Two dogs sleep on a blue sofa", "dog", "dogs", "Two cats sleep on a blue sofa"),
)
BLANKS = 3  # words of a text that are replaced one after the other, at most
DRAWN, DRAWN_AT = 3, 0.7  # further answers to a request whose likeliest one is not clearly good, and their temperature
CLEAR = 0.25  # probability that a picture still shows a concept below which an answer is clearly good ...
KEEPS = 0.6  # ... where it keeps that share of the query's words
WARMER = 0.35  # added to the temperature with each further attempt
WARMEST = 1.2


def shipped_instruction(path: Path = INSTRUCTION) -> str:
    """The instruction that comes with the pack, without its notes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#")).strip()


def forbidden(text: str) -> list[str]:
    """The concepts of a text (see `words.lists.split`). Raises ValueError where there is none, far too many, or an unclear one."""
    concepts = split(text)
    if not concepts:
        raise ValueError(
            "concepts is empty: write what must not appear, such as: weapons, blood. Or connect Forbidden Concepts."
        )
    if len(concepts) > MOST_CONCEPTS:
        raise ValueError(
            f"concepts names {len(concepts)} concepts, more than {MOST_CONCEPTS}: name the ones that matter here."
        )
    return concepts


def conversation(
    instruction: str, query: str, concepts: Sequence[str], examples: Sequence[Example] = (), words: Sequence[str] = ()
) -> list[dict]:
    """The opening messages: the instruction, then concepts and query as data, each on one line and without chat markup. ``examples``: as
    earlier turns. ``words``: those of the query that bring the concepts, where they are known."""
    messages = [{"role": "system", "content": instruction}]
    for one in examples:
        messages += [_asked(one.caption, [one.concept], [one.words]), {"role": "assistant", "content": one.rewrite}]
    return [*messages, _asked(query, concepts, words)]


def _asked(query: str, concepts: Sequence[str], words: Sequence[str] = ()) -> dict:
    names, replace_ = (", ".join(plain(one) for one in some) for some in (concepts, words))
    line = f"Words to replace: {replace_}\n" if replace_ else ""
    return {"role": "user", "content": f"Concepts: {names}\n{line}Input Caption: {plain(query)}\nOutput Caption:"}


async def rewrite(
    rewriter: ChatRewriter | TextRewriter,
    query: str,
    concepts: str,
    instruction: str = "",
    on_failure: str = "block",
    attempts: int = 3,
    seed: int = 0,
    memory: other_words.Memory | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.perf_counter,
    notice: str = noticing.WORDS,
    seen: noticing.Memory | None = None,
) -> Outcome:
    """Rewrite ``query`` with a language model or with rules.

    ``memory``: synonyms asked before. ``progress(done, total)``: counts calls. ``clock``: seconds, for the report. ``notice``: who
    says whether a picture of the query, and of its rewrite, would show a concept that is not named, the model or lists of words;
    ``seen``: what the model said before. Raises RewriteBlocked
    where on_failure is block and no rewrite is acceptable, RewriterError where it is block and the back end fails, ValueError for inputs
    that cannot be used.
    """
    if on_failure not in ON_FAILURE:
        raise ValueError(f"on_failure is {on_failure!r}: choose one of {', '.join(ON_FAILURE)}.")
    if notice not in noticing.WAYS:
        raise ValueError(f"notice is {notice!r}: choose one of {', '.join(noticing.WAYS)}.")
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise ValueError(f"attempts is {attempts}: give a number from 1 to {MOST_ATTEMPTS}.")
    names = forbidden(concepts)
    if isinstance(rewriter, TextRewriter):
        words = {name: other_words.Words() for name in names}
        return _by_rules(rewriter, Case(query, words, rewriter.name, on_failure, attempts), clock)
    by_model = notice == noticing.MODEL
    asking = _Asking(rewriter, seed, memory or other_words.Memory(), progress, clock)
    asking.seen = (seen or noticing.Memory()) if by_model else None
    words, error = await asking.synonyms(names)
    case = Case(query, words, rewriter.name, on_failure, attempts, hinted=not by_model)
    return await _by_model(case, asking, instruction.strip(), error)


def _by_rules(rewriter: TextRewriter, case: Case, clock: Callable[[], float]) -> Outcome:
    """What rules make of the query, checked."""
    start = clock()
    text = rewriter.apply(case.query)
    if text == case.query and not case.hits:
        return decisions.unchanged(case, Record(seconds=clock() - start))
    problem = case.left(text)
    record = Record([Attempt(text, problem)], seconds=clock() - start)
    return decisions.failed(case, record, text, problem) if problem else decisions.rewritten(case, record, text)


async def _by_model(case: Case, asking: _Asking, instruction: str, error: RewriterError | None) -> Outcome:
    """What a language model makes of the query, asked again until it is acceptable. ``instruction``: empty for the shipped one.
    ``error``: synonyms could not be asked for."""
    if not case.hits:
        if error and case.on_failure == "block":
            raise error
        case = case if error else await asking.look(case)
        if not case.noticed:
            return decisions.unchanged(case, asking.record)
    if error:
        return decisions.failed(case, asking.record, "", str(error), error)
    if len(case.query) > LONGEST_QUERY:
        problem = (
            f"the query has {len(case.query)} characters, more than the {LONGEST_QUERY} that a language model is given: "
            "shorten it"
        )
        return decisions.failed(case, asking.record, "", problem)
    shown = () if instruction else EXAMPLES
    instruction = instruction or shipped_instruction()
    said = "\n".join([instruction, *(one.rewrite for one in shown)])  # what an answer may not repeat
    asked, since, words, banned, last = case.query, [], case.named, case.shows, Attempt("")
    for number in range(case.most_attempts):
        try:
            fill: Sequence[str] = ()
            if number == 0:
                blamed = await asking.to_blame(case, asked)
                words, fill = (list(dict.fromkeys([*words, *some])) for some in (noticing.likeliest(blamed), blamed))
            elif last.still_shows and (blamed := await asking.to_blame(case, last.text)):
                # goes on from what is better already
                asked, since, words, fill = last.text, [], noticing.likeliest(blamed), list(blamed)
            else:
                since += _complaint(last, case.concerned)
                said += "\n" + since[-1]["content"]
            banned = [*banned, *map(_kin, words)]
            opening = conversation(instruction, asked, case.concerned, shown, words if shown else ())
            blanks = (asked, fill if shown else ())
            last = await asking.attempt(case, [*opening, *since[-4:]], number, said, banned, bool(since), blanks)
        except RewriterError as failure:
            return decisions.failed(case, asking.record, last.text, str(failure), failure)
        if not last.problem:
            return decisions.rewritten(case, asking.record, last.text)
    return decisions.failed(case, asking.record, last.text, last.problem)


def _kin(word: str) -> str:
    """A word and what is made from it, as `decoding.BannedWords` takes it: a model that may not write *Gargantuan* wrote *Gargantious*."""
    return word if len(word) < 5 else f"{word[: (2 * len(word) + 2) // 3]}*"


def _complaint(attempt: Attempt, concepts: Sequence[str]) -> list[dict]:
    """The messages that tell a model what was wrong with its answer."""
    asked = (
        f"That cannot be used: {attempt.problem}. Nobody who sees the picture may think of: {', '.join(map(plain, concepts))}. "
        "Put quite another thing in the place of what brings it to mind, and keep the other words. Answer with the new caption only."
    )
    return [{"role": "assistant", "content": attempt.text[:400] or "(nothing)"}, {"role": "user", "content": asked}]


class _Asking:
    """The calls to one language model in one rewrite, and the record of them."""

    def __init__(
        self,
        rewriter: ChatRewriter,
        seed: int,
        memory: other_words.Memory,
        progress: Callable[[int, int], None],
        clock: Callable[[], float],
    ):
        self.rewriter, self.seed, self.memory, self.progress, self.clock = rewriter, seed, memory, progress, clock
        self.started, self.attempts, self.answers, self.warnings, self.looks = clock(), [], [], [], []
        self.seen: noticing.Memory | None = None  # where the model is asked what pictures show

    @property
    def record(self) -> Record:
        """What was asked until now."""
        seconds = self.clock() - self.started
        return Record(tuple(self.attempts), tuple(self.answers), tuple(self.warnings), seconds, tuple(self.looks))

    async def synonyms(self, names: Sequence[str]) -> tuple[dict[str, other_words.Words], RewriterError | None]:
        """(each concept's other words, the error of a back end that does not answer). One call for each that was never asked."""
        remembered = {name: self.memory.get(self.rewriter.name, name) for name in names}
        words = {name: known or other_words.Words() for name, known in remembered.items()}
        new = [name for name, known in remembered.items() if known is None]
        for number, name in enumerate(new):
            self.progress(number, len(new) + 1)
            try:
                words[name], answer = await other_words.ask(self.rewriter, name, self.seed)
            except RewriterError as error:
                self.warnings.append(f"synonyms of {name!r} could not be asked for: {error}")
                return words, error
            self.answers.append(answer)
            self.memory.put(self.rewriter.name, name, words[name])
        return words, None

    async def to_blame(self, case: Case, text: str) -> dict[str, float]:
        """`notice.to_blame`; nothing where no model is asked about pictures, or only one thing at a time."""
        if not self.seen or not isinstance(self.rewriter, CrowdJudge):
            return {}
        words, calls = await noticing.to_blame(self.rewriter, text, case.concerned, self.seen, self.seed)
        self._note(calls)
        return words

    async def attempt(
        self,
        case: Case,
        messages: list[dict],
        number: int,
        said: str,
        banned: Sequence[str],
        again: bool,
        blanks: tuple[str, Sequence[str]],
    ) -> Attempt:
        """Ask for a rewrite, for the ``number``-th time from 0, and judge it. ``said``: what the model was told, which is no answer;
        ``banned``: words that it may not write, beside the concepts'; ``again``: whether it was told what was wrong; ``blanks``: a text, and
        words of it to be replaced. Where the likeliest answer is not clearly good, blanks are filled and some more answers drawn, and the
        best counts. Raises RewriterError where there is no answer."""
        temperature = min(WARMEST, self.rewriter.temperature + WARMER * number) if again else None
        start, seed = self.clock(), self.seed + number
        banned = (*banned, *case.watch.surface())
        answer = await self.rewriter.chat(messages, temperature=temperature, seed=seed, banned=banned)
        self.answers.append(answer)
        tried = await self._judged(case, _captions(case, [answer]), said)
        if self.seen and not _is_clear(tried[0], case):
            tried += await self._filled(case, *blanks, said, banned)
        if self.seen and not any(_is_clear(one, case) for one in tried) and isinstance(self.rewriter, DrawingRewriter):
            warm = max(DRAWN_AT, temperature or 0.0)
            seeds = [seed * DRAWN + n for n in range(DRAWN)]
            more = await self.rewriter.draw_all(
                [messages] * DRAWN, temperature=warm, drawn_from=seeds, banned=[banned] * DRAWN
            )
            self.answers += more
            tried += await self._judged(case, _captions(case, more), said)
        best = max(tried, key=lambda one: _worth(one, case))
        self.attempts.append(replace(best, seconds=self.clock() - start))
        return self.attempts[-1]

    async def _filled(
        self, case: Case, text: str, words: Sequence[str], said: str, banned: Sequence[str]
    ) -> list[Attempt]:
        """What becomes of a text whose ``words`` are replaced one after the other, until one of the results is clearly good."""
        tried: list[Attempt] = []
        for word in words[:BLANKS]:
            asked = filling.question(text, word, case.concerned)
            try:
                answer = await self.rewriter.chat(asked, seed=self.seed, banned=(*banned, _kin(word)))
                self.answers.append(answer)
                made = [(one, answer) for one in filling.captions(answer.text, text, word)]
                found = await self._judged(case, made, said)
            except RewriterError as error:  # the answer that is there may do
                self.warnings.append(f"the blank of {word!r} could not be filled: {error}")
                break
            if not found:
                continue
            best = max(found, key=lambda one: _worth(one, case))
            tried.append(best)
            if _is_clear(best, case):
                break
            text = best.text
        return tried

    async def _judged(self, case: Case, made: Sequence[tuple[str, Answer]], said: str) -> list[Attempt]:
        """Attempts: captions, each with the answer that it comes from, and what is wrong with it."""
        tried = [Attempt(text, case.problem(text, said), answer) for text, answer in made]
        sound = [number for number, one in enumerate(tried) if not one.problem] if self.seen else []
        asked = [tried[number].text for number in sound]
        seen = await self._still(asked, case.concerned) if sound else []
        for number, one in zip(sound, seen):
            names = ", ".join(map(plain, one.concepts))
            problem = f"its picture would still show {names} (probability {one.yes:.2f})" if names else ""
            tried[number] = replace(tried[number], problem=problem, yes=one.yes)
        return tried

    async def look(self, case: Case) -> Case:
        """The case with what the model sees in its picture. Raises RewriterError where it is not told and on_failure is block."""
        if not self.seen:
            return case
        try:
            seen = await noticing.look_closely(self.rewriter, case.query, list(case.words), self.seen, self.seed)
            self._heard([seen], seen.verdicts)
            return replace(case, seen=seen)
        except RewriterError as error:
            if case.on_failure == "block":
                raise
            self.warnings.append(f"what the picture shows could not be asked for: {error}")
            return case

    async def _still(self, texts: Sequence[str], concepts: Sequence[str]) -> list[noticing.Noticed]:
        assert self.seen is not None  # nobody asks where nothing is noticed
        memory, limit = self.seen, noticing.STILL
        seen, calls = await noticing.look_at_all(self.rewriter, texts, concepts, memory, self.seed, limit)
        self._heard(seen, calls)
        return seen

    def _heard(self, seen: Sequence[noticing.Noticed], calls: Sequence[Verdict]) -> None:
        self._note(calls)
        if not all(verdict.told for one in seen for verdict in one.verdicts):
            self.warnings.append("the model answered neither yes nor no when it was asked what a picture shows")

    def _note(self, calls: Sequence[Verdict]) -> None:
        self.looks += [verdict.answer for verdict in calls]
        self.answers += [verdict.answer for verdict in calls]


def _captions(case: Case, answers: Sequence[Answer]) -> list[tuple[str, Answer]]:
    """The caption that each answer holds, with the answer."""
    several = "\n" in case.query.strip()
    return [(caption(answer.text, several=several), answer) for answer in answers]


def _is_clear(attempt: Attempt, case: Case) -> bool:
    """Whether no other answer need be asked for."""
    clear = not attempt.problem and (attempt.yes is None or attempt.yes < CLEAR)
    return clear and kept(attempt.text, case.query, case.unsaid) >= KEEPS


def _worth(attempt: Attempt, case: Case) -> tuple[bool, bool, float]:
    """What makes an attempt better than another: that it can be used; that at most its picture is wrong; what it keeps, and how far from
    the concept it is."""
    yes = attempt.yes if attempt.yes is not None else float(bool(attempt.problem))
    far = kept(attempt.text, case.query, case.unsaid) - 2 * yes
    return not attempt.problem, not attempt.problem or attempt.still_shows, far
