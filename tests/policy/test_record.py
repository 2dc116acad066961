"""What the page about the record is told: counts by day and rule, the last decisions, and one decided again."""

import pytest
import requests

from guards.policy import audit
from tools.serving.server import Refused
from tools.testing.policies import graph, write

POLICY = {"version": 1, "concepts": [{"text": "bomb", "action": "refuse"}], "audit": "with_prompts"}


@pytest.fixture(scope="module")
def recorded(ruled):
    """Two decisions: refused, admitted."""
    with pytest.raises(Refused):
        ruled.queue(graph("a bomb"))
    ruled.wait(ruled.queue(graph("a dog", steps=2)))
    return ruled


def ask(server, path, **headers):
    return requests.get(f"{server.url}/concept_guards/policy/{path}", headers=headers, timeout=60)


def test_the_last_decisions_come_without_prompts_and_can_be_decided_again(recorded):
    said = ask(recorded, "audit").json()
    assert said["decisions"] == len(said["last"]) == 2
    admitted, refused = said["last"]  # the newest first
    assert (admitted["action"], refused["rule"]) == ("admitted", "text")
    assert "prompt" not in refused and refused["replay"]
    again = ask(recorded, f"replay?hash={refused['hash']}").json()
    assert again["same_policy"] and again["now"]["rule"] == again["then"]["rule"] == "text"
    assert ask(recorded, f"replay?hash={admitted['hash']}").json()["now"] == {"action": "admitted"}
    assert ask(recorded, "replay?hash=0").status_code == 404
    for path in ("audit", "record", f"replay?hash={refused['hash']}"):
        assert ask(recorded, path, Forwarded="for=203.0.113.9").status_code == 403


def test_under_another_policy_the_same_prompt_is_decided_anew(recorded):
    refused = ask(recorded, "audit").json()["last"][1]
    write(recorded.folder, {**POLICY, "concepts": ["bomb"]})
    try:
        again = ask(recorded, f"replay?hash={refused['hash']}").json()
        assert not again["same_policy"] and again["now"] == {"action": "admitted"}
    finally:
        write(recorded.folder, POLICY)


def test_a_decision_without_its_prompt_says_why_it_cannot_be_replayed(tmp_path):
    record = audit.Audit(str(tmp_path))
    record.record(action="admitted", graph="0")
    record.record(action="refused", rule="text", prompt={"1": {}})
    newest = audit.survey(audit.files(str(tmp_path)), 1).last
    assert [entry["replay"] for entry in newest] == [True]
    assert audit.find(audit.files(str(tmp_path)), newest[0]["before"])["action"] == "admitted"
