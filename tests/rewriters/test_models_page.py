"""The models that an endpoint offers, as the page asks for them and shows them."""

import json
import sys
from pathlib import Path

import pytest
import requests

from tools import PROJECT
from tools.serving.server import Server
from tools.testing.browser import new_page
from tools.testing.chat_server import ChatServer
from tools.testing.frontend import CLASSIC, NODES_2

GRAPH = PROJECT / "workflows" / "rewrite_then_guard.json"


@pytest.fixture(scope="module")
def llm():
    with ChatServer() as running:
        yield running


@pytest.fixture(scope="module")
def own_server(host_path, llm, tmp_path_factory):
    """A server whose operator has two endpoints: one that answers, and one where nothing is."""
    folder = tmp_path_factory.mktemp("models")
    place = folder / "user" / "concept_guards" / "endpoints.json"
    place.parent.mkdir(parents=True)
    profiles = {"class": {"base_url": llm.url}, "nowhere": {"base_url": "http://127.0.0.1:9/v1"}}
    place.write_text(json.dumps(profiles), encoding="utf-8")
    with Server(Path(sys.executable), host_path, folder) as running:
        yield running


def ask(server, **query):
    headers = query.pop("headers", {})
    return requests.get(server.url + "/concept_guards/endpoint_models", query, headers=headers, timeout=60)


def test_profiles_tell_their_models_and_nothing_else_can_be_asked(own_server, llm):
    assert ask(own_server, endpoint="class").json() == {"models": ["first-model", "second-model"]}
    nowhere = ask(own_server, endpoint="nowhere")
    assert nowhere.status_code == 502 and "refuses the connection" in nowhere.json()["error"]
    for endpoint in (llm.url, "", "unknown"):
        answer = ask(own_server, endpoint=endpoint)
        assert answer.status_code == 400 and "no profile" in answer.json()["error"]
    elsewhere = ask(own_server, endpoint="class", headers={"X-Forwarded-For": "203.0.113.9"})
    assert elsewhere.status_code == 403


@pytest.mark.parametrize("renderer", [CLASSIC, NODES_2])
def test_a_click_lists_the_models_and_another_takes_one(browser, own_server, renderer):
    front_end = new_page(browser, own_server, renderer)
    try:
        front_end.drop(GRAPH.name, GRAPH.read_bytes(), len(json.loads(GRAPH.read_text(encoding="utf-8"))["nodes"]))
        front_end.set_widgets("GuardRewriterEndpoint", endpoint="class")
        node = front_end.nodes("GuardRewriterEndpoint")[0]
        front_end.look_at(node)
        page = front_end.page
        # A canvas has no button to find: the widget's own callback stands for the click there.
        page.evaluate(
            "(id) => app.graph.getNodeById(id).widgets.find((one) => one.name === 'List models').callback()", node
        )
        page.locator(".litecontextmenu .litemenu-entry", has_text="second-model").click()
        saved = next(one for one in front_end.graph()["workflow"]["nodes"] if str(one["id"]) == str(node))
        assert "second-model" in saved["widgets_values"] and "List models" not in saved["widgets_values"]
        assert not front_end.alarms()
    finally:
        front_end.page.close()
