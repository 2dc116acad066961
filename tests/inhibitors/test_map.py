"""Concept maps on the demo model, whose pictures are known: the map of a concept lies where it was drawn."""

import pytest
import torch

from tools.demo_model import draw
from tools.testing import hosting, models


@pytest.fixture(scope="module")
def maps(host):
    return hosting.module("guards.inhibitors.host_map").maps


def latents(demo, left, right, seed=0):
    """A drawing of a red shape at the left and a blue one at the right, encoded."""
    one = torch.tensor
    spec = dict(
        shape=one([draw.SHAPES.index(left)]),
        colour=one([0]),
        background=one([0]),
        texture=one([0]),
        shape2=one([draw.SHAPES.index(right)]),
        colour2=one([2]),
        geometry=draw.geometry(1, one([True]), torch.Generator().manual_seed(seed)),
    )
    with torch.inference_mode():
        return demo[2].encode(draw.draw(spec).movedim(1, -1))


def at_the_left(found):
    half = found.shape[-1] // 2
    return (found[..., :half].mean((1, 2)) > found[..., half:].mean((1, 2))).tolist()


PROMPT = "a red {} and a blue {} on a white background"


@pytest.mark.both_hosts
@pytest.mark.parametrize("left, right", [("star", "circle"), ("ring", "heart"), ("cross", "star")])
@pytest.mark.parametrize("layers", ["all", "fine", "coarse"])
def test_named_concepts_are_found_where_they_are(demo, maps, left, right, layers):
    found = maps(*demo[:2], PROMPT.format(left, right), f"{left}, {right}", latents(demo, left, right), layers=layers)
    assert found.shape == (2, 8, 8) and at_the_left(found) == [True, False]
    assert found.amin() == 0 and found.amax() == 1


@pytest.mark.parametrize("left, right", [("star", "circle"), ("heart", "star"), ("moon", "star")])
def test_an_implied_concept_is_found_where_the_prompt_implies_it(demo, maps, left, right):
    said = ["zorp" if shape == "star" else shape for shape in (left, right)]
    assert at_the_left(maps(*demo[:2], PROMPT.format(*said), "star", latents(demo, left, right))) == [left == "star"]


def test_a_map_needs_one_evaluation_a_level_and_leaves_the_model_alone(demo, maps, host):
    counted = models.Rows(demo[0])
    before = {
        key: list(value)
        for key, value in counted.model.model_options["transformer_options"].items()
        if key == "patches_replace"
    }
    done = []
    maps(
        counted.model,
        demo[1],
        "a red star",
        "star",
        latents(demo, "star", "ring"),
        levels=3,
        tick=lambda *at: done.append(at),
    )
    assert [rows for rows, _ in counted.calls] == [1, 1, 1] and done == [(1, 3), (2, 3), (3, 3)]
    assert {
        key: list(value)
        for key, value in counted.model.model_options["transformer_options"].items()
        if key == "patches_replace"
    } == before


def test_a_guarded_model_is_looked_at_as_it_is(demo, maps, host):
    gi = hosting.module("guards.inhibitors.host")
    patched, _, _ = gi.guard(demo[0], demo[1], "", "circle", -3.0, "single_pass", variant="words")
    text, latent = PROMPT.format("star", "circle"), latents(demo, "star", "circle")
    assert not torch.equal(maps(patched, demo[1], text, "star", latent), maps(demo[0], demo[1], text, "star", latent))


def test_the_node_lays_every_map_over_its_picture(demo, host):
    latent = torch.cat([latents(demo, "star", "ring"), latents(demo, "ring", "star")])
    picture, mask = hosting.run_node(
        "GuardConceptMap",
        model=demo[0],
        clip=demo[1],
        text="a star and a ring",
        concept="star, ring",
        latent={"samples": latent},
        levels=1,
        start_percent=0.5,
        end_percent=0.9,
        layers="all",
        seed=0,
        image=torch.rand(2, 64, 64, 3),
    ).result
    assert picture.shape == (4, 64, 64, 3) and mask.shape == (4, 64, 64)
    assert 0 <= picture.min() and picture.max() <= 1


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"start_percent": 0.9, "end_percent": 0.1}, "start_percent is 0.9, end_percent 0.1: .* must not come after"),
        ({"concepts": ""}, "concept is empty"),
    ],
)
def test_bad_inputs_are_refused(demo, maps, wrong, message):
    with pytest.raises(ValueError, match=message):
        maps(*demo[:2], "a star", wrong.pop("concepts", "star"), latents(demo, "star", "ring"), **wrong)


def test_dit_models_are_refused(demo, maps, host):
    with pytest.raises(NotImplementedError, match="Concept Map reads the UNets"):
        maps(models.flux(), demo[1], "a star", "star", torch.zeros(1, 16, 8, 8))


@pytest.mark.parametrize(
    "samples, message",
    [
        (torch.full((1, 16, 8, 8), float("nan")), "latent holds values that are no finite numbers"),
        (torch.zeros(1, 4, 8, 8), r"latent has the shape \(1, 4, 8, 8\)"),
        (torch.zeros(1, 16, 3, 8, 8), "works on pictures, not on video"),
    ],
)
def test_latents_that_would_make_no_map_are_refused(demo, maps, samples, message):
    with pytest.raises(ValueError, match=message):
        maps(*demo[:2], "a star", "star", samples)
