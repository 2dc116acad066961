"""The blueprint of subgraphs/: what Concept Guard is made of, as nodes that can be opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
PATH = PROJECT / "subgraphs" / "Concept Guard, opened.json"
GRAPH = PROJECT / "workflows" / "concept_guard.json"
OUTPUTS = {0: 0, 2: 1}  # of Concept Guard, by number -> the blueprint's: model and report


@pytest.fixture(scope="module")
def blueprint() -> dict:
    return json.loads(PATH.read_text(encoding="utf-8"))


def test_its_nodes_have_the_inputs_that_they_have_today(blueprint, schemas):
    (inside,) = blueprint["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in inside["nodes"] if node["type"] in schemas}
    assert {node["type"] for node in nodes.values()} == {"GuardEraseConcept", "GuardGrowthInhibitor"}
    for node in nodes.values():
        schema = schemas[node["type"]]
        assert sorted(one["name"] for one in node["inputs"]) == sorted(one.id for one in schema.inputs)
        assert len(node["widgets_values"]) == sum("widget" in one for one in node["inputs"])
        given = dict(
            zip([one["name"] for one in node["inputs"] if "widget" in one], node["widgets_values"], strict=True)
        )
        for name, value in given.items():
            options = getattr(next(one for one in schema.inputs if one.id == name), "options", None)
            assert not options or value in options
    for number, name in blueprint["nodes"][0]["properties"]["proxyWidgets"]:
        assert any(one["name"] == name and "widget" in one for one in nodes[int(number)]["inputs"])


def test_the_server_offers_it(server):
    offered = server.get("/global_subgraphs")
    ((key, entry),) = [(key, one) for key, one in offered.items() if one["source"] == "custom_node"]
    assert entry["name"] == PATH.stem and entry["info"]["node_pack"] == "custom_nodes.concept-guards"
    assert json.loads(server.get(f"/global_subgraphs/{key}")["data"]) == json.loads(PATH.read_text("utf-8"))


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


def test_on_the_page_it_stands_in_for_the_node(front_end, blueprint):
    graph = in_the_graph(blueprint)
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
