"""Letters as they are compared: folded, so that the same word in another dress is the same, with each letter's place in the text kept.

Case, accents, full-width and other styled letters, invisible characters, letters of another script that pass for Latin ones, simplified and
traditional Chinese characters, half-width kana; and what prompt syntax hides: ``ca/**/t``, ``c{a|a}t`` and ``c(a:1.2)t`` are drawn as cat.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from .patterns import Pattern

HAN = Path(__file__).with_name("han.txt")
EMOJI = Path(__file__).with_name("emoji.txt")

# Letters of other scripts that pass for Latin ones, within a word that has a Latin letter.
_LOOKS = dict(
    zip(
        "ьаеорсухіѕјкмтнвгпяишцчᴦɑɡαορτυνικεβωηχγμσδλօսհոցզռաեɩ₿₵€¥₦₩₭₮₱¢∂",
        "baeopcyxisjkmthbrnrnwuyragaoptuvikebwnxyusdlouhngqnaeibceynwktpcd",
    )
)
_LETTERS = {  # letters without a decomposition, whatever stands beside them
    **dict(
        zip(
            "øłđæœıŋðþᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
            "o l d ae oe i n d th a b c d e f g h i j k l m n o p r s t u v w y z".split(),
        )
    ),
    **dict(zip("ƒɓɗɠɦƙɱɲɳɾʂƭʈʋʐȥɨʉɵɐɒɔɛɟɥʍʎʞƿĸ", "fbdghkmnnrsttvzziuoaaoejhwykpk")),  # with hooks, or turned
    # Arabic as Persian and careless writers have it too, Hindi with and without its dots
    **dict(zip("أإآٱةىیکـ़ँ", ["ا", "ا", "ا", "ا", "ه", "ي", "ي", "ك", "", "", "ं"])),
    # syllables of Canada, the Cherokee and the Lisu, shaped like Latin capitals
    **dict(zip("ᗩᗷᑕᗪᕮᖴᘜᕼᒍᒪᗰᑎᑭᖇᔕᑌᐯᗯ᙭", "abcdefghjlmnprsuvwx")),
    **dict(zip("ꭺᏼꮯꭰꭼꮐꮋꭻꮶꮮꮇꮲꭱꮪꭲꮩꮃꮓ".casefold(), "abcdeghjklmprstvwz")),
    **dict(zip("ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ", "abcdefghijklmnoprstuvwxyz")),
}
_OTHER_WORD = Pattern("[\u0370-\u058f]{2,}")
_LATIN_WORD = Pattern("[a-z]{2,}")
_HALF_WIDTH = Pattern("[\uff66-\uff9d][\uff9e\uff9f]")
_OPEN = Pattern(r"\\(?=[(){}\[\]\\])|/\*.*?\*/|//[^\n]*|:\s*[-+]?\d*\.?\d+\s*(?=[)\]])|[(){}\[\]]", re.S)
_CHOICE = Pattern(r"\{([^{}]*)\}")
_WITHIN = Pattern(r"\w[({\[\\/]|[)}\]/]\w")
_KANA = Pattern("[\u3041-\u3096ー]"), Pattern("[\u30a1-\u30faー]")
_PARTICLES = frozenset("をがのはもでに")
MOST_CHOICES = 8  # alternatives of {a|b} that are read


@lru_cache(1)
def _han() -> dict[str, str]:
    """Character -> the one it is compared as. Read when the first Chinese character is met."""
    rows = [row for line in HAN.read_text(encoding="utf-8").splitlines() if line[:1] != "#" for row in line.split()]
    return {char: row[0] for row in rows for char in row[1:]}


@lru_cache(1)
def _emoji() -> dict[str, list[str]]:
    rows = [line.split(" ", 1) for line in EMOJI.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return {sign: [name.casefold() for name in names.split(", ")] for sign, names in rows}


@lru_cache(1024)
def emoji_names(sign: str) -> tuple[str, ...]:
    """What an emoji, or a flag's two, is called: its usual names, then Unicode's own, its neighbouring words, and its words; folded,
    the words of one name joined."""
    usual = ["".join(name.split()) for name in _emoji().get(sign, _emoji().get("🏳", ()) if len(sign) > 1 else ())]
    words = unicodedata.name(sign, "").lower().replace("-", " ").split() if len(sign) == 1 else []
    pairs = ["".join(words[at : at + many]) for many in (len(words), 3, 2) for at in range(len(words) - many + 1)]
    return (*usual, *(name for name in dict.fromkeys(pairs) if name not in words), *words)


@lru_cache(8192)
def _fold_letter(letter: str) -> str:
    if unicodedata.category(letter[0]) in ("Cf", "Cc", "Mn", "Me") and letter not in "\n\t\r":
        code = ord(letter)
        vowel_sign = 0x0900 <= code <= 0x1FFF and not 0x1AB0 <= code <= 0x1AFF or 0x3099 <= code <= 0x309A
        if not vowel_sign:
            return ""
    if letter in "йЙ":  # no и with an accent
        return "й"
    code = ord(letter[0])
    for start in (0x1F150, 0x1F170, 0x1F1E6):  # letters in discs and squares, regional indicators
        if start <= code < start + 26:
            return chr(code - start + ord("a"))
    plain = unicodedata.normalize("NFKC", letter).casefold()
    plain = "".join(char for char in unicodedata.normalize("NFD", plain) if not 0x300 <= ord(char) <= 0x36F)
    plain = "".join(_LETTERS.get(char, char) for char in unicodedata.normalize("NFC", plain))
    return "".join(_han().get(char, char) for char in plain) if 0x3400 <= ord(plain[:1] or "\0") else plain


def fold(text: str) -> tuple[str, Sequence[int]]:
    """The text as it is compared, and for each of its characters (and its end) the place in ``text``."""
    if text.isascii() and not any(ord(char) < 32 and char not in "\n\t\r" for char in set(text)):
        return text.lower(), range(len(text) + 1)
    pairs = {
        match.start() for match in _HALF_WIDTH.finditer(text)
    }  # a half-width kana and its voice mark are one letter
    folded, places = [], []
    for place, letter in enumerate(text):
        if place - 1 in pairs:
            continue
        for char in _fold_letter(text[place : place + 2] if place in pairs else letter):
            folded.append(char)
            places.append(place)
    folded, places = "".join(folded), [*places, len(text)]
    if not _LOOKS.keys().isdisjoint(folded):  # one Latin letter in a word: its look-alikes are meant as Latin
        folded = re.sub(
            r"(?:[^\W\d_]|[₿₵€¥₦₩₭₮₱¢∂])+",
            lambda word: (
                "".join(_LOOKS.get(char, char) for char in word[0]) if re.search("[a-z]", word[0]) else word[0]
            ),
            folded,
        )
    return folded, places


def disguised(folded: str) -> str:
    """A folded text that is mostly Latin, with words of another script that pass for Latin ones as these: ѕех."""
    if folded.isascii() or not (found := _OTHER_WORD.findall(folded)) or len(_LATIN_WORD.findall(folded)) < len(found):
        return folded

    def latin(word: re.Match[str]) -> str:
        return "".join(_LOOKS.get(char, char) for char in word[0])

    return _OTHER_WORD.sub(latin, folded)


def unhidden(folded: str) -> Iterator[tuple[str, Sequence[int]]]:
    """A folded text without the prompt syntax inside its words, as (text, places), once for each alternative of {a|b}; mostly never.

    Hosts and packs take comments, brackets, weights and choices away before they encode.
    """
    if not _WITHIN.search(folded):
        return
    widest = max((match[1].count("|") + 1 for match in _CHOICE.finditer(folded)), default=1)
    for number in range(min(widest, MOST_CHOICES)):
        kept = bytearray(b"\1" * len(folded))
        for match in _CHOICE.finditer(folded):
            start, options = match.start(1), match[1].split("|")
            for index, option in enumerate(options):
                if index != min(number, len(options) - 1):
                    kept[start : start + len(option)] = bytes(len(option))
                start += len(option) + 1
                if index < len(options) - 1:
                    kept[start - 1] = 0
        for match in _OPEN.finditer(folded):
            kept[match.start() : match.end()] = bytes(match.end() - match.start())
        places = [place for place, keep in enumerate(kept) if keep]
        yield "".join(folded[place] for place in places), [*places, len(folded)]


def scripts_of(word: str) -> list[str]:
    """A word of running text in the other kana as well: hiragana in katakana, katakana of three letters or more in hiragana."""
    spellings = [word]
    if word and all("\u3041" <= char <= "\u3096" or char == "ー" for char in word):
        spellings.append("".join(chr(ord(char) + 0x60) if char != "ー" else char for char in word))
    elif len(word) >= 3 and all("\u30a1" <= char <= "\u30f6" or char == "ー" for char in word):
        spellings.append("".join(chr(ord(char) - 0x60) if char != "ー" else char for char in word))
    return spellings


def in_word(text: str, start: int, stop: int) -> bool:
    """Whether what stands there is a part of a word in the same kana; a particle may follow it."""
    kana = next((kana for kana in _KANA if kana.match(text[start])), None)
    if not kana:
        return False
    return bool(
        start and kana.match(text[start - 1]) or kana.match(text[stop : stop + 1]) and text[stop] not in _PARTICLES
    )


def goes_on(folded: str, place: int, step: int, part: Sequence[int]) -> bool:
    """Whether the word of a part goes on beside it in the same script."""
    if place + step < 0 or any(after - before > 1 for before, after in zip(part, part[1:])):
        return False
    beside = folded[place + step : place + step + 1]
    return (
        beside.isalpha()
        and beside > "\u0e00"
        and all(bool(kana.match(beside)) == bool(kana.match(folded[place])) for kana in _KANA)
    )
