"""Labels and pictures that an evaluation makes for trainings: which, and that the nodes learn from them."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.commands.test_evaluate_results import KINDS, line, made, png  # noqa: F401 - a fixture
from tests.commands.test_evaluate_servers import evaluate
from tools.evaluating import plan as plans
from tools.evaluating import taking
from tools.evaluating.errors import PlanError
from tools.evaluating.items import Builder
from tools.evaluating.results import Store

SCALES = {"off": {}, "-1": {"strength": -1.0}, "weak": {"strength": -0.5}, "-2": {"strength": -2.0}}


@pytest.fixture
def scaled(tmp_path):
    """(plan, builder, items): six prompts, three scales and none."""
    (tmp_path / "prompts.txt").write_text(
        "gone at once\ngone at -1\ngone at -1 alone\nnever there\nalways there\nuntouched\n"
    )
    graph = {
        "1": {"class_type": "Sampler", "inputs": {"text": "", "seed": 0, "strength": 0}},
        "2": {"class_type": "Show", "inputs": {"images": ["1", 0]}},
    }
    plan = {
        "format": plans.FORMAT,
        "graph": graph,
        "picture": "2.images",
        "inputs": {"prompt": "1.text", "seed": "1.seed", "scale": "1.strength"},
        "prompts": "prompts.txt",
        "arms": {name: {"scale": one["strength"]} if one else {} for name, one in SCALES.items()},
        "detectors": [{"name": "it", "detector": "demo oracle", "what": "beer"}],
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    read = plans.read(tmp_path / "plan.json")
    builder = Builder(read, {kind: {"input": {"required": {}}} for kind in KINDS})
    return read, builder, list(builder.items())


SHOWN_AT = (
    ("off",),
    ("off", "weak"),
    ("off", "weak", "-2"),
    ("-1",),
    *[("off", "weak", "-1", "-2")] * 2,
)  # of every prompt


def test_the_label_of_a_picture_is_the_weakest_scale_from_which_on_it_is_gone(scaled, tmp_path):
    plan, builder, items = scaled
    taking.check_labels(plan)
    with Store(tmp_path / "out") as store:
        for item in items[::-1]:
            shown = 0.9 if item.arm in SHOWN_AT[item.place] else 0.1
            shade = int(100 - 20 * plan.arms[item.arm].get("scale", 0)) if item.place < 5 else 9
            store.add({**line(store, item), "scores": {"it": [shown]}, "pictures": store.keep(item.id, [png(shade)])})
        found, left = taking.labels(plan, builder, items, store)
        said = taking.write_labels(found, left, tmp_path / "new" / "labels.txt")
        filed = taking.write_pictures(plan, builder, items, store, tmp_path / "showing")
        assert filed == taking.write_pictures(plan, builder, items, store, tmp_path / "showing"), "each once"
    lines = ["gone at once | -0.5", "gone at -1 | -1", "gone at -1 alone | -2", "never there | 0", "always there | -2"]
    assert (tmp_path / "new" / "labels.txt").read_text().splitlines() == lines
    assert said.endswith("; 1 left out, in which no scale changed a bit")
    assert "4 pictures show the concept without the guard; median -1.5, weakest -0.5, strongest -2; in 2 it" in said
    assert "5 of 6 pictures show the concept" in filed and len(list((tmp_path / "showing").glob("*.png"))) == 5


def test_labels_are_refused_where_no_scale_is_marked_or_arms_are_none(made, scaled):  # noqa: F811
    with pytest.raises(PlanError, match='--labels: mark the input that the labels are of, such as "scale"'):
        taking.check_labels(made[0])
    plan = scaled[0]
    with pytest.raises(PlanError, match="--labels: the arm '-1' sets no scale below 0"):
        taking.check_labels(dataclasses.replace(plan, arms={**plan.arms, "-1": {"scale": 1.0}}))
    with pytest.raises(PlanError, match="--labels: no arm sets a scale below 0"):
        taking.check_labels(dataclasses.replace(plan, arms={"off": {}}))
    with pytest.raises(PlanError, match="makes it in several ways"):
        taking.check_labels(dataclasses.replace(plan, ways={"a": {}, "b": {}}))


def few(name: str, folder: Path, rows: list[int], **changes) -> Path:
    """A plan of the demo's with some of its prompts, in few steps."""
    source = plans.find(name)
    data = json.loads(source.read_text(encoding="utf-8")) | changes
    graph = json.loads((source.parent / data["graph"]).read_text(encoding="utf-8"))
    graph["7"]["inputs"]["steps"] = 8
    table = (source.parent / data["prompts"]).read_text(encoding="utf-8").splitlines()
    (folder / "prompts.csv").write_text(
        "\n".join([table[0], *(table[1 + row] for row in rows)]) + "\n", encoding="utf-8"
    )
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data | {"graph": graph, "prompts": "prompts.csv", "asks": []}), encoding="utf-8")
    return path


