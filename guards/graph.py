"""What stands behind a socket of a queued graph, prompt and seed: for the record in what is made from it."""

from __future__ import annotations

TEXT_INPUTS = ("text", "text_g", "prompt", "string", "value", "concepts")


def text_behind(graph: dict | None, node_id: str | None, socket: str, depth: int = 16) -> str:
    """The texts from which the conditioning at ``socket`` was encoded, joined with " | "; "" where none is found.

    ``graph``: as the host queues it, id -> {"inputs": {name: value or [id, output]}}.
    """
    link = ((graph or {}).get(str(node_id)) or {}).get("inputs", {}).get(socket)
    found = _texts(graph or {}, link, depth, set())
    return " | ".join(dict.fromkeys(found))


def _texts(graph: dict, link, depth: int, seen: set) -> list[str]:
    if not isinstance(link, list) or len(link) != 2 or depth == 0 or str(link[0]) in seen:
        return []
    seen.add(str(link[0]))
    inputs = (graph.get(str(link[0])) or {}).get("inputs", {})
    own = [inputs[name] for name in TEXT_INPUTS if isinstance(inputs.get(name), str) and inputs[name].strip()]
    if own:
        return own
    return [text for value in inputs.values() for text in _texts(graph, value, depth - 1, seen)]


def nearest_seed(graph: dict | None, node: str) -> int | None:
    """The seed of the sampler nearest upstream of ``node`` in an API graph; None where there is none or it comes over a wire."""
    wave, seen = [str(node)], set()
    while wave:
        following = []
        for key in wave:
            inputs = ((graph or {}).get(key) or {}).get("inputs") or {}
            for name in ("seed", "noise_seed"):
                if type(inputs.get(name)) is int and 0 <= inputs[name] < 2**64:
                    return inputs[name]
            for value in inputs.values():
                if isinstance(value, list) and len(value) == 2 and str(value[0]) not in seen:
                    seen.add(str(value[0]))
                    following.append(str(value[0]))
        wave = following
    return None
