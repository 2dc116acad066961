"""The forms of a Russian word, made from its dictionary form by its ending: cases, plurals, the past of verbs; without a dictionary.

Some forms are made that are no words: they meet no text. Words are folded (see `letters.fold`): lower case, ё as е.
"""

from __future__ import annotations

from functools import lru_cache

_HARD = "а у ом е ы и ов ам ами ах ой ою".split()
_SOFT = "я ю ем е и ей ев ям ями ях".split()
_ADJECTIVE = "ый ий ой ая яя ое ее ые ие ого его ому ему ым им ом ем ых их ыми ими ую юю ой ей ою ею".split()
_VERB = {"ать": "а", "ять": "я", "еть": "е", "ить": "и", "уть": "у", "ыть": "ы"}
_CONSONANTS = frozenset("бвгджзйклмнпрстфхцчшщ")


def _fleeting(stem: str) -> list[str]:
    """Stems with a vowel between their last two consonants, as genitive plurals have it: кошк -> кошек, окн -> окон."""
    if len(stem) < 3 or stem[-1] not in _CONSONANTS or stem[-2] not in _CONSONANTS | {"ь"}:
        return []
    head = stem[:-2] if stem[-2] in "ьй" else stem[:-1]
    return [head + "е" + stem[-1], head + "о" + stem[-1]]


def _without_fleeting(word: str) -> list[str]:
    """Stems that lose a word's last vowel: кусок -> куск, боец -> бойц."""
    if len(word) < 4 or word[-1] not in "кцнлрг" or word[-2] not in "ое":
        return []
    return [word[:-2] + word[-1], word[:-2] + "ь" + word[-1], word[:-2] + "й" + word[-1]]


def _endings(stem: str, endings) -> set[str]:
    return {stem + ending for ending in endings}


@lru_cache(4096)
def forms(word: str) -> frozenset[str]:
    """Every form of a folded Russian word; the word itself alone where it is short."""
    last, found = word[-1], {word}
    if len(word) < 3:
        return frozenset(found)
    stem = word[:-1]
    if word.endswith(("ие", "ия")):  # насилие, полиция; and the plural of adjectives
        found |= _endings(stem, "е я ю ем ей ею и й ям ями ях".split())
    elif last in "ая":
        found |= _endings(stem, "а я у ю е ы и ой ей ою ею ам ям ами ями ах ях".split())
        found |= {stem + ("ь" if last == "я" else ""), *_fleeting(stem)}
        found |= {stem[:-1] + "ей"} if stem.endswith("ь") else set()  # свинья
    elif last in "ое" and word[-2] in _CONSONANTS:
        found |= _endings(stem, "о е а я у ю ом ем ам ям ами ями ах ях ы и ей".split()) | {stem, *_fleeting(stem)}
    elif last == "ь":
        for short in [stem, *_without_fleeting(stem)[:1]]:  # кровь; огонь
            found |= _endings(short, "я ю и ью е ем ей ям ями ях".split())
    elif last == "й" and word[-2] != "ы":
        found |= _endings(stem, _SOFT)
    elif last in "ыи":  # a plural: whatever its singular may be
        found |= _endings(stem, ["", "а", "я", "ь", "о", "е", *_HARD, *_SOFT]) | set(_fleeting(stem))
    elif last in _CONSONANTS:
        found |= _endings(word, [*_HARD, "ей", "ям", "ями", "ях"])
        for short in _without_fleeting(word):
            found |= _endings(short, [*_HARD, "ев"])
        if word.endswith("енок"):  # котенок, котята
            found |= _endings(word[:-4], "ята ят ятам ятами ятах".split())
    if len(word) > 4 and word[-2:] in ("ый", "ий", "ой", "ая", "яя", "ое", "ее", "ые", "ие"):
        found |= _endings(word[:-2], _ADJECTIVE)
    vowel = _VERB.get(word[-3:]) if len(word) > 4 else None
    if vowel:
        found |= _endings(word[:-2], "л ла ло ли т ют ет ем ешь ете вший вшая вшие".split())
        found |= _endings(word[:-3], "ю у ит им ишь ите ят ат ует уют ющий ящий ащий".split())
    return frozenset(found)
