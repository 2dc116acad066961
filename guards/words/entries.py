"""What a person means by one line of a list of concepts: ``1. no weapons (guns, knives) # note`` names weapons, guns and knives.

A list that a person would read as *weapons* must never let "weapons" pass, so what is written around a concept is read away (numbers,
weights, negations, "of any kind"), and what may be one concept or two is refused with both spellings. Quotes make one concept of anything.
"""

from __future__ import annotations

import re
import unicodedata

from . import fillers
from .fillers import trimmed
from .patterns import Pattern

LONGEST = 400  # characters of one entry
# A note begins with #, also behind a concept; not in C# or F#.
_NOTE = Pattern(r"(?<!\b\w)#.*|/\*.*?\*/|<!--.*?-->")
_NUMBERED = Pattern(r"^\s*#\d{1,3}[.):]?\s+(?=\w)")  # no note: #1 weapons
_TAG = Pattern(r"</?(?:br|li|ul|ol|p|b|i|strong|em)\s*/?>", re.I)
_FILE = Pattern(r"<\s*(?:lora|lyco|lycoris|hypernet)\s*:([^:<>]*)[^<>]*>|\b(?:embedding|ti|lora)\s*:\s*", re.I)
_EMBEDDING = Pattern(r"\bembedding:[^\s,;|:(){}]+", re.I)
_ASIDE = Pattern("\ue000(\\d+)\ue000")
_HARD = Pattern(
    r"[,;|\t()\[\]{}<>\\=，、；｜。．｡،؛।•‧・（）【】［］｛｝《》〈〉]|\s[-–—~+/&]*[–—~+/][-–—~+/&]*\s|\s-+\s|\s[-!+~](?=[^\W\d])|\s(?:[%$@^~*]+|&&+)\s|//"
    r"|[!?！？]+(?=\s|$)|(?<=[^\W\d_]{3})[\^~](?=[^\W\d_]{3})"
)
# Between two words of three letters or more: guns/knives, and not AC/DC.
_TIGHT = Pattern(
    r"(?<=[^\W\d_]{3})(?:[/+&]|\.+|…+)(?=[^\W\d_]{3})|(?<=[\u3040-\u30ff\u3400-\u9fff])[/+&](?=[\u3040-\u30ff\u3400-\u9fff])"
)
_STOP = Pattern(r"(?<![.\s])\.+(?=\s|$)")
_ABBREVIATIONS = frozenset("mr mrs ms dr st jr sr vs prof gen lt col sgt capt mt ft inc co no incl excl".split())
_WEIGHT = Pattern(r"\s*[:：]\s*[-+]?\d*[.,]?\d+\s*%?$")
_COLON = Pattern(r"[:：](?!\d)")
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’", "«": "»", "「": "」", "『": "』", "`": "`"}
_MARKS = "".join({*_QUOTES, *_QUOTES.values()} - {"'", "’"})
_WORDS_BETWEEN = Pattern(
    r"\s+(?:AND|BREAK|OR|or|oder|или|und|et|и|y|ou|및|또는|혹은|और|या|such\s+as|including|especially|namely|as\s+well\s+as|"
    r"e\.?\s?g\.?|i\.?\s?e\.?|for\s+example|for\s+instance|a\.?k\.?a\.?)(?:\s+|$)"
    r"|\s+(?:plus|versus|vs\.?|nor|then|known\s+as|particularly|incl\.?|sowie|noch|ni|ve|veya|och|eller|og|és|lub|oraz|nebo|și|và|hoặc|atau|καὶ|και|ή)\s+(?=\w)"
    r"|(?<=[a-zA-Z])[和与與及或](?=[a-zA-Z])|或者|以及|还有|還有|または|もしくは|および|及び|(?<=[가-힣]{2})[와과]\s+(?=[가-힣])"
    r"|(?<=[\u30a0-\u30ff\u4e00-\u9fff])[とや](?=[\u30a0-\u30ff\u4e00-\u9fff])"
)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_GAP = Pattern(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])")
_AND = Pattern(r"\s+(?:and|&|＆)\s+", re.I)
_UNSURE = Pattern(
    rf"(?<=[{_CJK}])[和与與及或](?=[{_CJK}])|(?<=\w)\s+(?:[eo]|like)\s+(?=\w)|^(?:block|sin|hide(?!\s+and\b)|skip|stop(?!\s+(?:signs?|motion)\b)|ignore)\s+(?=\w)|(?<=\w)[\s-]free$"
)
_EXCEPT = Pattern(
    r"\b(?:except|but\s+not|other\s+than|unless|apart\s+from|only\s+if)\b|\w\s+(?:not|minus|excl\.?|excluding)\s+\w",
    re.I,
)
_REPLACED = Pattern(r"^\W*(?:replace|swap|exchange|substitute)\s+\w.*\s(?:with|by|for|to)\s+\w", re.I)
_ARROW = Pattern(r"->|=>|[→⇒➔➜]|–>|—>|-＞")


