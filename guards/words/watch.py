"""Does a text hold a forbidden concept? Judged on whole words and their forms, never on substrings: *cat* meets *cats*, not *category*.

Texts are folded first: case, accents, full-width and other styled letters, invisible characters, look-alike letters of another script
within
a word. Also met: compounds (cat-like), joined words (#starwars), s-p-a-c-e-d letters, simple leetspeak (c4t), emoji by their Unicode name.
Scripts written without spaces (Chinese, Japanese, Thai ...) are searched as running text: there a concept meets every word it is part of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from . import endings
from .forms import STOP_WORDS, foreign, forms, innocent
from .letters import disguised, emoji_names, fold, in_word, scripts_of, unhidden
from .patterns import Pattern
from .reading import DOTTED, HUMP, UNSPACED, apart, follow, humps, spaced, tokens, undotted
from .seams import FILE, without

_JOINT = Pattern(r"[-_.*'’·~+|/\\\u2010-\u2015]{1,2}")
_LEET = {ord(a): b for a, b in zip("0134578@$!|€£", "oieastbasilel")}
_LEET_MARK = Pattern(r"[^\W\d_][0134578@$!|€£]|[0134578@$!|€£][^\W\d_]")
# Words that end in z, and have nothing of those that end in s there: gunz, weaponz
_WITH_Z = frozenset(
    "quartz waltz spitz benz franz hertz chintz blitz fritz heinz katz cruz diaz lopez perez topaz fez".split()
)
_IN = frozenset(
    "smokin killin fuckin shootin fightin drinkin strippin bleedin burnin dyin kissin".split()
)  # for -ing, without an apostrophe too
_SHOUT = Pattern(r"[!|]+(?=\W|$)")  # no letter at a word's end
# Stars, and signs that stand for a letter within a word: p*rn, s#it
_STARRED = Pattern(
    r"(?<![\w*])[^\W\d_]+(?:(?:\*+|[#@%^•●○◯⭕🅾©®¡×✗✕†])[^\W\d_]+)+(?![\w*])|(?<![\w*])[^\W\d_]+\*{2,}(?![\w*])"
)
_STRETCHED = Pattern(r"([^\W\d_])\1{2,}")  # kniiife, beeeer
_TIED = Pattern(r"\w[-/&.+]\w")  # AC/DC is written ACDC as well
_TIE = Pattern(r"(?<=\w)-(?=\w)")
_SIZED = Pattern(r"(\d+)([^\W\d_]+)|([^\W\d_]+)(\d+)")  # 9mm, C4
_CONTRACTION = Pattern(
    r"\b(?:(?:i|you|he|she|it|we|they|who|what|that|there|here|this|how|where|when|why|let)['’](?:ll|d|re|ve|m|s)|\w*n['’]t)\b"
)
_UNIT = Pattern(  # a number and its unit, no leet: a 5in screen, at 5am
    r"\d+[-. ]?(?:in|ins|inch|am|pm|mm|cm|km|m|ft|kg|g|mg|lbs?|oz|ml|l|s|secs?|mins?|h|hrs?|hz|k|d|"
    r"p|px|mp|gb|mb|tb|x|st|nd|rd|th|yo|yrs?|w|v|a|e)"
)
_MIXED = Pattern(r"[^\W\d_]+\d+|\d+[^\W\d_]+")  # M4A1: M4 A1
_LONG = Pattern("(?<=[\u30a1-\u30fa])[-\u2010-\u2015\u2500]")  # a dash for the mark of a long vowel
_END = Pattern("[\n\r\v\f,;:!?、。…؟।|()\\[\\]{}「」『』【】〈〉《》]")  # ends a run of Chinese or Japanese
_FLAG = Pattern("[\U0001f1e6-\U0001f1ff]{2}|[🏳🏴]\ufe0f?\u200d[🌈☠⚧]")
# Stretched, they are these words, and not those with one letter less: goood is good.
_TWICE = frozenset(
    """good goods goodness goodbye food wood mood cool pool tool fool look book took cook shoot root boot hoot loot coop loop hoop loose
    choose soon moon noon room too
    see seed bee beet beer free tree sleep sweet feel feed keep week weed meet feet been green queen""".split()
)
_SIGN = Pattern(r"^\W*(\w{1,3})([+#%]+)$")  # 18+, C++, C#
_OWN_LETTERS = Pattern("[äöüåøñßæœ]")
# What English words become words of their own by an accent.
_ACCENTED = frozenset("rosé pâté résumé resumé exposé lamé maté saké piqué curé forté olé".split())
_DIGRAPHS = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "ñ": "ny", "ß": "ss", "æ": "ae", "œ": "oe"}
_EMOJI_NOISE = frozenset(
    """face with white black heavy medium small large sign symbol mark selector emoji variation open closed closing
    of and the in on for over modifier component type smiling grinning eyes mouth left right pointing rightwards leftwards upwards
    downwards""".split()
)


@dataclass(frozen=True)
class Hit:
    """A concept met in a text: ``text[start:end]`` is the offending part, ``phrase`` what it is a form of (the concept or a synonym)."""

    concept: str
    phrase: str
    start: int
    end: int
    word: str


def words_of(phrase: str) -> list[str]:
    """A phrase as folded words, without articles at its start."""
    words = [token.word for token in tokens(fold(unicodedata.normalize("NFC", phrase))[0])]
    while len(words) > 1 and words[0] in ("a", "an", "the", "some", "any"):
        words.pop(0)
    return words


class Watch:
    """The forms of some concepts, made once, to be found in any number of texts. Raises ValueError for a concept without a word."""

    def __init__(self, concepts: Mapping[str, Sequence[str]], tongue: str = ""):
        """``concepts``: what is forbidden -> its synonyms (may be empty). ``tongue``: a language of `endings` whose forms count as well."""
        self.concepts, self.tongue, self.others = concepts, tongue, {}
        self.single, self.several, self.running = {}, {}, []
        self.signs, self.accents = {}, {}
        for concept, synonyms in concepts.items():
            for phrase in (concept, *synonyms):
                words = words_of(phrase)
                if not words:
                    raise ValueError(f"concepts: {phrase!r} has no word to look for. Write it in letters.")
                self._add(concept, phrase, words)

    def _add(self, concept, phrase, words):
        entry = (concept, phrase)
        if any(UNSPACED.match(word) for word in words):
            running = "".join(
                letter for letter in "".join(words) if letter.isalnum() or unicodedata.category(letter)[0] in "ML"
            )
            self.running += [(word, entry, bool(at)) for at, word in enumerate(scripts_of(running or "".join(words)))]
            self.running += [(word, entry, False) for word in endings.japanese(running)]
            return
        plain = unicodedata.normalize("NFC", phrase)
        if sign := _SIGN.match(plain.strip()):
            self.signs[entry] = sign[2]
        if _OWN_LETTERS.search(plain.lower()) and plain.islower() or plain in _ACCENTED:
            self.accents[entry] = [
                char for char in plain if char in _DIGRAPHS or plain in _ACCENTED and not char.isascii()
            ]
        spelled = "".join(_DIGRAPHS.get(char, char) for char in plain.lower())
        closed = _TIE.sub("", plain) if " " in plain else plain  # wet tshirt
        for written in dict.fromkeys(tuple(words_of(one)) for one in (plain, spelled, closed)):
            self._add_words(entry, list(written), bool(_TIED.search(plain)))
        mixed = _MIXED.findall(words[0]) if len(words) == 1 else ()
        if len(mixed) > 1 and "".join(mixed) == words[0]:  # M4 A1
            self._add_words(entry, mixed, True)
        sized = _SIZED.fullmatch(words[0]) if len(words) == 1 else None
        if sized and len(words[0]) > 2:  # 9 mm
            self._add_words(entry, [part for part in sized.groups() if part], True)

    def _add_words(self, entry, words, hyphen):
        last = set(self._forms(words[-1], entry))
        if len(words) == 1:
            for form in last:
                self.single.setdefault(form, entry)
            return
        if len(words[-1]) == 1 and words[-1].isalpha():
            last |= {words[-1] + "s"}  # M&Ms
        heads = [self._forms(word, entry) | ({"&", "n"} if word == "and" else set()) for word in words[:-1]]
        for form in heads[0]:
            self.several.setdefault(form, []).append(([*heads[1:], last], entry))
        head = "".join(words[:-1])
        for form in last:  # starwars, ice-creams, AK47
            sized = bool(_SIZED.fullmatch(head + form))
            if len(head + form) >= (5, 3, 2)[hyphen + sized]:
                self.single.setdefault(head + form, entry)

    def _forms(self, word, entry):
        shown = {"", self.tongue, *endings.written(entry[1], word)} if word.isalpha() and word[:1] < "\u0590" else ()
        return forms(word).union(*(endings.forms(word, tongue) for tongue in shown))

    def _spoken(self, text):
        """The same for each language that a text is in."""
        for tongue in endings.spoken(text) if not self.tongue else ():
            if tongue not in self.others:
                self.others[tongue] = Watch(self.concepts, tongue)
            yield self.others[tongue]

    def find(self, text: str) -> list[Hit]:
        """Every place where a concept stands, in order, without overlaps. Places refer to ``text`` in Unicode form NFC."""
        text = unicodedata.normalize("NFC", text)
        folded, places = fold(text)
        matches = [*self._plain(folded), *self._flags(text, places)]
        matches += [match for other in self._spoken(text) for match in other._plain(folded)]
        if HUMP.search(text):
            names = [match.span() for match in FILE.finditer(text)]
            matches += self._read(folded, humps(text, folded, places, names))
        for revealed, at in unhidden(folded):
            matches += [
                (entry, at[start], at[stop - 1] + 1)
                for entry, start, stop in self._plain(revealed)
                if at[stop - 1] + 1 - at[start] > stop - start
            ]
        harmless = innocent_places(folded) if matches else ()
        hits, end = [], -1
        for entry, start, stop in sorted(matches, key=lambda hit: (hit[1], -hit[2])):
            if start < end or any(first <= start and stop <= last for first, last in harmless):
                continue
            first, last = places[start], places[stop - 1] + 1
            if self._meant(entry, text, first, last, folded[start:stop]):
                concept, phrase = entry
                hits.append(Hit(concept, phrase, first, last, text[first:last]))
                end = stop
        return hits

    def _meant(self, entry, text, first, last, folded):
        """Whether a word that is found is the concept's, by what folding takes away: capitals, signs and accents."""
        if entry[1].isupper() and folded in STOP_WORDS and not text[first:last].isupper():
            return False  # it and us are not IT and US
        sign = self.signs.get(entry)
        if sign and not (text.startswith(sign, last) or text.endswith(sign, 0, first)):
            return False  # 18+
        if foreign(folded, text, first, last):
            return False  # die Katze
        word, accents = text[first:last].casefold(), self.accents.get(entry, ())
        if accents and not folded.startswith(fold(entry[1])[0]):
            return True  # Vogel for vögel, yeux for œil: no letter is left out
        return all(char in word or char in _DIGRAPHS and _DIGRAPHS[char] in word for char in accents)

    def _plain(self, folded):
        """(entry, start, end) of what is found in a folded text, prompt syntax within words left aside."""
        words = tokens(folded)
        matches = [*self._read(folded, words), *self._run(folded)]
        if _LONG.search(folded):
            matches += self._run(_LONG.sub("ー", folded))
        if DOTTED.search(folded):
            matches += self._read(folded, undotted(folded, words))
        matches += self._starred(folded)
        if (latin := disguised(folded)) != folded:
            matches += self._read(latin, tokens(latin))
        if _LEET_MARK.search(folded):
            quiet = _SHOUT.sub(lambda match: " " * len(match[0]), folded)
            for digit_one in "il":
                decoded = quiet.translate({**_LEET, ord("1"): digit_one})
                matches += [
                    hit
                    for hit in self._read(decoded, tokens(decoded), folded)
                    if decoded[hit[1] : hit[2]] != (part := folded[hit[1] : hit[2]])
                    and (sum(map(str.isalpha, part)) >= 2 or "$" in part)
                    and not _UNIT.fullmatch(part)
                ]
        return matches

    def _starred(self, folded):
        """Words with stars for letters: p*rn."""
        for match in _STARRED.finditer(folded):
            letters = re.compile(re.sub(r"[\W_]", r"[^\\W\\d_]", match[0]))
            for form, entry in self.single.items():
                if letters.fullmatch(form):
                    yield entry, match.start(), match.end()
                    break

    def _read(self, folded, words, original=None):
        """(entry, start, end) of what is found word by word."""
        letters = []
        for place, token in enumerate(words):
            word, start, end = token.word, token.start, token.end
            entry = self.single.get(word)
            if entry is None and _STRETCHED.search(word):
                twice = _STRETCHED.sub(r"\1\1", word)
                entry = self.single.get(twice) or (
                    None if twice in _TWICE else self.single.get(_STRETCHED.sub(r"\1", word))
                )
            if entry is None and len(word) > 3:
                entry = self._slurred(word, folded[end : end + 2])
            entry = entry or endings.head(word, self.tongue, self.single)
            if entry is None and len(word) == 1 and ord(word) > 0x2000:
                entry = self._emoji(word)
            if entry:
                yield entry, start, end
            for rest, entry in self.several.get(word, ()):
                stop = follow(folded, words, place + 1, rest)
                if stop:
                    yield entry, start, words[stop - 1].end
            before = words[place - 1] if place and folded[start - 1] == " " else None
            if before and before.end == start - 1 and apart(before.word, word):
                if entry := self.single.get(before.word + word):
                    yield entry, before.start, end
            yield from self._compound(folded, words, place)
            if len(word) == 1 and word.isalnum() and ord(word) < 0x2000:
                if letters and 1 <= start - letters[-1].end <= 3 and letters[-1] is words[place - 1]:
                    letters.append(token)
                else:
                    yield from self._spelled(letters)
                    letters = [token]
        yield from self._spelled(letters)

    def _slurred(self, word, after):
        """What a word is found as that is written as it is spoken, or has a number at its end: gunz, smokin', cat2."""
        if word[0].isdigit() or word[-1].isdigit():
            return self.single.get(word.strip("0123456789"))
        if word[-1] == "z" and word not in _WITH_Z:
            return self.single.get(word[:-1] + "s")
        dropped = word.endswith("in") and after[:1] in ("'", "’") and not after[1:].isalpha()
        return self.single.get(word + "g") if dropped or word in _IN else None

    def _compound(self, folded, words, place):
        """Parts joined by a hyphen, dot or the like, read as one word: ca-t, fire-arm, kni.fe."""
        compound = words[place].word
        for other in range(place + 1, min(place + 6, len(words))):
            if not _JOINT.fullmatch(folded, words[other - 1].end, words[other].start):
                return
            short = _CONTRACTION.match(folded, words[other - 1].start)
            if short and short.end() == words[other].end:
                return  # he'll
            compound += words[other].word
            entry = self.single.get(compound) if len(compound) > 2 or _SIZED.fullmatch(compound) else None
            if entry:
                yield entry, words[place].start, words[other].end

    def _spelled(self, letters):
        """Letters that stand alone, read as words: c a t, k-n-i-f-e, U.S.A."""
        if len(letters) < 3:
            return
        run = "".join(token.word for token in letters)
        for form, entry in self.single.items():
            start = run.find(form) if len(form) > 2 else -1
            while start >= 0:
                yield entry, letters[start].start, letters[start + len(form) - 1].end
                start = run.find(form, start + len(form))

    def _emoji(self, sign):
        for word in emoji_names(sign):
            if word not in _EMOJI_NOISE and word in self.single:
                return self.single[word]
        return None

    def _flags(self, text, places):
        """Flags, which folding reads as letters."""
        for match in _FLAG.finditer(text):
            entry = next(
                (self.single[name] for name in emoji_names(match[0].replace("\ufe0f", "")) if name in self.single), None
            )
            if entry:
                start = places.index(match.start())
                yield entry, start, start + 2

    def _run(self, folded):
        """Concepts in scripts without spaces, read across marks within a sentence: 武-器."""
        if not self.running or not UNSPACED.search(folded):
            return
        letters = [
            place
            for place, letter in enumerate(folded)
            if letter.isalnum() or unicodedata.category(letter)[0] in "ML" or _END.match(letter)
        ]
        text = "".join(folded[place] for place in letters)
        for word, entry, other_kana in self.running:
            start = text.find(word)
            while start >= 0:
                stop = start + len(word)
                if not (other_kana and in_word(text, start, stop)) and not spaced(folded, letters[start:stop]):
                    yield entry, letters[start], letters[stop - 1] + 1
                start = text.find(word, stop)

    def strip(self, text: str) -> str:
        """The text without any of the concepts: offending words out, the seams mended. The same text always gives the same."""
        text = unicodedata.normalize("NFC", text)
        while hits := self.find(text):
            text = without(text, places_of(text, hits))
        return text

    def surface(self, most: int = 200) -> tuple[str, ...]:
        """Words to be kept from being written: each phrase as it is given, then the forms of single words."""
        phrases = dict.fromkeys(
            phrase
            for _, phrase in [
                *self.single.values(),
                *(row[1] for rows in self.several.values() for row in rows),
                *(entry[1] for entry in self.running),
            ]
        )
        return tuple(dict.fromkeys([*phrases, *self.single]))[:most]


def places_of(text: str, hits: Sequence[Hit]) -> list[tuple[int, int]]:
    """(start, end) of what has to go with the hits: the whole of a file's name where a hit is in one."""
    names = [match.span() for match in FILE.finditer(text)]
    spans = {next((name for name in names if name[0] <= hit.start < name[1]), (hit.start, hit.end)) for hit in hits}
    return sorted(spans)


@lru_cache(1)
def _harmless():
    return re.compile("|".join(f"\\b(?:{phrase})\\b" for phrase in innocent()))


def innocent_places(folded: str) -> list[tuple[int, int]]:
    """(start, end) of words that their phrase makes something else: smoked, in smoked salmon."""
    return [
        match.span(number)
        for match in _harmless().finditer(folded)
        for number in range(1, (match.re.groups or 0) + 1)
        if match.start(number) >= 0
    ]


@lru_cache(32)
def _watch(key):
    return Watch(dict(key))


def watch(concepts: Mapping[str, Sequence[str]]) -> Watch:
    """A Watch for these concepts and synonyms; the last few are kept."""
    return _watch(tuple((concept, tuple(synonyms)) for concept, synonyms in concepts.items()))
