"""What a person means by one line of a list of concepts: ``1. no weapons (guns, knives) # note`` names weapons, guns and knives.

A list that a person would read as *weapons* must never let "weapons" pass, so what is written around a concept is read away (numbers,
weights, negations, "of any kind"), and what may be one concept or two is refused with both spellings. Quotes make one concept of
anything.
"""

from __future__ import annotations

import re
import unicodedata

from ..words.forms import is_plural
from ..words.patterns import Pattern
from . import fillers, frames, languages
from .fillers import trimmed

LONGEST = 400  # characters of one entry
# A note begins with #, also behind a concept; not in C# or F#.
_NOTE = Pattern(r"(?<!\b\w)#.*|/\*.*?\*/|<!--.*?-->")
_NUMBERED = Pattern(  # no note: #1 weapons, rule #1: weapons
    r"(?:^|(?<=[,;]))\s*(?:(?:rule|item|number|point|entry|step|section|topic|concept)\s+)?#\d{1,3}[.):]?\s+(?=\w)",
    re.I,
)
_REGEX = Pattern(
    r"(?:^|(?<=[\s,]))/(\w[^/,]*)/[gimsu]*(?=\s*(?:,|$))|(?<!\w)\\[bB](?=\w)|(?<=\w)\\[bB](?!\w)|(?<=\{)\d+(?:-\d+)?\$\$"
)  # /word/i, \bword\b; {2$$a|b}
_NUMBERED_ON = Pattern(r"(?<=\w)\s+#\d{1,3}[.):]?\s+(?=\w)")  # #1 weapons #2 blood
_TAG = Pattern(r"</?(?:br|li|ul|ol|p|b|i|strong|em)\s*/?>", re.I)
_FILE = Pattern(r"<\s*(?:lora|lyco|lycoris|hypernet)\s*:([^:<>]*)[^<>]*>|\b(?:embedding|ti|lora)\s*:\s*", re.I)
_VERSION = Pattern(r"[-_ ]v?\d+(?:\.\d+)*$")
_ENDED = Pattern(
    r"(?:\b(?:models|embeddings|loras?)[/\\])?\b(\w[\w-]*?)(?:[-_]v?\d+)?\.(?:safetensors|ckpt|pth?|gguf|bin|png|jpe?g|webp|gif)\b",
    re.I,
)
_EMBEDDING = Pattern(r"\bembedding:[^\s,;|:(){}]+", re.I)
_ASIDE = Pattern("\ue000(\\d+)\ue000")
_HARD = Pattern(
    r"[,;|\t()\[\]{}<>\\=，、；｜。．｡،؛।•‧・（）【】［］｛｝《》〈〉]|\s[-–—~+/&]*[–—~+/][-–—~+/&]*\s|\s-+\s|\s(?:--|[-!+~])(?=[^\W\d])|\s(?:[%$@^~*»›]+|&&+)\s|//"
    r"|[!?！？]+(?=\s|$)|(?<=[^\W\d_]{3})[\^~](?=[^\W\d_]{3})|[●■¦‖∣∙⁄∕‚⸴]|(?<=\S)\s{3,}(?=\S)|(?:^|\s)…+|…+(?=\s|$)|\s(?:\.{2,}"
    r"|_+)(?=\s|$)"
    # Any lone mark between two words, but arrows, & and quotes.
    r"|(?:^|\s)[\u00b7\u2010-\u2017\u2020-\u2027\u2030-\u205e\u2200-\u22ff"
    r"\u23ae\u23d0\u25a0-\u25ff\u2e00-\u2e7f\u2f00\u3001-\u303f\u104a\ufe10-\ufe6f\uff61-\uff65]+\s"
    r"|(?<=[^\W\d_]{3})(?:[+-]{2,}|[*†‡]+)(?=\s)|(?<=[\u3040-\u30ff\u3400-\u9fff])\.{2,}(?=\w)|(?<=[\u3040-\u30ff])·(?=[\u3040-\u30ff])"
)
# Between two words of three letters or more: guns/knives, and not AC/DC.
_TIGHT = Pattern(
    r"(?<=[^\W\d_]{3})(?:[/+&!—―]|\.+|…+)(?=[^\W\d_]{3})|·(?=\s)|(?<=[a-zA-Z]{3})(?<!l)·(?=[a-zA-Z]{3})"
    r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])[/+&](?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
)
_STOP = Pattern(r"(?<![.\s])\.+(?=\s|$)")
_ABBREVIATIONS = frozenset("mr mrs ms dr st jr sr vs prof gen lt col sgt capt mt ft inc co no incl excl".split())
_WEIGHT = Pattern(r"\s*[:：]\s*[-+]?\d*[.,]?\d+\s*%?$")
# Without a colon too: weapons 0.8, weapons x1.5, 1.2*weapons, weapons 100%.
_FACTOR = Pattern(
    r"(?<=\w)\s+(?:[x×*]\s?\d(?:\.\d+)?|[012]?\.\d+|\d+\s*%)$|^(?:[012]\.\d+\s*[*x]?\s+|[012]\.\d+\s*\*|\d\s*\*|\d\s*x\s+"
    r"|100\s*%\s+)\s*(?!(?:[mck]?m|k?g|m?l|inch|ft)\b)(?=[^\W\d])"
)
_BARE = Pattern(r"^[-*•+]\s+(?=['\"])")  # before a quoted word
_QUOTED_NO = Pattern(
    r"^\s*[Nn]o\s+(?!one\b|man['’]?s\b|way\b)([a-z]\w*(?:\s[a-z]\w+)?)\s*$"
)  # "no weapons" is no title
_INNER = Pattern(r"^\s*'([^']*)'\s*$")
_UNDERSCORE = Pattern(r"(?<=[^\W_])_+(?=[^\W_])")
_COLON = Pattern(r"[:：](?!\d)")
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’", "«": "»", "「": "」", "『": "』", "`": "`"}
_MARKS = "".join({*_QUOTES, *_QUOTES.values()} - {"'", "’"})
_WORDS_BETWEEN = Pattern(
    r"\s+(?:(?:and|or)\s+)?(?:then|even|especially|particularly|in\s+particular|mostly|mainly|also(?:\s+known\s+as)?)\s+(?=\w)"
    r"|\s+(?:along\s+with|together\s+with|in\s+addition\s+to|besides|as\s?well\s+as)\s+(?=\w)"
    r"|\s+(?:AND|BREAK|ADD(?:COMM|ROW|COL|BASE)|OR|alongside|or|oder|или|und|et|и|y|ou|및|또는|혹은|और|या|such\s+as|including"
    r"|especially|namely|viz\.?|resp\.?|as\s+well\s+as|esp\.?"
    r"|(?:and|or|but)\s+also|or\s+else|"
    r"e\.?\s?g\.?|i\.?\s?e\.?|for\s+example|for\s+instance|a\.?k\.?a\.?)(?:\s+|$)"
    r"|\s+(?:plus|versus|vs\.?|nor|then|known\s+as|particularly|incl\.?|sowie|noch|ni|ve|veya|och|eller|og|és|lub|oraz|nebo|și|và"
    r"|hoặc|atau|καὶ|και|ή)\s+(?=\w)"
    r"|(?<=[a-zA-Z])[和与與及或](?=[a-zA-Z])|或者|以及|还有|還有|または|もしくは|および|及び|(?<=[가-힣]{2})[와과]\s+(?=[가-힣])"
    r"|(?<=[\u30a0-\u30ff\u4e00-\u9fff])[とや](?=[\u30a0-\u30ff\u4e00-\u9fff])"
)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_GAP = Pattern(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])|(?<=[\u0e00-\u0e7f])\s+(?=[\u0e00-\u0e7f])")
_AND = Pattern(r"\s+(?:and|&|＆)\s+", re.I)
_UNSURE = Pattern(
    rf"(?<=[{_CJK}])(?:(?<![温溫暖缓緩柔饱飽平共谦])和(?![平服谐諧尚])|(?<![参參])[与與]|(?<![埃涉普危触以])及|[或·])(?=[{_CJK}])"
    rf"|(?<=[{_CJK}])(?<![高鞋脚腳低平细細])跟(?![鞋踪蹤随隨拍班着著])(?=[{_CJK}])"
    # Arabic writes "and" on the next word, and other words begin with its letter: face, rose, monster.
    r"|(?<=[\u0621-\u064a])\s+و(?!جه|جوه|رد|رود|شم|حش|لد|يسك|سيم|اقع|اد|ثن|طن|زير|سط)(?=[\u0621-\u064a]{2})"
    # Chinese: "and other" or "equal", and other words end or begin with it. Hebrew and Korean write "and" on the word.
    rf"|(?<=[{_CJK}]{{2}})(?<![高平中初上下优優同特头頭何均])等(?![待于於级級离離候腰边邊温类類])(?=[{_CJK}]{{2}})"
    r"|(?<=[\u05d0-\u05ea])\s+ו(?!רד|יל|יד|יס|וד|יק|יר|תיק|טר|אג|ו|נצ|י)(?=[\u05d0-\u05ea]{2})"
    r"|(?<=^[가-힣])(?:(?<![사효결교통초성치안내외학문이전모])과|(?<!기)와)\s+(?=[가-힣])"
    r"|^(?:anti|non)[-\s](?=\w+[^suic]s$)"
    r"|(?<=[^\W\d_]{3})–(?=[^\W\d_]{3})|(?<=\w)\s+(?:[eoi]|like|wie|como|comme|как)\s+(?=\w)"
    r"|^(?:(?:we|i|please)\s+)?(?:(?:block|prevent|filter(?!\s+coffee))(?:s|ing)?|sin|hide(?!\s+and\b)|skip|stop(?!\s+(?:signs?"
    r"|motion)\b)"
    r"|ignore|refuse|protect(?:\s+\w+)?\s+from)\s+(?=\w)|(?<=\w)[\s-]free$"
    r"|(?<=\w)(?<!\bwith)(?<!\bmit)\s+(?:no|keine?[nmrs]?)\s+(?=[a-zäöüA-ZÄÖÜ]\w)"
)
_EXCEPT = Pattern(
    r"\b(?:except|but\s+not|other\s+than|unless|apart\s+from|only\s+if)\b|\w\s+(?:not|minus|excl\.?|excluding)\s+\w",
    re.I,
)
_ASIDE_EXCEPT = Pattern(
    r"\w\s*[(\[]\s*(?:not(?!\s+(?:safe|allowed|permitted|ok|okay|wanted)\b)|but\s+not|no|without|except\w*|excl\w*\.?)\s+\w",
    re.I,
)
# allowed: flowers
_ALLOWED = Pattern(
    r"(?:^|[,;{])\W*(?:allowed|permitted|allow(?:list)?|whitelist|okay|erlaubt|autorisée?s?|permitid[oa]s?|разрешено|允许|許可)[\"']?\s*[:：=]\s*\S"
    r"|^\W*(?:please\s+)?(?:only\s+)?(?:allow|permit)s?\s+(?!no\b|list)\w|\bbut\s+(?!also\b|not\b)[^,;]*\b(?:are|is)\s+(?:ok"
    r"|okay|fine|allowed|permitted|good)\b",
    re.I,
)
_EXPRESSION = Pattern(r"\w\[[^\W_]{2,}\]\w|\(\?[:=!<a-z]|\\[wdsWDS](?![A-Za-z])")  # gu[nm]s, (?i)gun
# f*ck, s***; not guns*0.5 and **bold**
_STARRED = Pattern(
    r"(?<![\w*])[^\W\d_]+\*+[^\W\d_]{1,2}(?![\w*])|(?<![\w*])[^\W\d_]{1,2}\*+[^\W\d_]+(?![\w*])|(?<![\w*])[^\W\d_]{1,2}\*{2,}(?![\w*])"
)
# The same in other languages.
_EXCEPT_ABROAD = Pattern(
    r"[\w)][\s,(]+(?:außer|ausser|ausgenommen|bis\s+auf|mit\s+ausnahme|aber\s+(?:keine?|nicht)|sauf|excepté|hormis|mais\s+pas"
    r"|à\s+l['’]exception"
    r"|excepto|pero\s+no|a\s+excepción|exceto|mas\s+não|com\s+exceção|tranne|eccetto|ma\s+non|кроме|за\s+исключением|но\s+не"
    r"|oprócz|ale\s+nie"
    r"|kromě|behalve|maar\s+geen|utom|förutom|men\s+inte)\s+\w|除了\w|\w以外|\w(?:不包括|を除[くき])|[(（][^()（）]*\w除外|제외하고",
    re.I,
)
# flowers are fine
_FINE = Pattern(r"\w\s+(?:(?:is|are)\s+)?(?:ok|okay|fine|allowed|permitted)[.!]*$", re.I)
# weapons, not toys; but: not weapons, not blood
_THEN_NOT = Pattern(r"(?:[,;/|]|\s[-–—])\s*not\s+(?!safe\b|allowed\b|permitted\b|ok\b|suitable\b)\w", re.I)
_NEGATION = Pattern(r"\b(?:no|not|non|without|never|none|nothing|nobody|neither|nor|\w+n['’]t)\b", re.I)
# no guns no knives
_AGAIN = Pattern(
    r"(?<!\S)(no|not|never|without|any|all|avoid|ban|keine?[nmrs]?|ohne|sans|pas|sem|senza|без|geen|zonder|ingen|inga|bez)"
    r"\s\S.*?\s\1\s\S",
    re.I,
)
_SHARED = Pattern(r"^(\w.*\s(?:against|towards?)|cruelty\s+to)\s+(\w.*?)\s+(?:and|or|&)\s+(\w.*)$", re.I)
# Several concepts with nothing between them: guns knives blood
_MASS = frozenset(
    "blood gore guts nudity alcohol violence tobacco porn horror hate racism sexism vandalism suicide torture".split()
)
_THINGS = _MASS | frozenset(
    """guns weapons knives swords drugs bombs cigarettes beers skulls spiders snakes zombies clowns ghosts demons devils witches monsters
    nudes rifles pistols grenades vampires""".split()
)
_REPLACED = Pattern(r"^\W*(?:replace|swap|exchange|substitute)\s+\w.*\s(?:with|by|for|to)\s+\w", re.I)
_BULLET = Pattern(r"^\s*(?:[-–—=]+>|[→⇒➔➜➡]\ufe0f?)\s*(?=\w)")  # nothing on its left: no replacement
_ARROW = Pattern(r"->|=>|[→⇒➔➜\u21a6\u21d2\u27f6\u27f9\u279d-\u27be]|–>|—>|-＞")


