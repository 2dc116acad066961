"""Rewriting by rules: "cat -> dog", one a line, for those without any language model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from ..words import arrows
from ..words.forms import bases, inflected, past_forms, plural, regular, verb_of
from ..words.patterns import Pattern
from ..words.seams import FILE, without
from ..words.watch import Watch, words_of

_HEAD = Pattern(
    r"(.*?)([^\W\d_]+)((?:\s+(?:of|in|on|with|at|from|for|to|without|under|over|made|wearing|holding)\b.*)?)$", re.S
)
_SPOKEN_CONSONANT = Pattern(r"(?:uni(?!n|m)|us[aeiu]|ut[ei]|eu|ewe|one\b|once\b)", re.I)


@dataclass(frozen=True)
class Rules:
    """Replacements in order of their lines; of two that meet the same words the earlier one counts."""

    pairs: tuple[tuple[str, str], ...]
    name: str = "rules"
    _watch: Watch = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "_watch", Watch({left: () for left, _ in self.pairs}))

    def apply(self, text: str) -> str:
        """The text with every left side's words, in any form, replaced by its right side in the same form, once.

        Names of files (``<lora:cat:1>``, ``embedding:cat``) stay as they are.
        """
        text = unicodedata.normalize("NFC", text)
        names = [match.span() for match in FILE.finditer(text)]
        right, parts, gone, end = dict(self.pairs), [], [], 0
        for hit in self._watch.find(text):
            if any(start <= hit.start < stop for start, stop in names):
                continue
            new = _inflected(hit.word, hit.concept, right[hit.concept])
            before = text[end : hit.start]
            parts += [_article(before, new) if new else before, new or hit.word]
            if not new:
                length = sum(map(len, parts))
                gone.append((length - len(hit.word), length))
            end = hit.end
        text = "".join([*parts, text[end:]])
        return without(text, gone) if gone else text

    def release(self) -> None:
        """Nothing is held."""


def parse(text: str) -> Rules:
    """Rules from their text, one a line (see `words.arrows.read`). An empty right side removes the word.

    Raises ValueError naming the line, also where two lines replace the same words by different ones.
    """
    pairs: dict[str, str] = {}
    for line in arrows.read(text, "rules", "what to replace, ->, and what to put instead, such as: cat -> dog"):
        earlier = next((left for left in pairs if words_of(left) == words_of(line.left)), None)
        if earlier is not None and pairs[earlier] != line.instead:
            raise ValueError(
                f"rules, line {line.number} replaces {line.left!r}, which an earlier line replaces by {pairs[earlier]!r} already. "
                "Keep one of the two."
            )
        pairs.setdefault(line.left, line.instead)
    if not pairs:
        raise ValueError("rules is empty: write one replacement a line, such as: cat -> dog")
    return Rules(tuple(pairs.items()))


def _inflected(word: str, left: str, right: str) -> str:
    """The right side in the form in which the left side was met: plural, -ing, -ed, a capital at the start."""
    met, base = words_of(word), words_of(left)
    if right and met and base and met[-1] != base[-1]:
        head, last, tail = _noun(right)
        kind, lemma = _kind(met[-1], base[-1], last.lower())
        if kind is not None and last.isascii() and last.isalpha():
            right = head + inflected(lemma, kind) + tail
    first = next((letter for letter in word if letter.isalpha()), "")
    if first.isupper() and not left[:1].isupper() and right[:1].islower():
        right = right[0].upper() + right[1:]
    return right


def _noun(right: str) -> tuple[str, str, str]:
    """(before, the word that takes the ending, behind): the last word before the first preposition, as in bird of prey."""
    match = _HEAD.match(right)
    return (match[1], match[2], match[3]) if match else ("", right, "")


def _kind(met: str, base: str, last: str) -> tuple[str | None, str]:
    """(which form of ``base`` the text has, what of ``last`` to inflect): both seen from their verbs where both are -ing forms.

    None where the right side takes no such form: *smoking -> tea* has no tea-ed.
    """
    verb, other = verb_of(base), verb_of(last)
    if verb and not other and met != plural(base):
        return None, last
    if verb and other:
        base, last = verb, other
    if plural(met) == base:
        return "", next((one for one in bases(last)[1:] if plural(one) == last), last)
    if met == plural(base):
        return "s", last
    if met in past_forms(base):
        return "ed", last
    return regular(base).get(met), last


def _article(before: str, new: str) -> str:
    """The text before a replacement: a or an as the replacement needs it, no article before one that brings its own."""
    match = re.search(r"\b(?:(a)(n?)|the)(\s+)$", before[-20:], re.I)
    if match and re.match(r"(?:a|an|the)\s", new, re.I):
        return before[: len(before) - len(match[0])]
    if not match or not match[1]:
        return before
    return before[: len(before) - len(match[0])] + match[1] + ("n" if _vowel(new) else "") + match[3]


def _vowel(new: str) -> bool:
    """Whether a word begins with a vowel as it is spoken: an hour, an X-ray, an SUV, an 8; a unicorn, a UFO."""
    first = re.split(r"[\W_]", new, maxsplit=1)[0]
    if re.fullmatch(r"[A-Z]{1,5}s?", first) and not (len(first) > 3 and set("AEIOU") & set(first)):
        return first[0] in "AEFHILMNORSX"
    if first[:1].isdigit():
        return first[0] == "8" or first in ("11", "18") or bool(re.fullmatch(r"1[18]\d{3}", first))
    silent = re.match(r"(?:hour|honest|hono[u]?r|heir|herbs?$)", first, re.I)
    return bool(silent) or first[:1].lower() in "aeiou" and not _SPOKEN_CONSONANT.match(first)
