"""Concept Guard: the guards of a family put on a model together, on the demo model and on tiny ones."""

import pytest
import torch

from tools.measuring import sampling
from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts
SCENE = "a red zorp and a blue circle on a white background"


@pytest.fixture(scope="module")
def concepts(host):
    return hosting.module("guards.concepts.host")


@pytest.fixture(scope="module")
def oracle(host):
    return hosting.module("guards.demo.oracle").load()


def pictures(demo, model, caption=SCENE, count=4, cfg=3.0, steps=12):
    model_, clip, vae = demo
    texts = [sampling.encode(clip, [caption] * count), sampling.encode(clip, [""])]
    return sampling.sample_images(model or model_, vae, *texts, 100, cfg, steps)


@pytest.mark.parametrize("strictness", ["gentle", "balanced", "strict"])
def test_a_thing_in_a_scene_turns_into_a_harmless_one_and_the_rest_stays(concepts, demo, oracle, strictness):
    with torch.inference_mode():
        guarded, lines = concepts.guard(*demo[:2], "star -> moon", strictness)
    before, after = oracle.see(pictures(demo, None)), oracle.see(pictures(demo, guarded))
    assert before.contains("star").all() and not after.contains("star").any()
    assert after.contains("moon").sum() >= 3 and after.contains("circle").sum() >= 3
    assert any("star -> moon" in line for line in lines)
    assert (len(lines) == 1) == (strictness == "gentle")
    assert torch.equal(pictures(demo, None, count=1), pictures(demo, None, count=1))  # the user's model is as it was


def test_both_layers_use_the_same_replacement(concepts, demo):
    with torch.inference_mode():
        _, lines = concepts.guard(*demo[:2], "star\nheart -> square", "balanced")
    chosen = next(line for line in lines if line.startswith("Replaced")).split("star -> ")[1].split(",")[0]
    assert any(line.startswith("Erased") and f"star -> {chosen} " in line for line in lines)
    assert sum("heart -> square" in line for line in lines) == 2


def test_an_attribute_is_edited_and_the_report_says_what_knows_none(concepts, demo):
    with torch.inference_mode():
        _, lines = concepts.guard(*demo[:2], "a striped {} -> a {}", "strict")
    assert any("Erased" in line and "striped" in line for line in lines)
    assert any("knows no attributes" in line for line in lines) and not any("in place" in line for line in lines)


def test_a_transformer_is_steered(concepts, host):
    model = models.sd3()
    with torch.inference_mode():
        clip = models.clip()
        guarded, lines = concepts.guard(model, clip, "gun\nknife", "balanced")
    rail = hosting.module("guards.host.rail")
    assert len(guarded.model_options["transformer_options"][rail.KEY]) == 2
    assert lines == ["Steered away from, in whatever comes out (Safe Latent Diffusion, aligned strong): gun, knife"]


@pytest.mark.parametrize(
    "values, words",
    [
        (dict(concepts=""), "concepts"),
        (dict(concepts="star -> moon -> heart"), "concepts"),
        (dict(clip=None), "clip is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_input_s_name(concepts, demo, values, words):
    given = {**dict(model=demo[0], clip=demo[1], concepts="star", strictness="balanced"), **values}
    with pytest.raises(ValueError, match=words):
        concepts.guard(**given)


def test_a_strictness_that_is_none_is_refused(nodes, demo):
    with pytest.raises(ValueError, match="strictness is 'hard'"):
        nodes["GuardConcepts"].execute(*demo[:2], "star", "hard")
