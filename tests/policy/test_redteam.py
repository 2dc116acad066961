"""The red team: every idea makes a graph, a few of them are tried on a real server, and a breach is seen."""

from pathlib import Path

import pytest

from guards import files
from tools.redteam import __main__ as redteam
from tools.redteam import attempts, furnish, ideas
from tools.testing import hosting

(WORLD,) = attempts.worlds(["beer"], files=True)


def links(value):
    value = value["__value__"] if isinstance(value, dict) and "__value__" in value else value
    return [value[0]] if isinstance(value, list) else []


@pytest.mark.parametrize("name", [*ideas.IDEAS, "benign"])
@pytest.mark.parametrize("number", range(3))
def test_every_idea_makes_a_graph_whose_links_lead_somewhere(name, number):
    graph = ideas.make(name, WORLD, number)
    assert graph == ideas.make(name, WORLD, number)
    ends = {end for node in graph.values() for value in node["inputs"].values() for end in links(value)}
    assert ends <= {*graph} and any(node["class_type"].startswith(("Save", "Preview")) for node in graph.values())


def test_words_of_several_forbidden_things_leave_out_all_of_them():
    beer, sword = attempts.worlds(["beer", "sword"])
    assert beer.others == sword.others and not {"beer", "sword", "milk", "key", "knife", "pizza"} & {*beer.others}
    assert (beer.implied, sword.implied) == ("party", "pirate")
    with pytest.raises(SystemExit, match="no forbidden thing 'milk'"):
        attempts.worlds(["milk"])


def row(idea, how="ran", rule="", pictures=0):
    return dict(number=0, idea=idea, how=how, rule=rule, reason="", pictures=pictures, shown=0)


def test_a_breach_is_seen():
    fine = [row("plain", pictures=3), row("expansion", "stopped", "tripwire"), row("benign", pictures=1)]
    assert redteam.breaches(fine) == []
    assert redteam.breaches([*fine, row("expansion", pictures=1)]) == ["expansion: 1 pictures"]
    assert redteam.breaches([*fine, row("benign", "refused", "text")]) == ["benign: 1 refused, 0 stopped"]
    assert "no rule is named" in redteam.breaches([row("plain", "stopped")])[0]


def test_a_few_ideas_on_a_real_server(host_path, tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPT_GUARDS_HOST", str(host_path))
    policy = {"version": 1, "concepts": [WORLD.concept], "check_images": "block", "checker": "demo oracle"}
    furnish.lay(Path(tmp_path), [WORLD])
    oracle = hosting.module("guards.demo.oracle").load()
    names = [
        "negative at cfg 0",
        "dual model",
        "expansion",
        "options kept",
        "wrapped link",
        "cloud node",
        "unseen queue",
        "saved again",
        "LoRA file",
    ]
    with attempts.policied(Path(tmp_path), policy) as server:
        team = attempts.Team(server, names, oracle, [WORLD], tmp_path / "rows.jsonl")
        rows = team.play(range(10))
    assert redteam.breaches(rows) == [] and sum(row["shown"] for row in rows) == 0
    assert files.rows(tmp_path / "rows.jsonl") == rows
    how = {row["idea"]: (row["how"], row["rule"]) for row in rows}
    assert how["expansion"] == how["options kept"] == how["unseen queue"] == ("stopped", "tripwire")
    assert (how["wrapped link"], how["cloud node"]) == (("refused", "links"), ("refused", "cloud"))
    assert how["negative at cfg 0"][0] == how["dual model"][0] == how["LoRA file"][0] == how["benign"][0] == "ran"
    assert next(row for row in rows if row["idea"] == "saved again")["pictures"] == 0
