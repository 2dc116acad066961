"""Lines such as ``cat -> dog # a note``: what is on the left goes with what is on the right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..words.patterns import Pattern
from ..words.watch import words_of

ARROW = Pattern(r"\s*(?:[-–—−=~]+\s?(?:[>＞›]+|&gt;)|(?<=\s)>>+(?=\s)|[→⇒➔➜⟶⟹⇨➡⮕↦⟼➝➞➙🡒⭢👉]\ufe0f?)\s*")
# # and // start a note at the start of a line, or behind a space: C# is no note.
_NOTE = Pattern(r"(?:^|(?<=\s))(?:#|//(?=\s)|--(?=\s)).*|/\*.*?\*/|<!--.*?-->")
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»", "「": "」"}
_NOTHING = frozenset("- – — _ ... … ∅ ⌀ nothing none null nil nul n/a remove removed delete deleted".split())
_NO_WORD = frozenset(
    "empty blank void drop omit removal deletion".split()
)  # nothing where brackets or quotes stand around them
_ENDS = Pattern(r"\s*[;,]+$|(?<=[^\W\d_]{3})\.$")


@dataclass(frozen=True)
class Line:
    """A line of a table: its number (from 1), and its two sides without spaces at their ends; ``right`` may be empty."""

    number: int
    left: str
    right: str

    @property
    def instead(self) -> str:
        """What takes the left side's place: the right one without quotes around it and marks behind it; empty where it says so: *nothing*,
        *(remove)* or quotes around nothing."""
        right = _ENDS.sub("", self.right).strip()
        bare = right.strip("\"'`“”‘’()[]<>{}").strip()
        if not bare or bare.casefold() in _NOTHING or bare != right and bare.casefold() in _NO_WORD:
            return ""
        if len(right) > 2 and _QUOTES.get(right[0]) == right[-1]:
            return right[1:-1].strip()
        return right


def read(text: str, name: str, example: str) -> Iterator[Line]:
    """The lines that have an arrow (``->``, ``=>``, an arrow sign). ``name``: the input, ``example``: a right line, for errors.

    Raises ValueError, naming the line, for one with no arrow, several, or no word on its left.
    """
    for number, line in enumerate(text.splitlines(), 1):
        line = " ".join(_NOTE.sub("", line).split())
        if not line:
            continue
        sides = [side.strip() for side in ARROW.split(line)]
        if len(sides) == 2 and words_of(sides[0]):
            yield Line(number, *sides)
            continue
        fault = (
            "no word left of the arrow" if len(sides) == 2 else "no arrow" if len(sides) == 1 else "more than one arrow"
        )
        raise ValueError(f"{name}, line {number} ({short(line)}) has {fault}: write it as {example}")


def short(line: str) -> str:
    """A line in quotes, as errors show it: 60 characters at most."""
    return repr(line if len(line) <= 60 else line[:57] + "...")
