"""What a submitted graph (API format) may hold under a policy, and the graph with the guards put in. Pure: strings and dicts.

A graph is {node id: {"class_type": str, "inputs": {name: value}}}; a link is [node id, output slot].
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .rules import Policy
from .sayings import ENGLISH, Refusal

MODEL_NODE, TEXT_NODE, OUTPUT_NODE = INTERNAL = ("GuardPolicyModel", "GuardPolicyText", "GuardPolicyOutput")
PREFIX = "concept-guards-policy-"  # of the ids of nodes that are put in
PICTURES = frozenset(("IMAGE", "VIDEO", "MASK", "LATENT", "*"))
PATCHES = frozenset(("MODEL", "CLIP", "VAE", "CLIP_VISION", "STRING"))  # a node that returns these only samples nothing
MOST_TEXT = 100_000  # characters of a graph's texts that are read


@dataclass(frozen=True)
class Kind:
    """What the host knows of a node class."""

    returns: tuple[str, ...]
    is_output: bool = False
    is_cloud: bool = False


Kinds = Callable[[str], Kind | None]
Texts = Callable[[str], str | None]  # a text -> the refused concept that it names


def refuse(graph: object, policy: Policy, kind_of: Kinds, names: Texts) -> Refusal | None:
    """The first rule that the graph breaks, or None. Classes that the host does not know are left to the host, which refuses them."""
    if not isinstance(graph, dict):
        return Refusal("graph", "no graph")
    if len(graph) > policy.most_nodes:
        return Refusal("size", "nodes", values={"count": len(graph), "most": policy.most_nodes})
    for name, node in graph.items():
        broken = _form(name, node) or _class(name, node["class_type"], policy, kind_of) or _links(name, node)
        if broken:
            return broken
    return _texts(graph, names)


def _form(name: str, node: object) -> Refusal | None:
    if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
        return Refusal("graph", "no class", name)
    if not isinstance(node.get("inputs", {}), dict):
        return Refusal("graph", "inputs", name, node["class_type"])
    return Refusal("internal", "id", name, values={"prefix": PREFIX}) if name.startswith(PREFIX) else None


def _class(name: str, class_type: str, policy: Policy, kind_of: Kinds) -> Refusal | None:
    if class_type in INTERNAL:
        return Refusal("internal", "internal", name, class_type)
    if class_type in policy.deny or (policy.nodes == "listed" and class_type not in policy.allow):
        return Refusal("nodes", "class", name, class_type)
    kind = kind_of(class_type)
    return Refusal("cloud", "cloud", name, class_type) if kind and kind.is_cloud and not policy.cloud else None


def is_link(value: object) -> bool:
    """Whether the host takes a value for a link."""
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float)
    )


def _links(name: str, node: dict) -> Refusal | None:
    for key, value in node.get("inputs", {}).items():
        if isinstance(value, dict) and "__value__" in value and is_link(value["__value__"]):
            return Refusal("links", "hidden link", name, node["class_type"], {"key": key})
        if is_link(value) and (isinstance(value[1], bool | float) or value[1] < 0):
            return Refusal("links", "slot", name, node["class_type"], {"key": key, "slot": value[1]})
    return None


def links(node: dict) -> Iterator[tuple[str, str, int]]:
    """(input, source id, slot) of a node's links."""
    for key, value in node.get("inputs", {}).items():
        if is_link(value):
            yield key, value[0], int(value[1])


def _texts(graph: dict, names: Texts) -> Refusal | None:
    """A refused concept in any text of the graph that is not only a negative prompt."""
    spared, read = negatives(graph), 0
    for name, node in graph.items():
        for key, value in node.get("inputs", {}).items():
            if not isinstance(value, str) or name in spared:
                continue
            read += len(value)
            if read > MOST_TEXT:
                return Refusal("size", "long", name, node["class_type"], {"most": MOST_TEXT})
            concept = names(value)
            if concept is not None:
                return Refusal("text", "wish", name, node["class_type"], {"key": key, "concept": concept})
    return None


def negatives(graph: dict) -> set[str]:
    """The nodes whose outputs go nowhere but into inputs called negative, directly or through nodes of which that is true."""
    uses: dict[str, list[tuple[str, str]]] = {name: [] for name in graph}
    for name, node in graph.items():
        for key, source, _ in links(node):
            if source in uses:
                uses[source].append((name, key))
    spared: set[str] = set()
    while True:
        more = {
            name
            for name, found in uses.items()
            if name not in spared and found and all(key == "negative" or user in spared for user, key in found)
        }
        if not more:
            return spared
        spared |= more


