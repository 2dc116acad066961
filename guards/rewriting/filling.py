"""Something else in the place of a word that brings a concept to mind, and every other word as it was.

A caption that is written anew loses words that nobody forbade. So a language model is also asked to fill the blank that one word leaves:
of "The pub raises its glasses", for *beer*, the fillings of "The ____ raises its glasses". The wording is this project's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..rewriters.protocol import conversation
from ..rewriters.rules import Rules
from ..rewriters.thinking import without_thinking
from .answers import plain

MOST = 5  # fillings of a blank that are tried
MOST_WORDS, MOST_LETTERS = 4, 40  # of one filling
BLANK = "____"
_TASK = (
    "Fill the blank of a caption in five quite different ways, so that its picture does not show or bring to mind what it may not. "
    "Answer with the five fillings, separated by commas."
)
_ASK = "Caption: {query}\nNot: {concepts}"
_EXAMPLES = (
    ("The ____ opens its first barrel of the year.", "beer", "bakery, library, museum, cinema, flower shop"),
    ("Ripe ____ fill the basket, ready to be sold", "red", "cucumbers, limes, blueberries, bananas, pears"),
    ("The statue ____ every house in the village.", "huge", "overlooks, faces, resembles, guards, adorns"),
)


def question(text: str, word: str, concepts: Sequence[str]) -> list[dict]:
    """The conversation that asks for fillings of the blank that ``word`` leaves in ``text``: all as data, on one line."""
    blank = plain(re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", BLANK, text))
    names = ", ".join(map(plain, dict.fromkeys([*concepts, word])))
    examples = [(_ASK.format(query=one, concepts=of), answer) for one, of, answer in _EXAMPLES]
    return conversation(_TASK, examples, _ASK.format(query=blank, concepts=names))


def captions(answer: str, text: str, word: str) -> list[str]:
    """``text`` with each filling of a language model's answer in the place of ``word``, in the same form; none where it is no list."""
    parts = [plain(part).strip(" .\"'*_`") for part in re.split(r"[,;、，；\n]", without_thinking(answer))]
    parts = [re.sub(r"^(?:\d+[.)]|[-•])\s*", "", part) for part in parts if BLANK not in part]
    sound = [
        part
        for part in dict.fromkeys(parts)
        if part.isprintable() and any(map(str.isalpha, part)) and len(part) <= MOST_LETTERS
    ]
    sound = [part for part in sound if len(part.split()) <= MOST_WORDS and part.casefold() != word.casefold()]
    made = [Rules(((word.lower(), part),)).apply(text) for part in sound[:MOST]]  # a capital stays one
    return [one for one in dict.fromkeys(made) if one != text]
