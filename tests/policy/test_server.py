"""The policy on a real server: what is let in is guarded, what goes round it is stopped, and everybody is told why."""

import uuid

import pytest
import requests

from guards.policy import audit
from tools.serving.server import Refused
from tools.testing.policies import graph, place, write

pytestmark = pytest.mark.both_hosts
POLICY = {
    "version": 1,
    "concepts": ["beer", {"text": "zorp", "action": "refuse"}],
    "minimum_steps": 2,
    "message": "This is a class.",
    "contact": "room 12",
    "deny": ["LoadLatent"],
}


def decisions(server):
    return [entry for path in audit.files(str(place(server.folder))) for entry in audit.read(path)]


def test_a_harmless_graph_runs_guarded_and_is_written_down(ruled):
    result = ruled.run(graph())
    assert result.status == "success" and len(result.images) == 1, result.error
    assert decisions(ruled)[-1]["action"] == "admitted"
    assert audit.survey(audit.files(str(place(ruled.folder)))).decisions == len(decisions(ruled))


@pytest.mark.parametrize(
    "changed, rule",
    [
        (graph("a zorp on the beach"), "text"),
        (
            {**graph(), "8": {"class_type": "GuardPolicyModel", "inputs": {"model": ["1", 0], "fingerprint": ""}}},
            "internal",
        ),
        ({**graph(), "8": {"class_type": "LoadLatent", "inputs": {"latent": "x"}}}, "nodes"),
        (graph(model=["1", -3]), "links"),
    ],
)
def test_a_graph_that_breaks_a_rule_gets_the_reason_and_whom_to_ask(ruled, changed, rule):
    with pytest.raises(Refused) as refused:
        ruled.run(changed)
    error = refused.value.reply["error"]
    assert error["extra_info"]["rule"] == rule and "This is a class. Ask: room 12." in error["message"]
    assert decisions(ruled)[-1]["rule"] == rule


@pytest.mark.parametrize("way", ["EvilDirect", "EvilStripped", "EvilExpanding", "EvilLeak"])
def test_the_tripwire_stops_what_goes_round_the_guards(ruled, way):
    result = ruled.run(graph(sampler=way))
    assert result.status == "error" and not result.images
    assert "cannot be guarded" in result.error or "no effect" in result.error or "thrown away" in result.error, (
        result.error
    )


def test_a_graph_that_no_door_has_seen_is_stopped(ruled):
    prompt = {"id": str(uuid.uuid4()), "prompt": graph(), "outputs": ["7"], "client": ruled.client_id}
    requests.post(f"{ruled.url}/evil/queue", json=prompt, timeout=10)
    status = ruled.wait(prompt["id"])
    assert status.status == "error" and "cannot be guarded" in status.error


def test_a_text_that_is_made_while_the_graph_runs_is_read(ruled):
    made = graph()
    made["8"] = {"class_type": "EvilJoined", "inputs": {"a": "a zo", "b": "rp"}}
    made["2"]["inputs"]["text"] = ["8", 0]
    result = ruled.run(made)
    assert result.status == "error" and "asks for zorp" in result.error


def test_too_few_steps_are_refused(ruled):
    result = ruled.run(graph(steps=1))
    assert result.status == "error" and "at least 2" in result.error and "room 12" in result.error


def test_everyone_may_know_what_is_in_force(ruled):
    said = requests.get(f"{ruled.url}/concept_guards/policy", timeout=10).json()
    assert said["in_force"] and said["concepts"] == ["beer", "zorp"] and said["message"] == "This is a class."
    counted = requests.get(f"{ruled.url}/concept_guards/policy/audit", timeout=10).json()
    assert counted["decisions"] == len(decisions(ruled))


@pytest.mark.parametrize("harm", ['{"version": 1, "concep', "gone", "changed"])
def test_a_file_that_is_broken_gone_or_changed_never_lets_a_picture_through(ruled, harm):
    file = place(ruled.folder) / "policy.json"
    try:
        if harm == "gone":
            file.unlink()
        else:
            write(
                ruled.folder,
                {**POLICY, "concepts": [{"text": "cat", "action": "refuse"}]} if harm == "changed" else harm,
            )
        with pytest.raises(Refused) as refused:
            ruled.run(graph())
        rule = refused.value.reply["error"]["extra_info"]["rule"]
        assert rule == ("text" if harm == "changed" else "policy")
    finally:
        write(ruled.folder, POLICY)
    assert ruled.run(graph(seed=2)).status == "success"


def test_users_are_told_in_their_language_at_the_door_and_while_it_runs(ruled):
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
    refused = requests.post(f"{ruled.url}/prompt", json={"prompt": graph("a zorp")}, headers=chinese, timeout=10)
    error = refused.json()["error"]
    assert "要求生成“zorp”" in error["message"] and "This is a class." in error["message"]
    assert refused.json()["node_errors"]["2"]["errors"][0]["message"] == error["message"]
    page = requests.post(
        f"{ruled.url}/prompt", json={"prompt": graph("a zorp")}, cookies={"concept_guards_language": "zh"}, timeout=10
    )
    assert page.json()["error"]["message"] == error["message"]
    short = requests.post(f"{ruled.url}/prompt", json={"prompt": graph(steps=1)}, headers=chinese, timeout=10)
    ended = ruled.wait(short.json()["prompt_id"])
    assert ended.status == "error" and "这里至少需要 2 步" in ended.error
    tripped = ruled.run(graph(sampler="EvilDirect"))  # whose run it is cannot be known
    assert "cannot be guarded" in tripped.error and "无法防护" in tripped.error


def test_a_guard_of_the_users_own_may_look_at_the_model(ruled):
    made = graph("a candy", model=["8", 0])
    made["8"] = {
        "class_type": "GuardConcepts",
        "inputs": {"model": ["1", 0], "clip": ["1", 1], "concepts": "knife", "strictness": "balanced"},
    }
    assert ruled.run(made).status == "success"
