"""A query's own words back in a rewrite, wherever nobody asked for others.

A language model that is told to replace one word writes others anew as well. So what it has put in the place of the words to replace is
put into the query itself: of "A bakery bakes its very first loaf" for "The brewery opens its first barrel", where *brewery* and *barrel*
are to go, "The bakery opens its first loaf" is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from ..rewriters.rules import Rules
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


def _pairs(answer: str, text: str, replace: set[str]) -> Iterator[tuple[str, str]]:
    """(what a text says, in small letters, what an answer says in its place), for what holds words to replace."""
    old, new = list(_WORD.finditer(text)), list(_WORD.finditer(answer))
    folded = [[match[0].casefold() for match in side] for side in (old, new)]
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, *folded, autojunk=False).get_opcodes():
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
