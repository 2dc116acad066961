"""The paper's appendix by hand: equations 4 and 6 to 8 on tensors of two by two, without ComfyUI."""

import pytest
import torch

from tools.testing import hosting

pure = hosting.module("guards.sld.formula")


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 2, 2)


POSITIVE = tensor(0.00, 0.02, 0.50, -1.00)
UNCONDITIONAL = tensor(0.10, 0.10, 0.10, 0.10)
CONCEPT = tensor(0.02, 0.00, 0.25, 1.00)


def settings(**changes):
    return pure.Settings(**{**dict(guidance_scale=10, warmup_steps=0, threshold=0.01), **MOMENTUM, **changes})


MOMENTUM = dict(momentum_scale=0.5, momentum_beta=0.75)


def test_the_scale_is_the_difference_times_s_where_it_lies_below_the_threshold_and_at_most_one():
    """Eq. 6 to 8: differences -0.02 (scaled to 0.2), 0.02 (above 0.01: 0), 0.25 (above: 0), -2 (20, clamped to 1)."""
    gamma, _ = settings(threshold=0.25).gamma(POSITIVE, UNCONDITIONAL, CONCEPT)
    assert gamma[0, 0, 1, 0] == 0, "0.5 - 0.25 is the threshold itself, and so not below it"
    gamma, momentum = settings().gamma(POSITIVE, UNCONDITIONAL, CONCEPT)
    expected = tensor(0.2 * (0.02 - 0.1), 0.0, 0.0, 1.0 * (1.0 - 0.1))
    torch.testing.assert_close(gamma, expected)
    torch.testing.assert_close(momentum, 0.25 * expected)  # eq. 8 from nothing: (1 - 0.75) gamma


def test_momentum_joins_the_push_and_is_then_renewed_from_it():
    """Eq. 4 and 8: gamma += 0.5 * momentum; momentum = 0.75 * momentum + 0.25 * gamma."""
    bare, _ = settings().gamma(POSITIVE, UNCONDITIONAL, CONCEPT)
    before = tensor(1.0, 2.0, -4.0, 0.0)
    gamma, momentum = settings().gamma(POSITIVE, UNCONDITIONAL, CONCEPT, before)
    torch.testing.assert_close(gamma, bare + 0.5 * before)
    torch.testing.assert_close(momentum, 0.75 * before + 0.25 * gamma)


def test_nothing_that_is_handed_in_is_changed():
    handed = [t.clone() for t in (POSITIVE, UNCONDITIONAL, CONCEPT, tensor(1, 2, 3, 4))]
    kept = [t.clone() for t in handed]
    settings().gamma(*handed)
    pure.Aligned(2.0).push(*handed[:3], pure.Memory(torch.zeros(1), 0, 0.5))
    assert all(torch.equal(a, b) for a, b in zip(handed, kept, strict=True))


def test_a_concept_that_is_the_prompt_is_not_pushed_by_the_published_scale():
    gamma, momentum = settings().gamma(POSITIVE, UNCONDITIONAL, POSITIVE)
    assert not gamma.any() and not momentum.any()


@pytest.mark.parametrize("name,numbers", [("weak", (20, 15, 0.0, 0.0, 0.0)), ("max", (5000, 0, 1.0, 0.5, 0.7))])
def test_presets_are_the_published_numbers(name, numbers):
    preset = pure.PRESETS[name]
    assert preset == pure.Settings(*numbers)
    assert preset.always == (numbers[1] == 0) and not preset.off


def test_warm_up_needs_the_concept_only_for_its_momentum():
    late, bare = settings(warmup_steps=2), settings(warmup_steps=2, momentum_scale=0)
    assert [late.guided(i) for i in range(4)] == [bare.guided(i) for i in range(4)] == [False, False, True, True]
    assert [late.needed(i) for i in range(4)] == [True] * 4
    assert [bare.needed(i) for i in range(4)] == [False, False, True, True]
    assert not settings(guidance_scale=0).needed(3) and settings(guidance_scale=0).off


def pair(*values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 2, 1, 1)


NOTHING = pair(0.0, 0.0)


