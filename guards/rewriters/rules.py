"""Rewriting by rules: "cat -> dog", one a line, for those without any language model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from ..words import arrows, lists
from ..words.forms import bases, family, inflected, is_plural, past_forms, plural, regular, spellings, verb_of
from ..words.patterns import Pattern
from ..words.seams import FILE, article, without
from ..words.watch import Watch, words_of

_HEAD = Pattern(
    r"(.*?)([^\W\d_]+)((?:\s+(?:of|in|on|with|at|from|for|to|without|under|over|made|wearing|holding)\b.*)?)$", re.S
)
_REPLACE = Pattern(r"^(?:please\s+)?(?:replace|swap|exchange|substitute|change|turn)\s+(?=\S)", re.I)
_PLURAL_OR_NOT = Pattern(r"(?<=\w)(?:\(e?s\)|/e?s)$")
_TWICE = Pattern(r"^(\w+)/\1e?s$")
_PARTICIPLE = Pattern(
    r"\b(?:has|have|had|having|is|are|was|were|be|been|being|gets?|got|['’]ve|an?|the)\s+(?:\w+ly\s+)?$|-$", re.I
)
_PERFECT = Pattern(r"\b(?:has|have|had|having|['’]ve)\s+$", re.I)


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
            before = text[end : hit.start]
            new = _inflected(hit.word, hit.concept, right[hit.concept], before)
            parts += [article(before, new) if new else before, new or hit.word]
            if not new:
                length = sum(map(len, parts))
                gone.append((length - len(hit.word), length))
            end = hit.end
            if new and new.isascii():
                possessive, end = _possessive(text, hit, new)
                parts.append(possessive)
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
        instead = _TWICE.sub(r"\1", _PLURAL_OR_NOT.sub("", line.instead))
        for concept in _concepts(line):
            earlier = next((left for left in pairs if words_of(left) == words_of(concept)), None)
            if earlier is not None and pairs[earlier] != instead:
                raise ValueError(
                    f"rules, line {line.number} replaces {concept!r}, which an earlier line replaces by {pairs[earlier]!r} already. "
                    "Keep one of the two."
                )
            pairs.setdefault(concept, instead)
    if not pairs:
        raise ValueError("rules is empty: write one replacement a line, such as: cat -> dog")
    return Rules(tuple(pairs.items()))


def _concepts(line: arrows.Line) -> list[str]:
    """What a line's left side names, read as a list of concepts is: *cat, kitten* are two, *no cats* and *(cat:1.2)* are cats."""
    left = _REPLACE.sub("", line.left)
    if left.isascii() and left.isalpha():
        return [left]
    named = lists.split(left, f"rules, line {line.number}")
    return [concept for concept in named if words_of(concept)] or [left]


def _possessive(text: str, hit, new: str) -> tuple[str, int]:
    """The genitive behind a replacement, and where what follows it begins: wolves' -> sheep's, children's -> adults'."""
    mark, many = text[hit.end : hit.end + 1], new.endswith("s") and plural(words_of(new)[-1][:-1]) == words_of(new)[-1]
    if not mark or mark not in "'’":
        return "", hit.end
    behind = text[hit.end + 1 : hit.end + 3]
    if behind[:1] == "s" and not behind[1:].isalpha() and many and not hit.word.endswith("s"):
        return mark, hit.end + 2
    quoted = text[: hit.start].count(mark) > text[: hit.start].count(mark + "s ")
    if hit.word.endswith("s") and behind[:1].isspace() and not new.endswith("s") and not quoted:
        return mark + "s", hit.end + 1
    return "", hit.end


def _inflected(word: str, left: str, right: str, before: str = "") -> str:
    """The right side in the form in which the left side was met: plural, -ing, -ed, a capital at the start."""
    met, base = words_of(word), words_of(left)
    if right and met and base:
        head, last, tail = _noun(right)
        kind, lemma = None, last.lower()
        if met[-1] != base[-1]:
            kind, lemma = _kind(met[-1], base[-1], last.lower())
        if kind == "ed" and _PARTICIPLE.search(before) or kind is None and _participle(met[-1], base[-1], before):
            kind = "en"
        if kind == "s" and is_plural(lemma):
            kind = None
        if kind is not None and last.isascii() and last.isalpha():
            right = head + _cased(last, inflected(lemma, kind)) + tail
    first = next((letter for letter in word if letter.isalpha()), "")
    if sum(map(str.isalpha, word)) > 1 and word.isupper() and not left.isupper() and right.islower():
        right = right.upper()
    elif first.isupper() and not left[:1].isupper() and right[:1].islower():
        right = right[0].upper() + right[1:]
    return right


def _participle(met: str, base: str, before: str) -> bool:
    """Whether a verb stands there as its own participle: has run."""
    return met == base and met in past_forms(base)[-1:] and bool(_PERFECT.search(before))


def _cased(last: str, form: str) -> str:
    """A form with the capitals of its word: SUV, SUVs."""
    if form.startswith(last.lower()):
        return last + form[len(last) :]
    return form.upper() if last.isupper() and len(last) > 1 else form.capitalize() if last[:1].isupper() else form


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
    kind = _form(met, base)
    if kind is not None:
        return kind, last
    if verb and other and met.endswith(("er", "ers")):  # smoker, reader
        agent = _agent(other)
        return "", plural(agent) if met.endswith("s") else agent
    for one in [*spellings(base), *family(base)]:
        kind = _form(met, one)
        if kind and (
            kind == "s" or one in spellings(base) or past_forms(last) or other
        ):  # he bleeds; no ketchuping man
            return kind, last
    return ("", last) if met in spellings(base) else (None, last)


def _form(met: str, base: str) -> str | None:
    """Which form of a word the text has; None for none."""
    if met == plural(base):
        return "s"
    past = past_forms(base)
    if met in past:
        return "en" if len(past) > 1 and met == past[-1] else "ed"
    return regular(base).get(met)


def _agent(verb: str) -> str:
    """Who does it: reader, dancer, swimmer."""
    return inflected(verb, "ing")[:-3] + "er"
