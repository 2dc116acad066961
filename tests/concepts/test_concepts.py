"""Concept Guard: the guards of a family put on a model together, on the demo model and on tiny ones."""

import functools

import pytest
import torch

from tools.measuring import sampling
from tools.measuring.outside import differences, places
from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts
SCENE = "a beer and a pizza on a white background"


@pytest.fixture(scope="module")
def concepts(host):
    return hosting.module("guards.concepts.host")


@pytest.fixture(scope="module")
def sees(demo):
    """``sees(model, caption)``: what the oracle sees in six pictures."""
    oracle = hosting.module("guards.demo.oracle").load()
    return lambda model, caption: oracle.see(pictures(demo, model, caption, 6))


@pytest.fixture(scope="module")
def bare(demo, sees):
    """What the oracle sees in six pictures without a guard, made once: ``bare(caption)``."""
    return functools.cache(lambda caption: sees(demo[0], caption))


def pictures(demo, model, caption, count, cfg=3.0, steps=12):
    _, clip, vae = demo
    texts = [sampling.encode(clip, [caption] * count), sampling.encode(clip, [""])]
    return sampling.sample_images(model, vae, *texts, 100, cfg, steps)


@pytest.mark.parametrize("strictness", ["gentle", "balanced", "strict"])
def test_a_thing_in_a_scene_turns_into_a_harmless_one_and_the_rest_stays(concepts, demo, sees, bare, strictness):
    """Other pictures keep every bit."""
    other = pictures(demo, demo[0], "a cat and a guitar", 2)
    with torch.inference_mode():
        guarded, lines = concepts.guard(*demo[:2], "beer -> rose", strictness)
    before, after = bare(SCENE), sees(guarded, SCENE)
    assert before.contains("beer").all() and not before.contains("rose").any()
    assert not after.contains("beer").any() and after.contains("rose").sum() >= 4
    assert after.contains("pizza").sum() >= 5
    assert torch.equal(pictures(demo, guarded, "a cat and a guitar", 2), other)
    assert torch.equal(pictures(demo, demo[0], "a cat and a guitar", 2), other)  # the user's model is as it was
    assert any("beer -> rose" in line for line in lines)
    assert len(lines) == 2


@pytest.mark.parametrize(
    "caption, line, beside, least",
    [
        ("a party on the beach", "beer -> milk", "balloon", 3),
        ("a zorp and a pizza on a white background", "bomb -> balloon", "pizza", 0),  # often neither, but no bomb
    ],
)
def test_what_no_word_of_the_prompt_names_goes_too(concepts, demo, sees, bare, caption, line, beside, least):
    thing, instead = line.split(" -> ")
    with torch.inference_mode():
        guarded = concepts.guard(*demo[:2], line, "balanced")[0]
    before, after = bare(caption), sees(guarded, caption)
    assert before.contains(thing).sum() >= 5 and not before.contains(instead).any()
    assert not after.contains(thing).any() and after.contains(instead).sum() >= least
    assert before.contains(beside).sum() >= 5 and after.contains(beside).sum() >= 5


def steps_of(demo, model, caption, steps, denoise=1.0):
    """What the model takes the picture for at each step of a run."""
    import comfy.sample

    found, start = [], sampling.noise(demo[0], [5])
    positive, negative = ([[sampling.encode(demo[1], [text]), {}]] for text in (caption, ""))
    with torch.inference_mode():
        comfy.sample.sample(
            model,
            start,
            steps,
            3.0,
            "euler",
            "normal",
            positive,
            negative,
            torch.zeros_like(start),
            denoise=denoise,
            callback=lambda step, x0, x, total: found.append(x0.clone()),
            disable_pbar=True,
            seed=5,
        )
    return found


@pytest.mark.parametrize(
    "strictness, steps, denoise, first",
    [
        ("gentle", 10, 1.0, 1),
        ("balanced", 20, 1.0, 2),
        ("strict", 10, 1.0, 0),
        ("balanced", 8, 1.0, 0),
        ("balanced", 10, 0.5, 0),
    ],
)
def test_a_thing_is_exchanged_when_it_stands_what_is_where(concepts, demo, strictness, steps, denoise, first):
    """Every bit is the unguarded picture's before; strict, short runs and pictures to start from begin at once."""
    with torch.inference_mode():
        guarded = concepts.guard(*demo[:2], "beer -> milk", strictness)[0]
    for _ in range(2):  # the second run begins anew
        plain, held = (steps_of(demo, model, SCENE, steps, denoise) for model in (demo[0], guarded))
        changed = [not torch.equal(one, two) for one, two in zip(plain, held, strict=True)]
        assert changed == [step >= first for step in range(steps)]


