"""A prompt without some of its words: the seams mended, so that what is left is a prompt again.

Small words without their noun go, doubled commas, and prompt syntax that is left empty: ``((cat))``, ``{cat|dog}``,
``[cat:dog:0.5]``, BREAK.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Names of files in a prompt: a word in one cannot be replaced, for no such file need exist.
FILE = re.compile(r"<\s*(?:lora|lyco|lycoris|hypernet|locon)\s*:[^<>\n]*>|\bembedding\s*:\s*[^\s,;|:()\[\]{}<>]+", re.I)
_BESIDE = r"(?:in\s+front\s+of|on\s+top\s+of|next\s+to|close\s+to|beside|besides|behind|under|over|above|below|beneath|near|against|inside)"
_LINK = rf"(?:{_BESIDE}|of|with|holding|wearing|carrying|in|on|at|by|to|for|from|without|around|into|onto)"
_COUNT = r"(?:two|three|four|five|six|several|many|some|few|another|each|every|no|\d+)"
_SMALL = rf"(?:a|an|the|and|or|his|her|their|its|{_LINK}|{_COUNT})"
_FIRST = re.compile(
    rf"\b({_LINK})\s+(?:(?:a|an|the|his|her|their|some)\s+)?\0\s*(?:and|or)\s+(?=\w)", re.I
)  # with a cat and a dog
_SUBJECT = re.compile(rf"(^|[.;\n]\s*)\0\s*{_BESIDE}\s+", re.I)  # a cat beside a dog
_BEFORE = re.compile(rf"(?:(?<=[\s(\[{{|:])|^){_SMALL}\s*\0(?=\s*(?:$|[,.;:!?)\]}}|]|BREAK\b|{_SMALL}\b))", re.I)
_GROUP = re.compile(r"[{\[][^{}\[\]]*\0[^{}\[\]]*[}\]]")
_SHUT = re.compile(r"[\s,]*(?::\s*-?[\d.]*\s*|\\)?([)\]}])")
_NUMBER = re.compile(r"\s*-?\d*\.?\d+\s*")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """``text``, taken in Unicode form NFC, without what stands at ``spans`` (start, end; apart). Empty where no word is left."""
    text = unicodedata.normalize("NFC", text)
    paired = not _unpaired(text)
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + "\0" + text[end:]
    if paired:  # c(a)t took a bracket along
        for place in reversed(_unpaired(text)):
            text = text[:place] + text[place + 1 :]
    return _close(text)


def _unpaired(text: str) -> list[int]:
    """Where brackets stand that have no partner, in order."""
    opened, alone = [], []
    for place, letter in enumerate(text):
        if letter in "([{" and text[place - 1 : place] != "\\":
            opened.append(place)
        elif letter in ")]}" and text[place - 1 : place] != "\\":
            if opened and text[opened[-1]] == _PAIRS[letter]:
                opened.pop()
            else:
                alone.append(place)
    return sorted(opened + alone)


def _group(match: re.Match) -> str:
    """A bracket without what was taken out of it: one alternative less, a change to or from nothing, or nothing at all."""
    inside = match[0][1:-1]
    for mark in "|:":
        if mark not in inside:
            continue
        options = [option.strip() for option in inside.split(mark)]
        left = [option for option in options if option.strip("\0 ")]
        if mark == "|":
            return "\0" if not left else left[0] if len(left) == 1 else match[0][0] + mark.join(left) + match[0][-1]
        if not [option for option in left if not _NUMBER.fullmatch(option)]:
            return "\0"
        options = ["" if option == "\0" else option for option in options]
        return "[" + ":".join(options[1:] if not options[0] else options) + "]"
    return match[0] if inside.strip("\0 ,") else "\0"


def _bare(text: str) -> str:
    """Without the brackets, however deep, that hold nothing but a seam."""
    place = text.rfind("\0")
    while place >= 0:
        left, right = place, place + 1
        while shut := _SHUT.match(text, right):
            before = len(text[max(0, left - 20) : left].rstrip(" ,")) + max(0, left - 20)
            if not before or text[before - 1] != _PAIRS[shut[1]]:
                break
            left, right = before - 1 - (text[before - 2 : before - 1] == "\\"), shut.end()
        text = text[:left] + "\0" + text[right:]
        place = text.rfind("\0", 0, left) if left else -1
    return text


def _close(text: str) -> str:
    """Close the seams (NUL) that removed words leave."""
    text = re.sub(r"\0['’]s\b|\0['’](?=\s|$)", "\0", text)
    text = re.sub(r"\0[-_](?:like|shaped|themed|styled?|inspired|print(?:ed)?)\b|#\0|[-_]+\0|\0[-_]+", "\0", text)
    before = None
    while before != text:
        before = text
        text = _FIRST.sub(r"\1 ", re.sub(r"\0(?:[\s,]*\0)+", "\0", text))
        text = _GROUP.sub(_group, _bare(_BEFORE.sub("\0", text)))
    text = _SUBJECT.sub(r"\1", re.sub(r"(^|[,.;:(\[{|])\s*\0\s*(?:and|or)\b", r"\1\0", text, flags=re.I))
    text = re.sub(r"\bBREAK[\s,]*\0[\s,]*(?=BREAK\b|$)|^[\s,]*\0[\s,]*BREAK\b", "\0", text)
    text = text.replace("\0", " ")
    text = re.sub(r"[ \t]+([,.;:!?)\]}|])", r"\1", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"(?:,\s*){2,}", ", ", text)
    text = re.sub(r",\s*([)\]}]|:\s*-?[\d.]+\s*\))", r"\1", re.sub(r"([(\[{|])[\s,]+", r"\1", text))
    text = re.sub(r"^[\s,;:]+|[\s,;:]+$", "", text)
    return text if any(char.isalnum() or char > "\u2600" for char in text) else ""
