"""A word's inflections in other languages: Waffe, Waffen; mujer, mujeres; desnudo, desnudas; couteau, couteaux.

Made of any concept they would meet other words (corn, corner). So they count where the word itself shows its language by a letter, or the
text by its small words, more of them than of English. Which endings: ``endings.txt``. Arabic, Hebrew, Hindi, Korean and Japanese are told
by their script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from .letters import fold
from .patterns import Pattern

ENDINGS = Path(__file__).with_name("endings.txt")
_ENGLISH = frozenset("the a an of and with is are at his her from".split())
_WORDS = Pattern(r"[^\W\d_]+")
_CONSONANT = Pattern(r"[^\W\d_aeiouy]$")
_SHORTEST = 3  # letters of a stem
_LONGEST_SHARED = 4  # letters of words that mostly are words of several languages: war, hell, rat
# English words that the endings of every language would make of others.
_OTHER = frozenset(
    """even given taken driven ridden haven raven coven token broken woken spoken chosen frozen stolen woven proven shaken hasten chasten
    whiten liven loosen coarsen ripen widen linen oven warden garden siren heaven heave rave line have eve cove garde chicke swollen
    barren golden wooden handler wrestler whistler prowler butler antler bowler pillar blute bluten poplar women weren
    pomegranate pomegranates zeitgeist""".split()
)


_ARABIC = "\u0621", "\u064a"
_ARABIC_FRONT = "ال وال بال كال فال لل و ب ل ف ك وب ول".split()
_ARABIC_BACK = "ات ين ون ان ا ه ها هم هاي هايي".split()
# Plurals that change a word's inside.
_BROKEN = """سلاح اسلحه
سكين سكاكين
دم دماء
طفل اطفال
كلب كلاب
قنبله قنابل
خمر خمور
رجل رجال
امراه نساء مراه
ولد اولاد
بنت بنات
قط قطط
سيف سيوف
بندقيه بنادق
جثه جثث
حرب حروب
جندي جنود
شيطان شياطين
راس رؤوس
علم اعلام
صليب صلبان
سيجاره سجاير سجائر
رصاصه رصاص
ثعبان ثعابين
عنكبوت عناكب
خنزير خنازير
جمجمه جماجم
هيكل هياكل
عاري عار عاريه عراه عري
كتاب كتب
حصان احصنه خيول
قتل قاتل قتله مقتول""".splitlines()
_HEBREW = "\u05d0", "\u05ea"
_HEBREW_FRONT = "ה ב ל ו מ ש כ וה שה מה וב ול וש כש ומ".split()
_INNER = str.maketrans("ךםןףץ", "כמנפצ")  # letters as they are within a word
_HINDI = "\u0904", "\u0939"
_HANGUL = "가", "힣"
_PARTICLES = (
    "이 가 은 는 을 를 와 과 의 에 도 들 로 으로 에서 에게 만 께 한테 처럼 보다 까지 부터 랑 이랑 하고 들이 들은 들을 들의 들과 들로 "
    "들도 들에게 이다 입니다 인 이며 이고 였다 이었다 에게서 에는 에도 이나 조차 마저 밖에 만이 으로서 으로써 로서 로써 같은"
).split()
# Kinds of it that are written as one word with it, and what stands behind a noun of two syllables or more.
_KOREAN_KINDS = {
    "총": "권총 소총 기관총 저격총 엽총 산탄총 장총 총기 총격".split(),
    "칼": "식칼 부엌칼 회칼 칼날".split(),
    "검": "장검 단검".split(),
    "피": "핏자국 피투성이".split(),
    "술": "술병 술잔".split(),
}
_KOREAN_BACK = "하는 하고 하며 하여 하던 했다 했던 합니다 해 당한 당하는 적인 자 범 터 모델 사진 장면".split()
_KOREAN_OTHER = ("물고기", "흰자위", "노른자위", "전성기")  # fish is no meat
_ROWS = dict(
    zip(
        "うくぐすつぬぶむる",
        "わいえおっ かきけこい がぎげごい さしせそし たちてとっ なにねのん ばびべぼん まみめもん らりれろっ".split(),
    )
)


@dataclass
class _Tongue:
    words: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    letters: str = ""
    heads: bool = False
    fronts: set[str] = field(default_factory=set)
    none: tuple[str, ...] = ()
    rules: list[tuple[str, list[str]]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)


@cache
def _tongues() -> dict[str, _Tongue]:
    found: dict[str, _Tongue] = {}
    tongue = _Tongue()
    for line in ENDINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            tongue = found.setdefault(line.strip("[]"), _Tongue())
        elif line.startswith("words: "):
            tongue.words.update(line.split()[1:])
        elif line.startswith("own: "):
            tongue.own.update(line.split()[1:])
        elif line.startswith("heads: "):
            tongue.heads = True
        elif line.startswith("fronts: "):
            tongue.fronts.update(line.split()[1:])
        elif line.startswith("none: "):
            tongue.none = tuple(line.split()[1:])
        elif line.startswith("letters: "):
            tongue.letters += line.split()[1]
        elif line.startswith("= "):
            words = line.split()[1:]
            tongue.groups.update((word, [*tongue.groups.get(word, ()), *words]) for word in words)
        elif " > " in line and not line.startswith("#"):
            old, new = line.split(" > ")
            tongue.rules.append((old, new.split()))
    return found


def spoken(text: str) -> tuple[str, ...]:
    """The languages that a text, not folded, shows by its small words and letters."""
    words = set(_WORDS.findall(text.casefold()))
    english = len(words & _ENGLISH)
    return tuple(
        name
        for name, tongue in _tongues().items()
        if len(words & tongue.words) + any(letter in text for letter in tongue.letters) > english
    )


def written(phrase: str, folded: str) -> tuple[str, ...]:
    """The languages whose letters a phrase has, or of which alone its word is."""
    letters = set(phrase.casefold())
    return tuple(name for name, one in _tongues().items() if letters.intersection(one.letters) or folded in one.own)


def head(word: str, name: str, singles: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """What a part of a folded compound is found as, in languages that write compounds as one word: Schusswaffe, Bierflasche, 핵무기.

    ``name``: the language of the text; without it, of such words as show theirs.
    """
    if _within(word, _HANGUL):
        ends = (singles.get(word[at:]) for at in range(1, len(word) - 1) if not word.startswith(_KOREAN_OTHER))
        return next((found for found in ends if found and len(found[1]) > 1), None)
    if word in _OTHER or len(word) < 8:
        return None
    for at in range(3, len(word) - 4):
        found = singles.get(word[at:])
        if found and any(_tongues()[one].heads for one in ([name] if name else written(found[1], fold(found[1])[0]))):
            return found
    tongue = _tongues().get(name)
    if tongue and tongue.fronts and not word.startswith(tongue.none):
        fronts = ((singles.get(word[:at]), word[:at]) for at in range(4, len(word) - 3))
        return next((found for found, part in fronts if found and tongue.fronts & {part, part[:-1]}), None)
    return None


@lru_cache(8192)
def forms(word: str, name: str = "") -> frozenset[str]:
    """What a folded word may be inflected to in a language; without its name, only what is no word of English."""
    if not name:
        return frozenset(_everywhere(word)) - _OTHER
    tongue, found = _tongues()[name], set()
    sure = len(word) > _LONGEST_SHARED or word in tongue.own or not word.isascii()
    for old, new in tongue.rules if sure else ():
        if old == "*" or old == "C" and _CONSONANT.search(word):
            found.update(word + one[1:] for one in new if len(word) >= _SHORTEST)
        elif word.endswith(old) and len(word) - len(old) >= (_SHORTEST if len(old) < 3 and word[0] < "α" else 2):
            found.update(word[: len(word) - len(old)] + one.strip("-") for one in new)
    found.update(tongue.groups.get(word, ()))
    return frozenset(one for one in found - _OTHER if len(one) > 4 or one not in tongue.words)


def _everywhere(word: str) -> set[str]:
    """Endings that English has not: Waffe and Waffen, couteau and couteaux, silah and silahlar."""
    found = set()
    if len(word) > 3 and word.isalpha() and word.isascii():
        if word.endswith("e"):
            found.add(word + "n")
        if word.endswith("ion"):
            found.add(word + "en")
        if word.endswith("en") and len(word) > 4:
            found.add(word[:-1])
        for old, new in (("eau", "eaux"), ("eaux", "eau"), ("al", "aux"), ("aux", "al")):
            found.update([word[: -len(old)] + new] if word.endswith(old) else ())
        found.update(word + ending for ending in ("lar", "ler", "lari", "leri"))
    return found


def _within(word: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= word[:1] <= ends[1]


def scripted(word: str) -> frozenset[str] | None:
    """The forms of a folded word in one of these scripts, itself included; None for other scripts."""
    if _within(word, _HANGUL):
        backs = [*_PARTICLES, *(_KOREAN_BACK if len(word) > 1 else ())]
        return frozenset([word, *(one + back for one in (word, *_KOREAN_KINDS.get(word, ())) for back in ("", *backs))])
    if _within(word, _ARABIC):
        return _arabic(word)
    if _within(word, _HEBREW):
        return _hebrew(word)
    return _hindi(word) if _within(word, _HINDI) else None


@cache
def _broken() -> dict[str, list[str]]:
    rows: list[list[str]] = [[*row.split()] for row in _BROKEN]
    return {word: row for row in rows for word in row}


def _arabic(word: str) -> frozenset[str]:
    bare = word[2:] if word.startswith("ال") and len(word) > 4 else word
    found = {bare, *_broken().get(bare, ())}
    if len(bare) > 2:
        found.update(one + back for one in tuple(found) for back in _ARABIC_BACK)
    if bare.endswith("ه") and len(bare) > 3:
        found.update(bare[:-1] + back for back in ("ات", "ت", "تان", "تين"))
    if bare.endswith("ات") and len(bare) > 4:
        found.update((bare[:-2], bare[:-2] + "ه"))
    return frozenset([word, *found, *(front + one for front in _ARABIC_FRONT for one in found)])


def _hebrew(word: str) -> frozenset[str]:
    found = {word}
    if len(word) > 2:
        stem = (word[:-1] if word.endswith("ה") else word).translate(_INNER)
        found |= (
            {stem + "ים", stem + "ות", stem + "ת"} if word.endswith("ה") else {stem + "ים", stem + "ות", stem + "י"}
        )
        if word.endswith(("ים", "ות")) and len(word) > 4:
            last = {inner: chr(final) for final, inner in zip(map(ord, "ךםןףץ"), "כמנפצ")}
            cut = word[:-2]
            found |= {cut, cut[:-1] + last.get(cut[-1], cut[-1]), cut + "ה"}
        found |= {front + one for front in _HEBREW_FRONT for one in tuple(found)}
    return frozenset(found)


def _hindi(word: str) -> frozenset[str]:
    found = {word, *(word + back for back in ("ें", "ों", "ओं", "एं"))}
    for last, backs in (("ा", "े ों"), ("ी", "ियां ियों"), ("ू", "ुओं ुएं"), ("ें", "- ों"), ("े", "ा ों"), ("ों", "- ा")):
        if word.endswith(last) and len(word) > len(last) + 1:
            found.update(word[: -len(last)] + back.strip("-") for back in backs.split())
    return frozenset(found)


def japanese(word: str) -> list[str]:
    """The stems of a Japanese verb or adjective that begins with a Chinese character: 殺す, 殺し; 赤い, 赤く."""
    if not re.fullmatch(r"[\u4e00-\u9fff]+[\u3041-\u3096]*[うくぐすつぬぶむるい]", word):
        return []
    stem = word[:-1]
    if word.endswith("い"):
        return [stem + end for end in ("く", "かっ", "さ")]
    before = (
        [stem] if word.endswith("る") and len(stem) > 1 and stem[-1] in "べめせてけれえげでねじみぎきいしび" else []
    )
    return [*before, *(stem + end for end in _ROWS[word[-1]])]