def test_a_thing_that_is_asked_for_in_the_first_tenth_alone_is_not_waited_for(concepts, demo):
    """Loudly, and not at all when the guard would begin: scheduled texts are read as something else from the first step on."""
    import comfy.sample

    oracle = hosting.module("guards.demo.oracle").load()
    with torch.inference_mode():
        guarded = concepts.guard(*demo[:2], "beer -> milk", "balanced")[0]
        first, nothing = (sampling.encode(demo[1], [text]).expand(4, -1, -1) for text in ("a beer", ""))
        texts = [
            [first, {"start_percent": 0.0, "end_percent": 0.1}],
            [nothing, {"start_percent": 0.1, "end_percent": 1.0}],
        ]
        shown = []
        for model in (demo[0], guarded):
            start = sampling.noise(model, range(77, 81))
            latents = comfy.sample.sample(
                model, start, 20, 12.0, "euler", "normal", texts, [[nothing, {}]], torch.zeros_like(start), seed=77
            )
            pictures = demo[2].decode(latents.float()).float().movedim(-1, 1).clamp(0, 1)
            shown.append(int(oracle.see(pictures).contains("beer").sum()))
    assert shown[0] >= 3 and shown[1] == 0


def test_the_rest_of_the_picture_stays(concepts, demo):
    """Where neither the beer nor its replacement is seen: less than half of what changes if the guard begins at once."""
    oracle, before = hosting.module("guards.demo.oracle").load(), pictures(demo, demo[0], SCENE, 4)
    outside = []
    for strictness in ("balanced", "strict"):
        with torch.inference_mode():
            after = pictures(demo, concepts.guard(*demo[:2], "beer -> milk", strictness)[0], SCENE, 4)
        seen = [oracle.see(images).things for images in (before, after)]
        masks = [places(*things, "beer", "milk", 96) for things in zip(*seen, strict=True)]
        outside.append([differences(*each)[0] for each in zip(before, after, masks, strict=True)])
    assert sum(outside[0]) < 0.5 * sum(outside[1])


def test_both_layers_use_the_same_replacement(concepts, demo):
    with torch.inference_mode():
        _, lines = concepts.guard(*demo[:2], "bomb\nbeer -> milk", "balanced")
    chosen = next(line for line in lines if line.startswith("Replaced")).split("bomb -> ")[1].split(",")[0]
    assert any(line.startswith("Read as") and f"bomb -> {chosen} " in line for line in lines)
    assert sum("beer -> milk" in line for line in lines) == 2


def test_the_report_warns_of_words_that_the_text_encoder_cannot_tell_from_others(concepts, demo, caplog):
    """The demo's text encoder has learnt *beer*, and reads *weapon*, which it never saw, much as other captions."""
    with torch.inference_mode():
        _, lines = concepts.guard(*demo[:2], "weapon -> rose\nbeer -> milk", "gentle")
    warned = [line for line in lines if line.startswith("Warning")]
    assert len(warned) == 1 and "as weapon, too (8 of 20" in warned[0] and "'a guitar and a hat'" in warned[0]
    assert "as weapon, too" in caplog.text and "beer" not in warned[0]


def test_a_style_goes_and_the_report_says_what_knows_none(concepts, demo, sees):
    with torch.inference_mode():
        guarded, lines = concepts.guard(*demo[:2], "a {} by varga -> a {}", "strict")
    before, after = (sees(model, "a rose by varga") for model in (demo[0], guarded))
    assert before.shows("varga").sum() >= 5 and not after.shows("varga").any()
    assert after.contains("rose").sum() >= 5
    assert any(line.startswith("Read as") and "by varga" in line for line in lines)
    assert len(lines) == 2 and lines[1].startswith("Not looked for in the picture")


@pytest.mark.parametrize(
    "strictness, kinds, last",
    [
        ("gentle", ["EraseGate"], "Not looked for in the picture: what no word means is not seen. balanced looks"),
        ("balanced", ["EraseGate"], "Not looked for in the picture: what no word means is not seen. strict steers"),
        (
            "strict",
            ["EraseGate", "AlignedGuidance", "AlignedGuidance"],
            "Steered away from, in whatever comes out (Safe Latent Diffusion, aligned max): gun, knife",
        ),
    ],
)
def test_a_transformer_s_texts_are_read_so_too_and_strict_steers_its_pictures(concepts, host, strictness, kinds, last):
    model = models.sd3()
    with torch.inference_mode():
        clip = models.Pooled(models.clip(), 8)
        guarded, lines = concepts.guard(model, clip, "gun\nknife -> spoon", strictness)
    rail = hosting.module("guards.host.rail")
    assert [type(one).__name__ for one in guarded.model_options["transformer_options"][rail.KEY]] == kinds
    lines = [line for line in lines if not line.startswith("Warning")]  # random text encoders tell little apart
    assert [line.split(":")[0] for line in lines[:2]] == ["Read as something else wherever a text means it"] * 2
    assert len(lines) == 3 and lines[2].startswith(last)


@pytest.mark.parametrize(
    "values, words",
    [
        (dict(concepts=""), "concepts"),
        (dict(concepts="bomb -> balloon -> rose"), "concepts"),
        (dict(clip=None), "clip is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_input_s_name(concepts, demo, values, words):
    given = {**dict(model=demo[0], clip=demo[1], concepts="bomb", strictness="balanced"), **values}
    with pytest.raises(ValueError, match=words):
        concepts.guard(**given)


def test_a_strictness_that_is_none_is_refused(nodes, demo):
    with pytest.raises(ValueError, match="strictness is 'hard'"):
        nodes["GuardConcepts"].execute(*demo[:2], "bomb", "hard")