def source_type(graph: dict, name: str, slot: int, kind_of: Kinds) -> str | None:
    """The type of an output, or None where it cannot be known."""
    kind = kind_of(graph[name]["class_type"]) if name in graph else None
    return kind.returns[slot] if kind is not None and slot < len(kind.returns) else None


def guarded(graph: dict, policy: Policy, kind_of: Kinds, language: str = ENGLISH) -> dict | Refusal:
    """A copy of the graph with the guard on every MODEL that a node samples, the text check before every text encoder, and, where the
    policy asks for it, the picture check before every output node and behind every node that brings pictures along; or why that cannot
    be done. ``language``: of whoever sent it, for what the nodes that are put in may have to say."""
    woven = {name: {**node, "inputs": {**node.get("inputs", {})}} for name, node in graph.items()}
    put: dict = {}
    stamp = f"{policy.fingerprint} {language}"
    texts, pictures = policy.refused or "embeddings" in dict(policy.files), policy.check_images == "block"
    for name, node in graph.items():
        kind = kind_of(node["class_type"])
        if kind is None:
            continue
        for key, source, slot in links(node):
            what = source_type(graph, source, slot, kind_of)
            if what in ("MODEL", "*") and not set(kind.returns) <= PATCHES:
                clip = encoder(graph, name, kind_of)
                if what == "MODEL" and clip is None:
                    return Refusal("encoder", "encoder", name, node["class_type"])
                extra = {"clip": clip} if clip else {}
                made = _put(put, MODEL_NODE, dict(model=[source, slot], fingerprint=stamp, **extra))
            elif texts and what in ("STRING", "*") and "CONDITIONING" in kind.returns:
                made = _put(put, TEXT_NODE, dict(text=[source, slot], fingerprint=stamp))
            elif pictures and (
                (what is None or what in PICTURES) if kind.is_output else _brought(graph, source, what, kind_of)
            ):
                made = _put(put, OUTPUT_NODE, dict(images=[source, slot], fingerprint=stamp))
            else:
                continue
            woven[name]["inputs"][key] = [made, 0]
    woven |= {name: node for name, node in put.values()}
    return woven if acyclic(woven) else Refusal("graph", "circle")


def _brought(graph: dict, name: str, what: str | None, kind_of: Kinds) -> bool:
    """Whether a link's source gives a picture that nothing in the graph has made: an upload, a file."""
    made_of = (
        {source_type(graph, source, slot, kind_of) for _, source, slot in links(graph[name])}
        if name in graph
        else set()
    )
    return what in ("IMAGE", "VIDEO") and not made_of & {"IMAGE", "VIDEO", "LATENT", "MODEL", "*", None}


def _put(put: dict, class_type: str, inputs: dict) -> str:
    """The id of the node that is put in for these inputs, one for all that share them."""
    key = (class_type, repr(sorted(inputs.items())))
    if key not in put:
        put[key] = (f"{PREFIX}{len(put) + 1}", {"class_type": class_type, "inputs": inputs})
    return put[key][0]


def encoder(graph: dict, name: str, kind_of: Kinds) -> list | None:
    """The link of the nearest CLIP above a node, the one that its prompts are encoded with before any other; for a node without prompts
    (a scheduler), of the first one that any other node encodes with. None where the graph has no CLIP."""
    above = _encoder(graph, name, kind_of, ("MODEL", "VAE", "LATENT", "IMAGE")) or _encoder(graph, name, kind_of, ())
    return above or next(
        (
            [source, slot]
            for other in graph.values()
            for _, source, slot in links(other)
            if source_type(graph, source, slot, kind_of) == "CLIP"
        ),
        None,
    )


def _encoder(graph: dict, name: str, kind_of: Kinds, apart: tuple[str, ...]) -> list | None:
    seen, level = {name}, [name]
    while level:
        above = []
        for one in level:
            for _, source, slot in links(graph[one]):
                what = source_type(graph, source, slot, kind_of)
                if what == "CLIP":
                    return [source, slot]
                if source in graph and source not in seen and what not in apart:
                    seen.add(source)
                    above.append(source)
        level = above
    return None


def acyclic(graph: dict) -> bool:
    """Whether no node feeds itself."""
    try:
        graphlib.TopologicalSorter({name: [one for _, one, _ in links(node)] for name, node in graph.items()}).prepare()
    except graphlib.CycleError:
        return False
    return True


def failing(sentence: str) -> dict:
    """A graph that does nothing but fail with a sentence."""
    return {f"{PREFIX}1": {"class_type": OUTPUT_NODE, "inputs": {"refusal": sentence}}}