def bare(line: str) -> str:
    """A line without its notes: what follows #, and comments of other languages."""
    if _NUMBERED.match(line):
        line = _NUMBERED_ON.sub(", ", _NUMBERED.sub("", line))
    return _NOTE.sub("", _NUMBERED.sub("", line)).strip()


def read(line: str, name: str, embeddings: bool = False) -> list[str]:
    """The concepts that a line of a list names, in order. ``name``: the input that the line is from, for errors.

    ``embeddings``: ``embedding:NAME`` stays what it is, for those who encode the concept; else it is the word NAME.
    Raises ValueError, with the spelling that is understood, for a line that may mean two things.
    """
    line, files = _BULLET.sub("", bare(fillers.plain(line))), []
    if embeddings:  # a file's name may hold any mark: it stands aside while the rest is read
        line = _EMBEDDING.sub(lambda match: files.append(match[0]) or f"\ue000{len(files) - 1}\ue000", line)
    if _ARROW.search(line):
        raise ValueError(
            f"{name}: {line[:80]!r} has an arrow, but this is a list of what must not appear, not of replacements. Write the left "
            "side alone here; Rewriter: Rules takes the whole line."
        )
    if _REPLACED.search(line):
        raise ValueError(
            f"{name}: {line[:80]!r} reads like a replacement. Name what must not appear alone; where a node takes replacements, write "
            "what must go, ->, and what takes its place, such as: cat -> dog"
        )
    then_not = _THEN_NOT.search(line)
    if (
        _ALLOWED.search(line)
        or _ASIDE_EXCEPT.search(line)
        or _EXCEPT_ABROAD.search(line)
        or then_not
        and not _NEGATION.search(line[: then_not.start()])
    ):
        raise ValueError(_exception(line, name))
    if _EXPRESSION.search(line):
        raise ValueError(
            f"{name}: {line[:80]!r} looks like a regular expression. Write the words themselves: their forms are found as well."
        )
    if starred := _STARRED.search(line):
        raise ValueError(
            f"{name}: {starred[0]!r} has stars for letters, and no text would be met. Write the word in full."
        )
    line = _ENDED.sub(
        r"\1", _FILE.sub(lambda match: _VERSION.sub("", match[1] or ""), _TAG.sub(",", _REGEX.sub(r"\1", line)))
    )
    line = fillers.unmarked(line)
    concepts = []
    for part in _HARD.sub("\n", _dotted(line)).split("\n"):
        if not part.strip():
            continue
        part = _BARE.sub("", _FACTOR.sub("", _WEIGHT.sub("", part.strip())))
        if len(part) > 2 and _QUOTES.get(part[0]) == part[-1] and part[-1] not in part[1:-1]:
            concepts.append(" ".join(_QUOTED_NO.sub(r"\1", part[1:-1]).split()))
            continue
        if len(part) > LONGEST:
            raise ValueError(
                f"{name}: an entry has {len(part)} characters ({part[:40]!r} ...), more than {LONGEST}: separate the concepts by commas."
            )
        part = _UNDERSCORE.sub(" ", part.translate(dict.fromkeys(map(ord, _MARKS))))
        concepts += [
            concept for piece in _COLON.split(part) for concept in _pieces(_INNER.sub(r"\1", piece), name, line)
        ]
    concepts = fillers.meant([concept for concept in concepts if _says(concept)], line)
    return [_ASIDE.sub(lambda match: files[int(match[1])], concept) for concept in concepts]


