"""Pictures, videos and latents that users bring along, where the policy lets nobody bring any. Pure.

What a node brings along is told by its inputs: a choice among the files that users have put on the server, or, on a node that makes
pictures of no other node's, a text that names a file or an address, holds one, or comes by a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from .admission import PICTURES, Kinds, is_link, links, source_type
from .rules import Policy
from .sayings import Refusal

Brings = Callable[[str], Collection[str]]  # a class -> its inputs that choose among users' files
MADE_OF = frozenset(("IMAGE", "VIDEO", "MASK", "LATENT", "MODEL", "VAE"))
_FILE = re.compile(
    r"\.(?:png|jpe?g|webp|gif|bmp|tiff?|avif|heic|jxl|exr|svg|latent|npy|npz|pt|safetensors|mp4|webm|mkv|mov|avi)\b|^\s*(?:\w+://|data:|[/~\\]|\w:[/\\])",
    re.IGNORECASE,
)
LONGEST = 2_000  # characters of a text that is no picture in itself


def refuse(graph: dict, policy: Policy, kind_of: Kinds, brings: Brings) -> Refusal | None:
    """The first input by which a picture, a video or a latent would be brought along; None where the policy lets it, or none is."""
    if policy.uploads != "refused":
        return None
    for name, node in graph.items():
        kind = kind_of(node["class_type"])
        if kind is None or not PICTURES & {*kind.returns}:
            continue
        inputs = node.get("inputs", {})
        key = next((key for key in brings(node["class_type"]) if key in inputs), None) or _told(graph, name, kind_of)
        if key is not None:
            return Refusal("uploads", "upload", name, node["class_type"], {"key": key})
    return None


def _told(graph: dict, name: str, kind_of: Kinds) -> str | None:
    """The input by which a node that makes pictures of no other node's is told which file to read."""
    types = {key: source_type(graph, source, slot, kind_of) for key, source, slot in links(graph[name])}
    if MADE_OF & {*types.values()}:
        return None
    for key, value in graph[name].get("inputs", {}).items():
        said = types.get(key) in ("STRING", "*", None) if is_link(value) else isinstance(value, str) and _names(value)
        if said:
            return key
    return None


def _names(text: str) -> bool:
    """Whether a text names a file or an address, or is long enough to hold a picture."""
    return len(text) > LONGEST or _FILE.search(text) is not None
