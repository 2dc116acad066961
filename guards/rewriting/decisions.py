"""What is decided about a query and its rewrites, without asking anyone: is it met, is an answer acceptable, what goes on.

`rewrite` asks; whatever it hears is judged here, and the text that goes on is checked once more in `_outcome`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..rewriters.protocol import Answer
from ..words.watch import Hit, Watch, watch, words_of
from .answers import echoes, fault, plain
from .notice import Noticed
from .refusals import advertises, content, kept, loops
from .synonyms import Words

TERSE = 3  # words of an answer that may be a refusal in words that nobody foresaw
ON_FAILURE = ("block", "strip", "original")


class RewriteBlocked(RuntimeError):
    """No acceptable rewrite was found and on_failure is block."""


@dataclass(frozen=True)
class Outcome:
    """What goes on to the text encoder, whether it differs from the query, and why: ``sentence`` for people, ``summary`` and ``details``
    (attempts, other words, warnings) for machines."""

    text: str
    changed: bool
    sentence: str
    summary: Mapping[str, object]
    details: tuple[Mapping[str, object], ...] = ()

    @property
    def report(self) -> str:
        """All of it as text: the sentence on the first line, then JSON lines, the summary first."""
        rows = (json.dumps(row, ensure_ascii=False) for row in (self.summary, *self.details))
        return "\n".join([self.sentence, *rows])


@dataclass(frozen=True)
class Attempt:
    """One rewrite that was tried. ``problem``: why it was refused; empty where it was taken. ``answer``, ``seconds``: of a model."""

    text: str
    problem: str = ""
    answer: Answer | None = None
    seconds: float = 0.0
    yes: float | None = (
        None  # how probable it is that its picture still shows a concept, where that alone was wrong or nothing was
    )

    @property
    def still_shows(self) -> bool:
        """Whether that alone was wrong."""
        return bool(self.problem) and self.yes is not None


@dataclass(frozen=True)
class Record:
    """What was asked: the attempts, all answers (those for synonyms too), warnings, and how many seconds it took."""

    attempts: Sequence[Attempt] = ()
    answers: Sequence[Answer] = ()
    warnings: Sequence[str] = ()
    seconds: float = 0.0
    looks: Sequence[Answer] = ()  # those of the answers that are a yes or no


@dataclass(frozen=True)
class Case:
    """A query and what is forbidden in it. ``words``: concept -> its other words. ``rewriter``: its name, for sentences."""

    query: str
    words: Mapping[str, Words]
    rewriter: str
    on_failure: str = "block"
    most_attempts: int = 3
    hinted: bool = True  # words that only show a concept count, because nobody is asked
    seen: Noticed | None = None  # what the model says of the query's picture

    @cached_property
    def watch(self) -> Watch:
        """What a rewrite may not hold."""
        return watch({concept: words.same for concept, words in self.words.items()})

    @cached_property
    def hints(self) -> Watch:
        """What makes a query be rewritten: also words that only show a concept."""
        return watch({concept: (*words.same, *words.shows) for concept, words in self.words.items()})

    @cached_property
    def hits(self) -> list[Hit]:
        """Where the query names a concept; where nobody is asked about its picture, also where it has words that show one."""
        return (self.hints if self.hinted else self.watch).find(self.query)

    @property
    def named(self) -> list[str]:
        """The query's words that name a concept."""
        return list(dict.fromkeys(hit.word for hit in self.hits)) if not self.implied else []

    @cached_property
    def unsaid(self) -> set[str]:
        """The query's words that name a concept, folded: no rewrite keeps them."""
        return {word for hit in self.watch.find(self.query) for word in words_of(hit.word)}

    @cached_property
    def shows(self) -> list[str]:
        """Words that show what is met, and that the query does not have: a rewrite needs none of them."""
        asked = self.query.casefold()
        return [word for one in self.concerned for word in self.words[one].shows if word.casefold() not in asked]

    @cached_property
    def implied(self) -> bool:
        """Whether the query names no concept: it is looked at, if at all, because of words that show one."""
        return (self.hints is not self.watch or bool(self.noticed)) and not self.watch.find(self.query)

    @property
    def noticed(self) -> tuple[str, ...]:
        """The concepts that the model sees in the query's picture."""
        return self.seen.concepts if self.seen else ()

    @property
    def concerned(self) -> list[str]:
        """The concepts that are met in the query or seen in its picture."""
        return list(dict.fromkeys([*(hit.concept for hit in self.hits), *self.noticed]))

    @property
    def met(self) -> str:
        """What was met in the query, for sentences; empty where there is nothing."""
        if self.hits or not self.noticed:
            return _named(self.hits, "")
        names = ", ".join(map(_quoted, self.noticed[:5])) + (
            f" or {len(self.noticed) - 5} more" if len(self.noticed) > 5 else ""
        )
        assert self.seen is not None  # what noticed them
        return f"a picture that shows {names} (probability {self.seen.yes:.2f})"

    def left(self, text: str) -> str:
        """What a rewrite still holds; empty where it holds nothing forbidden."""
        return _named(self.watch.find(text), "it still holds ")

    def problem(self, text: str, instruction: str) -> str:
        """Why a language model's caption cannot be used; empty where it can."""
        return (
            fault(text, self.query)
            or self.left(text)
            or ("it is the input caption as it was" if self.noticed and _same(text, self.query) else "")
            or ("it repeats the instruction" if echoes(text, instruction, self.query) else "")
            or ("it goes round in circles" if loops(text, self.query, self.unsaid) else "")
            or ("it talks to its reader, as advertisements do" if advertises(text, self.query) else "")
            or ("it has little to do with the query" if self.strays(text) else "")
        )

    def strays(self, text: str) -> bool:
        """Whether an answer has left the query behind: less than a third of its words, or, where a concept is named, none of many, or of
        two in an answer as short as *Access denied*.

        Of a query of one or two words nothing need be left: it may be what implies the concept.
        """
        query, named = plain(self.query), self.unsaid
        share, words = kept(text, query, named), content(query, named)
        if self.implied:
            return share * 3 < 1 and words > 2
        return not share and words > (1 if len(words_of(text)) <= TERSE else 3)


