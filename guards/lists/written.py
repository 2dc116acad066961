"""Lists of forbidden concepts, as text: typed, or pasted from JSON, YAML, INI, XML, tables, Markdown, web pages.

What holds a pasted list together names nothing: braces, fences, headings, columns with weights. Where nothing else is there, it stays, so
that whoever reads on can say what is wrong with it.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache

from ..words.patterns import Pattern
from . import entries, languages

# Safe Latent Diffusion's own list (Schramowski et al., CVPR 2023, arXiv 2211.05105).
CONCEPTS = (
    "hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids, blood, obscene gestures, "
    "illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty"
)
CUSTOM = "custom"
PRESETS = {
    CUSTOM: "",
    "SLD (keywords)": CONCEPTS,  # the authors' own pipeline
    "SLD (an image showing ...)": "an image showing " + CONCEPTS,  # diffusers and the I2P benchmark
}
LONGEST = 2000  # characters: about 400 words, five times what a CLIP text encoder reads at once

# A word behind # with nothing else beside it: #weapons
_HASHTAG = Pattern(r"(?:^|(?<=[\s,;|、，]))#+(?=[^\W\d_]\w*[.!?]*\s*(?:[,;|#、，]|$))")
_BOUND = Pattern(r"^\s*(?:#[^\W\d_]\w*){2,}\s*$")  # #weapons#blood
_HYPHENED = Pattern(r"^\s*(\d{1,3})-(?=\w)")  # 1-weapons
_LETTER = Pattern(r"^\s*([A-Z])[.):]\s+(?=\S)")
_NOTED = Pattern(r"(?<!\w)#(?![^\W\d_])")
_FRAME = Pattern(
    r"^\s*(?:[\s{}\[\]()<>|=_*~`+:.,;\"'\\/\u2500-\u257f-]+|BREAK|AND|and|or|und|oder|et|ou|y|или|и|```\s*\w+|~~~\s*\w+|<[?!][^<>]*>)$"
)
_CLOSED = Pattern(r"<\s*/\s*([^\W\d][\w:-]*)\s*>")
_CLOSED_CODE = Pattern(r"\[/([a-z]+)\]", re.I)
_RAISED = Pattern(r"<(su[pb])>[^<>]*</\1>", re.I)
_VALUED = Pattern(
    r"<(?!(?:b|i|p|em|strong|span|td|th|li)>)([^\W\d][\w:-]*)>\s*(?:[-+]?\d*\.?\d+|true|yes|on)\s*</\1>", re.I
)
_SINGLE = "br|hr|li|ul|ol|p|b|i|u|strong|em|div|span|tr|td|th|table|dd|dt|dl|img|a"
_LINK = Pattern(r"\[([^\[\]]+)\]\((?:https?:|www\.|[/#])[^()]*\)")
_ADDRESS = Pattern(r"[(<]?(?:\bsee\s+)?\b(?:https?://|www\.)[^\s,;)>\]]+[)>]?", re.I)
_PAIRED = Pattern(r"(?<![\w#])#([^\s#,;]+)#(?![\w#])")  # #武器#, as Weibo writes a hashtag
_NUMBER = r"[-+]?\d*[.,]?\d+\s*%?"
_GRADES = (
    r"true|false|yes|no|on|off|null|none|high|medium|low|critical|severe|strict|block(?:ed)?|deny|ban|reject|warn(?:ing)?|mild"
    r"|[a-z]{2}"
)
_LABEL = Pattern(
    r"(?P<open>^|[,;.{\[(])(?P<marks>\s*[-*•\"'“„«`]*\s*)(?P<label>[^\W\d][^,;.:：={}\[\]()\"“”«»`\n]{0,60}?)[\"'”“»`*]*\s*[:：=]"
    r"\s*(?P<value>[^,;{}\[\]\n]*)",
    re.M,
)
_WEIGHED = Pattern(
    rf"[,;(\[]\s*(?:weight|strength|scale|priority|level|tier|severity)\s*[:=]?\s*{_NUMBER}\s*(?=[)\],;]|$)",
    re.I | re.M,
)
_SAID = Pattern(rf"^[\s\"']*(?:{_NUMBER}|{_GRADES})?[\s\"')]*$", re.I)
_SCOPES = frozenset("in for at on during im für pour dans en para para per nella bei voor для в".split())
_DENIES = Pattern(r"\b(?:not|never|nicht|keine?|pas|nunca|não|нельзя|не)\b|n['’]t\b", re.I)
_DELIMITERS = "|\t;,"
# Some marked as bad, others as good: which are forbidden is clear to its writer alone.
_BAD, _GOOD = Pattern("[❌✗✘🚫⛔👎🔴❎]"), Pattern("[✅✔☑👍🟢]")


def split(text: str, name: str = "concepts", embeddings: bool = False) -> list[str]:
    """The concepts that a text names, in order, each once (compared without case): what a person would read, see `entries`.

    ``text``: separated by commas, lines or other marks, in any script; # starts a note, quotes make one concept of anything.
    ``name``: the input that it comes from, for errors. ``embeddings``: keep ``embedding:NAME`` as it is.
    Empty where there is nothing but notes. Raises ValueError for an entry that has no word, or that may be one concept or two, with
    the spelling that is understood.
    """
    return list(_read(text, name, embeddings))


@lru_cache(64)
def _read(text: str, name: str, embeddings: bool) -> tuple[str, ...]:
    """The same list comes with every picture."""
    if _BAD.search(text) and _GOOD.search(text):
        raise ValueError(
            f"{name}: some are marked as bad, others as good. Name only what must not appear, such as: weapons, blood."
        )
    concepts: dict[str, str] = {}
    for line in _unnumbered(_untagged(_lines(text), name)):
        if not line.strip():
            continue
        read = entries.read(line, name, embeddings)
        if not read and entries.bare(line).strip(" ,;"):
            raise ValueError(f"{name}: {entries.bare(line)[:80]!r} has no word to look for. Write it in letters.")
        for concept in read:
            concepts.setdefault(concept.casefold(), concept)
    return tuple(concepts.values())


def compose(preset: str, text: str) -> str:
    """The preset's list, then the text's own concepts that it does not name yet, joined by commas.

    Raises ValueError when nothing is left or when the text is far longer than a text encoder reads.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}.")
    if len(text) > LONGEST:
        raise ValueError(
            f"concepts has {len(text)} characters, more than {LONGEST}: a text encoder reads about 75 words at a "
            f"time and blurs "
            "what is longer. Name the few concepts that matter, or use several guards in a row."
        )
    listed = {concept.casefold() for concept in split(PRESETS[preset])}
    own: dict[str, str] = {}
    for line in _untagged(text.splitlines(), "concepts"):  # as written: a text encoder understands weights and *and*
        for entry in entries.bare(line).split(","):
            entry = " ".join(entry.split())
            if entry and entry.casefold() not in listed:
                own.setdefault(entry.casefold(), entry)
    joined = ", ".join([*([PRESETS[preset]] if PRESETS[preset] else []), *own.values()])
    if not joined:
        raise ValueError("concepts is empty: write what must not appear, such as: weapons, blood. Or choose a preset.")
    return joined


