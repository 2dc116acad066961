"""What stands behind a socket of a queued graph, prompt and seed: for the record in what is made from it.

A graph is as the host queues it: id -> {"class_type": ..., "inputs": {name: value or [id, output]}}.
"""

from __future__ import annotations

from collections.abc import Iterator

ENCODED = (
    "text",
    "text_g",
    "text_l",
    "clip_l",
    "clip_g",
    "t5xxl",
    "prompt",
    "tags",
    "concepts",
    "query",
)  # of nodes that encode
WRITTEN = (
    "string",
    "value",
    "string_a",
    "string_b",
    "text_a",
    "text_b",
    "text1",
    "text2",
)  # of nodes that hold or join texts
OTHER = {
    "model",
    "clip",
    "vae",
    "control_net",
    "clip_vision",
    "clip_vision_output",
    "style_model",
    "image",
    "images",
    "pixels",
} | {"mask", "latent", "latent_image", "samples"}  # inputs that bring no prompt, though one may stand behind them
PAIR = ("positive", "negative")  # inputs of nodes that hand both through, in the order of their outputs


def is_link(value: object) -> bool:
    """Whether an input's value is a link to another node's output."""
    return isinstance(value, list) and len(value) == 2


def upstream(graph: dict | None, node: str | None) -> Iterator[str]:
    """The ids of all nodes that ``node`` is made from, itself first, the nearest next; each once, and none that is not there."""
    wave, seen = [str(node)], {str(node)}
    while wave:
        following = []
        for key in wave:
            if key not in (graph or {}):
                continue
            yield key
            for value in inputs_of(graph, key).values():
                if is_link(value) and str(value[0]) not in seen:
                    seen.add(str(value[0]))
                    following.append(str(value[0]))
        wave = following


def inputs_of(graph: dict | None, node: object) -> dict:
    """The inputs of a node; none where it is not there."""
    return ((graph or {}).get(str(node)) or {}).get("inputs") or {}


def text_behind(graph: dict | None, node_id: str | None, socket: str, depth: int = 64) -> str:
    """The texts from which the conditioning at ``socket`` was encoded, joined with " | "; "" where none is found.

    Where a node takes a positive and a negative conditioning and hands both on (ControlNets and the like), the side is followed that
    the wire comes from. A prompt is what was written, not what a node makes of it when it runs: a text that a language model writes
    is not in the graph, and then there is the one it was asked with.
    """
    found = _texts(graph or {}, inputs_of(graph, node_id).get(socket), depth, ())
    return " | ".join(dict.fromkeys(found))


def _texts(graph: dict, link, depth: int, way: tuple) -> list[str]:
    if not is_link(link) or depth == 0 or (str(link[0]), link[1]) in way:
        return []
    inputs, way = inputs_of(graph, link[0]), (*way, (str(link[0]), link[1]))
    pair = [name for name in PAIR if is_link(inputs.get(name))]
    if pair and link[1] in (0, 1):
        return _texts(graph, inputs.get(PAIR[link[1]]), depth - 1, way)
    for names in (ENCODED, WRITTEN):
        own = [inputs[name] for name in names if name in inputs]
        texts = [text.strip() for text in own if isinstance(text, str) and text.strip()]
        texts += [text for value in own for text in _texts(graph, value, depth - 1, way)]
        if texts:
            return texts
    rest = [value for name, value in inputs.items() if name not in OTHER]
    return [text for value in rest for text in _texts(graph, value, depth - 1, way)]


def nearest_seed(graph: dict | None, node: str) -> int | None:
    """The seed of the sampler nearest upstream of ``node`` in an API graph; None where there is none or it comes over a wire."""
    for key in upstream(graph, node):
        for name in ("seed", "noise_seed"):
            value = inputs_of(graph, key).get(name)
            if type(value) is int and 0 <= value < 2**64:
                return value
    return None
