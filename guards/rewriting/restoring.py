"""A query's own words back in a rewrite, wherever nobody asked for others.

A language model that is told to replace one word writes others anew as well. So what it has put in the place of the words to replace is
put into the query itself: of "A bakery bakes its very first loaf" for "The brewery opens its first barrel", where *brewery* and *barrel*
are to go, "The bakery opens its first loaf" is left. And the other way round: `differences` are what an answer says otherwise, each of
which may have the query's words back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from ..rewriters.rules import Rules
from ..words.forms import STOP_WORDS
from ..words.patterns import Pattern
from ..words.watch import words_of

_WORD = Pattern(r"[^\W_][\w'’-]*")


def restored(answer: str, text: str, words: Sequence[str]) -> str:
    """``text`` with what ``answer`` has in the place of each of ``words``, and every other word as it was; empty where the answer has left
    all of them alone."""
    pairs: dict[str, str] = {}
    for left, right in _pairs(answer, text, {folded for word in words for folded in words_of(word)}):
        pairs[left] = pairs.get(left) or right
    return Rules(tuple(pairs.items())).apply(text) if pairs else ""


class Difference(NamedTuple):
    """What an answer says from ``start`` to ``end``, where a text has ``words``: each up to the next word."""

    start: int
    end: int
    words: str


def differences(answer: str, text: str) -> list[Difference]:
    """Where an answer has left out words of a text or put others in their place, from left to right."""
    old, new, changes = _compared(answer, text)
    found = []
    for kind, i1, i2, j1, j2 in changes:
        if kind == "delete":  # with what stands between them and the word before
            words = text[old[i1 - 1].end() if i1 else 0 : _until(old, i2)]
            found.append(Difference(new[j1 - 1].end() if j1 else 0, _until(new, j1), words))
        elif kind == "replace":
            # word for word where they are as many, an article with its noun
            ends = [i + 1 for i in range(i1, i2) if old[i][0].casefold() not in STOP_WORDS or i == i2 - 1]
            ends = ends if i2 - i1 == j2 - j1 else [i2]
            for i, i_end in zip([i1, *ends], ends):
                j, j_end = j1 + i - i1, j2 if i_end == i2 else j1 + i_end - i1
                words = text[old[i].start() : _until(old, i_end)]
                found.append(Difference(new[j].start(), _until(new, j_end), words))
    return found


def _until(words: Sequence[re.Match[str]], number: int) -> int:
    """Where a text's words before the ``number``-th end, with what stands between it and them."""
    return words[number].start() if number < len(words) else words[-1].end() if words else 0


def put_back(answer: str, back: Iterable[Difference]) -> str:
    """``answer`` with the text's own words at some of their `differences`."""
    for one in sorted(back, reverse=True):
        answer = answer[: one.start] + one.words + answer[one.end :]
    return answer


def _compared(answer: str, text: str):
    """(the words of a text, those of an answer, how the one becomes the other as `SequenceMatcher.get_opcodes` has it)."""
    old, new = list(_WORD.finditer(text)), list(_WORD.finditer(answer))
    folded = [[match[0].casefold() for match in side] for side in (old, new)]
    return old, new, SequenceMatcher(None, *folded, autojunk=False).get_opcodes()


def _pairs(answer: str, text: str, replace: set[str]) -> Iterator[tuple[str, str]]:
    """(what a text says, in small letters, what an answer says in its place), for what holds words to replace."""
    old, new, changes = _compared(answer, text)
    for kind, i1, i2, j1, j2 in changes:
        met = [i for i in range(i1, i2) if replace.intersection(words_of(old[i][0]))]
        if kind == "equal" or not met:
            continue
        before, after = met[0] - i1, i2 - 1 - met[-1]  # words around them
        if i2 - i1 == j2 - j1:  # word for word
            spans = [(i, i + 1, j1 + i - i1, j1 + i - i1 + 1) for i in met]
        elif kind == "delete":
            spans = [(met[0], met[-1] + 1, j1, j1)]
        elif before + after < j2 - j1:  # each of those around has one of its own in the answer
            spans = [(met[0], met[-1] + 1, j1 + before, j2 - after)]
        else:
            spans = [(i1, i2, j1, j2)]
        for i, i_end, j, j_end in spans:
            left = text[old[i].start() : old[i_end - 1].end()]
            right = answer[new[j].start() : new[j_end - 1].end()] if j < j_end else ""
            yield left.lower(), right[:1].lower() + right[1:] if j == 0 and left[0].islower() else right
