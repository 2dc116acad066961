"""The policy file, read strictly; what it means in words; and the sentence that users read."""

import json

import pytest

from guards.policy.explaining import LIMITS, explain
from guards.policy.rules import Concept, parse

LEAST = {"version": 1, "concepts": ["gun"]}


def read(**more):
    return parse(json.dumps({**LEAST, **more}))


def test_the_least_policy_steers_and_asks_for_nothing_else():
    policy = parse(json.dumps(LEAST))
    assert policy.concepts == (Concept("gun"),) and policy.refused == () and policy.strictness == "balanced"
    assert (policy.check_images, policy.nodes, policy.cloud, policy.previews) == ("off", "open", False, False)


def test_everything_that_can_be_said():
    policy = read(
        _why="comments begin with an underscore",
        concepts=["gun", {"text": "nude person", "action": "refuse", "replacement": "statue", "_": "art class"}],
        strictness="strict",
        minimum_steps=8,
        most_nodes=50,
        check_images="block",
        checker="nudenet",
        threshold=0.3,
        deny=["LoadImage"],
        audit="with_prompts",
        show_concepts=False,
        message="A class.",
        contact="room 12",
    )
    assert [concept.line for concept in policy.concepts] == ["gun", "nude person -> statue"]
    assert policy.texts == ("gun", "nude person") and policy.refused == ("nude person",)
    text = "\n".join(explain(policy))
    for part in (
        "gun",
        "nude person",
        "strict",
        "50",
        "8 steps",
        "nudenet",
        "0.3",
        "LoadImage",
        "with the prompts",
        "do not see",
    ):
        assert part in text, part
    assert all(limit.endswith(".") for limit in LIMITS)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"version": 2}, "version is 2"),
        ({"version": True}, "version"),
        ({"concepts": []}, "concepts: name what"),
        ({"concepts": "gun"}, "concepts: name what"),
        ({"concepts": ["gun", "GUN"]}, "number 2: 'GUN' is there twice"),
        ({"concepts": [""]}, "number 1"),
        ({"concepts": ["beer -> milk"]}, "without arrows"),
        ({"concepts": [{"text": "beer", "replacement": 3}]}, "replacement are texts"),
        ({"concepts": [3]}, "number 1: give a text"),
        ({"concepts": [{"text": "gun", "acton": "refuse"}]}, "no key 'acton'"),
        ({"concepts": [{"text": "gun", "action": "warn"}]}, "action is 'warn'"),
        ({"concepts": ["a\nb"]}, "one line"),
        ({"concepts": [f"c{i}" for i in range(51)]}, "at most 50"),
        ({"strictnes": "strict"}, "strictnes: there is no such key"),
        ({"fingerprint": "x"}, "fingerprint: there is no such key"),
        ({"strictness": "hard"}, "choose one of gentle, balanced, strict"),
        ({"cloud": "no"}, "write true or false"),
        ({"minimum_steps": 2.5}, "whole number"),
        ({"minimum_steps": True}, "whole number"),
        ({"threshold": 1.5}, "from 0.0 to 1.0"),
        ({"deny": "LoadImage"}, "give a list"),
        ({"nodes": "listed"}, "allow"),
        ({"allow": ["A"], "deny": ["A"]}, "A is also in allow"),
        ({"check_images": "block"}, "say who looks"),
        ({"checker": "nudenet"}, "say who looks"),
        ({"message": 3}, "give a text"),
        ({"files": ["a"]}, "files: write"),
        ({"files": {"lora": []}}, "no kind 'lora'"),
        ({"files": {"loras": "a.safetensors"}}, "files, loras: give a list"),
        ({"check_images": "block", "checker": "clip", "clip_vision": "a"}, "text_encoder: name the file"),
        ({"clip_vision": "a"}, "clip_vision: name the file"),
    ],
)
def test_what_is_wrong_is_named_with_the_mend(change, words):
    with pytest.raises(ValueError) as error:
        read(**change)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no JSON"),
        ('{"version": 1,', "line 1"),
        ("[1]", "a policy is an object"),
        ('{"version": 1, "concepts": ["a"], "concepts": ["b"]}', "it is there twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_policy_at_all(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_the_fingerprint_follows_the_rules_and_not_the_layout():
    assert read().fingerprint == parse(json.dumps({**LEAST, "_note": 1}, indent=4)).fingerprint
    assert read().fingerprint != read(strictness="strict").fingerprint != read(concepts=["gun", "knife"]).fingerprint


def test_files_that_may_be_used():
    policy = read(files={"loras": ["style.safetensors"], "embeddings": [], "_why": "a note"})
    assert policy.files == (("embeddings", ()), ("loras", ("style.safetensors",)))
    assert {"No embeddings may be used.", "Of loras, only style.safetensors may be used."} <= {*explain(policy)}


def test_the_checker_clip_names_its_files():
    clip = dict(check_images="block", checker="clip", clip_vision="vit.safetensors", text_encoder="clip_l.safetensors")
    assert any("clip (vit.safetensors, clip_l.safetensors)" in line for line in explain(read(**clip)))