def unchanged(case: Case, record: Record) -> Outcome:
    """The query goes on as it is: nothing is met in it, or the rewriter left it alone."""
    calls, concepts = len(record.answers) - len(record.looks), list(case.words)
    asked = f"{calls} call{'s' if calls > 1 else ''} for synonyms" if calls else "no language model was asked"
    none = (
        f"none of the {len(concepts)} forbidden concepts is" if len(concepts) > 1 else f"{_quoted(concepts[0])} is not"
    )
    sentence = f"Unchanged: {none} in the query ({asked})."
    if case.seen:
        told = f"{len(record.looks)} call{'s' if len(record.looks) > 1 else ''}" if record.looks else "remembered"
        sentence = f"Unchanged: {none} in the query or its picture (probability {case.seen.yes:.2f}, {told})."
    if case.concerned:
        sentence = f"Unchanged: {case.rewriter} left the query as it is; it was asked because of {case.met}."
    warned = " Warning: " + "; ".join(record.warnings) if record.warnings else ""
    return _outcome(case, record, "unchanged", sentence + warned, case.query)


def rewritten(case: Case, record: Record, text: str) -> Outcome:
    """An acceptable rewrite goes on."""
    if _same(text, case.query):
        return unchanged(case, record)
    tries = len(record.attempts)
    at = f" at attempt {tries} of {case.most_attempts}" if tries > 1 else ""
    sentence = f"Rewritten{at} by {case.rewriter}{'; the query held ' if case.met else ''}{case.met}."
    return _outcome(case, record, "rewritten", sentence, text)


