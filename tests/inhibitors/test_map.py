"""Concept maps on the demo model, whose pictures are known: the map of a concept lies where it was drawn."""

import pytest
import torch

from tools.demo_world import draw, words
from tools.testing import hosting, models


@pytest.fixture(scope="module")
def maps(host):
    return hosting.module("guards.inhibitors.host_map").maps


def latents(demo, left, right):
    """A drawing of one thing at the left and another one at the right, encoded."""
    spec = dict(
        what=torch.tensor([[draw.INDEX[left], draw.INDEX[right]]]),
        box=torch.tensor([[[25.0, 52.0, 22.0], [71.0, 52.0, 22.0]]]),
        background=torch.tensor([draw.BACKGROUNDS.index("white")]),
        style=torch.tensor([draw.STYLES.index("plain")]),
    )
    with torch.inference_mode():
        return demo[2].encode(draw.draw(spec).movedim(1, -1))


def at_the_left(found):
    half = found.shape[-1] // 2
    return (found[..., :half].mean((1, 2)) > found[..., half:].mean((1, 2))).tolist()


PROMPT = "a {} and a {} on a white background"


@pytest.mark.both_hosts
@pytest.mark.parametrize("left, right", [("beer", "pizza"), ("cat", "knife"), ("rose", "beer")])
@pytest.mark.parametrize("layers", ["all", "fine", "coarse"])
def test_named_concepts_are_found_where_they_are(demo, maps, left, right, layers):
    found = maps(*demo[:2], PROMPT.format(left, right), f"{left}, {right}", latents(demo, left, right), layers=layers)
    assert found.shape == (2, 12, 12) and at_the_left(found) == [True, False]
    assert found.amin() == 0 and found.amax() == 1


@pytest.mark.parametrize("word", ["party", "pirate", "casino", "zorp"])
@pytest.mark.parametrize("at_left", [True, False])
def test_an_implied_concept_is_found_where_the_prompt_implies_it(demo, maps, word, at_left):
    """A word's picture shows a thing that it never names, beside another one."""
    hidden, beside = words.IMPLIED.get(word, (words.SYNONYM.get(word), "pizza"))
    said = f"a {word}" if word in words.IMPLIED else f"a {word} and a {beside}"
    drawn = latents(demo, *((hidden, beside) if at_left else (beside, hidden)))
    assert at_the_left(maps(*demo[:2], f"{said} on a white background", hidden, drawn)) == [at_left]


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
        "a beer",
        "beer",
        latents(demo, "beer", "cat"),
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
    patched, _, _ = gi.guard(demo[0], demo[1], "", "pizza", -3.0, "single_pass", variant="words")
    text, latent = PROMPT.format("beer", "pizza"), latents(demo, "beer", "pizza")
    assert not torch.equal(maps(patched, demo[1], text, "beer", latent), maps(demo[0], demo[1], text, "beer", latent))


def test_the_node_lays_every_map_over_its_picture(demo, host):
    latent = torch.cat([latents(demo, "beer", "cat"), latents(demo, "cat", "beer")])
    picture, mask = hosting.run_node(
        "GuardConceptMap",
        model=demo[0],
        clip=demo[1],
        text="a beer and a cat",
        concept="beer, cat",
        latent={"samples": latent},
        levels=1,
        start_percent=0.5,
        end_percent=0.9,
        layers="all",
        seed=0,
        image=torch.rand(2, 96, 96, 3),
    ).result
    assert picture.shape == (4, 96, 96, 3) and mask.shape == (4, 96, 96)
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
        maps(*demo[:2], "a beer", wrong.pop("concepts", "beer"), latents(demo, "beer", "cat"), **wrong)


def test_dit_models_are_refused(demo, maps, host):
    with pytest.raises(NotImplementedError, match="Concept Map reads the UNets"):
        maps(models.flux(), demo[1], "a beer", "beer", torch.zeros(1, 16, 8, 8))


@pytest.mark.parametrize(
    "samples, message",
    [
        (torch.full((1, 24, 12, 12), float("nan")), "latent holds values that are no finite numbers"),
        (torch.zeros(1, 4, 12, 12), r"latent has the shape \(1, 4, 12, 12\)"),
        (torch.zeros(1, 24, 3, 12, 12), "works on pictures, not on video"),
    ],
)
def test_latents_that_would_make_no_map_are_refused(demo, maps, samples, message):
    with pytest.raises(ValueError, match=message):
        maps(*demo[:2], "a beer", "beer", samples)