def _says(concept: str) -> bool:
    """Whether there is a letter, a number or a picture in it."""
    return concept.casefold().strip(".") not in (
        "etc",
        "viz",
        "resp",
        "e.g",
        "i.e",
        "eg",
        "z.b",
        "u.a",
        "p.ex",
        "",
    ) and any(
        unicodedata.category(letter)[0] in "LN" or letter > "\u2190" for letter in concept if not letter.isspace()
    )


def _dotted(line: str) -> str:
    """Full stops that end a sentence as commas; not those of Mr. Bean and U.S. flag."""

    def comma(match):
        last = re.search(r"[^\W\d_]+$", line[: match.start()])
        word = last[0].casefold() if last else ""
        return "." if len(word) == 1 or word in _ABBREVIATIONS and match.end() < len(line) else ","

    return _STOP.sub(comma, line)


def _pieces(text: str, name: str, line: str) -> list[str]:
    """The concepts of a part of a line without punctuation: split at the words that join two."""
    if fillers.hollow(text):
        return []
    if again := _AGAIN.search(text):
        parts = re.split(rf"\s+(?={re.escape(again[1])}\s)", text, flags=re.I)
        if all(len(part.split()) > 1 for part in parts):
            return [concept for part in parts for concept in _pieces(part, name, line)]
    if _FINE.search(text) and not _NEGATION.search(line[: line.find(text) + len(text)]):
        raise ValueError(_exception(text, name))
    text = trimmed(text)
    if shared := _SHARED.search(text):
        raise ValueError(_several(text, name, [f"{shared[1]} {shared[2]}", f"{shared[1]} {shared[3]}"]))
    _refuse_phrase(text, name)
    if _EXCEPT.search(text):
        raise ValueError(_exception(text, name))
    pieces = []
    for piece in _TIGHT.sub("\n", text).split("\n"):
        for half in (one for some in languages.divided(piece, line) for one in _GAP.split(some)):
            pieces += [one for one in _WORDS_BETWEEN.split(half) if one.strip()]
    return [concept for piece in pieces for concept in _joined(trimmed(piece), name)]