def bare(line: str) -> str:
    """A line without its notes: what follows #, and comments of other languages."""
    return _NOTE.sub("", _NUMBERED.sub("", line)).strip()


def read(line: str, name: str, embeddings: bool = False) -> list[str]:
    """The concepts that a line of a list names, in order. ``name``: the input that the line is from, for errors.

    ``embeddings``: ``embedding:NAME`` stays what it is, for those who encode the concept; else it is the word NAME.
    Raises ValueError, with the spelling that is understood, for a line that may mean two things.
    """
    line, files = bare(fillers.plain(line)), []
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
    line = _FILE.sub(lambda match: match[1] or "", _TAG.sub(",", line))
    line = fillers.unmarked(line)
    concepts = []
    for part in _HARD.sub("\n", _dotted(line)).split("\n"):
        part = _WEIGHT.sub("", part.strip())
        if len(part) > 2 and _QUOTES.get(part[0]) == part[-1]:
            concepts.append(" ".join(part[1:-1].split()))
            continue
        if len(part) > LONGEST:
            raise ValueError(
                f"{name}: an entry has {len(part)} characters ({part[:40]!r} ...), more than {LONGEST}: separate the concepts by commas."
            )
        part = part.translate(dict.fromkeys(map(ord, _MARKS)))
        concepts += [concept for piece in _COLON.split(part) for concept in _pieces(piece, name)]
    concepts = fillers.meant([concept for concept in concepts if _says(concept)], line)
    return [_ASIDE.sub(lambda match: files[int(match[1])], concept) for concept in concepts]


def _says(concept: str) -> bool:
    """Whether there is a letter, a number or a picture in it."""
    return concept not in ("etc", "etc.", "...") and any(
        unicodedata.category(letter)[0] in "LN" or letter > "\u2190" for letter in concept if not letter.isspace()
    )


def _dotted(line: str) -> str:
    """Full stops that end a sentence as commas; not those of Mr. Bean and U.S. flag."""

    def comma(match):
        last = re.search(r"[^\W\d_]+$", line[: match.start()])
        word = last[0].casefold() if last else ""
        return "." if len(word) == 1 or word in _ABBREVIATIONS and match.end() < len(line) else ","

    return _STOP.sub(comma, line)


def _pieces(text: str, name: str) -> list[str]:
    """The concepts of a part without punctuation: split at the words that join two."""
    text = trimmed(text)
    if _EXCEPT.search(text):
        raise ValueError(
            f"{name}: {text[:80]!r} makes an exception, which a list cannot. Name only what must not appear, such as: handguns, rifles."
        )
    pieces = []
    for piece in _GAP.split(_TIGHT.sub(",", text).replace(",", " or ")):
        pieces += _WORDS_BETWEEN.split(piece)
    return [concept for piece in pieces for concept in _joined(trimmed(piece), name)]


def _joined(text: str, name: str) -> list[str]:
    """One concept, or several joined by *and*. Two names with capitals may be one (Tom and Jerry): refused."""
    unsure = _UNSURE.search(text)
    parts = _AND.split(text)
    capitals = len(parts) > 1 and any(
        left.split()[-1][:1].isupper() and right[:1].isupper() for left, right in zip(parts, parts[1:]) if left.split()
    )
    if unsure or capitals:
        pieces = parts if capitals else [piece for piece in _UNSURE.split(text) if piece.strip()]
        several = ", ".join(piece.strip() for piece in pieces)
        raise ValueError(
            f'{name}: {text[:80]} may be one concept or several. Write {several[:80]}, or in quotes "{text[:80]}".'
        )
    return [trimmed(part) for part in parts]
