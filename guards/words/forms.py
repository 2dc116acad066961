"""Which words are forms of one another: the inflections of English, and small rules for other scripts.

Forms are made forwards from a concept's word (cat: cats, catting), never by cutting endings off a text's words: so *caring* is no
form of *car*, *rating* none of *rat*. What is made too much is no word and meets no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import cyrillic, endings
from .patterns import Pattern

WORDS = Path(__file__).with_name("english.txt")  # inflections and families that no rule makes
INNOCENT = Path(__file__).with_name("innocent.txt")  # phrases that make a word another

STOP_WORDS = frozenset(
    """a an the and or but nor so yet if of in on at by to for from with without into onto over under near off out up
    down as is are was were be been being am do does did has have had it its this that these those he she they we you i me him her them us
    his their our my your who whom whose which what when where why how not no yes very too also just than then there here some any all
    each both one two three other another such own same s t""".split()
)
VOWELS = frozenset("aeiou")


@dataclass(frozen=True)
class _English:
    """The groups of ``english.txt``: word -> the groups that hold it, base first. ``no_base``, ``nouns``, ``made``: see there."""

    plurals: dict[str, list[list[str]]]
    irregular: dict[str, list[list[str]]]
    families: dict[str, list[list[str]]]
    kinds: dict[str, list[str]]
    spellings: dict[str, list[list[str]]]
    made: dict[str, list[list[str]]]
    no_base: frozenset[str]
    nouns: frozenset[str]


@lru_cache(1)
def _english() -> _English:
    """Read when the first word is asked for. Raises FileNotFoundError where the pack was copied without its word list."""
    sections: dict[str, list[list[str]]] = {}
    section: list[list[str]] = []
    for line in WORDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[] "), [])
        elif line.strip() and not line.startswith("#"):
            section.append(line.split())
    plurals = sections["plurals"]
    return _English(
        _index(plurals),
        _index(plurals + sections["other inflections"]),
        _index(sections["families"]),
        {row[0]: row[1:] for row in sections["kinds"]},
        _index(sections["spellings"]),
        _index(sections["made only"] + sections["other inflections"]),
        frozenset(word for row in sections["no base"] for word in row),
        frozenset(word for row in sections["nouns"] for word in row),
    )


def _index(groups: list[list[str]]) -> dict[str, list[list[str]]]:
    """word -> the groups that hold it."""
    index: dict[str, list[list[str]]] = {}
    for group in groups:
        for word in group:
            index.setdefault(word, []).append(group)
    return index


# What the plural of a compound takes from its last part; and words that are none.
_LAST_PARTS = {
    **{"woman": "women", "man": "men", "child": "children", "person": "people", "fish": "fish", "deer": "deer"},
    **{"knife": "knives", "wife": "wives", "wolf": "wolves", "leaf": "leaves", "thief": "thieves", "loaf": "loaves"},
    **{"foot": "feet", "tooth": "teeth", "mouse": "mice", "goose": "geese", "calf": "calves", "shelf": "shelves"},
}
_SINGLE_PARTS = {many: last for last, many in _LAST_PARTS.items() if many != last}
_WHOLE = frozenset(
    "human superhuman german roman shaman talisman ottoman caiman cayman norman mongoose bigfoot omen specimen regimen".split()
)


def plural(word: str) -> str:
    """The plural of an English noun, lower case."""
    for row in _english().plurals.get(word, ()):
        if row[0] == word:
            return row[1]
    if word not in _WHOLE:  # snowman, penknife
        for last, many in _LAST_PARTS.items():
            if word.endswith(last) and len(word) > len(last) + 1:
                return word[: -len(last)] + many
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def is_plural(word: str) -> bool:
    """Whether an English noun, lower case, is a plural already."""
    irregular = any(row[0] != word for row in _english().plurals.get(word, ()))
    return irregular or any(plural(one) == word for one in bases(word)[1:])


def _doubles(word: str) -> bool:
    """Whether the last letter is doubled before -ing: one vowel between consonants, in a word of one syllable or nearly so."""
    return (
        len(word) >= 3
        and word[-1] not in "aeiouwxy"
        and word[-2] in VOWELS
        and word[-3] not in VOWELS
        and sum(letter in VOWELS for letter in word) == 1
    )


@lru_cache(4096)
def regular(word: str) -> dict:
    """A word's regular inflections as form -> kind ("", "s", "ing", "ed", "est"). English spelling; other words gain harmless non-words."""
    many = plural(word)
    forms = {word: "", many: "s"}
    if many not in (word + "s", word + "es"):  # knifes, childs, ladys; womens, without its apostrophe
        forms.update({word + "s": "s"} | ({} if many.endswith("s") else {many + "s": "s"}))
    if word.endswith("ie"):
        stem, ing, past = word, word[:-2] + "ying", word + "d"
    elif word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        stem, ing, past = word[:-1], word[:-1] + "ing", word + "d"
    elif word.endswith("e"):
        stem, ing, past = word[:-1], word + "ing", word + "d"
    elif word.endswith("y") and word[-2:-1] not in VOWELS:
        stem, ing, past = word[:-1] + "i", word + "ing", word[:-1] + "ied"
        forms[stem + "er"] = "er"
    elif _doubles(word):
        stem = word + word[-1]
        ing, past = stem + "ing", stem + "ed"
    else:
        stem, ing, past = word, word + "ing", word + "ed"
    forms.setdefault(ing, "ing")
    forms.setdefault(past, "ed")
    if len(word) > 3:
        forms.setdefault(stem + "est", "est")
        if (
            word[-1] in "lmprt" and word[-2] in VOWELS and word[-3] not in VOWELS and not _doubles(word)
        ):  # travelling, kidnapped
            forms.setdefault(word + word[-1] + "ing", "ing")
            forms.setdefault(word + word[-1] + "ed", "ed")
    if word.endswith("f"):
        forms.setdefault(word[:-1] + "ves", "s")
    if word.endswith("o"):
        forms.setdefault(word + "es", "s")
    return forms


