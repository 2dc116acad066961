"""The blueprint of subgraphs/: what Concept Guard is made of, as nodes that can be opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
PATH = PROJECT / "subgraphs" / "Concept Guard, opened.json"


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
