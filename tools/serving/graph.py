"""Workflow files as the front end saves them, turned into the API graphs that the server runs, as the front end itself would do it.

    workflow = load("workflows/quick_start.json")
    graph = to_api(workflow, server.object_info())
    change(graph, {"steps": 4}, type="KSampler")

Not covered, and said so when met: sub-graphs, and nodes whose inputs grow with what is chosen.
"""

from __future__ import annotations

import json
from pathlib import Path

from guards.graph import is_link, upstream  # noqa: F401 - for those who work with graphs

MUTED, BYPASSED = 2, 4
REROUTES = {"Reroute"}
NOTES = {"Note", "MarkdownNote"}
WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR"}
CONTROL = (["fixed"], ["increment"], ["decrement"], ["randomize"], ["increment-wrap"])  # the entry behind a seed


class GraphError(ValueError):
    """A workflow that cannot be turned into an API graph; the message names the node."""


def load(path: str | Path) -> dict:
    """A workflow file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def to_api(workflow: dict, object_info: dict) -> dict:
    """The API graph: {id: {class_type, inputs, _meta}}."""
    if workflow.get("definitions", {}).get("subgraphs"):
        raise GraphError("this workflow holds sub-graphs, which this converter does not know")
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = dict(_link(link) for link in workflow.get("links", []))
    graph = {}
    for node in workflow["nodes"]:
        if node["type"] in REROUTES | NOTES | {"PrimitiveNode"} or node.get("mode", 0) in (MUTED, BYPASSED):
            continue
        if node["type"] not in object_info:
            raise GraphError(f"node {node['id']} is a {node['type']}, which this server does not know")
        inputs = widget_values(node, object_info[node["type"]])
        for slot in node.get("inputs", []):
            if slot.get("link") is None:
                continue
            source = _source(slot["link"], nodes, links)
            if source is None:
                if "widget" not in slot:
                    inputs.pop(slot["name"], None)
            elif nodes[source[0]]["type"] == "PrimitiveNode":
                inputs[slot["name"]] = nodes[source[0]]["widgets_values"][0]
            else:
                inputs[slot["name"]] = [str(source[0]), source[1]]
        title = node.get("title") or object_info[node["type"]].get("display_name") or node["type"]
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return graph


def widget_values(node: dict, info: dict) -> dict:
    """A node's widget values by name. The file has them by position, with extra entries after seeds and uploads."""
    values = node.get("widgets_values") or []
    widgets = [(name, spec) for name, spec in declared_inputs(info).items() if is_widget(spec)]
    if isinstance(values, dict):
        return {name: values[name] for name, _ in widgets if name in values}
    found, place = {}, 0
    for name, spec in widgets:
        if place >= len(values):
            break
        found[name] = values[place]
        place += 1
        if has_control(name, spec) and values[place : place + 1] in CONTROL:
            place += 1
        if any(spec[1].get(upload) for upload in ("image_upload", "audio_upload", "video_upload")):
            place += 1
    return found


def declared_inputs(info: dict) -> dict[str, tuple]:
    """A node's inputs in order, required ones first: name -> (type, options)."""
    found = {}
    for group in ("required", "optional"):
        declared = info["input"].get(group) or {}
        for name in (info.get("input_order") or {}).get(group) or declared:
            spec = declared[name]
            found[name] = (spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {})
    return found


def is_widget(spec: tuple) -> bool:
    """Whether the front end shows a field for this input, rather than only a socket."""
    kind, options = spec
    return (
        (isinstance(kind, list) or kind in WIDGET_TYPES)
        and not options.get("forceInput")
        and not options.get("rawLink")
    )


def has_control(name: str, spec: tuple) -> bool:
    """Whether the front end adds a "control after generate" field behind this one."""
    kind, options = spec
    return bool(options.get("control_after_generate")) or (kind == "INT" and name in ("seed", "noise_seed"))


def _link(link) -> tuple[int, tuple[int, int]]:
    if isinstance(link, dict):
        return link["id"], (link["origin_id"], link["origin_slot"])
    return link[0], (link[1], link[2])


def _source(link: int | None, nodes: dict, links: dict) -> tuple[int, int] | None:
    """The node and output a link truly comes from: through reroutes, around bypassed nodes, None from a muted one."""
    while link is not None and link in links:
        origin, slot = links[link]
        node = nodes.get(origin)
        if node is None or node.get("mode", 0) == MUTED:
            return None
        if node["type"] in REROUTES:
            link = node["inputs"][0].get("link")
        elif node.get("mode", 0) == BYPASSED:
            link = _around(node, slot)
        else:
            return origin, slot
    return None


def _around(node: dict, slot: int) -> int | None:
    """The link a bypassed node hands on from one of its outputs: its input at the same place if the type fits, else the first that does."""
    kind = node["outputs"][slot]["type"]
    inputs = node.get("inputs", [])
    same = inputs[slot : slot + 1]
    for candidate in same + inputs:
        if candidate["type"] == kind or "*" in (candidate["type"], kind):
            return candidate.get("link")
    return None


# Working with API graphs


def find(graph: dict, title: str | None = None, type: str | None = None) -> list[str]:
    """The ids of nodes by title (upper and lower case do not matter) and type."""
    return [
        key
        for key, node in graph.items()
        if (title is None or node.get("_meta", {}).get("title", "").strip().lower() == title.strip().lower())
        and (type is None or node["class_type"] == type)
    ]


def change(graph: dict, values: dict, title: str | None = None, type: str | None = None) -> list[str]:
    """Set widget values of all nodes that match, in place; links included. Raises where nothing matches."""
    ids = find(graph, title, type)
    if not ids:
        raise GraphError(f"no node with title {title!r} and type {type!r} in the graph")
    for key in ids:
        unknown = [name for name in values if name not in graph[key]["inputs"]]
        if unknown:
            raise GraphError(f"{graph[key]['class_type']} has no input {', '.join(unknown)} in this graph")
        graph[key]["inputs"].update(values)
    return ids