def _unnumbered(lines: list[str]) -> list[str]:
    """Lines that count, ``1 cat`` and ``2 dog``, or ``A. cat`` and ``B. dog`` and so on, without their numbers; ``o cat``, ``o dog``."""
    numbers = [_HYPHENED.sub(r"\1 ", line).split(maxsplit=1) for line in lines if line.strip()]
    marks = {parts[0] if len(parts) == 2 else "" for parts in numbers}
    marked = len(numbers) > 1 and marks == {"o"} or len(numbers) > 2 and marks in ({"x"}, {"v"})
    counted = len(numbers) > 1 and all(
        len(parts) == 2 and parts[0].isdecimal() and int(parts[0]) == at for at, parts in enumerate(numbers, 1)
    )
    letters = [match[1] for line in lines if (match := _LETTER.match(line))]
    if len(letters) > 1 and letters == [chr(ord("A") + at) for at in range(len(letters))]:
        return [_LETTER.sub("", line) for line in lines]
    return [rest for _, rest in numbers] if counted or marked else lines


def _untagged(lines: list[str], name: str) -> list[str]:
    """The lines of a list, with hashtags as words: ``#weapons, #blood``. Raises ValueError for one that may be a note as well."""
    lines = [line.replace("\uff03", "#") for line in lines]
    lines = [line.replace("#", " #") if _BOUND.match(line) else line for line in lines]
    alone = [bool(_HASHTAG.match(line.strip())) and len(line.split()) == 1 for line in lines if line.strip()]
    return [_untagged_line(line, name, bool(alone) and all(alone)) for line in lines]


def _untagged_line(line: str, name: str, only: bool) -> str:
    """``only``: the text is nothing but hashtags, and a list of notes alone says nothing."""
    noted = _NOTED.search(line)
    head, rest = (line[: noted.start()], line[noted.start() :]) if noted else (line, "")
    found = list(_HASHTAG.finditer(head.strip()))
    if not found:
        return line
    if not only and len(found) == 1 and not re.search(r"[,;|、，]\s*#|#\w+\s*[,;|、，]", head):
        word = head.strip()[found[0].end() :].strip()
        raise ValueError(
            f"{name}: {'#' + word[:80]!r} may be a note or a hashtag. Write {word[:80]}, or for a note a space behind the #."
        )
    return _HASHTAG.sub(",", head.strip()) + rest


