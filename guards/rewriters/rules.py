"""Rewriting by rules: "cat -> dog", one a line, for those without any language model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from ..lists import arrows, written
from ..words.forms import family, inflected, is_plural, past_forms, plural, regular, spellings, verb_of
from ..words.patterns import Pattern
from ..words.seams import FILE, without
from ..words.watch import Hit, Watch, words_of
from . import grammar

_REPLACE = Pattern(r"^(?:please\s+)?(?:replace|swap|exchange|substitute|change|turn)\s+(?=\S)", re.I)
_PLURAL_OR_NOT = Pattern(r"(?<=\w)(?:\(e?s\)|/e?s)$")
_TWICE = Pattern(r"^(\w+)/\1e?s$")
_PARTICIPLE = Pattern(
    r"\b(?:has|have|had|having|is|are|was|were|be|been|being|gets?|got|['’]ve|an?|the)\s+(?:\w+ly\s+)?$|-$", re.I
)
_STARTS = Pattern(r"(?:^|[.!?]\s+)[\"'“(]*$")  # a sentence
_TAIL = Pattern(r"(.*\w)(-(?:\w+(?:ed|ing)|like))$", re.S)
_PLAIN = Pattern(r"(?:(?!and\b|or\b)[^\W\d_][\w'’-]*\s*)+", re.I)
_PARTICLES = frozenset("up down off out away over at after".split())  # of verbs: beat up
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
        sentences = text.rstrip("\"'”’) \n")[-1:] in (".", "!", "?")
        right, parts, gone, end = dict(self.pairs), [], [], 0
        for hit in self._watch.find(text):
            if any(start <= hit.start < stop for start, stop in names):
                continue
            before, behind = text[end : hit.start], text[hit.end :]
            end = hit.end
            if not right[hit.concept]:
                length = sum(map(len, parts)) + len(before)
                gone.append((length, length + len(hit.word)))
                parts += [before, hit.word]
                continue
            count = self._count(hit)
            word, tail = _tailed(hit.word[len(count) :], hit.concept)
            before += count
            new, many = _inflected(word, hit.concept, right[hit.concept], before)
            was = many is True or many is None and is_plural(words_of(word)[-1])
            before, new = _capitals(word, hit.concept, *grammar.fitted(before, new, was, tail + behind))
            if sentences and word[:1].isupper() and _STARTS.search("".join(parts) + before):
                new = grammar.capital(new)
            now = grammar.many(grammar.head(new)[1].lower())
            before, verb, length = grammar.agreed(before, was, now, tail + behind)
            possessive = ""
            if new.isascii() and not tail:
                possessive, end = _possessive(text, hit, new)
            parts += [before, new + tail, possessive or verb]
            end += 0 if possessive else length
        text = "".join([*parts, text[end:]])
        return without(text, gone) if gone else text

    def _count(self, hit: Hit) -> str:
        """The number that a word met begins with, as the tags of picture boards do: 2cats. None where it is a letter in disguise: 3lf."""
        number = re.match(r"\d+(?=[^\W\d_])", hit.word)
        return number[0] if number and self._watch.find(hit.word[number.end() :]) else ""

    def release(self) -> None:
        """Nothing is held."""


def parse(text: str) -> Rules:
    """Rules from their text, one a line (see `lists.arrows.read`). An empty right side removes the word.

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
    if left.isascii() and left.isalpha() or _PLAIN.fullmatch(left) and _deed(left, line.instead):
        return [left]
    named = written.split(left, f"rules, line {line.number}")
    return [concept for concept in named if words_of(concept)] or [left]


def _deed(left: str, right: str) -> bool:
    """Whether a left side is a phrase to be met as it stands: what somebody does (holding a gun), or one that both sides begin with."""
    first, other = (re.sub(r"^(?:an?|the)\s+", "", side.lower()).split() for side in (left, right))
    return len(first) > 1 and (len(first[0]) > 4 and first[0].endswith("ing") or first[:1] == other[:1])


