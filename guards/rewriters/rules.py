"""Rewriting by rules: "cat -> dog", one a line, for those without any language model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from ..words import arrows
from ..words.forms import plural, regular
from ..words.watch import Watch, words_of


@dataclass(frozen=True)
class Rules:
    """Replacements in order of their lines; of two that meet the same words the earlier one counts."""

    pairs: tuple[tuple[str, str], ...]
    name: str = "rules"
    _watch: Watch = field(default=None, repr=False, compare=False)

    def apply(self, text: str) -> str:
        """The text with every left side's words, in any form, replaced by its right side in the same form, once."""
        text = unicodedata.normalize("NFC", text)
        right, parts, end = dict(self.pairs), [], 0
        for hit in self._watch.find(text):
            new = _inflected(hit.word, hit.concept, right[hit.concept])
            before = text[end : hit.start]
            parts += [_article(before, new) if new else before.rstrip(" "), new]
            end = hit.end
        text = "".join([*parts, text[end:]])
        return re.sub(r"^\s+|(?<=\s) +", "", text).rstrip(" ") if "" in right.values() else text

    def release(self) -> None:
        """Nothing is held."""


def parse(text: str) -> Rules:
    """Rules from their text, one a line (see `words.arrows.read`). An empty right side removes the word.

    Raises ValueError naming the line, also where two lines replace the same words by different ones.
    """
    pairs: dict[str, str] = {}
    for line in arrows.read(text, "rules", "what to replace, ->, and what to put instead, such as: cat -> dog"):
        earlier = next((left for left in pairs if words_of(left) == words_of(line.left)), None)
        if earlier is not None and pairs[earlier] != line.right:
            raise ValueError(
                f"rules, line {line.number} replaces {line.left!r}, which an earlier line replaces by {pairs[earlier]!r} already. "
                "Keep one of the two."
            )
        pairs.setdefault(line.left, line.right)
    if not pairs:
        raise ValueError("rules is empty: write one replacement a line, such as: cat -> dog")
    return Rules(tuple(pairs.items()), _watch=Watch({left: () for left in pairs}))


def _inflected(word, left, right):
    """The right side in the form in which the left side was met: plural, -ing, -ed, a capital at the start."""
    met, base = words_of(word), words_of(left)
    if right and met and base and met[-1] != base[-1]:
        kind = regular(base[-1]).get(met[-1], "s" if met[-1] == plural(base[-1]) else "")
        head, _, last = right.rpartition(" ")
        if kind and last.isascii() and last.isalpha():
            last = next((form for form, what in regular(last.lower()).items() if what == kind), last)
            right = f"{head} {last}".strip()
    first = next((letter for letter in word if letter.isalpha()), "")
    if first.isupper() and not left[:1].isupper() and right[:1].islower():
        right = right[0].upper() + right[1:]
    return right


def _article(before, new):
    """The text before a replacement: a or an as the replacement needs it, no article before one that brings its own."""
    match = re.search(r"\b(?:(a)(n?)|the)(\s+)$", before[-20:], re.I)
    if match and re.match(r"(?:a|an|the)\s", new, re.I):
        return before[: len(before) - len(match[0])]
    if not match or not match[1] or not new[:1].isalpha():
        return before
    vowel = new[0].lower() in "aeiou" and not re.match(r"(?:uni|use|eu|one\b)", new, re.I)
    return before[: len(before) - len(match[0])] + match[1] + ("n" if vowel else "") + match[3]
