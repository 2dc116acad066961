"""Read from an API graph what a picture was made with: prompt, concepts, guards, sampler. For titles; never raises on a strange graph."""

from __future__ import annotations

from dataclasses import dataclass

from guards.graph import text_behind
from guards.lists.arrows import ARROW

from ..serving.graph import is_link, upstream

NAMING = {"GuardConcepts": "concepts", "GuardEraseConcept": "concepts", "GuardGrowthInhibitor": "targets"}
HELPERS = {"GuardDemoModel", "GuardForbiddenConcepts", "GuardLearnInstruction"}


@dataclass(frozen=True)
class Story:
    """What is said about a picture."""

    prompt: str
    concepts: str
    guards: list[str]
    sampler: str


def tell(graph: dict, end: str, concepts_said: str = "") -> Story:
    """The story of the picture that node `end` saves. `concepts_said`: the concepts as the host put them out, where known."""
    made_from = upstream(graph, end)
    sampler = next(
        (key for key in made_from if _takes(graph[key], "positive") and "Sampler" in graph[key]["class_type"]), None
    )
    prompt = text_behind(graph, sampler, "positive")
    guards = [
        key
        for key in made_from
        if graph[key]["class_type"].startswith("Guard")
        and graph[key]["class_type"] not in HELPERS
        and not graph[key]["class_type"].startswith("GuardRewriter")
    ]
    lists = [key for key in made_from if graph[key]["class_type"] == "GuardForbiddenConcepts"]
    concepts = concepts_said or next((_concepts(graph[key]) for key in lists), "")
    if not concepts:
        concepts = next(filter(None, (_named(graph[key]) for key in guards)), "")
    if not concepts:
        concepts = next((text_behind(graph, key, "safety_concept") for key in guards), "")
    return Story(
        prompt,
        concepts,
        [_settings(graph, graph[key]) for key in reversed(guards)],
        _sampler(graph[sampler]) if sampler else "",
    )


def _concepts(node: dict) -> str:
    preset = str(node["inputs"].get("preset", ""))
    typed = node["inputs"].get("concepts")
    return typed if preset in ("", "custom") and isinstance(typed, str) else f"list {preset!r}"


def _named(node: dict) -> str:
    """What a guard is told must not appear: what stands left of the arrows, without notes."""
    typed = node["inputs"].get(NAMING.get(node["class_type"], ""), "")
    lines = [line.strip() for line in str(typed).splitlines()]
    return ", ".join(ARROW.split(line)[0] for line in lines if line and not line.startswith("#"))


def _takes(node: dict, name: str) -> bool:
    return is_link(node["inputs"].get(name))


def _settings(graph: dict, node: dict) -> str:
    """A guard's title and its widget values; the numbers of a preset that is not custom do not count and are left out."""
    values = {name: value for name, value in node["inputs"].items() if not is_link(value)}
    if values.get("preset") not in (None, "custom"):
        values = {name: values[name] for name in ("variant", "preset") if name in values}
    if node["class_type"] == "GuardRewritePrompt":
        back_end = graph.get((node["inputs"].get("rewriter") or [""])[0])
        rules = str(back_end["inputs"].get("rules", "")) if back_end else ""
        values = {
            "by": (back_end["_meta"]["title"] + ": " if back_end else "")
            + "; ".join(filter(None, map(str.strip, rules.splitlines())))
        }
        values = {"by": values["by"].rstrip(": ")}
    said = ", ".join(f"{name} {value}" for name, value in values.items() if value != "")
    return f"{node['_meta']['title']}" + (f" ({said})" if said else "")


def _sampler(node: dict) -> str:
    values = node["inputs"]
    named = [
        ("steps", "steps"),
        ("cfg", "cfg"),
        ("sampler_name", ""),
        ("scheduler", ""),
        ("seed", "seed"),
        ("noise_seed", "seed"),
    ]
    return ", ".join(
        f"{word} {values[name]}".strip() for name, word in named if name in values and not is_link(values[name])
    )
