"""The blueprint of subgraphs/ in the real front end."""

from __future__ import annotations

import json
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PATH = PROJECT / "subgraphs" / "Concept Guard, opened.json"
GRAPH = PROJECT / "workflows" / "concept_guard.json"
OUTPUTS = {0: 0, 2: 1}  # of Concept Guard, by number -> the blueprint's: model and report


def in_the_graph(blueprint: dict) -> dict:
    """The graph of Concept Guard with the blueprint in the node's place."""
    graph = json.loads(GRAPH.read_text(encoding="utf-8"))
    (node,) = blueprint["nodes"]
    at = next(number for number, one in enumerate(graph["nodes"]) if one["type"] == "GuardConcepts")
    old = graph["nodes"][at]
    new = {**node, "id": old["id"], "pos": old["pos"], "order": old["order"]}
    new["inputs"] = [{**one, "link": other["link"]} for one, other in zip(node["inputs"], old["inputs"], strict=False)]
    new["outputs"] = [
        {**node["outputs"][mine], "links": old["outputs"][theirs]["links"]} for theirs, mine in OUTPUTS.items()
    ]
    graph["nodes"][at] = new
    for link in graph["links"]:
        if link[1] == old["id"]:
            link[2] = OUTPUTS[link[2]]
    return {**graph, "definitions": blueprint["definitions"]}


def test_on_the_page_it_stands_in_for_the_node(front_end):
    graph = in_the_graph(json.loads(PATH.read_text(encoding="utf-8")))
    front_end.drop("opened.json", json.dumps(graph).encode(), len(graph["nodes"]))
    assert not front_end.faults()
    asked = front_end.graph()["output"]
    kinds = {node["class_type"]: node["inputs"] for node in asked.values()}
    assert "GuardConcepts" not in kinds
    assert kinds["GuardEraseConcept"]["concepts"] == kinds["GuardGrowthInhibitor"]["replacement"] == "beer -> milk"
    assert kinds["GuardGrowthInhibitor"]["targets"] == "beer"
    front_end.set_widgets("KSampler", steps=2)
    front_end.run()
    for node in front_end.nodes("SaveImage"):
        front_end.wait_for_pictures(node, 8)
    assert not front_end.alarms()
