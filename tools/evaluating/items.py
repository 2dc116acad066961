"""Every run that a plan asks for, as an API graph with an id that changes with anything in it."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..serving import graph as graphs
from . import prompts
from .errors import PlanError
from .plan import MARKS, Detector, Made, Plan

PICTURES, SCORE, METER, READING = (  # ids of the nodes that we add, or their beginnings
    "evaluate_pictures",
    "evaluate_score_",
    "evaluate_meter_",
    "evaluate_reading_",
)
SERVED = ("PreviewImage", "GuardScore", "GuardMeter", "GuardMeterReading")


@dataclass(frozen=True)
class Item:
    """One run: an arm, a prompt by its place in the file, and which of its calls."""

    id: str
    arm: str
    place: int
    call: int
    seed: int


class Builder:
    """Makes the graphs. Raises PlanError where the plan's marks do not fit its graph or the server's nodes (``object_info``)."""

    def __init__(self, plan: Plan, object_info: dict):
        self.plan, self.info = plan, object_info
        missing = [kind for kind in SERVED if kind not in object_info]
        if missing:
            raise PlanError(f"The server has no node {missing[0]}: install this version of Concept Guards there.")
        self.base = self._api(plan.graph)
        self.link = self._picture()
        marks = {name: [self._place(one, f"inputs.{name}") for one in places] for name, places in plan.inputs.items()}
        self.marks = {name: marks.get(name, []) for name in {*MARKS, *marks}}
        self.arms = {name: self._set(one) for name, one in plan.made.items()}

    def _api(self, graph: dict) -> dict:
        if _saved(graph):
            try:
                graph = graphs.to_api(graph, self.info)
            except graphs.GraphError as error:
                raise PlanError(f"graph: {error}.") from error
        bad = [key for key, node in graph.items() if not isinstance(node, dict) or "class_type" not in node]
        if bad or not graph:
            raise PlanError(
                f"graph: {f'entry {bad[0]!r} is no node' if bad else 'it is empty'}. Export it with Workflow > Export (API)."
            )
        unknown = [node["class_type"] for node in graph.values() if node["class_type"] not in self.info]
        if unknown:
            raise PlanError(
                f"graph: the server does not know the node {unknown[0]}. Install its pack there, or change the graph."
            )
        return graph

    def _picture(self) -> list:
        key, name = self._place(self.plan.picture, "picture")
        link = self.base[key]["inputs"].get(name)
        if not graphs.is_link(link):
            raise PlanError(
                f"picture: nothing is connected to {self.plan.picture}. Name an input that the picture goes into."
            )
        return link

    def _place(self, where: str, what: str) -> tuple[str, str]:
        """(node, input) of ``node.input``."""
        name, _, field = where.rpartition(".")
        found = [name] if name in self.base else graphs.find(self.base, title=name) or graphs.find(self.base, type=name)
        if len(found) != 1:
            known = ", ".join(
                f"{key} {node.get('_meta', {}).get('title', node['class_type'])}" for key, node in self.base.items()
            )
            fault = f"{len(found)} nodes are called" if found else "no node is called"
            raise PlanError(f"{what}: {fault} {name!r}; name one by its id. The graph has: {known}.")
        node = self.base[found[0]]
        declared = {**node["inputs"], **graphs.declared_inputs(self.info[node["class_type"]])}
        if field not in declared:
            raise PlanError(f"{what}: {node['class_type']} has no input {field!r}. It has: {', '.join(declared)}.")
        return found[0], field

    def _marked(self, key: str, what: str) -> list[tuple[str, str]]:
        if key in self.plan.inputs:
            return self.marks[key]
        if "." not in key:
            raise PlanError(f"{what}: {key!r} is no marked input ({', '.join(self.plan.inputs)}) and no node.input.")
        return [self._place(key, what)]

    def _set(self, made: Made) -> list[tuple[tuple[str, str], Any, str]]:
        """What an arm sets: (node, input), the value, and where the plan says so."""
        found: dict[tuple[str, str], tuple[Any, str]] = {}
        for where, key, value in made.changed:
            for place in self._marked(key, where):
                if place in found and found[place][1] != where:
                    raise PlanError(
                        f"{found[place][1]} and {where} both set {'.'.join(place)}, and one would undo the other. Leave it out of one."
                    )
                found[place] = value, where
        return [(place, value, where) for place, (value, where) in found.items()]

    def known(self) -> dict:
        """Of what the server knows, the part that this plan needs."""
        names = {node["class_type"] for node in self.base.values()} | {
            node.get("type") for node in _saved(self.plan.graph)
        }
        return {name: self.info[name] for name in sorted({*names, *SERVED} & set(self.info))}

    def graph(self, arm: str, place: int, call: int) -> dict:
        """The API graph of one run."""
        plan, row = self.plan, self.plan.rows[place]
        graph = copy.deepcopy(self.base)
        values = {"prompt": row["prompt"], "seed": plan.first_seed(place) + call, "batch": plan.batch}
        if row.get("guidance", "") != "":
            values["guidance"] = float(row["guidance"])
        for name, value in values.items():
            for key, field in self.marks[name]:
                graph[key]["inputs"][field] = value
        for (key, field), value, where in self.arms[arm]:
            value = prompts.fill(value, row, where) if isinstance(value, str) else value
            graph[key]["inputs"][field] = value
        graph[PICTURES] = {"class_type": "PreviewImage", "inputs": {"images": self.link}}
        wanted = set(graphs.upstream(graph, PICTURES)) | {PICTURES}
        for number, detector in self.looking(place):
            key = f"{SCORE}{number}"
            inputs = {"what": prompts.fill(detector.what, row, "what"), "threshold": detector.threshold}
            graph[key] = {
                "class_type": "GuardScore",
                "inputs": {"images": self.link, "detector": detector.detector, **inputs, **detector.inputs},
            }
            wanted |= set(graphs.upstream(graph, key)) | {key}
        wanted |= self._metered(graph, wanted)
        return {
            key: {"class_type": node["class_type"], "inputs": node["inputs"]}
            for key, node in graph.items()
            if key in wanted
        }

    def _metered(self, graph: dict, wanted: set[str]) -> set[str]:
        """Put a meter before every node that samples, and a reading behind the picture; their ids."""
        meters: dict[tuple, str] = {}
        for key in sorted(wanted):
            kind, inputs = self.info[graph[key]["class_type"]], graph[key]["inputs"]
            if "MODEL" in kind.get("output", ()):  # it changes a model and hands it on
                continue
            for name, (declared, _) in graphs.declared_inputs(kind).items():
                if declared == "MODEL" and graphs.is_link(inputs.get(name)):
                    meter = meters.setdefault(tuple(inputs[name]), f"{METER}{len(meters)}")
                    inputs[name] = [meter, 0]
        for link, meter in meters.items():
            graph[meter] = {"class_type": "GuardMeter", "inputs": {"model": list(link)}}
            reading = {"model": [meter, 0], "images": self.link}
            graph[meter.replace(METER, READING)] = {"class_type": "GuardMeterReading", "inputs": reading}
        return {*meters.values(), *(meter.replace(METER, READING) for meter in meters.values())}

    def looking(self, place: int) -> list[tuple[int, Detector]]:
        """The detectors that look at a prompt's pictures, with their numbers: not those whose ``what`` the row leaves empty."""
        row = self.plan.rows[place]
        return [
            (number, one)
            for number, one in enumerate(self.plan.detectors)
            if not one.what or prompts.fill(one.what, row, "what").strip()
        ]

    def likeness(self, item: Item) -> tuple:
        """Runs for which this is the same differ in prompt, seed and way alone: a server that made one has most of the next."""
        row, own = self.plan.rows[item.place], [one for one in self.arms[item.arm] if one[2].startswith("arms.")]
        filled = [prompts.fill(value, row, where) if isinstance(value, str) else value for _, value, where in own]
        return item.place // self.plan.block, self.plan.made[item.arm].arm, json.dumps(filled)

    def items(self) -> Iterator[Item]:
        """All runs, some prompts after the others: so half an evaluation is a fair half of each arm, and within these arm by arm, as a
        server keeps what it made for the run before (a guard that was made ready) and no longer. So an arm goes through all ways, too."""
        plan, size = self.plan, self.plan.block
        arms = sorted(plan.made, key=lambda name: list(plan.arms).index(plan.made[name].arm))
        for first in range(0, len(plan.rows), size):
            places = range(first, min(first + size, len(plan.rows)))
            for arm, place, call in itertools.product(arms, places, range(plan.calls)):
                seed = self.plan.first_seed(place) + call
                yield Item(digest(self.graph(arm, place, call)), arm, place, call, seed)


def _saved(graph: dict) -> list[dict]:
    """The nodes of a graph as the front end saves it; none of one in API format."""
    return graph["nodes"] if isinstance(graph.get("nodes"), list) else []


def digest(value) -> str:
    """SHA-256 of a JSON value, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
