"""One server for several groups: which rules hold for whom, by the header that a proxy sets."""

import json

import pytest
import requests

from guards.policy import audit
from guards.policy.explaining import explain
from guards.policy.rules import parse
from tools.testing.policies import graph, place, write

POLICY = {
    "version": 1,
    "concepts": ["bomb", {"text": "beer", "action": "refuse"}],
    "groups": {
        "header": "X-User-Group",
        "policies": {
            "teachers": {"concepts": ["bomb"], "strictness": "gentle"},
            "guests": {"minimum_steps": 10},
            "pupils": {"uploads": "refused"},
        },
    },
}


def test_a_group_has_the_files_rules_but_for_its_own():
    policy = parse(json.dumps(POLICY))
    teachers, guests = policy.of("teachers"), policy.of("guests")
    assert policy.refused == ("beer",) and policy.of("nobody") is policy and policy.of("") is policy
    assert (teachers.refused, teachers.strictness, teachers.texts) == ((), "gentle", ("bomb",))
    assert (guests.refused, guests.minimum_steps) == (("beer",), 10)
    assert len({policy.fingerprint, teachers.fingerprint, guests.fingerprint}) == 3
    said = explain(policy)
    assert "For guests (header X-User-Group): A sampler must take at least 10 steps." in said
    assert not [line for line in said if "For guests" in line and "most" in line]  # what is the same is not said again
    assert not [line for line in said if line.startswith("For ") and "Users see" in line]


@pytest.mark.parametrize(
    "groups, named",
    [
        ([], "groups: write"),
        ({"header": "X"}, "groups: write"),
        ({"header": "X: y", "policies": {"a": {}}}, "header is 'X: y'"),
        ({"header": "X", "policies": {}}, "groups: write"),
        ({"header": "X", "policies": {"a": []}}, "groups, 'a'"),
        ({"header": "X", "policies": {"a": {"strictnes": "gentle"}}}, "groups, a: strictnes"),
        ({"header": "X", "policies": {"a": {"concepts": []}}}, "groups, a: concepts"),
        ({"header": "X", "policies": {"a": {"audit": "off"}}}, "audit is the same for all"),
    ],
)
def test_groups_that_cannot_be_meant_are_named(groups, named):
    with pytest.raises(ValueError) as caught:
        parse(json.dumps({**POLICY, "groups": groups}))
    assert named in str(caught.value)


def ask(server, graph, *groups):
    """The answer to a prompt that says to come from these groups."""
    session = requests.Session()
    given = requests.Request("POST", server.url + "/prompt", json={"prompt": graph}).prepare()
    for name in groups:
        given.headers["X-User-Group"] = name
    return session.send(given, timeout=60)


@pytest.mark.both_hosts
def test_the_header_says_whose_rules_hold_and_nothing_else_does(ruled):
    refused = ask(ruled, graph("a beer"))
    assert refused.status_code == 400 and refused.json()["error"]["extra_info"]["rule"] == "text"
    assert ask(ruled, graph("a beer"), "strangers").status_code == 400
    admitted = ask(ruled, graph("a beer"), "teachers")
    assert admitted.status_code == 200
    short = ask(ruled, graph("a dog"), "guests")
    assert short.status_code == 200  # steps are counted when it runs
    ends = [ruled.wait(reply.json()["prompt_id"]) for reply in (admitted, short)]
    assert [end.status for end in ends] == ["success", "error"] and "at least 10" in ends[1].error
    prints = {name: parse(json.dumps(POLICY)).of(name).fingerprint for name in ("", "teachers", "guests")}
    entries = [entry for path in audit.files(str(place(ruled.folder))) for entry in audit.read(path)]
    assert [entry["policy"] for entry in entries] == [prints[n] for n in ("", "", "teachers", "guests", "guests")]
    told = requests.get(ruled.url + "/concept_guards/policy", headers={"X-User-Group": "teachers"}, timeout=60).json()
    assert told["concepts"] == ["bomb"] and told["strictness"] == "gentle"


@pytest.mark.both_hosts
def test_a_group_may_be_kept_from_bringing_pictures_along(ruled):
    for node in ("LoadImage", "LoadImageOutput", "LoadLatent"):
        (ruled.folder / "input" / "beach.latent").touch()
        key, name = ("latent", "beach.latent") if node == "LoadLatent" else ("image", "beach.png")
        brought = {**graph("a dog"), "20": {"class_type": node, "inputs": {key: name}}}
        answer = ask(ruled, brought, "pupils")
        assert answer.status_code == 400 and answer.json()["error"]["extra_info"] == {"rule": "uploads", "node": "20"}
    assert ask(ruled, graph("a dog"), "pupils").status_code == 200
    assert ask(ruled, {**graph("a dog"), "20": {"class_type": "EmptyImage", "inputs": {}}}, "pupils").status_code == 200


def test_a_decision_is_made_again_by_the_groups_own_rules(ruled):
    write(ruled.folder, {**POLICY, "audit": "with_prompts"})
    try:
        assert ask(ruled, graph("a beer"), "teachers").status_code == 200
        entries = [entry for path in audit.files(str(place(ruled.folder))) for entry in audit.read(path)]
        entry = next(entry for entry in entries if "prompt" in entry)
        url = f"{ruled.url}/concept_guards/policy/replay?hash={entry['hash']}"
        said = requests.get(url, timeout=60).json()
        assert entry["group"] == "teachers" and said["now"] == {"action": "admitted"} and said["same_policy"]
    finally:
        write(ruled.folder, POLICY)