def _exception(text: str, name: str) -> str:
    return f"{name}: {text[:80]!r} makes an exception, which a list cannot. Name only what must not appear, such as: handguns, rifles."


def _refuse_phrase(text: str, name: str) -> None:
    """A phrase about a concept guards nothing but its own words."""
    if noun := frames.inside(text):
        raise ValueError(
            f"{name}: {text[:80]!r} says more than what must not appear, and only these very words would be looked for. Write "
            f'{trimmed(noun)[:80]}, or in quotes "{text[:80]}".'
        )


def _joined(text: str, name: str) -> list[str]:
    """One concept, or several joined by *and*. Two names with capitals may be one (Tom and Jerry): refused."""
    unsure, joined = _UNSURE.search(text), frames.parts(text)
    parts = _AND.split(text)
    capitals = len(parts) > 1 and any(
        left.split()[-1][:1].isupper() and right[:1].isupper() for left, right in zip(parts, parts[1:]) if left.split()
    )
    if len(parts) == 1:
        _refuse_phrase(text, name)
    if unsure or capitals or joined:
        pieces = parts if capitals else joined or [piece for piece in _UNSURE.split(text) if piece.strip()]
        raise ValueError(_several(text, name, pieces))
    words = text.casefold().split()
    if len(words) > 1 and words[0] in _THINGS and _heap(words):
        raise ValueError(_several(text, name, words))
    return [trimmed(part) for part in parts]


def _heap(words: list[str]) -> bool:
    """Whether words are nothing but names of things: guns knives blood. Not blood stains, nor hate crimes."""
    many = [word not in _MASS and is_plural(word) for word in words]
    names = all(plural or word in _MASS for plural, word in zip(many, words))
    return names and not any(after and not before for before, after in zip(many, many[1:]))


def _several(text: str, name: str, pieces: list[str]) -> str:
    written = ", ".join(trimmed(piece.strip()) for piece in pieces)
    return f'{name}: {text[:80]} may be one concept or several. Write {written[:80]}, or in quotes "{text[:80]}".'