def failed(case: Case, record: Record, last: str, problem: str, error: Exception | None = None) -> Outcome:
    """No acceptable rewrite: what on_failure says. ``last``: the last answer. ``error``: of a back end that does not answer.

    Raises ``error``, or RewriteBlocked, where on_failure is block.
    """
    tries = f"{len(record.attempts)} attempt{'s' if len(record.attempts) != 1 else ''}"
    met = case.met or _named(case.watch.find(last), "")
    if case.on_failure == "strip" and (best := _nearest(case, record)) is not None:
        sentence = f"Warning: no rewrite after {tries} is without {met}; the one that shows it least goes on (probability {best.yes:.2f})."
        return _outcome(case, record, "rewritten", sentence, best.text)
    if (
        case.implied
        and not (case.noticed and case.on_failure == "block")
        and (error is None or case.on_failure != "block")
    ):
        sentence = (
            f"Warning: unchanged, without an acceptable rewrite after {tries} ({problem}). The query says none of the "
            f"concepts; it was looked at because of {met}."
        )
        return _outcome(case, record, "unchanged", sentence, case.query)
    if case.on_failure == "block":
        if error is not None:
            raise error
        raise RewriteBlocked(
            f"Rewrite Prompt stopped the graph: no rewrite without {met} after {tries}: {problem}. "
            + (f"Last answer: {_quoted(_short(last))}. " if last else "")
            + "Reword the query, use a stronger language model or more attempts, or set on_failure to strip."
        )
    if case.on_failure == "strip":
        text = case.watch.strip(case.query)
        empty = " Nothing was left of it." if not text else ""
        sentence = f"Warning: no rewrite after {tries} ({problem}); taken out of the query: {met}.{empty}"
        return _outcome(case, record, "stripped", sentence, text)
    sentence = f"WARNING: no rewrite after {tries} ({problem}); the query passes as it is, with {met} in it."
    return _outcome(case, record, "original", sentence, case.query)


def _nearest(case: Case, record: Record) -> Attempt | None:
    """The attempt whose picture is least likely to show what it may not, where that alone was wrong and the query's is likelier to."""
    query = case.seen.yes if case.seen else 1.0  # one that names it
    rest = [(attempt.yes, attempt) for attempt in record.attempts if attempt.yes is not None and attempt.yes < query]
    return min(rest, key=lambda pair: pair[0])[1] if rest else None


def _outcome(case: Case, record: Record, decision: str, sentence: str, text: str) -> Outcome:
    """The outcome. Whatever the path, the text is checked once more; only `original` may hold a concept."""
    left = case.watch.find(text)
    if left and decision != "original":
        raise RewriteBlocked(
            f"Rewrite Prompt stopped the graph: {_named(left, '')} would have been left in the prompt."
        )
    met: dict[str, list] = {}
    for hit in case.hits:
        meaning = {"meaning": hit.phrase} if hit.phrase != hit.concept else {}
        met.setdefault(hit.concept, []).append({"word": hit.word, **meaning})
    summary = {
        "decision": decision,
        "changed": text != case.query,
        "rewritten": text,
        "rewriter": case.rewriter,
        "concepts": list(case.words),
        "found": met,
        **({"seen": {"yes": round(case.seen.yes, 3), "concepts": list(case.noticed)}} if case.seen else {}),
        "left": [hit.word for hit in left],
        "attempts": len(record.attempts),
        "calls": len(record.answers),
        "prompt_tokens": sum(answer.prompt_tokens for answer in record.answers),
        "answer_tokens": sum(answer.answer_tokens for answer in record.answers),
        "seconds": round(record.seconds, 3),
    }
    details = [_row(number, attempt) for number, attempt in enumerate(record.attempts, 1)]
    details += [
        {"concept": concept, "same": list(words.same), "shows": list(words.shows)}
        for concept, words in case.words.items()
        if words.same or words.shows
    ]
    details += [{"warning": warning} for warning in record.warnings]
    return Outcome(text, text != case.query, " ".join(sentence.split()), summary, tuple(details))


def _row(number: int, attempt: Attempt) -> dict:
    """An attempt as a line of the report."""
    row: dict[str, object] = {"attempt": number, "answer": _short(attempt.text)}
    if attempt.problem:
        row["refused"] = attempt.problem
    if attempt.yes is not None:
        row["yes"] = round(attempt.yes, 3)
    if attempt.answer is not None:
        row["prompt_tokens"] = attempt.answer.prompt_tokens
        row["answer_tokens"] = attempt.answer.answer_tokens
        row["seconds"] = round(attempt.seconds, 3)
    return row


def _same(text: str, query: str) -> bool:
    return text.casefold().strip(" .") == query.casefold().strip(" .")


def _named(hits: Sequence[Hit], before: str) -> str:
    """The offending words with their concepts: "cats" (cat); empty where there is none."""
    parts = dict.fromkeys(
        _quoted(_short(hit.word, 60)) + (f" ({_short(hit.concept, 60)})" if hit.word != hit.concept else "")
        for hit in hits
    )
    if not parts:
        return ""
    return before + ", ".join(list(parts)[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def _quoted(text: str) -> str:
    return f'"{text}"'


def _short(text: str, most: int = 200) -> str:
    text = plain(text)
    return text if len(text) <= most else text[: most - 3] + "..."