def bases(word: str) -> list[str]:
    """What a word may be an inflection of, itself first. Only stems from which the rules make that very word."""
    stems = [word]
    if word in _english().no_base or len(word) < 4:
        return stems
    cut = []
    for many, last in _SINGLE_PARTS.items():
        if word.endswith(many) and len(word) > len(many) + 1 and word not in _WHOLE:
            cut.append(word[: -len(many)] + last)
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        cut += [
            word[:-1],
            word[:-2] if word.endswith("es") else "",
            word[:-3] + "y" if word.endswith("ies") else "",
            word[:-3] + "f" if word.endswith("ves") else "",
            word[:-3] + "fe" if word.endswith("ves") else "",
        ]
    for ending in ("ing", "ed"):
        stem = word[: -len(ending)]
        if word.endswith(ending) and VOWELS & set(stem.replace("y", "i")):  # string and sled are no verbs
            cut += [
                stem,
                stem + "e",
                stem[:-1] if stem[-1:] == stem[-2:-1] else "",
                stem[:-1] + "y" if stem.endswith("i") else "",
            ]
            cut.append(stem[:-1] + "ie" if stem.endswith("y") else "")
    for base in cut:
        least = 2 if word == base + "s" else 3  # TVs; but no re for ring
        if len(base) >= least and base not in STOP_WORDS and VOWELS & set(base.replace("y", "i")):
            if word in _inflections(base):
                stems.append(base)
    return stems


def _inflections(word: str) -> dict:
    """As `regular`; of a noun whose verb is another thing (breasted, bearing) the plural alone."""
    return {word: "", plural(word): "s"} if word in _english().nouns else regular(word)


def inflected(word: str, kind: str) -> str:
    """The form of an English word, lower case, that a rewrite needs. ``kind``: as in `regular`, or "en", the participle; the word itself
    where there is none."""
    if kind == "s":
        return plural(word)
    past = past_forms(word) if kind in ("ed", "en") else ()
    if past:
        return past[0 if kind == "ed" else -1]
    kind = "ed" if kind == "en" else kind
    return next((form for form, what in regular(word).items() if what == kind), word)


def verb_of(word: str) -> str:
    """The likeliest verb of an -ing form, by English spelling (swimming: swim, dancing: dance); empty for all other words."""
    candidates, stem = bases(word)[1:], word[:-3]
    if not word.endswith("ing") or not candidates:
        return ""
    known = [base for base in candidates if past_forms(base)]
    if known:
        return known[0]
    if stem[-1:] == stem[-2:-1] and stem[-1] not in "lsfz" and stem[:-1] in candidates:
        return stem[:-1]
    vowels = sum(letter in VOWELS for letter in stem)
    silent = stem[-1] in "cvu" or stem.endswith(("at", "iz", "dg", "rs")) or vowels == 1 and _doubles(stem)
    return stem + "e" if silent and stem + "e" in candidates else candidates[0]


def past_forms(word: str) -> tuple[str, ...]:
    """Past tense and participle of an irregular verb; empty for all other words."""
    for row in _english().made.get(word, ()):
        if row[0] == word and not row[1].endswith(("er", "ier")) and row[1] != "worse":
            return tuple(row[1:])
    return ()


def family(word: str) -> list[str]:
    """The words of a word's families and kinds that have inflections of their own: gunman and handgun, of gun."""
    english = _english()
    return [one for row in english.families.get(word, ()) for one in row if one != word] + english.kinds.get(word, [])


