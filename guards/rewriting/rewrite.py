"""Rewrite a query so that no forbidden concept is left in it, and prove it.

Ni et al., "ORES: Open-vocabulary Responsible Visual Synthesis", AAAI 2024 (arXiv 2308.13785), stage 1. The paper takes the language
model's answer as it is; here it is cleaned, checked and asked for again, and where nothing helps the graph stops, the words go, or the
query passes with a warning.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from ..files import MODELS
from ..rewriters.protocol import RewriterError
from ..words.forms import STOP_WORDS, forms
from ..words.lists import split
from ..words.watch import watch, words_of
from . import synonyms as other_words
from .answers import caption, echoes, fault, plain

INSTRUCTION = MODELS / "rewrite_instruction.txt"
ON_FAILURE = ("block", "strip", "original")
LONGEST_QUERY = (
    4000  # characters that a language model is given; a longer one that touches a concept counts as a failed rewrite
)
MOST_CONCEPTS = 200
MOST_ATTEMPTS = 10


class RewriteBlocked(RuntimeError):
    """No acceptable rewrite was found and on_failure is block."""


@dataclass(frozen=True)
class Outcome:
    """What goes on to the text encoder, whether it differs from the query, and why, for people (first line) and machines (JSON lines)."""

    text: str
    changed: bool
    report: str


def shipped_instruction(path=INSTRUCTION) -> str:
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


def conversation(instruction: str, query: str, concepts: list[str]) -> list[dict]:
    """The opening messages: the instruction, then concepts and query as data, each on one line and without chat markup."""
    asked = f"Concepts: {', '.join(plain(one) for one in concepts)}\nInput Caption: {plain(query)}\nOutput Caption:"
    return [{"role": "system", "content": instruction}, {"role": "user", "content": asked}]


async def rewrite(
    rewriter,
    query: str,
    concepts: str,
    instruction: str = "",
    on_failure: str = "block",
    attempts: int = 3,
    seed: int = 0,
    memory: other_words.Memory | None = None,
    progress=lambda done, total: None,
) -> Outcome:
    """Rewrite ``query`` with a ChatRewriter or Rules.

    ``memory``: synonyms asked before. ``progress(done, total)``: counts calls. Raises RewriteBlocked where on_failure is block and no
    rewrite is acceptable, RewriterError where it is block and the back end fails, ValueError for inputs that cannot be used.
    """
    if on_failure not in ON_FAILURE:
        raise ValueError(f"on_failure is {on_failure!r}: choose one of {', '.join(ON_FAILURE)}.")
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise ValueError(f"attempts is {attempts}: give a number from 1 to {MOST_ATTEMPTS}.")
    names = forbidden(concepts)
    run = _Run(rewriter, query, names, on_failure, attempts, seed, memory or other_words.Memory(), progress)
    if hasattr(rewriter, "apply"):
        return run.by_rules()
    return await run.by_model(instruction.strip() or shipped_instruction())


class _Run:
    """One rewrite from query to outcome."""

    def __init__(self, rewriter, query, names, on_failure, attempts, seed, memory, progress):
        self.rewriter, self.query, self.names, self.on_failure = rewriter, query, names, on_failure
        self.attempts, self.seed, self.memory, self.progress = attempts, seed, memory, progress
        self.tried, self.warnings, self.answers, self.started = [], [], [], time.perf_counter()
        self.hits, self.implied = [], False
        self.words = {name: other_words.Words() for name in names}

    def _make_watches(self):
        """What a rewrite may not hold, and what makes a query be rewritten."""
        self.watch = watch({name: words.same for name, words in self.words.items()})
        self.hints = watch({name: (*words.same, *words.shows) for name, words in self.words.items()})

    def by_rules(self):
        self._make_watches()
        self.hits = self.watch.find(self.query)
        text = self.rewriter.apply(self.query)
        if text == self.query and not self.hits:
            return self._unchanged()
        problem = self._problem(text)
        self.tried.append({"attempt": 1, "answer": _short(text), **({"refused": problem} if problem else {})})
        return self._failed(text, problem) if problem else self._rewritten(text)

    async def by_model(self, instruction):
        failure = await self._learn_synonyms()
        self._make_watches()
        self.hits = self.hints.find(self.query)
        self.implied = self.hints is not self.watch and not self.watch.find(self.query)
        if not self.hits:
            if failure and self.on_failure == "block":
                raise failure
            return self._unchanged()
        if failure:
            return self._failed("", str(failure), failure)
        if len(self.query) > LONGEST_QUERY:
            return self._failed(
                "",
                f"the query has {len(self.query)} characters, more than the {LONGEST_QUERY} that a language model is "
                "given: shorten it",
            )
        concerned = list(dict.fromkeys(hit.concept for hit in self.hits))
        messages = conversation(instruction, self.query, concerned)
        said, banned, text, problem = [], self.watch.surface(), "", ""
        for attempt in range(self.attempts):
            temperature = (
                None if attempt == 0 else min(1.2, getattr(self.rewriter, "temperature", 0.0) + 0.35 * attempt)
            )
            start = time.perf_counter()
            try:
                answer = await self.rewriter.chat(
                    [*messages, *said[-4:]], temperature=temperature, seed=self.seed + attempt, banned=banned
                )
            except RewriterError as error:
                return self._failed(text, str(error), error)
            self.answers.append(answer)
            text = caption(answer.text)
            problem = (
                fault(text, self.query)
                or self._problem(text)
                or (_stray(text, self.query) if self.implied else "")
                or ("it repeats the instruction" if echoes(text, instruction, self.query) else "")
            )
            self.tried.append(
                {
                    "attempt": attempt + 1,
                    "answer": _short(text),
                    **({"refused": problem} if problem else {}),
                    "prompt_tokens": answer.prompt_tokens,
                    "answer_tokens": answer.answer_tokens,
                    "seconds": round(time.perf_counter() - start, 3),
                }
            )
            if not problem:
                return self._rewritten(text)
            said += [
                {"role": "assistant", "content": text[:400] or "(nothing)"},
                {
                    "role": "user",
                    "content": f"That cannot be used: {problem}. Concepts to avoid: {', '.join(map(plain, concerned))}. "
                    "Write the input caption again with something else in their place. Answer with the new "
                    "caption only.",
                },
            ]
        return self._failed(text, problem)

    async def _learn_synonyms(self):
        """Ask for the synonyms that are not known yet, one call a concept. Returns the error of a back end that does not answer."""
        known = {name: self.memory.get(self.rewriter.name, name) for name in self.names}
        self.words = {name: words or other_words.Words() for name, words in known.items()}
        new = [name for name, words in known.items() if words is None]
        for number, name in enumerate(new):
            self.progress(number, len(new) + 1)
            try:
                words, answer = await other_words.ask(self.rewriter, name, self.seed)
            except RewriterError as error:
                self.warnings.append(f"synonyms of {name!r} could not be asked for: {error}")
                return error
            self.answers.append(answer)
            self.memory.put(self.rewriter.name, name, words)
            self.words[name] = words
        return None

    def _problem(self, text):
        """What a rewrite still holds; empty where it holds nothing forbidden."""
        return _named(self.watch.find(text), "it still holds ")

    def _unchanged(self):
        calls = len(self.answers)
        asked = f"{calls} call{'s' if calls > 1 else ''} for synonyms" if calls else "no language model was asked"
        count = (
            f"none of the {len(self.names)} forbidden concepts is"
            if len(self.names) > 1
            else f"{_quoted(self.names[0])} is not"
        )
        sentence = f"Unchanged: {count} in the query ({asked})."
        if self.hits:
            sentence = f"Unchanged: {self.rewriter.name} left the query as it is; it was asked because of {_named(self.hits, '')}."
        warned = " Warning: " + "; ".join(self.warnings) if self.warnings else ""
        return self._end("unchanged", sentence + warned, self.query)

    def _rewritten(self, text):
        if text == self.query or text.casefold().strip(" .") == self.query.casefold().strip(" ."):
            return self._unchanged()
        at = f" at attempt {len(self.tried)} of {self.attempts}" if len(self.tried) > 1 else ""
        found = _named(self.hits, "; the query held ")
        return self._end("rewritten", f"Rewritten{at} by {self.rewriter.name}{found}.", text)

    def _failed(self, last, problem, error=None):
        tries = f"{len(self.tried)} attempt{'s' if len(self.tried) != 1 else ''}"
        found = _named(self.hits or self.watch.find(last), "")
        if self.implied and (error is None or self.on_failure != "block"):
            sentence = (
                f"Warning: unchanged, without an acceptable rewrite after {tries} ({problem}). The query says none of the "
                f"concepts; it was looked at because of {found}."
            )
            return self._end("unchanged", sentence, self.query)
        if self.on_failure == "block":
            if error is not None:
                raise error
            raise RewriteBlocked(
                f"Rewrite Prompt stopped the graph: no rewrite without {found} after {tries}: {problem}. "
                + (f"Last answer: {_quoted(_short(last))}. " if last else "")
                + "Reword the query, use a stronger language model or more attempts, or set on_failure to strip."
            )
        if self.on_failure == "strip":
            text = self.watch.strip(self.query)
            empty = " Nothing was left of it." if not text else ""
            return self._end(
                "stripped",
                f"Warning: no rewrite after {tries} ({problem}); taken out of the query: {found}.{empty}",
                text,
            )
        sentence = f"WARNING: no rewrite after {tries} ({problem}); the query passes as it is, with {found} in it."
        return self._end("original", sentence, self.query)

    def _end(self, decision, sentence, text):
        """The outcome. Whatever the path, the text is checked once more; only `original` may hold a concept."""
        left = self.watch.find(text)
        if left and decision != "original":
            raise RewriteBlocked(
                f"Rewrite Prompt stopped the graph: {_named(left, '')} would have been left in the prompt."
            )
        rows = {}
        for hit in self.hits:
            rows.setdefault(hit.concept, []).append(
                {"word": hit.word, **({"meaning": hit.phrase} if hit.phrase != hit.concept else {})}
            )
        summary = {
            "decision": decision,
            "changed": text != self.query,
            "rewritten": text,
            "rewriter": self.rewriter.name,
            "concepts": self.names,
            "found": rows,
            "left": [hit.word for hit in left],
            "attempts": len(self.tried),
            "calls": len(self.answers),
            "prompt_tokens": sum(one.prompt_tokens for one in self.answers),
            "answer_tokens": sum(one.answer_tokens for one in self.answers),
            "seconds": round(time.perf_counter() - self.started, 3),
        }
        lines = [summary, *self.tried]
        lines += [
            {"concept": name, "same": list(words.same), "shows": list(words.shows)}
            for name, words in self.words.items()
            if words.same or words.shows
        ]
        lines += [{"warning": warning} for warning in self.warnings]
        sentence = " ".join(sentence.split())
        return Outcome(
            text, text != self.query, "\n".join([sentence, *(json.dumps(line, ensure_ascii=False) for line in lines)])
        )


def _named(hits, before):
    """The offending words with their concepts: "cats" (cat); empty where there is none."""
    parts = dict.fromkeys(
        _quoted(_short(hit.word, 60)) + (f" ({_short(hit.concept, 60)})" if hit.word != hit.concept else "")
        for hit in hits
    )
    if not parts:
        return ""
    shown = list(parts)[:5]
    return before + ", ".join(shown) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def _stray(text, query):
    """Whether an answer to a query that only implies a concept has left the query behind; empty where it has not."""
    asked = {word for word in words_of(query) if word not in STOP_WORDS}
    kept = sum(any(form in asked for form in forms(word)) for word in set(words_of(text)))
    return "it has little to do with the query" if kept * 3 < len(asked) else ""


def _quoted(text):
    return f'"{text}"'


def _short(text, most=200):
    text = plain(text)
    return text if len(text) <= most else text[: most - 3] + "..."
