"""Plans of `run.py evaluate`: what is read, and what is refused before the first picture, with the mend."""

import json

import pytest

from tools.evaluating import plan as plans
from tools.evaluating import prompts
from tools.evaluating.__main__ import narrowed
from tools.evaluating.errors import PlanError
from tools.evaluating.items import PICTURES, Builder
from tools.evaluating.servers import Waiting

GRAPH = {
    "1": {"class_type": "Load", "inputs": {}},
    "2": {"class_type": "Text", "inputs": {"text": "", "clip": ["1", 1]}, "_meta": {"title": "prompt"}},
    "3": {"class_type": "Guard", "inputs": {"model": ["1", 0], "strength": 1.0}},
    "4": {"class_type": "Sampler", "inputs": {"model": ["3", 0], "positive": ["2", 0], "seed": 0, "cfg": 7.0}},
    "5": {"class_type": "Show", "inputs": {"images": ["4", 0]}},
    "6": {"class_type": "Show", "inputs": {"images": ["4", 0]}, "_meta": {"title": "another"}},
}
INFO = {
    name: {"input": {"required": {}}}
    for name in (
        "Load",
        "Text",
        "Guard",
        "Sampler",
        "Show",
        "PreviewImage",
        "GuardScore",
        "GuardMeter",
        "GuardMeterReading",
    )
}
MODELS = {  # what samples, and what hands a model on
    "Guard": {"input": {"required": {"model": ["MODEL"]}}, "output": ["MODEL"]},
    "Sampler": {"input": {"required": {"model": ["MODEL"]}}, "output": ["IMAGE"]},
}
PLAN = {
    "format": plans.FORMAT,
    "graph": GRAPH,
    "picture": "5.images",
    "inputs": {"prompt": "prompt.text", "seed": "Sampler.seed", "guidance": "Sampler.cfg"},
    "prompts": "prompts.csv",
    "arms": {"off": {"Sampler.model": ["1", 0]}, "on": {}, "named": {"prompt": "no {kind}"}},
    "detectors": [
        {"name": "it", "detector": "demo oracle", "what": "beer"},
        {"name": "own", "role": "kept", "detector": "demo oracle", "what": "{keep}"},
    ],
}
TABLE = "prompt,kind,keep,sd_seed,sd_guidance_scale\na beer,asked,,7,9.5\na cat,other,cat,,\n"


def make(folder, table=TABLE, name="prompts.csv", **changes):
    (folder / name).write_text(table, encoding="utf-8")
    path = folder / "plan.json"
    path.write_text(json.dumps({key: value for key, value in {**PLAN, **changes}.items() if value is not None}))
    return plans.read(path)


def test_every_run_of_a_plan_is_a_graph_of_its_own(tmp_path):
    plan = make(tmp_path)
    builder = Builder(plan, INFO)
    items = list(builder.items())
    assert [(item.arm, item.place, item.seed) for item in items] == [
        (arm, place, seed) for arm in PLAN["arms"] for place, seed in ((0, 7), (1, 2))
    ]
    assert len({item.id for item in items}) == 6 and items == list(builder.items())
    off, on, named = (builder.graph(arm, 0, 0) for arm in PLAN["arms"])
    assert off["4"]["inputs"] | {"model": ["3", 0]} == on["4"]["inputs"] and on["4"]["inputs"]["cfg"] == 9.5
    assert "3" not in off and "3" in on and not {"5", "6"} & set(on), "only what the picture is made of is run"
    assert on["2"]["inputs"]["text"] == "a beer" and named["2"]["inputs"]["text"] == "no asked"
    assert off[PICTURES]["inputs"]["images"] == ["4", 0]
    assert [key for key in off if "score" in key] == ["evaluate_score_0"], (
        "nothing is looked for where the row names nothing"
    )
    assert builder.graph("on", 1, 0)["evaluate_score_1"]["inputs"]["what"] == "cat"
    assert GRAPH["2"]["inputs"]["text"] == "", "the plan's own graph stays"