def _lines(text: str) -> list[str]:
    """The lines of a list, without the frame that it was pasted in."""
    found = _unframed(text).splitlines()
    kept = _rows([line for line in found if not _FRAME.match(line)])
    kept = [_unlabelled(line) for line in kept if not _heads_list(line)]
    return kept if any(letter.isalnum() or letter > "\u2600" for line in kept for letter in line) else found


def _unframed(text: str) -> str:
    """A text without the tags of web pages, XML and forums, and without addresses."""
    text = _PAIRED.sub(r", \1 ,", _ADDRESS.sub("", _LINK.sub(r"\1", _VALUED.sub(r",\1,", _RAISED.sub("", text)))))
    if "<" in text:
        names = "|".join([_SINGLE, *map(re.escape, set(_CLOSED.findall(text)))])
        text = re.sub(rf"<\s*/?\s*(?:{names})(?:\s[^<>]*)?/?>", ",", text, flags=re.I)
    if codes := {code for code in _CLOSED_CODE.findall(text)}:
        text = re.sub(rf"\[/?(?:{'|'.join(codes)})(?:=[^\[\]]*)?\]", ",", text, flags=re.I)
    return text


def _words(label: str) -> list[str]:
    return label.casefold().replace("’", "'").replace("_", " ").replace("-", " ").split()


def _heads(label: str, alone: bool = False) -> bool:
    """Whether a label says that concepts follow: forbidden concepts, mots interdits, name. ``alone``: without a mark behind it."""
    words, known = _words(label), languages.labels()
    scope = next((at for at, word in enumerate(words) if at and word in _SCOPES), len(words))
    if scope < len(words) < scope + 5 and known["heading"].intersection(words[:scope]):  # forbidden in my class
        words = words[:scope]
    if not alone and len(words) < 7 and any(word in known["ban"] or word.endswith(("禁止", "禁用")) for word in words):
        return True
    if not alone and len(words) > 1 and known["place"].intersection(words[1:]):
        if words[0] in _SCOPES or words[0] in ("not", "unsuitable", "inappropriate"):
            return True  # not in our church, for kids under 12
    heading = known["heading"] if alone else known["heading"] | known["column"]
    return any(word in heading for word in words) and all(
        word.isdigit() or any(word in kind for kind in (heading, known["column"], known["small"], known["place"]))
        for word in words
    )


def _field(label: str) -> bool:
    return len(words := _words(label)) == 1 and words[0] in languages.labels()["field"]


def _heads_list(line: str) -> bool:
    """Whether a line is a heading and nothing else: ``concepts:``, ``[forbidden]``."""
    match = re.fullmatch(
        r"\s*[-*\"'{]*\s*([^\W\d][^:：=,;\[\]]*?)[\"'*]*\s*[:：=][\s\[{(|>-]*|\s*\[([^\[\]]+)\]\s*", line
    )
    if not match:
        return False
    label = match[1] or match[2]
    return _heads(label, not match[1]) or len(label.split()) > 2 and bool(match[1] and _DENIES.search(label))


def _unlabelled(line: str) -> str:
    """A line without the labels before its concepts, and without what fields such as a weight say."""

    def bare(match: re.Match[str]) -> str:
        said = match["value"].strip() and _SAID.match(match["value"])
        if _field(match["label"]):
            quoted = match["marks"].strip(" -") and match["value"].lstrip()[:1] in ("'", '"')
            return f"{match['open']}," if said or quoted else match[0]
        return f"{match['open']},{match['value']}" if not said and _heads(match["label"]) else match[0]

    return _LABEL.sub(bare, _WEIGHED.sub(",", line))


def _rows(found: list[str]) -> list[str]:
    """The lines of a table as its concepts alone, where its first line names the columns."""
    first = next((line for line in found if line.strip()), "")
    for mark in _DELIMITERS:
        columns = _cells(first, mark)
        if len(columns) > 1 and len(found) > 1 and all(_heads(one) or _field(one) or one == "#" for one in columns):
            named = [at for at, one in enumerate(columns) if _heads(one)]
            rows = [_cells(line, mark) for line in found[found.index(first) + 1 :]]
            if not any(_heads(one, True) for one in columns) and not _valued(columns, rows):
                return found  # text, image, and so on, that are meant
            return (
                [
                    ", ".join(row[at] for at in named if at < len(row)) if len(row) > 1 else ", ".join(row)
                    for row in rows
                ]
                if named
                else found
            )
    return found


def _valued(columns: list[str], rows: list[list[str]]) -> bool:
    """Whether a column that is named as a field, such as id, has nothing but numbers and grades."""
    fields = [at for at, one in enumerate(columns) if one == "#" or _field(one)]
    return any(all(row[at].strip() and _SAID.match(row[at]) for row in rows if at < len(row)) for at in fields)


def _cells(line: str, mark: str) -> list[str]:
    cells = next(
        csv.reader([line.strip().strip("|") if mark == "|" else line], delimiter=mark, skipinitialspace=True), []
    )
    return [cell.strip(" \t\"'*`") for cell in cells]
