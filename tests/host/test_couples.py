"""Beside packs that give parts of the picture texts of their own inside the cross-attentions: all of these are guarded."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONTEXT, NEGATIVE, OTHER
from tools.testing.sampling import close, couple, sld

pytestmark = pytest.mark.both_hosts
PROMPT = "a weapon"


def encoded(clip, text):
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def inhibitor(variant):
    return lambda model, clip: hosting.module("guards.inhibitors.host").guard(
        model, clip, PROMPT, "weapon", -2.0, "single_pass", variant=variant
    )[0]


def local(model, clip):
    """With a calibration by hand that finds its target wherever a prompt leans towards it."""
    host_side = hosting.module("guards.local.host")
    limits = host_side.formula.Limits(0.01, 0.11)
    made = host_side.calibration.Calibration(1, limits, 1.0, frozenset((1, 2)), 3, (), (), (), torch.zeros(1, 1, 1))
    texts, _ = host_side.calibrated.prompts(clip, ["weapon", "milk", "thing", ""])
    return host_side.rail.attach(model, host_side.LocalGate(texts, ("weapon",), made))


def gate(model, clip=None):
    """Reads the first of a vector's numbers as the second."""
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    formula, unit = hosting.module("guards.erasing.gate"), torch.eye(CONTEXT)
    shift, limits = unit[1:2] - unit[:1], formula.Limits(0.4, 0.6)
    reading = formula.Reading(shift.T.contiguous(), unit[:1], shift[None])
    made = erasing.Map(reading, unit[None, :1], ("it",), causal=False)
    return gated.guard(model, made, (limits, limits), (False,))


GUARDS = {"words": inhibitor("words"), "aligned": inhibitor("aligned"), "local": local}


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("kind", GUARDS)
def test_a_couple_of_the_prompt_s_own_text_is_guarded_as_the_prompt(tiny, clip, kind, count, monkeypatch):
    monkeypatch.setattr(hosting.module("guards.inhibitors.formula"), "gate", lambda one: torch.ones(one.shape[:2]))
    positive = encoded(clip, PROMPT)
    texts, guarded = [positive[0][0]] * count, GUARDS[kind](tiny, clip)
    expected = models.sample(guarded, positive, batch=2)
    for own in (False, True):
        if count + own in (
            1,
            2,
            4,
        ):  # of more one could think that all rows are repeated, as long as all have the same text
            assert close(models.sample(couple(guarded, texts, own), positive, batch=2), expected)
    assert not close(expected, models.sample(tiny, positive, batch=2), 1e-3), "a test of nothing"
    both = couple(sld(guarded, encoded(clip, "a dog")), texts[:2])
    assert close(models.sample(both, positive), models.sample(sld(guarded, encoded(clip, "a dog")), positive))


def test_little_memory_and_combined_prompts_are_followed(tiny, clip, monkeypatch):
    positive = encoded(clip, PROMPT)
    guarded = GUARDS["words"](tiny, clip)
    coupled = couple(guarded, [positive[0][0]] * 2)
    expected = models.sample(guarded, positive + positive)
    assert close(models.sample(coupled, positive + positive), expected)
    monkeypatch.setattr(type(tiny), "get_free_memory", lambda *_: 0)
    assert close(models.sample(coupled, positive + positive), expected)


def test_a_text_that_only_a_part_of_the_picture_has_is_read_as_the_gate_says(tiny):
    text = OTHER[0][0] * torch.cat([torch.zeros(1), torch.ones(CONTEXT - 1)])  # nothing of the first number
    means, instead = text.clone(), text.clone()
    means[0, 3, 0] = 1.0
    instead[0, 3, 1] += 1.0
    prompt = [[text, {}]]
    for count in (2, 3, 4):
        texts = [text] * (count - 1)
        expected = models.sample(couple(tiny, [*texts, instead]), prompt, batch=2)
        for guarded in (couple(gate(tiny), [*texts, means]), gate(couple(tiny, [*texts, means]))):
            assert close(models.sample(guarded, prompt, batch=2), expected, 1e-5)
        assert not close(expected, models.sample(couple(tiny, [*texts, means]), prompt, batch=2), 1e-3)


def test_a_text_that_a_pack_puts_in_the_prompt_s_place_is_read_too(tiny):
    """As prompt injection into single layers does it."""

    def placed(model, text):
        model = model.clone()
        model.set_model_attn2_patch(lambda q, context, value, extra: (q, *_instead(context, text, extra)))
        return model

    def _instead(context, text, extra):
        numbers = extra["cond_or_uncond"]
        rows = [one if number else text.expand_as(one) for number, one in zip(numbers, context.chunk(len(numbers)))]
        return torch.cat(rows), torch.cat(rows)

    means, instead = OTHER[0][0].clone(), OTHER[0][0].clone()
    means[..., 0] = instead[..., 0] = 0.0
    means[0, 3, 0] = 1.0
    instead[0, 3, 1] += 1.0
    expected = models.sample(placed(tiny, instead), NEGATIVE)
    assert close(
        models.sample(placed(gate(tiny), means), NEGATIVE), models.sample(placed(gate(tiny), instead), NEGATIVE)
    )
    assert not close(expected, models.sample(placed(tiny, means), NEGATIVE), 1e-3)


def test_rows_that_are_all_repeated_are_another_pack_s_own(host):
    """Normalised attention guidance asks all rows once more, for a negative text, which is not to be guarded."""
    strangers = hosting.module("guards.host.strangers")
    first, numbers = torch.randn(4, 6, 3), {"cond_or_uncond": [1, 0]}
    alike, other = torch.zeros(8, 5, 3), torch.arange(8.0).view(8, 1, 1).expand(8, 5, 3)

    def repeated(rows, texts=alike, first=first):
        return strangers._repeated(first, rows, texts[: len(rows)], numbers, {})

    assert repeated(torch.cat([first, first])) is None
    assert repeated(torch.cat([first, first[2:]])) == [0, 1, 1]
    assert repeated(torch.cat([first, first[2:], first[2:]])) == [0, 1, 1, 1]
    same = first[:2].repeat(2, 1, 1)
    assert repeated(same.repeat(2, 1, 1), first=same) is None
    assert repeated(same.repeat(2, 1, 1), other, same) == [0, 1, 1, 1]
    assert repeated(torch.randn(6, 6, 3)) is None and repeated(torch.randn(5, 6, 3)) is None