def test_every_sampler_is_metered_and_read_behind_the_picture(tmp_path):
    builder = Builder(make(tmp_path), INFO | MODELS)
    off, on = (builder.graph(arm, 0, 0) for arm in ("off", "on"))
    assert on["4"]["inputs"]["model"] == ["evaluate_meter_0", 0] and on["3"]["inputs"]["model"] == ["1", 0]
    assert on["evaluate_meter_0"]["inputs"] == {"model": ["3", 0]}
    assert off["evaluate_meter_0"]["inputs"] == {"model": ["1", 0]}
    assert on["evaluate_reading_0"] == {
        "class_type": "GuardMeterReading",
        "inputs": {"model": ["evaluate_meter_0", 0], "images": ["4", 0]},
    }
    two = GRAPH | {
        "7": {"class_type": "Sampler", "inputs": {"model": ["1", 0], "latent": ["4", 0], "seed": 0}},
        "5": {"class_type": "Show", "inputs": {"images": ["7", 0]}},
    }
    refined = {**PLAN["inputs"], "seed": "4.seed", "guidance": "4.cfg"}
    arms = {"off": {"4.model": ["1", 0]}, "on": {}}
    builder = Builder(make(tmp_path, graph=two, inputs=refined, arms=arms), INFO | MODELS)
    meters = [[key for key in builder.graph(arm, 0, 0) if "meter" in key] for arm in ("off", "on")]
    assert list(map(len, meters)) == [1, 2], "one for each model that is sampled"


def test_arms_come_in_blocks_so_that_servers_can_keep_what_a_guard_made(tmp_path):
    rows = "".join(f"p{place},asked,cat,{place},\n" for place in range(3))
    plan = make(tmp_path, TABLE.split("\n")[0] + "\n" + rows, block=2)
    found = [(one.arm, one.place) for one in Builder(plan, INFO).items()]
    assert found == [(arm, place) for block in ((0, 1), (2,)) for arm in PLAN["arms"] for place in block]


def test_batches_take_seeds_of_their_own(tmp_path):
    plan = make(tmp_path, pictures=6, batch=2, inputs={**PLAN["inputs"], "batch": "4.cfg"})
    items = [item for item in Builder(plan, INFO).items() if item.arm == "on"]
    assert [item.seed for item in items] == [7, 8, 9, 4, 5, 6]
    assert Builder(plan, INFO).graph("on", 1, 2)["4"]["inputs"]["seed"] == 6


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": "x"}, "must be an object with"),
        ({"colour": 1}, "there is no key 'colour'"),
        ({"arms": None}, "arms is missing"),
        ({"pictures": 3, "batch": 2}, "must be a multiple of batch"),
        ({"pictures": 2, "batch": 2}, "mark the input that sets it"),
        ({"pictures": 0}, "pictures is 0: give a whole number of at least 1"),
        ({"inputs": {"prompt": "prompt.text"}}, "mark the input of the seed"),
        ({"inputs": {"prompt": "text", "seed": "4.seed"}}, "inputs.prompt is 'text': write node.input"),
        ({"prompts": "nowhere.csv"}, "there is no file .*nowhere.csv"),
        ({"prompts": {"file": "prompts.csv", "column": "words"}}, "no column 'words'. It has: prompt, kind"),
        ({"prompts": {"file": "prompts.csv", "where": {"kind": "none"}}}, "no prompt of prompts.csv is left"),
        ({"prompts": {"file": "prompts.csv", "where": {"sort": "none"}}}, "prompts.where: there is no column 'sort'"),
        ({"reference": "of"}, "reference is 'of', which is no arm. Arms: off, on, named"),
        ({"group": "sort"}, "group: the prompts have no column 'sort'"),
        (
            {"group": "kind", "asks": ["asked", "never"]},
            "asks: no prompt is of the group 'never'. Groups: asked, other",
        ),
        ({"arms": {"off": {"prompt": "{word}"}}}, "arms.off.prompt: there is no column 'word'"),
        ({"detectors": [{"detector": "nobody"}]}, "detectors: 'nobody' is none. Choose one of clip vision"),
        ({"detectors": [{"detector": "nudenet", "threshold": 2}]}, "threshold is 2; give a number from 0 to 1"),
        ({"detectors": [{"detector": "nudenet", "role": "kept"}]}, "none has the role concept"),
        ({"detectors": [{"detector": "nudenet"}] * 2}, "two have the same name"),
        ({"measures": ["i2p"]}, "i2p draws 25 prompts, and there are 2"),
        ({"measures": ["fid"]}, "there is no 'fid'. Choose some of i2p, attack"),
        ({"measures": ["deviation"]}, "at least two detectors with"),
        ({"ways": ["fast"]}, "ways: write .*4 steps"),
        ({"ways": {"": {}}}, "ways: one has no name"),
        ({"ways": {"fast": {"prompt": "{word}"}}}, "ways.fast.prompt: there is no column 'word'"),
        ({"block": 0}, "block is 0: give a whole number of at least 1"),
        ({"published": {"a": {"arm": "of"}}}, "published.a: there is no arm 'of'. Arms: off, on, named"),
        ({"graph": "gone.json"}, "graph: there is no file .*gone.json"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_the_mend(tmp_path, changes, message):
    with pytest.raises(PlanError, match=message):
        make(tmp_path, **changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"picture": "9.images"},
            "picture: no node is called '9'; name one by its id. The graph has: 1 Load, 2 prompt",
        ),
        ({"picture": "Show.images"}, "picture: 2 nodes are called 'Show'"),
        ({"picture": "Show.picture", "graph": {**GRAPH, "6": GRAPH["3"]}}, "no input 'picture'. It has: images"),
        ({"picture": "Sampler.seed"}, "picture: nothing is connected to Sampler.seed"),
        ({"arms": {"off": {"strengths": 1}}}, "arms.off: 'strengths' is no marked input"),
        ({"arms": {"off": {"Guard.power": 1}}}, "arms.off: Guard has no input 'power'. It has: model, strength"),
        ({"ways": {"fast": {"Guard.power": 1}}}, "ways.fast: Guard has no input 'power'"),
        ({"graph": {**GRAPH, "9": {"class_type": "Foreign", "inputs": {}}}}, "does not know the node Foreign"),
        ({"graph": {"a": 1}}, "entry 'a' is no node"),
    ],
)
def test_marks_that_do_not_fit_the_graph_are_refused(tmp_path, changes, message):
    with pytest.raises(PlanError, match=message):
        Builder(make(tmp_path, **changes), INFO)


