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


def is_link(value: object) -> bool:
    """Whether an input's value is a link, [node, output], to another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def upstream(graph: dict | None, node: str) -> list[str]:
    """A node of a queued graph and all that it is made from, each once, nearest first. What is not in the graph is left out."""
    graph, order, waiting = graph or {}, {}, [str(node)]
    for key in waiting:  # grows on the way
        if key in graph and key not in order:
            order[key] = None
            waiting += [value[0] for value in (graph[key].get("inputs") or {}).values() if is_link(value)]
    return list(order)


def nearest_seed(graph: dict | None, node: str) -> int | None:
    """The seed of the sampler nearest upstream of ``node`` in a queued graph; None where there is none or it comes over a wire."""
    for key in upstream(graph, node):
        inputs = graph[key].get("inputs") or {}
        for name in ("seed", "noise_seed"):
            if type(inputs.get(name)) is int and 0 <= inputs[name] < 2**64:
                return inputs[name]
    return None
