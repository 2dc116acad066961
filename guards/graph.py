"""What stands behind a socket of a queued graph, prompt and seed: for the record in what is made from it."""

from __future__ import annotations

from . import seeds

# Inputs that hold a prompt: those of nodes that encode it, then those of nodes that hold or join texts.
ENCODED = set("text text_g text_l clip_l clip_g t5xxl prompt tags query concepts".split())
WRITTEN = set("string value string_a string_b text_a text_b text1 text2".split())
# Inputs that bring no prompt, though one may stand behind them.
OTHER = set(
    "model clip vae control_net clip_vision clip_vision_output style_model image images pixels mask latent latent_image samples".split()
)
SIDES = ("positive", "negative")  # inputs of nodes that hand both on, in the order of their outputs


def text_behind(graph: dict | None, node_id: str | None, socket: str) -> str:
    """The texts from which the conditioning at ``socket`` was encoded, joined with " | "; "" where none is found.

    ``graph``: as the host queues it, id -> {"inputs": {name: value or [id, output]}}. Where a node takes a positive and a negative
    conditioning and hands both on (ControlNets and the like), the side is followed that the link comes from. What a node makes of a
    text when it runs is not in the graph: of a prompt that is rewritten there is the one that was written.
    """
    link = ((graph or {}).get(str(node_id)) or {}).get("inputs", {}).get(socket)
    return " | ".join(dict.fromkeys(_texts(graph or {}, link, {})))


def _texts(graph: dict, link, visited: dict) -> list[str]:
    """``visited``: what was found at the outputs that were visited before, [] where one is its own source."""
    if not is_link(link):
        return []
    key = (link[0], link[1])
    if key not in visited:
        visited[key] = []
        inputs = (graph.get(link[0]) or {}).get("inputs") or {}
        visited[key] = list(dict.fromkeys(_written(graph, inputs, link[1], visited)))
    return visited[key]


def _written(graph: dict, inputs: dict, output: int, visited: dict) -> list[str]:
    if output < len(SIDES) and any(is_link(inputs.get(side)) for side in SIDES):
        return _texts(graph, inputs.get(SIDES[output]), visited)
    for names in (ENCODED, WRITTEN):
        texts = []
        for value in (value for name, value in inputs.items() if name in names):
            texts += [value.strip()] if isinstance(value, str) and value.strip() else _texts(graph, value, visited)
        if texts:
            return texts
    return [text for name, value in inputs.items() if name not in OTHER for text in _texts(graph, value, visited)]


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
        inputs = (graph or {})[key].get("inputs") or {}
        for name in ("seed", "noise_seed"):
            if seeds.is_seed(inputs.get(name)):
                return inputs[name]
    return None