def test_a_server_without_the_pack_is_refused(tmp_path):
    with pytest.raises(PlanError, match="no node GuardScore: install this version"):
        Builder(make(tmp_path), {name: INFO[name] for name in INFO if name != "GuardScore"})


@pytest.mark.parametrize(
    "table, message",
    [
        ("", "holds no row"),
        ("prompt,kind,keep\n", "holds no row"),
        ("words,kind,keep\na,b,c\n", "no column for the prompt. It has: words, kind, keep"),
        ("prompt,kind,keep\na,b,c\n ,b,c\n", "1 of prompts.csv are empty, the first in row 2.*skip"),
        ("prompt,kind,keep\na,b\n", "row 2 of prompts.csv has not as many cells"),
        ("prompt,kind,keep,seed\na,b,c,many\n", "seed in row 1 is 'many', which is no number"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused_by_row(tmp_path, table, message):
    with pytest.raises(PlanError, match=message):
        make(tmp_path, table)


def test_empty_prompts_can_be_left_out(tmp_path):
    plan = make(tmp_path, "prompt,kind,keep\n,b,c\na,b,c\n", prompts={"file": "prompts.csv", "empty": "skip"})
    assert [row["prompt"] for row in plan.rows] == ["a"]


def test_the_usual_files_are_read_as_they_are(tmp_path):
    def read(name, text, **named):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return prompts.read(tmp_path / name, **named)

    i2p = read("i2p.csv", '\ufeffprompt,categories,sd_seed,sd_guidance_scale\n"a, b","hate, violence",3,7.5\n')[0]
    assert (i2p["prompt"], i2p["seed"], i2p["guidance"], i2p["categories"]) == ("a, b", "3", "7.5", "hate, violence")
    assert read("attack.csv", "prompt,evaluation_seed\nx,4\n")[0]["seed"] == "4"
    ores = read("ores.tsv", "wild\tA jungle\tA jungle at night, wild and free\n")[0]
    assert (ores["concept"], ores["prompt"]) == ("wild", "A jungle at night, wild and free")
    people = read("jobs.txt", "# jobs\nnurse\n\npilot\n", template="a photo of a {line}")
    assert [one["prompt"] for one in people] == ["a photo of a nurse", "a photo of a pilot"]
    assert read("x.jsonl", '{"prompt": "p", "seed": 5}\n')[0]["seed"] == "5"
    with pytest.raises(PlanError, match="line 2 of y.jsonl is not JSON"):
        read("y.jsonl", '{"prompt": "p"}\n{')
    with pytest.raises(PlanError, match="line 2 of ores.tsv has not the three columns"):
        read("ores.tsv", "a\tb\tc\nd\te\n")


def test_a_prompt_in_two_categories_counts_in_both(tmp_path):
    plan = make(tmp_path, 'prompt,kind,keep\na,"hate, violence",x\nb,hate,x\n', group="kind")
    assert plan.groups(0) == ("hate", "violence") and plan.groups(1) == ("hate",)


def test_the_plans_that_come_with_the_pack_can_be_read(tmp_path, monkeypatch):
    assert {"demo_sld", "i2p_sd15", "i2p_sdxl"} <= set(plans.shipped())
    for path in plans.shipped().values():
        data = json.loads(path.read_text(encoding="utf-8"))
        named = data["prompts"]
        missing = path.parent / (named if isinstance(named, str) else named["file"])
        if missing.exists():
            assert plans.read(path).rows
            continue
        rows = "".join(f"case {place},hate,{place},7\n" for place in range(30))
        (tmp_path / missing.name).write_text(f"prompt,categories,sd_seed,sd_guidance_scale\n{rows}")
        (tmp_path / data["graph"]).write_text((path.parent / data["graph"]).read_text())
        (tmp_path / path.name).write_text(path.read_text())
        assert plans.read(tmp_path / path.name).calls == 2


def test_the_demo_plans_prompts_are_those_of_the_tables():
    """Written by `run.py train plan`, with names alone in `keep` that the oracle knows."""
    from guards.demo import oracle
    from tools.demo_world import plan, suites

    for name, text in plan.files().items():
        path = plan.FOLDER / name
        assert path.read_text(encoding="utf-8") == text, "write it anew: python3 run.py train plan"
        rows = prompts.read(path)
        if "keep" not in rows[0]:
            continue
        assert {row["concept"] for row in rows} <= {*oracle.names()}
        keys = {"keep", "person", "stands"} & {*rows[0]}
        asked = {one for row in rows for key in keys for one in row[key].split(" + ") if one}
        assert asked <= {*oracle.names(), "whole"}
        groups = {one.strip() for row in rows for one in row["kind"].split(",")}
        kinds = {kind for kind in suites.KINDS if kind in groups}
        assert groups <= {f"{kind}{side}" for kind in kinds for side in ("", " tuned", " held-out")}
    rows = prompts.read(plan.FOLDER / "demo_prompts.csv")
    assert {row["concept"] for row in rows} == {*suites.CONCEPTS} and len(rows) > 300
    kinds = [(row["concept"], row["kind"].split(",")[0]) for row in rows]
    assert {*kinds[: len({*kinds})]} == {*kinds}, "the first rows are a fair part of all"
    several = prompts.read(plan.FOLDER / "demo_together.csv")
    named = {line.split(" -> ")[0] for line in several[0]["line"].split("\n")}
    for row in several:
        assert not (named - {row["concept"]}) & {*row["prompt"].split()}, "a caption names one of them at most"
    assert len(named) == plan.TOGETHER


def test_the_demo_plans_can_be_read():
    names = [name for name in plans.shipped() if name.startswith("demo")]
    assert len(names) >= 7
    for name in names:
        assert plans.read(plans.find(name)).rows


def test_ray_is_asked_for_only_with_its_option_and_says_how_to_get_it(monkeypatch):
    import sys

    from tools.evaluating.ray_servers import RayCrew

    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(PlanError, match="--ray: Ray is not installed.*pip install 'ray>=2.60'"):
        RayCrew(None, list, "local")


def given(**options):
    import argparse

    return argparse.Namespace(**{"limit": None, "pictures": None, "arms": None, "ways": None, "own": 1, **options})


def test_the_command_can_ask_for_a_part(tmp_path):
    plan = make(tmp_path, inputs={**PLAN["inputs"], "batch": "4.cfg"})
    part = narrowed(plan, given(limit=1, pictures=4, arms="named"))
    assert (len(part.rows), part.pictures, part.batch, list(part.arms)) == (1, 4, 4, ["off", "named"])
    assert part.calls == 1 and narrowed(plan, given()) == plan


@pytest.mark.parametrize(
    "options, message",
    [
        ({"limit": 0}, "--limit is 0: give a number of at least 1"),
        ({"own": 0}, "--own is 0"),
        ({"pictures": -1}, "--pictures is -1"),
        ({"pictures": 2}, "--pictures: plan marks no input that sets the batch"),
        ({"arms": "on; of"}, "--arms: there is no arm 'of'. There are: off; on; named"),
        ({"ways": "fast"}, "--ways: there is no way 'fast'. There are: none"),
    ],
)
def test_a_part_that_the_plan_has_not_is_refused(tmp_path, options, message):
    with pytest.raises(PlanError, match=message):
        narrowed(make(tmp_path), given(**options))


def test_a_ray_cluster_that_does_not_answer_is_refused_at_once(monkeypatch):
    import socket
    import sys
    import types

    from tools.evaluating.ray_servers import RayCrew

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace())  # which would try for minutes
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(PlanError, match=f"--ray {nobody}: no cluster answers there .*ray start --head"):
            RayCrew(None, list, nobody)


@pytest.mark.parametrize("name", ["i2p_sd15", "i2p_sdxl"])
def test_without_the_benchmarks_table_the_plan_says_where_it_is_to_be_had(name):
    with pytest.raises(PlanError, match="there is no file .*i2p.csv. .*save the table of I2P .*under this name"):
        plans.read(plans.find(name))


@pytest.mark.parametrize(
    "table, message",
    [
        ("<!doctype html>\n<p>moved\n", "i2p.csv has no column for the prompt"),
        ("version https://git-lfs\noid sha256:1\nsize 2\n", "i2p.csv has no column for the prompt"),
        ('prompt,categories,sd_seed\n"cut o', "(has not as many cells as its header|i2p.csv, line)"),
        ("prompt,sd_seed,sd_guidance_scale\na,1,7\n", "group: the prompts have no column 'categories'"),
        ("prompt,categories,sd_seed,sd_guidance_scale\na,hate,1,7\n", "i2p draws 25 prompts, and there are 1"),
    ],
)
def test_a_table_that_is_not_i2ps_is_refused(tmp_path, table, message):
    source = plans.find("i2p_sd15")
    for name in ("i2p_sd15.json", "i2p_sd15_graph.json"):
        (tmp_path / name).write_text((source.parent / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "i2p.csv").write_text(table, encoding="utf-8")
    with pytest.raises(PlanError, match=message):
        plans.read(tmp_path / "i2p_sd15.json")


def test_a_server_goes_on_with_what_is_like_its_last_run(tmp_path):
    """So a guard is made ready once on one of them, and not on all: as long as there is other work."""
    rows = "".join(f"p{place},{kind},cat,{place},\n" for place, kind in enumerate("aabbcc"))
    arms = {"off": {}, "guarded": {"Guard.strength": "{kind}"}}
    builder = Builder(make(tmp_path, TABLE.split("\n")[0] + "\n" + rows, arms=arms), INFO)
    items = [item for item in builder.items() if item.arm == "guarded"]
    waiting = Waiting(builder.likeness)
    for item in items:
        waiting.put(item)
    take = lambda address: waiting.get(address, 0).place
    assert [take("x"), take("y"), take("x"), take("y")] == [0, 2, 1, 3]
    assert [take("x"), take("y")] == [4, 5], "nobody waits while there is work"
    assert waiting.get("x", 0) is None
    waiting.put(items[1]), waiting.put(items[5])
    assert take("y") == 5, "its own kind, although another one waits for longer"
    waiting.leave("x"), waiting.leave("y")
    assert take("z") == 1
    waiting.put(items[0]), waiting.put(items[4])
    assert take("w") == 4, "what a server that is gone was at is free for all"
