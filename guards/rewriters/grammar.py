"""English around a word that takes another's place: its number and degree, the article before it, the verb behind it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..words.forms import STOP_WORDS, bases, family, forms, inflected, is_plural, plural
from ..words.losing import MODIFIER
from ..words.patterns import Pattern
from ..words.seams import FILE, vowel

_ONE = "every|each|another|one|this|that"
_MANY = "two|three|four|five|six|seven|eight|nine|ten|several|many|few|these|those|both"
_OWNED = r"his|her|their|its|my|your|our|\w+['’]s"
_GAP = r"(?:\s+|\s*\\?[(\[{\"“‘'`]+\s*|<[^<>\n]*>\s*)+"  # also the weight's bracket, and the name of a file
_DETERMINER = Pattern(
    rf"(?<![\w'’-])(an?|the|some|any|no|{_ONE}|{_MANY}|{_OWNED}|\d+)({_GAP})"
    rf"((?:(?!(?:{'|'.join(STOP_WORDS)}|some|many|several)\b)[^\W\d_][\w'’]*(?:-\w+)*{_GAP}){{0,3}})$",
    re.I,
)
_MODIFIED = Pattern(rf"(?:^|[\s(\[{{,|]){MODIFIER}\s+$", re.I)
_OWN = Pattern(r"([\W_]*)(an?|the)\s+(?=\S)", re.I)  # an article that a replacement brings along
_BRINGS = Pattern(rf"[\W_]*(?:(some|any|no|{_MANY}|\d+)|{_ONE}|{_OWNED})\s+\w", re.I)
_HEAD = Pattern(
    r"(.*?)([^\W\d_]+)((?:(?:\s*[,;(:|]|-(?:of|in|at|de|to)-|-by\b|\s+(?:of|in|on|at|with|from|for|to|by|without|under|over|behind|beside|"
    r"near|between|through|wearing|holding|carrying|that|which|who|whose|an?|the|his|her|their|its)\b|\s+made\s+(?:of|from|by|in|out|"
    r"with)\b"
    r"|\s+\w{2,}ing\s+(?:an?|the|his|her|their|its|in|on|at|with|by|to|for|of|from)\b).*)?)\W*$",
    re.S | re.I,
)
_CHOICE = Pattern(r"(\s*\|\s*|\s+or\s+)", re.I)
_SAME = frozenset(
    "series species scissors jeans pants trousers shorts glasses goggles pajamas pyjamas leggings tights headphones".split()
)
_NO_PLURAL = frozenset("cosmos chaos rhinoceros thermos biceps triceps pancreas bias alias james".split())
_MASS = frozenset(
    """bread rice water milk sand snow grass furniture luggage jewelry jewellery clothing money cash popcorn pasta spaghetti sushi honey
    butter flour sugar salt music sunlight sunshine hay straw moss foam confetti glitter cutlery pottery porcelain equipment ketchup mustard
    fog mist lightning thunder wildlife""".split()
)
_ENDS = Pattern(  # what follows goes on with something else than a further noun
    rf"\s*(?:$|[,.;:!?)\]}}|/\n\"”’'…–—]|(?:BREAK|AND)\b)|\s+(?:{'|'.join(STOP_WORDS)}|against|behind|beside|between|next|inside|above|"
    r"below|through|during|while|around|across|along|among|towards?|within|\w{2,}ing|\w{2,}ed)\b"
)
_FLOCK = Pattern(
    r"\b(?:flock|herd|pack|school|swarm|group|crowd|pair|team|couple|bunch|lot)s?\s+of\s+(?:\w+\s+)?$", re.I
)
_SUBJECT = Pattern(r"(?:^|[,.;:(\[{|\n]\s*|\b(?:and|while|where|when|as|but|because)\s+)$", re.I)
_THERE = Pattern(r"\b(there\s+)(is|was|are|were)(\s+)$", re.I)
_VERB = Pattern(r"(\s+)(is|was|has|does|isn|wasn|hasn|doesn|are|were|have|do|aren|weren|haven|don)(?=\s|['’]t\b)")
_FOR_MANY = dict(zip("is was has does isn wasn hasn doesn".split(), "are were have do aren weren haven don".split()))
_FOR_ONE = {many: one for one, many in _FOR_MANY.items()}
_THIRD = {"go": "goes", "do": "does", "have": "has", "be": "is"}  # what they do: he goes
_COMPARED = {
    "good": ("better", "best"),
    "bad": ("worse", "worst"),
    "far": ("farther", "farthest"),
    "little": ("less", "least"),
}
_IE = Pattern(  # those whose singular ends in -ie
    r".{1,2}ies|(?:cook|mov|zomb|self|gen|brown|rook|pix|smooth|vegg|hood|food|junk|hipp|prair|newb|cut|sweet|coll|group|dogg|budg|"
    r"bowt|neckt|"
    r"magp|calor|bird|goal|bear|bean|barb|lass|cab|pink|walk-?talk|hank|sort|ladd)ies"
)
_ES = Pattern(r"(?:ss|sh|x|zz|[^aeiou]o|ch|bus|gas|virus)es$(?<!axes)(?<!aches)(?<!shoes)(?<!\btoes)")


class Noun(NamedTuple):
    """The determiner of the words that a text ends in: where it begins and ends, what it is, whether the noun follows at once."""

    start: int
    end: int
    word: str
    direct: bool


def determiner(before: str) -> Noun | None:
    """What determines the noun that follows: of *a man with a big old* the second *a*; None where nothing does."""
    match = _DETERMINER.search(before[-90:])
    if not match:
        return None
    between = re.findall(r"[\w'’-]+", re.sub(r"<[^<>]*>", "", match[3]).lower())
    verbs = [word for word in between if word.endswith("s") and not word.endswith(("ss", "us", "'s", "’s"))]
    if verbs or any(word.endswith("ing") for word in between[1:]):
        return None  # a man holding, a girl kills
    start = len(before) - len(before[-90:]) + match.start()
    return Noun(start, start + len(match[1] + match[2]), match[1].lower(), not match[3])


def head(right: str) -> tuple[str, str, str]:
    """(before, the word that takes the ending, behind): the last word before the first preposition, as in bird of prey."""
    name = FILE.match(right.lstrip())
    start = len(right) - len(right.lstrip()) + name.end() if name else 0
    match = _HEAD.match(right, start)
    return (
        (right[: match.start(2)], match[2], right[match.end(2) :])
        if match
        else (right, "", "")
        if name
        else ("", right, "")
    )


def many(word: str) -> bool:
    """Whether a word stands for several: dogs, scissors."""
    return word in _SAME or word not in _NO_PLURAL and is_plural(word)


def single(word: str) -> str:
    """One of what a plural names."""
    if word.endswith("ies"):
        return word[:-1] if _IE.fullmatch(word) else word[:-3] + "y"
    found = [one for one in dict.fromkeys([*bases(word)[1:], *sorted(forms(word))]) if plural(one) == word != one]
    irregular = [one for one in found if word not in (one + "s", one + "es")]  # knife; a knive is none
    short = [one for one in found if one + "es" == word and _ES.search(word)]
    return next(iter([*irregular, *short, *found]), word)


def formed(right: str, kind: str, whole: str) -> str:
    """A replacement in a form (see `forms.inflected`; "er", "est" of adjectives), each of several to choose from. ``whole``: its head."""
    parts = _CHOICE.split(right)
    if len(parts) > 1:
        return "".join(part if at % 2 else formed(part, kind, head(part)[1].lower()) for at, part in enumerate(parts))
    front, last, tail = head(right)
    if not (last.isascii() and last.isalpha()):
        return right
    if kind in ("er", "est"):
        return front + compared(last, kind) + tail
    return front + _cased(last, kind == "s" and _THIRD.get(whole) or inflected(whole, kind)) + tail


def degree(met: str, base: str) -> str | None:
    """Which degree of an adjective a text has, "er" or "est"; None for none."""
    kind = next((ending for ending in ("er", "est") if met.endswith(ending)), None)
    if kind is None or met in family(base):
        return None  # a killer is nobody who is more kill
    stem = met[: -len(kind)]
    same = stem in (
        base,
        base[:-1] if base[-1] in "e" else base,
        base + base[-1],
        base[:-1] + "i" if base[-1] == "y" else base,
    )
    return kind if same or met in _COMPARED.get(base, ()) else None


def compared(word: str, kind: str) -> str:
    """An adjective in a degree: bigger, happiest, more elegant."""
    low = word.lower()
    if low in _COMPARED:
        return _COMPARED[low][kind == "est"]
    sounds = len(re.findall(r"[aeiouy]+", re.sub(r"e(?:(?=ly$)|$)", "", low)))
    if sounds > 1 and not (sounds == 2 and low.endswith("y")):
        return ("more " if kind == "er" else "most ") + word
    if low.endswith("y") and low[-2:-1] not in "aeiou":
        return word[:-1] + "i" + kind
    if low.endswith("e"):
        return word + kind[1:]
    ing = inflected(low, "ing")
    return word + (low[-1] if ing == low + low[-1] + "ing" else "") + kind


def _cased(last: str, form: str) -> str:
    """A form with the capitals of its word: SUV, SUVs."""
    if form.startswith(last.lower()):
        return last + form[len(last) :]
    return form.upper() if last.isupper() and len(last) > 1 else form.capitalize() if last[:1].isupper() else form


def fitted(before: str, new: str, met_many: bool, behind: str) -> tuple[str, str]:
    """(the text before, the replacement) so that they go together: one article or none, a or an as it is spoken, one or many as counted.
    ``met_many``: what is replaced is a plural. ``behind``: the text that follows."""
    noun, own, brings = determiner(before), _OWN.match(new), _BRINGS.match(new)
    article = noun is not None and noun.direct and noun.word in ("a", "an", "the")
    if own and (met_many and own[2].lower() != "the" or not article and (noun or _MODIFIED.search(before))):
        new, own = own[1] + new[own.end() :], None
    elif noun and article and (own or brings and (noun.word != "the" or not brings[1])):
        return _unsaid(before, noun, new)
    if noun and not own and not brings and not met_many:
        word = head(new)[1]
        last, several = word.lower(), many(word.lower())
        if word.islower() and noun.word in ("a", "an") and (several or mass(last)) and _ENDS.match(behind):
            return _unsaid(before, noun, new)
        elif word.islower() and several and last not in _SAME and noun.word in ("a", "an", *_ONE.split("|")):
            new = formed(new, "", single(last))
    if noun and article and noun.word != "the":
        a = before[noun.start] + ("n" if vowel(new) else "")
        before = before[: noun.start] + a + before[noun.start + len(noun.word) :]
    return before, new


def _unsaid(before: str, noun: Noun, new: str) -> tuple[str, str]:
    """Both without the determiner; a capital stays one."""
    rest = before[noun.start + len(noun.word) : noun.end].lstrip() + before[noun.end :]
    if before[noun.start].isupper():
        rest, new = (capital(rest), new) if re.search(r"\w", rest) else (rest, capital(new))
    return before[: noun.start] + rest, new


def capital(text: str) -> str:
    """With a capital at its start, if it starts with a small word."""
    return re.sub(
        r"^([(\[{\"'“]*)([^\W\d_])(?=[^\WA-Z]*(?:\W|$))", lambda match: match[1] + match[2].upper(), text, count=1
    )


def agreed(before: str, was: bool, now: bool, behind: str) -> tuple[str, str, int]:
    """(the text before, what takes the place of the verb that follows, its length) of a subject that was and now is many or one."""
    if was == now:
        return before, "", 0
    noun, to = determiner(before), _FOR_MANY if now else _FOR_ONE
    clause = before[: noun.start if noun else len(before)]
    there = _THERE.search(clause)
    if there and there[2].lower() in to:
        return clause[: there.start(2)] + to[there[2].lower()] + there[3] + before[len(clause) :], "", 0
    verb = _VERB.match(behind)
    if not verb or verb[2] not in to or not _SUBJECT.search(clause):
        return before, "", 0
    return before, verb[1] + to[verb[2]], verb.end()


def mass(word: str) -> bool:
    """Whether a word names what is not counted: bread."""
    return word in _MASS


def counted(before: str) -> bool:
    """Whether a text ends in a number, a word for one or for a group, before what follows."""
    noun = determiner(before)
    return (
        bool(_FLOCK.search(before[-60:]))
        or noun is not None
        and (noun.word.isdecimal() or noun.word in _MANY.split("|"))
    )
