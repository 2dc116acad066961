"""`run.py evaluate --ray` on a cluster in this machine and a real server; run where the extra is installed: pip install 'ray>=2.60'."""

from __future__ import annotations

import dataclasses

import pytest

from tools.evaluating import plan as plans
from tools.evaluating.errors import PlanError
from tools.evaluating.items import Builder
from tools.evaluating.plan import find

pytest.importorskip("ray", reason="the optional extra is not installed")


def test_the_same_outcomes_come_through_a_cluster(server):
    from tools.evaluating.ray_servers import RayCrew
    from tools.evaluating.servers import Crew

    plan = plans.read(find("demo_sld"))
    plan = dataclasses.replace(
        plan, rows=plan.rows[:2], arms={name: plan.arms[name] for name in ("off", "aligned strong")}
    )
    plan.graph["7"]["inputs"]["steps"] = 2
    builder = Builder(plan, server.object_info())
    items, found = list(builder.items()), {"ray": [], "threads": []}
    RayCrew(builder, lambda: [server.url], "local").run(items, found["ray"].append)
    Crew(builder, lambda: [server.url]).run(items, found["threads"].append)
    ways = [{one.item.id: (one.pictures, one.line["scores"]) for one in side} for side in found.values()]
    assert len(ways[0]) == 4 and ways[0] == ways[1]


def test_what_the_server_says_comes_back_in_its_words(server):
    from tools.evaluating.ray_servers import RayCrew

    plan = plans.read(find("demo_sld"))
    plan.graph["7"]["inputs"]["sampler_name"] = "no_such_sampler"
    builder = Builder(plan, server.object_info())
    with pytest.raises(PlanError, match="(?s)did not accept the graph.*no_such_sampler"):
        RayCrew(builder, lambda: [server.url], "local").run(list(builder.items())[:1], print)
