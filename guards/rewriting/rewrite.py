"""Rewrite a query so that no forbidden concept is left in it, and prove it.

Ni et al., "ORES: Open-vocabulary Responsible Visual Synthesis", AAAI 2024 (arXiv 2308.13785), stage 1. The paper takes the language
model's answer as it is; here it is cleaned, checked and asked for again, and where nothing helps the graph stops, the words go, or the
query passes with a warning. This file says when to ask; `asking` asks, and what is heard is judged in `decisions`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..files import MODELS
from ..lists.written import split
from ..rewriters import protocol
from ..rewriters.protocol import ChatRewriter, RewriterError, TextRewriter
from . import decisions
from . import notice as noticing
from . import synonyms as other_words
from .answers import plain
from .asking import Asking, Wanted, kin
from .decisions import ON_FAILURE, Attempt, Case, Outcome, Record, RewriteBlocked

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


def shipped_instruction(path: Path = INSTRUCTION) -> str:
    """The instruction that comes with the pack, without its notes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#")).strip()


def forbidden(text: str) -> list[str]:
    """The concepts of a text (see `lists.written.split`). Raises ValueError where there is none, far too many, or an unclear one."""
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
    turns = [(_asked(one.caption, [one.concept], [one.words]), one.rewrite) for one in examples]
    return protocol.conversation(instruction, turns, _asked(query, concepts, words))


def _asked(query: str, concepts: Sequence[str], words: Sequence[str] = ()) -> str:
    names, replace_ = (", ".join(plain(one) for one in some) for some in (concepts, words))
    line = f"Words to replace: {replace_}\n" if replace_ else ""
    return f"Concepts: {names}\n{line}Input Caption: {plain(query)}\nOutput Caption:"


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
    asking = Asking(rewriter, seed, memory or other_words.Memory(), progress, clock)
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


async def _by_model(case: Case, asking: Asking, instruction: str, error: RewriterError | None) -> Outcome:
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
            banned = [*banned, *map(kin, words)]
            opening = conversation(instruction, asked, case.concerned, shown, words if shown else ())
            never = (*banned, *case.watch.surface())
            wanted = Wanted(
                [*opening, *since[-4:]], number, bool(since), said, never, asked, words, fill if shown else ()
            )
            last = await asking.attempt(case, wanted)
        except RewriterError as failure:
            return decisions.failed(case, asking.record, last.text, str(failure), failure)
        if not last.problem:
            return decisions.rewritten(case, asking.record, last.text)
    return decisions.failed(case, asking.record, last.text, last.problem)


def _complaint(attempt: Attempt, concepts: Sequence[str]) -> list[dict]:
    """The messages that tell a model what was wrong with its answer."""
    asked = (
        f"That cannot be used: {attempt.problem}. Nobody who sees the picture may think of: {', '.join(map(plain, concepts))}. "
        "Put quite another thing in the place of what brings it to mind, and keep the other words. Answer with the new caption only."
    )
    return [{"role": "assistant", "content": attempt.text[:400] or "(nothing)"}, {"role": "user", "content": asked}]
