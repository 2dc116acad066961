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
    pure.Aligned(2.0).gamma(*handed[:3], (torch.zeros(1), 0))
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


@pytest.mark.parametrize("cosine,gate", [(1.0, 1.0), (0.6, 1.0), (0.45, 0.5), (0.3, 0.0), (-1.0, 0.0)])
def test_the_aligned_push_follows_the_cosine_once_the_first_step_is_over(cosine, gate):
    """One step weighs 0.5 of 1: with the same cosine again the mean is (0.5 + 1.5) / 2.5 of it; a long run comes to all of it."""
    nothing = torch.zeros(1, 1, 1, 2)
    wanted = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    concept = torch.tensor([cosine, (1 - cosine**2) ** 0.5]).view(1, 1, 1, 2)
    similarity = None
    for _ in range(50):
        gamma, similarity = pure.Aligned(2.0).gamma(wanted, nothing, concept, similarity)
    torch.testing.assert_close(gamma, 2.0 * gate * concept, atol=1e-2, rtol=0)
    first, (total, steps) = pure.Aligned(2.0).gamma(wanted, nothing, concept)
    assert steps == 1 and float(total) == pytest.approx(0.5 * cosine, abs=1e-6)
    torch.testing.assert_close(first, 2.0 * min(max((0.5 * cosine - 0.3) / 0.3, 0), 1) * concept, atol=1e-5, rtol=0)


def test_every_picture_of_a_batch_has_its_own_gate():
    nothing = torch.zeros(2, 1, 1, 2)
    wanted = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).view(2, 1, 1, 2)
    concept = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    gamma, _ = pure.Aligned(1.0).gamma(wanted, nothing, concept)
    assert gamma[0].any() and not gamma[1].any()