def spellings(word: str) -> list[str]:
    """How else a word is spelled: whisky, of whiskey."""
    return [one for row in _english().spellings.get(word, ()) for one in row if one != word]


@lru_cache(1)
def innocent() -> tuple[str, ...]:
    """Phrases, as regular expressions on folded text, in which a word is not what it is elsewhere: smoked salmon, a photo shoot."""
    return tuple(line for line in INNOCENT.read_text(encoding="utf-8").splitlines() if line[:1] != "#")


# Words that are small words of another language, and what shows that the text is in it.
_GERMAN = (
    r"(?:der|das|und|ein|eine[mnrs]?|im|mit|auf|ist|sind|zwei|drei|f[üu]r|[üu]ber|zum|zur|nach|vor|bei|aus|dem|nicht|oder|sitzt|steht|liegt|"
    r"sich|einmal|auch|wie|seine?r?|ihre?r?|schwarze?r?|wei[ßs]+e?r?|kleine?r?|gro[ßs]+e?r?|alte|junge|sch[öo]ne?r?|durch)"
)
_SPANISH = r"(?:una?|el|los?|las?|del|con|por|para|mujer|hombre|en|su|y|chica|gato|perro|persona)"
_FRENCH = r"(?:une?|le|les|des?|du|et|avec|sur|la|dans|au|aux|en|femme|homme|table)"
_FOREIGN = {
    **dict.fromkeys(("die", "dies", "war", "hat", "man"), Pattern(rf"\b{_GERMAN}\b|\w*[äöüß]\w*", re.I)),
    "sin": Pattern(rf"\b{_SPANISH}\b|\w*[áéíóúñ]\w*", re.I),
    "pain": Pattern(rf"\b{_FRENCH}\b|\w*[àâçéèêôû]\w*", re.I),
}
_DIES = Pattern(  # no article behind these
    r"\b(?:to|will|would|must|may|can|could|should|shall|might|not|never|they|we|you|i|who|that|let|him|her|them|people|\w{3,}s|men|women|children|"
    r"and|or|a|the|must|did|do|don['’]t|won['’]t)\s+$",
    re.I,
)


def foreign(word: str, text: str, first: int, last: int) -> bool:
    """Whether a word is a small word of another language there: die Katze im Garten."""
    if word not in _FOREIGN:
        return False
    shown = len({match[0].casefold() for match in _FOREIGN[word].finditer(text)} - {word})
    if word == "die":
        capital = re.match(r"\s+[^\W\d_]+", text[last:])
        noun = capital and capital[0].lstrip()[0].isupper() and not text[first].isupper()
        start = text[first:last] == "Die" and not text[:first].strip() and capital and re.search("[äöüß]", capital[0])
        return not _DIES.search(text, 0, first) and bool(noun or start or shown)
    return shown > 1


_BRITISH = Pattern(r"([a-z]{3,}i)([sz])((?:e[drs]?s?|ing|ations?))|([a-z]{2,}o)(u?)(r(?:s|ed|ings?|ful|less|ites?)?)")


def _abroad(word: str) -> list[str]:
    """The other spelling, British or American, where one letter parts them: terrorise, colourful. What is no word meets no text."""
    found = _BRITISH.fullmatch(word)
    if not found:
        return []
    if found[2]:
        return [found[1] + {"s": "z", "z": "s"}[found[2]] + found[3]]
    return [found[4] + ("" if found[5] else "u") + found[6]]


@lru_cache(4096)
def forms(word: str) -> frozenset:
    """Every form of a folded word (see `letters.fold`) that counts as the same word, itself included."""
    first = word[:1]
    if "а" <= first <= "я":
        return cyrillic.forms(word)
    if (found := endings.scripted(word)) is not None:
        return found
    if len(word) < 3 or not word.isascii() or not word.isalpha():
        known = [one for row in _english().plurals.get(word, ()) for one in row]  # oxen
        known += [form for one in spellings(word) for form in _inflections(one)]  # ax, axe
        return frozenset([word, word + "s", *known]) if word.isalnum() and len(word) > 1 else frozenset([word])
    every = set()
    for base in bases(word):
        every.update(_inflections(base))
        for row in _english().irregular.get(base, ()):
            if row[0] != base == row[-1] and (
                len(row) > 2 and row[1][-2:] not in ("er", "se") or base in ("beaten", "bitten")
            ):
                if base not in _english().plurals:
                    continue  # drunk: nobody who drinks
            every.update(row, _inflections(row[0]))
        for row in _english().families.get(base, ()):
            every.update(row)
        for kind in _english().kinds.get(base, ()):
            every.update(_inflections(kind))
        for one in spellings(base):
            every.update(_inflections(one))
    return frozenset(every.union(*map(_abroad, every)))
