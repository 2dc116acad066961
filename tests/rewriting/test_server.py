"""Rewriting through a real server: the report arrives, block stops the graph, the stop button works, secrets stay where they are."""

import json
import time
from pathlib import Path

import pytest

from tools.serving import graph as graphs
from tools.serving.server import Refused
from tools.testing.chat_server import ChatServer

PROJECT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.both_hosts
PROMPT = "a cheetah on a mat"


@pytest.fixture(scope="module")
def model():
    with ChatServer() as running:
        yield running


@pytest.fixture
def profile(server, model):
    path = server.folder / "user" / "concept_guards" / "endpoints.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shop": {"base_url": model.url, "model": "m"}}), encoding="utf-8")
    model.reset()
    yield path
    path.unlink()


def chain(rewriter, **inputs):
    values = {
        "query": PROMPT,
        "concepts": "cheetah",
        "instruction": "",
        "on_failure": "block",
        "attempts": 3,
        "seed": 0,
        **inputs,
    }
    return {
        "1": rewriter,
        "2": {"class_type": "GuardRewritePrompt", "inputs": {"rewriter": ["1", 0], **values}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }


def endpoint(**inputs):
    return {
        "class_type": "GuardRewriterEndpoint",
        "inputs": {
            "endpoint": "shop",
            "model_name": "",
            "max_length": 96,
            "temperature": 0.0,
            "timeout": 30.0,
            **inputs,
        },
    }


def rules(text):
    return {"class_type": "GuardRewriterRules", "inputs": {"rules": text}}


def test_the_report_is_shown_and_machines_can_read_it(server):
    result = server.run(chain(rules("cheetah -> poodle")))
    assert result.status == "success", result.error
    sentence, *lines = result.outputs["2"]["text"][0].split("\n")
    assert sentence == 'Rewritten by rules; the query held "cheetah".'
    assert json.loads(lines[0])["rewritten"] == "a poodle on a mat" == result.outputs["3"]["text"][0]


def test_block_stops_the_graph_naming_concept_and_answer(server):
    result = server.run(chain(rules("cheetah -> two cheetahs")))
    assert result.status == "error" and result.error_node == "2"
    assert (
        'no rewrite without "cheetah" after 1 attempt' in result.error
        and 'Last answer: "two cheetahs on a mat"' in result.error
    )
    assert "3" not in result.outputs


def test_the_endpoint_rewrites_and_neither_graph_nor_log_holds_its_address(server, model, profile):
    model.answer = lambda body: "a poodle on a mat" if len(body["messages"]) > 1 else "spotted cat"
    result = server.run(chain(endpoint(), seed=1))
    assert result.status == "success", result.error
    assert result.outputs["3"]["text"] == ["a poodle on a mat"]
    history = json.dumps(server.get("/history"))
    assert model.url not in history and model.url not in server.log() and PROMPT not in server.log()


def test_an_unknown_profile_is_refused_when_the_graph_is_queued(server, profile):
    with pytest.raises(Refused, match="this server has no profile 'https://evil.example'. It knows: shop"):
        server.run(chain(endpoint(endpoint="https://evil.example")))


def test_the_stop_button_ends_a_waiting_rewrite(server, model, profile):
    """The answer would take an hour: that the run ends as interrupted shows that it was not waited for."""
    model.delay = 3600
    queued = server.queue(chain(endpoint(), seed=2, query="a puma", concepts="puma"))
    until = time.monotonic() + 20
    while not model.requests and time.monotonic() < until:
        time.sleep(0.05)
    assert model.requests
    server.interrupt()
    assert server.wait(queued, timeout=20).status == "interrupted"


def test_the_demo_shows_rewriting_intervention_and_steering(server):
    graph = graphs.to_api(graphs.load(PROJECT / "workflows" / "rewrite_then_guard.json"), server.object_info())
    before, after = (graphs.find(graph, title=side) for side in ("before", "after"))
    assert len(before) == len(after) == 1
    guards = {"GuardRewritePrompt", "GuardPromptIntervention", "GuardSafeLatentDiffusion"}
    sides = [guards & {graph[key]["class_type"] for key in graphs.upstream(graph, side[0])} for side in (before, after)]
    assert sides == [set(), guards]
