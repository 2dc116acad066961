"""The models that an endpoint offers, as the page asks for them."""

import json
import sys
from pathlib import Path

import pytest
import requests

from tools.serving.server import Server
from tools.testing.chat_server import ChatServer


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