@pytest.mark.parametrize("cosine,gate", [(1.0, 1.0), (0.6, 1.0), (0.45, 0.5), (0.3, 0.0), (-1.0, 0.0)])
def test_the_aligned_push_follows_the_cosine_once_the_first_step_is_over(cosine, gate):
    """One step weighs 0.5 of 1: with the same cosine again the mean is (0.5 + 1.5) / 2.5 of it; a long run comes to all of it."""
    wanted, concept = pair(4.0, 0.0), pair(cosine, (1 - cosine**2) ** 0.5)
    memory = None
    for _ in range(50):
        addition, memory = pure.Aligned(2.0).push(wanted, NOTHING, concept, memory)
    torch.testing.assert_close(addition, -2.0 * gate * max(4 * cosine, 0) * concept, atol=0.08, rtol=0)
    first, memory = pure.Aligned(2.0).push(wanted, NOTHING, concept)
    assert memory.steps == 1 and float(memory.agreement) == pytest.approx(0.5 * cosine, abs=1e-6)
    expected = -2.0 * min(max((0.5 * cosine - 0.3) / 0.3, 0), 1) * 4 * cosine * concept
    torch.testing.assert_close(first, expected, atol=1e-4, rtol=0)


def test_strength_one_takes_out_exactly_what_lies_along_the_concept():
    """The projection of (3, 4) on (2, 0) is (3, 0); from an empty text of (1, 1)."""
    result, nothing, concept = pair(4.0, 5.0), pair(1.0, 1.0), pair(3.0, 1.0)
    addition, _ = pure.Aligned(1.0).push(result, nothing, concept, named=torch.ones(1))
    torch.testing.assert_close(addition, pair(-3.0, 0.0))
    few, _ = pure.Aligned(1.0).push(result, nothing, concept, named=torch.ones(1), few=True)
    torch.testing.assert_close(few, pair(-3.0 * pure.FEW_PUSH, 0.0))
    away, _ = pure.Aligned(1.0).push(pair(-2.0, 1.0), nothing, concept, named=torch.ones(1))
    assert not away.any(), "what already points away from the concept is left alone"


def test_the_guiders_mixing_and_the_space_it_predicts_in_cancel_out():
    """Any factor on all differences, as a cfg or a noise level puts it there, leaves the gate and scales the push with the result."""
    generator = torch.Generator().manual_seed(0)
    nothing, wanted, concept = (torch.randn(3, 4, 5, 5, generator=generator) for _ in range(3))
    one, memory = pure.Aligned(2.0).push(nothing + wanted, nothing, nothing + concept + wanted, doubt=0.0)
    other, again = pure.Aligned(2.0).push(nothing + 7 * wanted, nothing, nothing + 0.1 * (concept + wanted), doubt=0.0)
    torch.testing.assert_close(memory.agreement, again.agreement)
    torch.testing.assert_close(7 * one, other)
    assert one.any()


def test_a_place_counts_by_how_much_the_concept_wants_there():
    """Two places: the prompt agrees with the concept in the one where the concept is, and does much elsewhere."""
    concept = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.01]]]])
    wanted = torch.tensor([[[[1.0, 5.0]], [[0.0, -5.0]]]])
    nothing = torch.zeros_like(concept)
    _, memory = pure.Aligned(1.0).push(wanted, nothing, concept, doubt=0.0)
    whole = torch.nn.functional.cosine_similarity(wanted.flatten(1), concept.flatten(1))
    assert float(memory.agreement) > 0.99 and float(whole) < 0.2


def test_every_picture_of_a_batch_has_its_own_gate():
    wanted, concept = pair(1.0, 0.0, 1.0, 0.0), pair(1.0, 0.0, 0.0, 1.0)
    addition, _ = pure.Aligned(1.0).push(wanted, pair(0.0, 0.0, 0.0, 0.0), concept)
    assert addition[0].any() and not addition[1].any()


def test_half_precision_and_a_concept_without_direction_stay_finite():
    big = pair(60000.0, -60000.0).half()
    for concept in (pair(0.0, 0.0), pair(1e-7, 0.0), pair(-60000.0, 60000.0)):
        addition, memory = pure.Aligned(2.0).push(big, NOTHING.half(), concept.half(), named=torch.ones(1))
        assert torch.isfinite(addition).all() and torch.isfinite(memory.agreement).all()
        assert addition.abs().max() <= 2.0 * 60000 * 2**0.5


def text(*words, tokens=8):
    """A start token, words (each with a width of its own), and padding, as a text encoder that knows no context makes them."""
    start, padding = torch.eye(12)[0], torch.eye(12)[1]
    rows = [start, *(torch.eye(12)[2 + word] for word in words)]
    return torch.stack([*rows, *[padding] * (tokens - len(rows))])[None]


def test_a_text_names_a_concept_by_the_share_of_its_words():
    concept = text(0, 1)
    several = torch.cat([text(0, 1), text(1, 5, 0), text(1, 2), text(3, 4), text()])
    assert pure.named(several, concept).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert pure.named(several, text()).tolist() == [0.0] * 5, "an empty concept is named by none"
    assert pure.named(text(0, 1, tokens=20).half(), concept.half()).tolist() == [1.0]
