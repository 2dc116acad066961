"""Other words for a concept: asked of the language model once, checked, remembered.

They serve two ends: a query that means a concept without naming it is noticed, and a rewrite that says it in other words is refused. Words
that only imply a concept serve the first end alone: a silly one among them costs a call, and never a good rewrite.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..rewriters.thinking import without_thinking
from ..words.forms import STOP_WORDS
from ..words.patterns import Pattern
from ..words.watch import Watch, words_of
from .answers import LONGEST, plain
from .refusals import refusal

QUESTION = (
    'Concept: "{concept}"\nAnswer in two lines and nothing else, words separated by commas.\n'
    "Same: at most 8 other words, names and descriptions that mean the very same\n"
    "Shows: at most 8 things or scenes whose picture nearly always shows it"
)
MOST, MOST_WORDS, MOST_LETTERS = 16, 4, 40
_MARK = r"[^\w\n]*(?:(?:\d{1,2}|[a-z])[.):]\s*)?[\W_]*?"  # before the name of a list
_SHOWS = r"shows?|implies|scenes?|depicts|zeigt|montre|muestra|mostra|показывает|显示|展示|场景|表现|相关|示す"
_SAME = r"same|synonyms?|gleich\w*|mêmes?|igual\w*|mism[ao]s?|stess[oaie]|синонимы?|相同|同义词?|同じ"
_LABEL = Pattern(  # in words around it, before a mark; or alone on its line
    rf"^{_MARK}(?:[^\W\d_][\w ]{{0,30}} )?"
    rf"(?:(?P<shows>{_SHOWS}|line\s(?:2|two))|(?P<same>{_SAME}|line\s(?:1|one)))(?!\w)[^:：=→|\n,;]{{0,30}}"
    r"(?:[:：=→|]|[-–—]+>?(?=\s)|[\])】](?=\s+\w))|"
    r"^[\s#*_]*(?:(?P<shows_alone>shows|显示|展示)|(?P<same_alone>same|synonyms|相同|同义词))[\s#*_]*$",
    re.I | re.M,
)
_NAME = Pattern(rf"(?:(?P<shows>{_SHOWS})|(?P<same>{_SAME}))(?!\w)", re.I)  # of a field or column
_JSON = r"""\{\s*["']\w|\[\s*["'{]"""
_QUOTED = Pattern(r"""(["'])((?:(?!\1)[^\n])*)\1(\s*:)?""")
_TALK = ("it is a refusal", "it is chat, no caption")  # of what `refusals.refusal` says
_NO_LIST = ("it is an error message", "it is the verdict of a moderation model, no caption")
FORMAT = "concept-guards.synonyms/1"
# Words so general that a model's list may not forbid them, unless the concept itself is one of them.
GENERIC = frozenset(
    """image images picture pictures photo photos photograph painting drawing art artwork style scene view shot portrait
    illustration render design background foreground detail details quality color colour light shadow line shape texture pattern object
    objects thing things item items stuff kind type sort part piece group number lot many few more less most least first last new old big
    small large little long short high low good bad best beautiful pretty nice great man men woman women person people human humans child
    children kid kids boy boys girl girls baby guy lady someone anyone everyone nobody one animal animals pet pets creature creatures
    being plant plants nature world place places area space room house home building city town street road park land sky water sea air
    earth ground day night morning time year life body head face hand hands eye eyes hair food car work job play game name word words
    synonym synonyms list example phrase concept term meaning other another similar same opposite red green blue yellow orange purple pink
    brown black white grey gray gold silver dark bright warm cold hot open closed full empty real famous popular modern ancient king queen
    lake mount mountain river united states star power school university company founder leader artist actor singer president player
    character figure hero model sit sitting stand standing walk walking look looking hold holding wear wearing make made take go get see
    say show use used set put let run top bottom left right front back side middle center north south east west none unknown""".split()
)


@dataclass(frozen=True)
class Words:
    """Other words for a concept. ``same``: they say it, so no rewrite may hold them. ``shows``: they imply it, so a query with them is
    rewritten."""

    same: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


def parse(answer: str, concept: str) -> Words:
    """The acceptable words in a language model's answer, in its order; none where the answer is no list.

    Refused: more than four words, stop words and words as general as *photo* or *person*, words of the question, the concept itself, single
    common words for a proper name (*founder* for Elon Musk), text that is no list (a rambling or repeating answer is refused whole).
    Without names of the two lists, two lines are read as they were asked for, and anything else counts as *same*.
    """
    text = without_thinking(answer[:LONGEST]).strip()
    if refusal(text, concept) in _NO_LIST:
        return Words()
    same, shows = _lists(text)
    same = _accepted(same, concept)
    return Words(same, tuple(word for word in _accepted(shows, concept) if word not in same))


def _lists(text: str) -> tuple[str, str]:
    """(same, shows) as two texts with commas: of an answer in lines, in tags, in JSON, or in a Markdown table."""
    fence = re.search(r"```[\w-]*\n(.*?)(?:```|\Z)", text, re.S)
    text = re.sub(r"<\|[^|<>\n]*\|>", "\n", fence[1].strip() if fence else text).replace("\\n", "\n")
    text = re.sub(r"</?\w+[^<>\n]*>", "\n", re.sub(r"<(same|shows|synonyms)>", r"\n\1: ", text, flags=re.I)).strip()
    found = None if any(label["shows"] for label in _LABEL.finditer(text)) else re.search(_JSON, text)
    if found or text[:1] in ("[", "{") and not _LABEL.match(text):
        return _from_json(text[found.start() if found else 0 :])
    if text.count("|") >= 3:
        text = _from_table(text)
    text = re.sub(r"(?<=\S)[;.,]?[ \t]+(?=[*_]{0,2}(?:shows|implies)[*_]{0,2}\s*[:：])", "\n", text, flags=re.I)
    labels = list(_LABEL.finditer(text))
    if not labels:
        lines = [line for line in text.split("\n") if line.strip()]
        two = len(lines) == 2 and all(re.search("[,，、]\\s*\\w", line) for line in lines)  # as they were asked for
        return (lines[0], lines[1]) if two else (text, "")
    lists: dict[bool, list[str]] = {False: [], True: []}
    if _shows(labels[0]):
        lists[False].append(text[: labels[0].start()])
    for label, following in zip(labels, [*labels[1:], None]):
        lists[_shows(label)].append(text[label.end() : following.start() if following else None])
    return ", ".join(lists[False]), ", ".join(lists[True])


def _shows(label: re.Match) -> bool:
    return bool(label["shows"] or label["shows_alone"])


def _from_json(text: str) -> tuple[str, str]:
    lists: dict[bool, list[str]] = {False: [], True: []}
    try:
        for shows, word in _said(json.JSONDecoder().raw_decode(text)[0]):
            lists[shows].append(word)
    except (ValueError, RecursionError):  # single quotes, or cut off
        shows = False
        for match in _QUOTED.finditer(text):
            if match[3]:
                shows = _of_shows(match[2], shows)
            else:
                lists[shows].append(match[2])
    return ", ".join(lists[False]), ", ".join(lists[True])


def _said(value, shows: bool = False) -> Iterator[tuple[bool, str]]:
    """(whether it stands where the shows do, text) for each text in JSON."""
    if isinstance(value, str):
        yield shows, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if str(key).casefold() not in ("concept", "error"):
                yield from _said(inner, _of_shows(str(key), shows))
    elif isinstance(value, list):
        for inner in value:
            yield from _said(inner, shows)


def _of_shows(key: str, shows: bool) -> bool:
    """Whether a field's texts are shows: by its name, else as what it stands in."""
    name = _NAME.match(key)
    return bool(name["shows"]) if name else shows


def _from_table(text: str) -> str:
    """A Markdown table as lines: by rows where its first column holds the names, else by columns."""
    rows = [
        [cell.strip(" *`") for cell in row.strip().strip("|").split("|")] for row in text.splitlines() if "|" in row
    ]
    rows = [row for row in rows if not all(re.fullmatch(r":?-+:?", cell or "-") for cell in row)]
    if any((name := _NAME.match(row[0])) and name["shows"] for row in rows):
        return "\n".join(f"{row[0]}: {', '.join(row[1:])}" for row in rows)
    width = min(map(len, rows))
    return "\n".join(f"{rows[0][column]}: {', '.join(row[column] for row in rows[1:])}" for column in range(width))


def _accepted(text, concept):
    if not re.search("[,;\n•、，；|/]", text.strip()):
        text = re.sub(r"\s+(?:and|or)\s+", ", ", text)
    parts = [_bare(part) for part in re.split(r"[,;\n•、，；|]|\s+-\s+|\s*/\s*|\s+\d{1,2}[.)]\s+", text)]
    parts = [part for part in parts if part and refusal(part, concept) not in _TALK]
    different = {part.casefold() for part in parts}
    if len(parts) > 60 or len(parts) > 8 and len(different) < len(parts) / 2:
        return ()
    watch = Watch({concept: ()})
    general = set(words_of(concept)) & GENERIC
    echo = {
        "synonyms",
        "nickname",
        "nicknames",
        "phrase",
        "phrases",
        "description",
        "well",
        "known",
        "etc",
        *words_of(QUESTION),
    }
    echo -= set(words_of(concept))
    capitals = [word[:1].isupper() for word in concept.split()]
    proper = len(capitals) > 1 and all(capitals)
    accepted = {}
    for part in parts:
        words = words_of(part)
        if not words or len(words) > MOST_WORDS or len(part) > MOST_LETTERS or any(len(word) > 24 for word in words):
            continue
        if watch.find(part) or not part.isprintable():
            continue  # met already
        if all(
            word in STOP_WORDS or word.isdigit() or word in echo or word in GENERIC and not general for word in words
        ):
            continue
        if len(words) == 1 and (len(words[0]) < 3 and words[0].isascii() or proper and not part[:1].isupper()):
            continue
        if len(words) == 1 and words[0] in words_of(concept) and not proper:
            continue  # use, for drug use
        accepted.setdefault(" ".join(words), part)
    return tuple(accepted.values())[:MOST]


def _bare(part):
    part = re.sub(r"^.{0,60}[:：]\s*", "", plain(part))
    part = re.sub(r"^(?:\W*\d{1,2}[.)]\s*|[-*•\s]+|(?:and|or)\s+)+", "", part, flags=re.I)
    part = re.sub(r"^(?:an?|the)\s+(?=[a-z])", "", part)
    return re.sub(r"(?<=\S)\s*\([^)]*\)", "", part).strip(" .!?\"'“”‘’*_`[](){}#=")


async def ask(rewriter, concept: str, seed: int = 0) -> tuple[Words, object]:
    """(words, the Answer they came with). One call; RewriterError where there is none."""
    answer = await rewriter.chat(
        [{"role": "user", "content": QUESTION.format(concept=plain(concept)[:200])}], temperature=0.0, seed=seed
    )
    return parse(answer.text, concept), answer


class Memory:
    """Words by rewriter and concept: the last thousand in memory, and in a file where a path is given. Holds no query, ever."""

    def __init__(self, path: Path | None = None, most: int = 1000):
        self.path, self.most, self._known, self._stamp = path, most, OrderedDict(), None

    def get(self, rewriter: str, concept: str) -> Words | None:
        """What is known; None where it was never asked."""
        self._read()
        key = _key(rewriter, concept)
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, rewriter: str, concept: str, words: Words) -> None:
        """Remember an answer, an empty one too."""
        self._read()
        self._known[_key(rewriter, concept)] = words
        while len(self._known) > self.most:
            self._known.popitem(last=False)
        self._write()

    def _read(self):
        """Take over the file when it is new or was edited; a broken file counts as empty."""
        if self.path is None:
            return
        try:
            status = self.path.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            rows = stored["rewriters"].items() if stored.get("format") == FORMAT else ()
            self._known = OrderedDict(
                ((name, concept), _stored(words)) for name, concepts in rows for concept, words in concepts.items()
            )
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            self._known = OrderedDict()

    def _write(self):
        if self.path is None:
            return
        rows = {}
        for (name, concept), words in self._known.items():
            rows.setdefault(name, {})[concept] = {"same": list(words.same), "shows": list(words.shows)}
        data = json.dumps({"format": FORMAT, "rewriters": rows}, ensure_ascii=False, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.write(self.path, data.encode())
            status = self.path.stat()
            self._stamp = (status.st_mtime_ns, status.st_size)
        except OSError:  # a read-only folder: memory alone serves
            pass


def _stored(entry):
    return Words(
        *(
            tuple(word for word in entry.get(part, ()) if isinstance(word, str) and words_of(word))
            for part in ("same", "shows")
        )
    )


def _key(rewriter, concept):
    return rewriter, " ".join(unicodedata.normalize("NFC", concept).casefold().split())
