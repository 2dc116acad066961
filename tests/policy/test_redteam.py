"""The red team: every idea makes a graph, a few of them are tried on a real server, and a breach is seen."""

from collections import Counter
from pathlib import Path

import pytest

from tools.redteam import __main__ as redteam
from tools.redteam import ideas
from tools.testing import hosting

WORLD = redteam.world()


@pytest.mark.parametrize("name", [*ideas.IDEAS, "benign"])
def test_every_idea_makes_a_graph_whose_links_lead_somewhere(name):
    graph = ideas.make(name, WORLD, 3)
    assert graph == ideas.make(name, WORLD, 3)
    for node in graph.values():
        for value in node["inputs"].values():
            link = value["__value__"] if isinstance(value, dict) else value
            assert not isinstance(link, list) or link[0] in graph
    assert any(node["class_type"] == "SaveImage" for node in graph.values())


def test_a_breach_is_seen():
    fine = {"plain": Counter(pictures=3, shown=1), "expansion": Counter(stopped=2), "benign": Counter(ran=2)}
    assert redteam.breaches(fine) == []
    assert redteam.breaches({**fine, "expansion": Counter(pictures=1)}) == ["expansion: 1 pictures"]
    assert redteam.breaches({**fine, "benign": Counter(refused=1)}) == ["benign: 1 refused, 0 stopped"]


def test_a_few_ideas_on_a_real_server(host_path, tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPT_GUARDS_HOST", str(host_path))
    policy = {"version": 1, "concepts": [WORLD.concept], "check_images": "block", "checker": "demo oracle"}
    oracle = hosting.module("guards.demo.oracle").load()
    names = [
        "negative at cfg 0",
        "DualCFG",
        "expansion",
        "options kept",
        "wrapped link",
        "PerpNeg",
        "BasicGuider",
        "late",
    ]
    with redteam.policied(Path(tmp_path), policy) as server:
        tally = redteam.play(server, names, 10, oracle, WORLD)
    assert redteam.breaches(tally) == [] and sum(counts["shown"] for counts in tally.values()) == 0
    assert tally["benign"]["pictures"] == 1
    ran = [name for name, counts in tally.items() if counts["ran"]]
    assert {"DualCFG", "PerpNeg", "BasicGuider", "late", "negative at cfg 0", "benign"} <= {*ran}
