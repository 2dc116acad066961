"""Plans whose arms are made in several ways: what is run, and what is compared with what."""

import dataclasses
import json
import re

import pytest

from tests.commands.test_evaluate_plan import INFO, PLAN, given, make
from tests.commands.test_evaluate_results import KINDS, line, made  # noqa: F401 - a fixture
from tools.evaluating import plan as plans
from tools.evaluating import rating, report, tables
from tools.evaluating.__main__ import narrowed
from tools.evaluating.errors import PlanError
from tools.evaluating.items import Builder
from tools.evaluating.results import Store

WAYS = {"usual": {}, "strong": {"guidance": 9.0}, "other": {"prompt": "no {kind}"}}


def test_arms_are_made_in_every_way_and_an_arm_goes_through_all_of_them(tmp_path):
    """A server that made a guard ready keeps it for all ways."""
    arms = {"off": {"Sampler.model": ["1", 0]}, "on": {}}
    plan = make(tmp_path, ways=WAYS, arms=arms, inputs={**PLAN["inputs"], "guidance": "4.cfg"})
    names = [f"{way}: {arm}" for way in WAYS for arm in arms]
    assert list(plan.made) == names and {plan.made[name].reference for name in names} == {f"{way}: off" for way in WAYS}
    builder = Builder(plan, INFO)
    items = list(builder.items())
    assert [item.arm for item in items if not item.place] == [f"{way}: {arm}" for arm in arms for way in WAYS]
    assert len({item.id for item in items}) == 2 * len(names)
    assert len({builder.likeness(item) for item in items}) == len(arms)
    off, on = builder.graph("strong: off", 0, 0), builder.graph("strong: on", 0, 0)
    assert off["4"]["inputs"] | {"model": ["3", 0]} == on["4"]["inputs"] and on["4"]["inputs"]["cfg"] == 9.0
    assert builder.graph("other: on", 1, 0)["2"]["inputs"]["text"] == "no other"
    part = narrowed(plan, given(ways="strong", arms="on"))
    assert list(part.made) == ["strong: off", "strong: on"]
    assert {item.id for item in Builder(part, INFO).items()} < {item.id for item in items}, "what is there is kept"


def test_what_a_way_and_an_arm_both_set_is_refused(tmp_path):
    plan = make(tmp_path, ways={"strong": {"4.cfg": 9.0}}, arms={"off": {}, "on": {"guidance": 5.0}})
    with pytest.raises(PlanError, match="ways.strong and arms.on both set 4.cfg, and one would undo the other"):
        Builder(plan, INFO)


def test_every_ways_arms_are_compared_with_their_own_reference(made, tmp_path):  # noqa: F811
    """Half of the concept's pictures show it in the weak way without a guard, all in the strong one; the guard halves both."""
    data = json.loads((tmp_path / "plan.json").read_text())
    data |= {"ways": {"strong": {}, "weak": {"2.text": ["1", 0]}}, "measures": [], "published": {}}
    data["graph"]["2"]["inputs"]["way"] = 0
    data["ways"] = {"strong": {"2.way": 0}, "weak": {"2.way": 1}}
    (tmp_path / "plan.json").write_text(json.dumps(data))
    plan = plans.read(tmp_path / "plan.json")
    builder = Builder(plan, {kind: {"input": {"required": {}}} for kind in KINDS})
    items = list(builder.items())
    with Store(tmp_path / "ways") as store:
        for item in items:
            way, arm = item.arm.split(": ")
            one = line(store, dataclasses.replace(item, arm=arm))
            shows = [0.9, 0.1 if arm == "on" else 0.9] if item.place % 2 or way == "strong" else [0.1, 0.1]
            one["scores"]["it"] = shows if item.place < 30 else [0.0, 0.0]
            one["scores"]["own"] = [0.8, 0.8] if way == "strong" or item.place >= 45 else [0.1, 0.1]
            store.add({**one, "arm": item.arm})
        found = {name: arm.figures() for name, arm in tables.arms(plan, builder, items, store).items()}
        text = report.write(plan, builder, items, store).read_text()
    assert list(found) == ["strong: off", "strong: on", "weak: off", "weak: on"]
    assert [found[name]["shown"][:2] for name in found] == [[60, 60], [30, 60], [30, 60], [15, 60]]
    assert [found[f"{way}: on"]["suppression"] for way in ("strong", "weak")] == [0.5, 0.5]
    assert found["strong: on"]["kept"][:2] == [120, 120] and found["weak: on"]["kept"][:2] == [30, 30]
    plain = (tmp_path / "ways" / "tables.md").read_text()
    assert re.search(r"\*\*shown\*\* +\| off +\| on", plain) and re.search(
        r"\| weak +\| 0.500 \(60\) \| 0.250 \(60\)", plain
    )
    assert re.search(r"\| strong +\| 1.000 \(60\) \| 0.500 \(60\)", plain) and "**shown, asks**" in plain
    assert text.count("<details>") == 2 and "2 arms in 2 ways" in text
    with Store(tmp_path / "ways") as store:
        rating.write(plan, items, store, tmp_path / "set")
    assert len(list((tmp_path / "set").glob("*.png"))) == 2 * 60 * 2, "what is unguarded in every way"
