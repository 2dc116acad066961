"""Which files a graph may use, where the policy names those that it may: checkpoints, LoRAs, embeddings and the like. Pure.

A file is known by its name among those that the server has, wherever in a node's inputs it stands, and by the marks that texts use:
``embedding:name`` is the host's own, ``<lora:name:1>`` that of other packs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .rules import Policy
from .sayings import Refusal

EMBEDDING = re.compile(r"embedding:\s*([^\s,:()\[\]<>|]+)", re.IGNORECASE)
LORA = re.compile(r"<\s*(?:lora|lyco)\s*:\s*([^:<>]+)", re.IGNORECASE)
ENDINGS = (".safetensors", ".sft", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".pkl", ".gguf")
Listing = Callable[[str], list[str]]  # a kind of file -> the names that the server has
Chooses = Callable[[str, str, str], bool]  # (class, input, kind) -> whether a file of that kind is chosen there


def refuse(graph: dict, policy: Policy, listing: Listing, chooses: Chooses) -> Refusal | None:
    """The first file that is not among those allowed, or whose name would come by a link; or None."""
    for kind, allowed in policy.files:
        there = {_short(name) for name in listing(kind)} - {_short(name) for name in allowed}
        for name, node in graph.items():
            for key, value in node.get("inputs", {}).items():
                if _is_link(value):
                    if chooses(node["class_type"], key, kind):
                        return Refusal("files", "linked file", name, node["class_type"], {"key": key})
                    continue
                found = next((one for one in _strings(value) if _unlisted(one, kind, allowed, there)), None)
                if found is not None:
                    said = {"key": key, "file": _unlisted(found, kind, allowed, there), **choice(kind, allowed)}
                    return Refusal("files", "file", name, node["class_type"], said)
    return None


def choice(kind: str, allowed: tuple[str, ...]) -> dict[str, object]:
    """For sentences: what may be chosen instead."""
    return {"kind": kind, "allowed": ", ".join(allowed) or "-"}


def embedding(text: str, policy: Policy) -> tuple[str, tuple[str, ...]] | None:
    """(an embedding that a text names and the policy does not allow, those that it allows), or None."""
    allowed = dict(policy.files).get("embeddings")
    found = None if allowed is None else _marked(text, EMBEDDING, allowed)
    return (found, allowed) if found is not None and allowed is not None else None


def _unlisted(text: str, kind: str, allowed: tuple[str, ...], there: set[str]) -> str | None:
    """The name of a file that a text is or marks, and that is not allowed."""
    if kind == "embeddings":
        return _marked(text, EMBEDDING, allowed)
    if kind == "loras" and "<" in text:
        return _marked(text, LORA, allowed)
    return text if len(text) < 1000 and _short(text) in there else None


def _marked(text: str, mark: re.Pattern, allowed: tuple[str, ...]) -> str | None:
    stems = {_stem(name) for name in allowed}
    return next((found[1] for found in mark.finditer(text) if _stem(found[1]) not in stems), None)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _is_link(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float)
    )


def _short(name: str) -> str:
    """A file's name without its folders, so that no spelling of a path gets round the list."""
    return name.replace("\\", "/").rsplit("/", 1)[-1].strip().casefold()


def _stem(name: str) -> str:
    short = _short(name)
    return next((short[: -len(end)] for end in ENDINGS if short.endswith(end)), short)