def test_an_adapter_is_trained_on_an_evaluations_labels(server, tmp_path, monkeypatch):
    """A beer, and another thing; asked on a real server, as a user does, in about three seconds."""
    labels, plan = tmp_path / "labels.txt", few("demo_scales", tmp_path, [0, 1])
    evaluate(monkeypatch, plan, tmp_path / "out", "--server", server.url, "--arms", "-2", "--labels", str(labels))
    lines = labels.read_text(encoding="utf-8").splitlines()
    prompts = [row["prompt"] for row in plans.read(plan).rows]
    assert lines == [f"{prompts[0]} | -2", f"{prompts[1]} | 0"]
    graph = {
        "1": {"class_type": "GuardDemoModel", "inputs": {"architecture": "unet"}},
        "2": {
            "class_type": "GuardTrainAdapter",
            "inputs": {
                **{name: ["1", place] for place, name in enumerate(("model", "clip", "vae"))},
                **dict(prompts=labels.read_text(encoding="utf-8"), targets="beer", judge="labels", images=1, size=96),
                **dict(steps=8, cfg=3.0, strongest=-3.0, rounds=1, epochs=20, cover=0.9, seed=0),
            },
        },
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
    }
    result = server.run(graph)
    assert result.status == "success", result.error
    assert "2 examples, 1 with the concept" in str(result.outputs["3"])


def test_a_direction_is_found_on_an_evaluations_pictures(server, tmp_path, monkeypatch):
    """Copied into a folder of the server's input, and encoded as one batch by the host's own nodes."""
    folder = server.folder / "input" / "targets"
    plan = few("demo_targets", tmp_path, [0], pictures=4, batch=4)
    evaluate(monkeypatch, plan, tmp_path / "out", "--server", server.url, "--pictures-to", str(folder))
    filed = len(list(folder.glob("*.png")))
    assert filed >= 3
    base = json.loads((plans.find("demo_targets").parent / "demo_graph.json").read_text(encoding="utf-8"))
    graph = {key: base[key] for key in ("1", "3", "14", "23", "24")} | {
        "30": {"class_type": "LoadImageDataSetFromFolder", "inputs": {"folder": "targets"}},
        "31": {"class_type": "RebatchImages", "inputs": {"images": ["30", 0], "batch_size": 4096}},
        "32": {"class_type": "VAEEncode", "inputs": {"pixels": ["31", 0], "vae": ["1", 2]}},
        "33": {"class_type": "PreviewImage", "inputs": {"images": ["24", 1]}},
    }
    graph["14"]["inputs"]["text"], graph["23"]["inputs"]["text"] = "a doctor", "a woman doctor"
    graph["24"]["inputs"] |= {"latents": ["32", 0], "steps": 2, "batch_size": filed}
    result = server.run(graph)
    assert result.status == "success", result.error
    assert len([image for image in result.images if image.node == "33"]) == 1, "one direction, of all pictures"
