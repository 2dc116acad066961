"""Every example graph, from its file through the real server to a picture, and back out of that picture."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from tools.serving import graph as graphs
from tools.serving.server import Refused
from tools.testing import llms

PROJECT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = sorted((PROJECT / "workflows").glob("*.json"))
pytestmark = pytest.mark.both_hosts


@pytest.fixture(scope="session")
def object_info(server):
    return server.object_info()


def shortened(graph: dict, steps: int = 4) -> dict:
    """The same graph with few steps: here it matters that it runs, not how it looks."""
    for node in graph.values():
        for name in ("steps", "sample_steps", "images"):
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = min(steps, node["inputs"][name])
        if node["class_type"] == "GuardInvertFeedback":  # a word of few steps says nothing, which a guard refuses
            node["inputs"]["start_text"] = "beer"
    return graph


def with_a_tiny_model(graph: dict, folder: Path) -> dict:
    """The same graph with a random language model in place of the user's, and a few samples in place of many."""
    if not graphs.find(graph, type="GuardRewriterLocal"):
        return graph
    if not (folder / "LLM" / "tiny").is_dir():
        llms.tiny_folder(folder / "LLM" / "tiny", context=8192)
        lines = (PROJECT / "models" / "rewrite_samples.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "concept_guards_samples").mkdir()
        (folder / "concept_guards_samples" / "few.jsonl").write_text("".join([*lines[:3], lines[-1]]), encoding="utf-8")
    graphs.change(graph, {"model_name": "tiny", "max_length": 8}, type="GuardRewriterLocal")
    if graphs.find(graph, type="GuardLearnInstruction"):
        graphs.change(graph, {"samples": "few.jsonl", "epochs": 1}, type="GuardLearnInstruction")
    return graph


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_its_picture_gives_it_back(server, object_info, path):
    workflow = graphs.load(path)
    graph = with_a_tiny_model(shortened(graphs.to_api(workflow, object_info)), server.folder / "models")
    try:
        result = server.run(graph, workflow=workflow)
    except Refused as refused:
        # Graphs for the user's own models name a file that is not here. Nothing else may be wrong with them.
        errors = [
            (found["class_type"], error)
            for found in refused.reply.get("node_errors", {}).values()
            for error in found["errors"]
        ]
        loads = lambda kind: "Loader" in kind or kind == "GuardRewriterLocal"
        assert errors and all(loads(kind) and error["type"] == "value_not_in_list" for kind, error in errors), str(
            refused
        )
        return
    assert result.status == "success", f"{result.error} (node {result.error_node})\n{server.log_tail()}"
    assert result.images
    chunks = Image.open(io.BytesIO(result.images[0].data)).info
    assert json.loads(chunks["workflow"]) == workflow
    assert {key: node["class_type"] for key, node in json.loads(chunks["prompt"]).items()} == {
        k: n["class_type"] for k, n in graph.items()
    }


def test_the_server_knows_the_pack_and_its_log_has_no_complaint(server, object_info):
    assert any(name.startswith("Guard") for name in object_info)
    ours = os.path.join("custom_nodes", "concept-guards")
    provoked = re.compile(
        r'  File "|\S*concept-guards\S*: '
    )  # tracebacks of errors that other tests provoke, to their last line
    about_us = [line for line in server.log().splitlines() if ours in line and not provoked.match(line)]
    assert about_us and not any(
        word in line.lower() for line in about_us for word in ("fail", "error", "warning", "cannot")
    ), about_us


def test_templates_help_pages_and_translations_are_served(server, object_info):
    assert WORKFLOWS
    listed = server.get("/workflow_templates")
    assert sorted(listed.get("concept-guards", [])) == [path.stem for path in WORKFLOWS]
    for path in WORKFLOWS:
        assert server.fetch(f"/api/workflow_templates/concept-guards/{path.stem}.jpg").startswith(b"\xff\xd8\xff")
    for page in (PROJECT / "web" / "docs").glob("Guard*.md"):
        assert server.fetch(f"/extensions/concept-guards/docs/{page.name}").decode() == page.read_text(encoding="utf-8")
    translated = server.get("/i18n")["zh"]["nodeDefs"]
    assert [name for name in object_info if name.startswith("Guard") and name not in translated] == []


def test_the_quick_start_has_a_side_without_and_one_with_the_guard(object_info):
    graph = graphs.to_api(graphs.load(PROJECT / "workflows" / "quick_start.json"), object_info)
    before, after = (graphs.find(graph, title=side) for side in ("before", "after"))
    assert len(before) == len(after) == 1
    guards = [{graph[key]["class_type"] for key in graphs.upstream(graph, side[0])} for side in (before, after)]
    assert "GuardConcepts" not in guards[0] and "GuardConcepts" in guards[1]