def _possessive(text: str, hit, new: str) -> tuple[str, int]:
    """The genitive behind a replacement, and where what follows it begins: wolves' -> sheep's, children's -> adults'."""
    mark, many = text[hit.end : hit.end + 1], new.endswith("s") and plural(words_of(new)[-1][:-1]) == words_of(new)[-1]
    if not mark or mark not in "'’":
        return "", hit.end
    behind = text[hit.end + 1 : hit.end + 3]
    if behind[:1] == "s" and not behind[1:].isalpha() and many:
        return mark, hit.end + 2
    quoted = text[: hit.start].count(mark) > text[: hit.start].count(mark + "s ")
    if hit.word.endswith("s") and behind[:1].isspace() and not new.endswith("s") and not quoted:
        return mark + "s", hit.end + 1
    return "", hit.end


def _tailed(word: str, left: str) -> tuple[str, str]:
    """(the word met, what a hyphen ties to it and stays): blood-soaked."""
    match = _TAIL.match(word)
    if match and len(words_of(left)) == 1 and words_of(match[1])[-1:] == words_of(left):
        return match[1], match[2]
    return word, ""


def _inflected(word: str, left: str, right: str, before: str = "") -> tuple[str, bool | None]:
    """(the right side in the form in which the left side was met: plural, -ing, -ed; whether that is a plural, None
    where the left side has no other form there)."""
    many = None
    met, base = words_of(word), words_of(left)
    if met and base:
        right, rest = _verb_phrase(right, base, met)
        if rest and met[1:] == base[1:]:
            met, base = met[:1], base[:1]
        kind, lemma = None, grammar.head(right)[1].lower()
        last = lemma
        if met[-1] != base[-1]:
            kind, lemma = _kind(met[-1], base[-1], last)
            if kind is None and len(met) != len(base):
                kind, lemma = _kind("".join(met), "".join(base), last)
            many = kind == "s"
        if kind == "ed" and _PARTICIPLE.search(before) or kind is None and _participle(met[-1], base[-1], before):
            kind = "en"
        if kind == "s" and (grammar.many(lemma) or grammar.mass(lemma) and not grammar.counted(before)):
            kind = None
        several = is_plural(met[-1]) or plural(met[-1]) == met[-1]
        if kind is None and many is None and several and not grammar.many(lemma) and grammar.counted(before):
            kind = "s"  # many knives, three fish
        right = (grammar.formed(right, kind, lemma) if kind is not None else right) + rest
    return right, many


def _verb_phrase(right: str, base: list[str], met: list[str]) -> tuple[str, str]:
    """(a verb, what goes with it) where both sides are what somebody does: playing, chess; the right side and nothing elsewhere."""
    match = re.match(r"([^\W\d_]+)(\s.*)", right, re.S)
    verbs = match and (len(base) > 1 and base[-1] in _PARTICLES or verb_of(base[0]) and verb_of(match[1].lower()))
    if match and met[1:] == base[1:] and met[0] != base[0]:  # smoking a cigarette, for smoke a cigarette
        verbs = (
            verbs
            or met[0].endswith(("ing", "ed"))
            or base[1:2] != []
            and base[1] in ("a", "an", "the", "his", "her", "their")
        )
    return (match[1], match[2]) if match and verbs else (right, "")


def _capitals(word: str, left: str, before: str, right: str) -> tuple[str, str]:
    """(the text before, the replacement) with the capitals of the word met."""
    first = next((letter for letter in word if letter.isalpha()), "")
    if sum(map(str.isalpha, word)) > 1 and word.isupper() and not left.isupper() and right.islower():
        return re.sub(r"\bAn(?=\W+$)", "AN", before), right.upper()
    initial = re.match(r"\W*[^\W\d_]-", word)  # T-shirt
    if first.isupper() and not left[:1].isupper() and right[:1].islower() and not right[1:2].isupper() and not initial:
        right = right[0].upper() + right[1:]
    return before, right


def _participle(met: str, base: str, before: str) -> bool:
    """Whether a verb stands there as its own participle: has run."""
    return met == base and met in past_forms(base)[-1:] and bool(_PERFECT.search(before))


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
        return "", grammar.single(last) if grammar.many(last) else last
    kind = _form(met, base)
    if kind is not None:
        return kind, last
    if met.endswith(("er", "ers")) and (verb and other or met in family(base) and past_forms(last)):  # smoker, reader
        agent = _agent(last)
        return "", plural(agent) if met.endswith("s") else agent
    if compared := grammar.degree(met, base):
        return compared, last
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
