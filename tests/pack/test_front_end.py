"""The example graphs and the guards' texts in the real front end, in both renderers."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from PIL import Image

from tools.testing.frontend import CLASSIC, Complaint

PROJECT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = sorted((PROJECT / "workflows").glob("*.json"))
# One of each kind is run here, all are run through the server (test_workflows). Each of these shows eight pictures on two nodes.
RUN = [
    path
    for path in WORKFLOWS
    if path.stem
    in ("prompt_intervention", "intervention_and_sld", "rewrite_then_guard", "fair_batch", "growth_inhibitor")
]
FILES = ("CheckpointLoaderSimple: red", "GuardRewriterLocal: red")  # they ask for a file that is the user's


REPORT = """() => app.graph.nodes.filter((node) => node.type === 'GuardRewritePrompt')     // it says on itself what it did
    .every((node) => node.widgets.some((widget) => String(widget.value).startsWith('Rewritten')))"""


def node_count(path: Path) -> int:
    return len(json.loads(path.read_text(encoding="utf-8"))["nodes"])


def widgets(workflow: dict) -> dict:
    return {str(node["id"]): node.get("widgets_values") for node in workflow["nodes"]}


def run_and_look(front_end, steps: int = 2) -> None:
    """Queue what is on the canvas, with few steps, until every node that shows pictures shows its eight."""
    assert not front_end.faults()
    front_end.set_widgets("KSampler", steps=steps)
    nodes = front_end.nodes("SaveImage", "PreviewImage")
    assert len(nodes) == 2
    empty = {node: light(front_end.look_at(node)) for node in nodes}
    front_end.run()
    for node in nodes:
        front_end.wait_for_pictures(node, 8)
        assert light(front_end.look_at(node)) > empty[node] + 0.05, (
            "the pictures are loaded, but the screen does not show them"
        )
    assert not front_end.alarms()


def light(picture) -> float:
    """The share of light pixels: the page is dark, the pictures' background is white."""
    return sum(picture.convert("L").histogram()[200:]) / (picture.width * picture.height)


def own_picture(front_end, graph: dict, seconds: float = 60) -> bytes:
    """The picture that this very graph made: the page may show an earlier run's of the same workflow until ours arrives."""
    node, deadline = front_end.nodes("SaveImage", "PreviewImage")[0], time.monotonic() + seconds
    wanted = {key: value["inputs"] for key, value in graph.items() if value["class_type"] == "KSampler"}
    while True:
        picture = front_end.picture(node)
        made = json.loads(Image.open(io.BytesIO(picture)).text["prompt"])
        if {key: value["inputs"] for key, value in made.items() if value["class_type"] == "KSampler"} == wanted:
            return picture
        assert time.monotonic() < deadline, "the node still shows the picture of another graph"
        front_end.page.wait_for_timeout(200)


def without_sizes(nodes: list[dict]) -> list[dict]:
    """Nodes as saved, but for their sizes: the page makes them larger when they get something to show."""
    return [{key: value for key, value in node.items() if key != "size"} for node in nodes]


def drop_its_picture(front_end) -> None:
    """The picture just made gives the graph back: the same to queue and the same to save."""
    before = front_end.graph()
    front_end.drop("picture.png", own_picture(front_end, before["output"]), len(before["workflow"]["nodes"]))
    after = front_end.graph()
    assert after["output"] == before["output"]
    assert without_sizes(after["workflow"]["nodes"]) == without_sizes(before["workflow"]["nodes"])
    assert after["workflow"]["links"] == before["workflow"]["links"]
    assert after["workflow"]["groups"] == before["workflow"]["groups"]
    assert not front_end.faults()


def test_the_quick_start_opens_from_the_template_browser_and_runs(front_end):
    front_end.open_template("concept-guards", "quick_start", node_count(PROJECT / "workflows" / "quick_start.json"))
    run_and_look(front_end)
    drop_its_picture(front_end)


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_dropped_workflow_runs_and_its_picture_gives_it_back(front_end, path):
    front_end.drop(path.name, path.read_bytes(), node_count(path))
    run_and_look(front_end)
    if front_end.nodes("GuardRewritePrompt") and front_end.renderer == CLASSIC:
        front_end.page.wait_for_function(REPORT)
    drop_its_picture(front_end)


@pytest.mark.parametrize("path", [path for path in WORKFLOWS if path not in RUN], ids=lambda path: path.stem)
def test_every_other_workflow_opens_whole(front_end, path):
    """Those for the user's own models cannot run here: their loaders may ask for a file; no other node may be red."""
    front_end.drop(path.name, path.read_bytes(), node_count(path))
    assert [fault for fault in front_end.faults() if not any(file in fault for file in FILES)] == []
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert widgets(front_end.graph()["workflow"]) == widgets(saved)


def test_a_guard_explains_itself(front_end):
    """Its help page beside the canvas, and what the mouse is told on a widget."""
    path = PROJECT / "workflows" / "quick_start.json"
    front_end.drop(path.name, path.read_bytes(), node_count(path))
    guard = front_end.nodes("GuardConcepts")[0]
    page = (PROJECT / "web" / "docs" / "GuardConcepts.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    shown = front_end.help_of(guard)
    assert headings and all(heading in shown for heading in headings)
    texts = json.loads((PROJECT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))["GuardConcepts"]
    assert texts["inputs"]["strictness"]["tooltip"][:40] in front_end.tooltip_of(guard, "strictness").replace("\n", " ")


def test_the_page_complains_about_nothing_that_it_does_not_complain_about_without_the_pack(
    front_end, complaints_without_the_pack
):
    new = [
        complaint
        for complaint in front_end.complaints
        if complaint not in complaints_without_the_pack and not known(complaint)
    ]
    assert not new, "\n".join(f"{complaint.place}: {complaint.text}" for complaint in new)


def known(complaint: Complaint) -> bool:
    """The front end asks for a help page in the user's language before it takes the page for all, and logs that it is not there."""
    place = complaint.place
    return (
        place.startswith("/extensions/concept-guards/docs/Guard")
        and place.endswith("/en.md")
        and "404" in complaint.text
    )


def test_a_missing_node_would_be_seen(front_end):
    """The proof that `faults` finds what the other tests rely on not to find. Last: it makes the page complain."""
    graph = json.loads(WORKFLOWS[0].read_text(encoding="utf-8"))
    graph["nodes"][-1]["type"] = "GuardThatIsNotInstalled"
    front_end.drop("missing.json", json.dumps(graph).encode(), len(graph["nodes"]))
    assert any("GuardThatIsNotInstalled: missing" in fault for fault in front_end.faults())
