"""Which prompt stands behind a socket of a queued graph: for the record in what is made from it."""

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
