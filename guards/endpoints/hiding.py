"""What must not be shown: keys, prompts and addresses that a server repeats in an error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from ..words.patterns import Pattern

SHOWN = 200  # characters of a server's text
READ = 4000  # characters of it that are looked at
_WORD = Pattern(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|(?:(?![\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])\w)+")
_RUN = 3  # words of a prompt one after the other that are not repeated
_SHORT = 8  # characters of a key below which only a whole word is taken for it: some write "x" where none is needed
_ADDRESS = Pattern(
    r"\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w:])\[?(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}\]?(?::\d+)?(?![\w:])"
    r"|\b(?:localhost|[\w-]+(?:\.[\w-]+)+):\d{2,5}\b",
    re.I,
)


def key(variable: str) -> str:
    """The key in an environment variable, without the quotes and the *Bearer* that it is often written with; "" for none."""
    text = os.environ.get(variable, "") if variable else ""
    text = text.strip("\ufeff\u200b \t\r\n")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return re.sub(r"(?i)^bearer\s+", "", text)


def masked(text: str, key: str, prompts: Iterable[str], short: bool = True) -> str:
    """A text without what it may repeat: the key or a part of it, and runs of a prompt's words. ``short``: prompts of fewer words, and what
    stands in quotes and is made of a prompt's words, too."""
    if key:
        edges = (r"(?<!\w)", r"(?!\w)") if len(key) < _SHORT else ("", "")
        text = re.sub(edges[0] + re.escape(key) + edges[1], "...", text, flags=re.I)
    hidden = [False] * len(text)
    places = [(one.start(), one.end(), one.group().casefold()) for one in _WORD.finditer(text)]
    for prompt in prompts:
        known = [one.group().casefold() for one in _WORD.finditer(prompt)]
        size = min(_RUN, len(known))
        if not known or size < _RUN and not short:
            continue
        runs = {tuple(known[at : at + size]) for at in range(len(known) - size + 1)}
        for at in range(len(places) - size + 1):
            if tuple(place[2] for place in places[at : at + size]) in runs:
                start, end = places[at][0], places[at + size - 1][1]
                hidden[start:end] = [True] * (end - start)
        for quoted in re.finditer(r"([\"'`“‘«])(.{1,200}?)[\"'`”’»]", text) if short else ():
            said = [one.group().casefold() for one in _WORD.finditer(quoted.group(2))]
            if said and set(said) <= set(known):
                hidden[quoted.start(2) : quoted.end(2)] = [True] * (quoted.end(2) - quoted.start(2))
    text = re.sub(r"\0+", "...", "".join("\0" if hide else char for char, hide in zip(text.replace("\0", " "), hidden)))
    return re.sub(r"\S+", lambda word: "..." if _part_of(key, word.group()) else word.group(), text)


def _part_of(key: str, word: str) -> bool:
    """Whether a word shows a piece of the key: six characters, or an end of one that is shortened with dots or stars."""
    low, said = key.casefold(), word.casefold()
    if "***" in said or any(low[at : at + 6] in said for at in range(len(low) - 5)):
        return True
    cut = re.search(r"([\w-]*)(?:\.{2,}|…|\*\*)([\w-]*)", said)
    if not (cut and key):
        return False
    return len(cut[1]) > 1 and low.startswith(cut[1]) or len(cut[2]) > 1 and low.endswith(cut[2])


def harmless(text: str, key: str, prompts: Iterable[str]) -> str:
    """An error's text without what it may repeat: the key, the prompt, addresses. One line; "" where nothing is left."""
    text = "".join(char for char in " ".join(text[:READ].split()) if char.isprintable())
    text = _ADDRESS.sub("...", masked(text, key, prompts))
    text = re.sub(r"\.{3}(?:\W*\.{3})+", "...", text)
    return text[:SHOWN].strip() if re.search(r"[^\W_]", text) else ""
