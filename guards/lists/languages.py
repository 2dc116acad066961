"""What people write around a concept in other languages: *keine X*, *todo tipo de X*, *X や Y*. The words are in ``languages*.txt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..words.patterns import Pattern

LANGUAGES = Path(__file__).with_name("languages.txt"), Path(__file__).with_name("languages_east.txt")
LABELS = Path(__file__).with_name("labels.txt")
# Czech "a" and Polish "i" are words of English too: they join where a letter shows that the words are not.
_FOREIGN = "[ąćęłńóśźżčďěňřšťůúýžáéíľĺŕôđ]"
_SURE = Pattern("[ąęłńśźżčďěňřšťůž]")  # of no other language: they show it for the whole line
_JOIN_SURE = Pattern(r"(?<=\w)\s+[ia]\s+(?=\w)")


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """(kind, what is of it) of each line of a file but its comments."""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, colon, rest = line.partition(": ")
        if colon and not line.startswith("#"):
            yield kind, rest


@cache
def _lists() -> dict[str, list[str]]:
    """Kind of pattern (front, stuck back, ...) -> the patterns of all languages."""
    found: dict[str, list[str]] = {}
    for kind, patterns in (row for path in LANGUAGES for row in _rows(path)):
        found.setdefault(kind, []).extend(patterns.split(", "))
    for kind in found:
        found[kind] = [one.replace(" ?", r"\s*").replace(" ", r"\s+").replace("'", "['’]") for one in found[kind]]
    return found


@cache
def labels() -> dict[str, frozenset[str]]:
    """Kind of words in ``labels.txt`` (heading, rest, ...) -> the words."""
    found: dict[str, list[str]] = {}
    for kind, words in _rows(LABELS):
        found.setdefault(kind, []).extend(words.casefold().split())
    return {kind: frozenset(words) for kind, words in found.items()}


@cache
def _table() -> dict[str, str]:
    """Kind of pattern -> one pattern for all."""
    return {kind: "|".join(patterns) for kind, patterns in _lists().items()}


@cache
def _front() -> re.Pattern[str]:
    table = _table()
    words = rf"^(?:{table['front']})(?:\s+|(?<=['’]))(?=\w)"
    return re.compile(rf"{words}|^(?:{table['stuck front']})(?=\w)", re.I)


@cache
def _small() -> re.Pattern[str]:
    """Articles, and joins with nothing to join; lower case alone: *las armas* is Spanish, *Las Vegas* and *Der Spiegel* are names."""
    join = "|".join(
        one for one in _lists()["join"] if not re.match(r"[a-z]{1,3}(?:$|\(\?!)", one)
    )  # short ones are names too: Ed, Tai
    return re.compile(rf"^(?:{_table()['article']}|{join})(?:\s+|(?<=['’]))(?=\w)|(?<=\w)\s+(?:{join})$")


@cache
def _back() -> re.Pattern[str]:
    table = _table()
    return re.compile(rf"(?:(?<=\w)\s+(?:{table['back']})|(?<=\w)(?:{table['stuck back']}))\.?$", re.I)


@cache
def _join() -> re.Pattern[str]:
    table = _table()
    return re.compile(
        rf"(?<=\w)\.?\s+(?:{table['join']})\s+(?=\w)|{table['stuck join']}"
        rf"|\b(?=\w*{_FOREIGN})(\w+)\s+[ia]\s+(?!tak[żé])(?=\w)|(?<=\w)\s+[ia]\s+(?!tak[żé])(?=\w*{_FOREIGN})"
    )


# Dutch "en" is French too, and "of" English: they join beside a word that is written as in Dutch.
_DUTCH = Pattern(r"^(?:\w*(?:ij|aa|uu|oed|oer|oek|ieu|sch)\w*|\w*(?:bb|dd|ff|gg|kk|ll|mm|nn|pp|rr|ss|tt)en)$")
_DUTCH_JOIN = Pattern(r"\b(\w+)\s+(en|of)\s+(?=(\w+))")


def trimmed(text: str) -> str:
    """A concept without one thing that stands before or behind it; as it was where there is none."""
    text = _front().sub("", text, count=1).strip() or text
    said = _back().sub("", text, count=1).strip() or text
    if said != text and said[:1].isupper():  # Les armes sont interdites
        said = said[0].lower() + said[1:] if _small().match(said[0].lower() + said[1:]) else said
    return _small().sub("", said, count=1).strip() or said


def divided(text: str, line: str = "") -> list[str]:
    """A text at the words of other languages that join two concepts. ``line``: what it is from."""
    text = _JOIN_SURE.sub("\n", text) if _SURE.search(line) else text
    text = _join().sub(lambda match: f"{match[1] or ''}\n", text)
    return _DUTCH_JOIN.sub(_dutch, text).split("\n")


def _dutch(match: re.Match[str]) -> str:
    either = match[3], match[1] if match[2] == "en" else ""  # "kitten of wool" is English
    sure = any(_DUTCH.search(word) for word in either) or match[2] == "en" and any(word[:1] == "w" for word in either)
    return f"{match[1]}\n" if sure else match[0]
