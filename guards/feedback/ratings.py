"""What people say about pictures, line by line. Human Feedback Inversion (arXiv 2407.21032) leaves the store open; this is ours: a folder
of PNGs and one ``ratings.jsonl`` (see log.py).

Every line is a JSON object: image, prompt, seed, concept, rater, rating, time, and where needed other and id.

- rater "" and rating null: the picture was filed.
- rating 0 to 4: how much it shows the concept. A rater's last line about a picture counts; null takes it back.
- with ``other``: a comparison. 1: ``image`` shows more of the concept, 0: ``other`` does, 0.5: both alike; null takes it back.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, field
from typing import TypeGuard

from .. import seeds
from ..files import is_device, is_plain

LOG = "ratings.jsonl"
LOWEST, HIGHEST = 0, 4
COMPARISONS = (0, 0.5, 1)
IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-. ()+]{0,95}\.png")
RATER = re.compile(r"[^\W_][\w\-. ]{0,29}")
RATER_IN_BROWSERS = r"[\p{L}\p{N}][\p{L}\p{N}_\-. ]{0,29}"  # the same rule for a browser, which the pages are sent
ID = re.compile(r"[A-Za-z0-9\-]{8,64}")
LONGEST_TEXT, LONGEST_LINE = 8_000, 64_000  # characters of a prompt or concept; bytes of a line


def is_set_name(name: object) -> bool:
    """Whether a name is that of a folder on every system, and of no other folder than a set's."""
    return is_plain(name, 60)


def is_image_name(name: object) -> TypeGuard[str]:
    """Whether a name is that of a picture in a set."""
    return isinstance(name, str) and bool(IMAGE_NAME.fullmatch(name)) and not is_device(name)


@dataclass(frozen=True)
class Entry:
    """One line. ``rating``: 0 to 4; of a comparison 0, 0.5 or 1; or None."""

    image: str
    prompt: str = ""
    seed: int | None = None
    concept: str = ""
    rater: str = ""
    rating: float | None = None
    time: str = ""
    other: str = ""
    id: str = ""

    def line(self) -> bytes:
        """The entry as it is written, with its line end. Pure ASCII."""
        found = {key: value for key, value in asdict(self).items() if value != "" or key not in ("other", "id")}
        return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes) -> Entry | None:
    """A line as an entry; None for one that is torn, damaged or holds what no entry may hold."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    entry = Entry(**{name: found[name] for name in Entry.__dataclass_fields__ if found.get(name) is not None})
    texts = (entry.prompt, entry.concept, entry.time)
    if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts) or not is_image_name(entry.image):
        return None
    if entry.seed is not None and not seeds.is_seed(entry.seed):
        return None
    if not isinstance(entry.id, str) or (entry.id and not ID.fullmatch(entry.id)):
        return None
    if not entry.rater:
        return entry if entry.rater == "" and entry.rating is None and entry.other == "" else None
    if not isinstance(entry.rater, str) or not RATER.fullmatch(entry.rater):
        return None
    if entry.other:
        return (
            entry if is_image_name(entry.other) and entry.other != entry.image and is_comparison(entry.rating) else None
        )
    return entry if entry.other == "" and is_rating(entry.rating) else None


def is_rating(value: object) -> bool:
    """0 to 4, or None: taken back."""
    return value is None or (type(value) is int and LOWEST <= value <= HIGHEST)


def is_comparison(value: object) -> bool:
    """0, 0.5 or 1, or None: taken back."""
    return value is None or (type(value) in (int, float) and value in COMPARISONS)


def _put(table: dict, key: tuple, rating: float | None) -> None:
    """The newest goes last; a rating that was taken back goes."""
    table.pop(key, None)
    if rating is not None:
        table[key] = rating


@dataclass
class Ratings:
    """What the lines so far add up to."""

    filed: dict[str, Entry] = field(default_factory=dict)  # by image, in the order of filing
    given: dict[tuple[str, str], int] = field(default_factory=dict)  # (image, rater) -> rating
    compared: dict[tuple[str, str, str], float] = field(
        default_factory=dict
    )  # (image, other, rater), the names in order -> result
    ids: set[str] = field(default_factory=set)
    damaged: int = 0

    def add(self, entry: Entry | None) -> None:
        """Count one line, in the order of the file; None is a damaged one. A line whose id is known changes nothing."""
        if entry is None:
            self.damaged += 1
            return
        if entry.id:
            if entry.id in self.ids:
                return
            self.ids.add(entry.id)
        if entry.image not in self.filed:
            self.filed[entry.image] = Entry(entry.image, entry.prompt, entry.seed, entry.concept, time=entry.time)
        if not entry.rater:
            return
        if entry.other:
            swapped = entry.other < entry.image
            first, second = sorted((entry.image, entry.other))
            rating = 1 - entry.rating if swapped and entry.rating is not None else entry.rating
            _put(self.compared, (first, second, entry.rater), rating)
        else:
            _put(self.given, (entry.image, entry.rater), entry.rating)

    def raters(self) -> list[str]:
        """Everyone whose word counts, by name."""
        return sorted({key[-1] for table in (self.given, self.compared) for key in table})

    def by_image(self) -> dict[str, dict[str, int]]:
        """image -> rater -> rating."""
        found: dict[str, dict[str, int]] = {}
        for (image, rater), rating in self.given.items():
            found.setdefault(image, {})[rater] = rating
        return found


def now() -> str:
    """The time of a line: UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
