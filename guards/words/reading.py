"""The words of a folded text, and what of them belongs together: phrases with small words between, U.S., letters of running text."""

from __future__ import annotations

from dataclasses import dataclass

from .forms import STOP_WORDS
from .letters import goes_on
from .patterns import Pattern

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = "\u0900-\u0963\u0971-\u0df3\u0f71-\u0fbc"  # vowel signs belong to the word
_WORD = Pattern(f"[{_UNSPACED}]+|(?:[^\\W_{_UNSPACED}]|[{_MARKS}])+|[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
UNSPACED = Pattern(f"[{_UNSPACED}]")
DOTTED = Pattern(r"(?<![\w.])[^\W\d_](?:\.[^\W\d_])+(?!\w)")  # U.S.
HUMP = Pattern("[a-z][A-Z]")  # #NudeArt
_AND = Pattern(r"\s*[&+＋]\s*")

# Words that a word of two is often written with: hand gun, hit man, swim suit.
_LAST = frozenset(
    """gun guns man men woman women knife knives suit suits bath baths shot shots fire fires arm arms wear fight fights wife wives
    child children girl girls boy boys axe axes sword swords head heads dog dogs tease shed
    bow bows saw saws stain stains saber sabers mark marks up""".split()
)


@dataclass(frozen=True)
class Token:
    """A word of a folded text: its letters and where they stand in it."""

    word: str
    start: int
    end: int


def tokens(folded: str) -> list[Token]:
    """The words of a folded text in order; a possessive or elided s is no word."""
    result = []
    for match in _WORD.finditer(folded):
        start = match.start()
        if match[0] == "s" and start and folded[start - 1] in "'’`´" and result and result[-1].end == start - 1:
            continue
        result.append(Token(match[0], start, match.end()))
    return result


def follow(folded, words, place, rest):
    """The place behind a phrase's further words, small words and initials between them allowed; 0 where they do not follow."""
    for alternatives in rest:
        gap = 0
        if "&" in alternatives and place < len(words):
            if _AND.fullmatch(folded, words[place - 1].end, words[place].start):
                continue  # Rick & Morty
        while place < len(words) and words[place].word not in alternatives and gap < 2:
            word = words[place].word
            if word not in STOP_WORDS and not (len(word) == 1 and word.isalpha() and word.isascii()):
                break
            place, gap = place + 1, gap + 1
        if place >= len(words) or words[place].word not in alternatives:
            return 0
        place += 1
    return place


def humps(text, folded, places, names):
    """The words of a folded text, those of hashtags and of ``names`` (the spans of files' names) parted at capitals: #NudeArt."""
    result = []
    for word in tokens(folded):
        first = places[word.start]
        if text[first - 1 : first] == "#" or any(start < first < end for start, end in names):
            inner = range(word.start + 1, word.end)
            cuts = [at for at in inner if text[places[at]].isupper() and text[places[at - 1]].islower()]
            result += [Token(folded[a:b], a, b) for a, b in zip([word.start, *cuts], [*cuts, word.end])]
        else:
            result.append(word)
    return result


def apart(first: str, last: str) -> bool:
    """Whether two words may be one written apart: hand gun, flame thrower; not car pet."""
    long = len(first) + len(last) > 7 and min(len(first), len(last)) > 2
    return last in _LAST or long and (len(first) > 3 or first not in STOP_WORDS)


def undotted(folded, words):
    """Words with letters and dots as one: U.S. flag."""
    spans = {match.start(): match.end() for match in DOTTED.finditer(folded)}
    result, end = [], -1
    for word in words:
        if word.start in spans:
            end = spans[word.start]
            result.append(Token(folded[word.start : end].replace(".", ""), word.start, end))
        elif word.start >= end:
            result.append(word)
    return result


def spaced(folded, letters):
    """Whether a space between two of the letters parts two words, each of more letters than are meant: 高大 麻雀 for 大麻."""
    for at, place in enumerate(letters[1:], 1):
        if folded[letters[at - 1] + 1 : place].isspace():
            if goes_on(folded, letters[0], -1, letters[:at]) and goes_on(folded, letters[-1], 1, letters[at:]):
                return True
    return False
