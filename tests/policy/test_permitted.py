"""Files that a policy names: which a graph may use, wherever the name stands."""

import pytest

from guards.policy import permitted
from guards.policy.rules import Concept, Policy

THERE = {
    "loras": ["style.safetensors", "sub/gun.safetensors"],
    "checkpoints": ["base.safetensors", "other.ckpt"],
    "embeddings": ["kind.pt"],
}
POLICY = Policy(
    1,
    (Concept("gun"),),
    files=(("checkpoints", ("base.safetensors",)), ("embeddings", ("kind.pt",)), ("loras", ("style.safetensors",))),
)


def refused(policy=POLICY, chooses=lambda *_: False, **inputs):
    graph = {"3": {"class_type": "Some", "inputs": inputs}}
    return permitted.refuse(graph, policy, THERE.__getitem__, chooses)


@pytest.mark.parametrize(
    "value",
    [
        "style.safetensors",
        "base.safetensors",
        "a cat",
        "gun",
        "nowhere.safetensors",
        "embedding:kind",
        "(embedding:kind.pt:1.2)",
        "<lora:style:0.5>",
        20,
        ["1", 0],
        None,
    ],
)
def test_what_is_allowed_or_no_file_passes(value):
    assert refused(value=value) is None


@pytest.mark.parametrize(
    "value, kind, file",
    [
        ("other.ckpt", "checkpoints", "other.ckpt"),
        ("sub/gun.safetensors", "loras", "sub/gun.safetensors"),
        ("sub\\GUN.safetensors", "loras", "sub\\GUN.safetensors"),
        ("./sub/../sub/gun.safetensors", "loras", "./sub/../sub/gun.safetensors"),
        ({"on": True, "lora": "gun.safetensors"}, "loras", "gun.safetensors"),
        (["gun.safetensors", 1, 2], "loras", "gun.safetensors"),
        ("a cat <lora:gun:1>", "loras", "gun"),
        ("a cat, (embedding:evil:1.2)", "embeddings", "evil"),
        ("EMBEDDING:evil.safetensors", "embeddings", "evil.safetensors"),
        ("embedding:kind embedding:evil", "embeddings", "evil"),
    ],
)
def test_what_is_not_is_named_with_what_may_be_chosen(value, kind, file):
    found = refused(value=value)
    assert (found.rule, found.node, found.values["kind"], found.values["file"]) == ("files", "3", kind, file)
    assert found.values["allowed"] in found.reason()


def test_a_name_that_comes_by_a_link_is_refused_where_files_are_chosen():
    asked = lambda class_type, key, kind: (class_type, key, kind) == ("Some", "lora", "loras")  # noqa: E731
    assert refused(chooses=asked, model=["1", 0]) is None
    assert refused(chooses=asked, lora=["1", 0]).saying == "linked file"


def test_without_lists_everything_may_be_used():
    assert refused(Policy(1, (Concept("gun"),)), value="gun.safetensors") is None


def test_an_embedding_in_a_text_that_is_made_while_the_graph_runs():
    assert permitted.embedding("a embedding:kind here", POLICY) is None
    assert permitted.embedding("a embedding:evil here", POLICY) == ("evil", ("kind.pt",))
    assert permitted.embedding("a embedding:evil here", Policy(1, (Concept("gun"),))) is None
