"""The gated edit: texts that mean a concept are read as its replacement, all others are left as they are, bit for bit."""

import pytest
import torch

from guards.erasing import formula, gate

LIMITS = gate.Limits(0.4, 0.6)


@pytest.fixture
def map_():
    """P that sends e0 to e1 and e2 to e3, of 6 dimensions; the shifts of both."""
    unit = torch.eye(6)
    left = torch.stack([unit[1] - unit[0], unit[3] - unit[2]], 1)
    right = torch.stack([unit[0], unit[2]])
    return left, right, torch.stack([unit[1] - unit[0], unit[3] - unit[2]])


def test_meaning_is_one_for_the_concept_a_half_for_half_of_it_and_nothing_for_others(map_):
    left, right, shifts = map_
    unit = torch.eye(6)
    text = torch.stack([unit[0], 0.5 * unit[0] + unit[4], unit[2], unit[5]])[None]
    means = gate.meaning((text @ right.T) @ left.T, shifts)
    torch.testing.assert_close(means[0, :, 0], torch.tensor([1.0, 0.5, 0.0, 0.0]))
    torch.testing.assert_close(means[0, :, 1], torch.tensor([0.0, 0.0, 1.0, 0.0]))


def test_a_text_that_means_it_is_edited_and_says_which_concept_it_means(map_):
    unit = torch.eye(6)
    text = torch.stack([unit[0] + unit[4], 0.7 * unit[2] + unit[5]])[:, None]
    made, means = gate.gated(text, *map_, [LIMITS] * 2)
    torch.testing.assert_close(made[0, 0], unit[1] + unit[4])
    torch.testing.assert_close(made[1, 0], 0.7 * unit[3] + unit[5])
    torch.testing.assert_close(means, torch.tensor([[1.0, 0.0], [0.0, 0.7]]))


def test_between_the_limits_a_text_is_moved_in_part(map_):
    unit = torch.eye(6)
    text = (0.5 * unit[0])[None, None]
    made, _ = gate.gated(text, *map_, [LIMITS] * 2)
    torch.testing.assert_close(made[0, 0], 0.5 * unit[0] + 0.25 * (unit[1] - unit[0]))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_a_text_that_does_not_mean_it_keeps_its_very_bits_beside_one_that_does(map_, kind):
    text = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0)).to(kind)
    text[..., [0, 2]] *= 0.1
    text[1, 2, 0] = 1.0
    made, _ = gate.gated(text, *map_, [LIMITS] * 2)
    assert made.dtype == kind and torch.equal(made[[0, 2]], text[[0, 2]])
    assert not torch.equal(made[1], text[1])


def test_with_the_gate_wide_open_it_is_the_edit_of_the_weights():
    """A text read by W (I + P) is the edited text read by W."""
    generator = torch.Generator().manual_seed(1)
    concept, target, held = (torch.randn(n, 8, generator=generator, dtype=torch.float64) for n in (4, 4, 9))
    sums = formula.Sums(8)
    sums.edit(concept, target)
    sums.keep(held, 1.0)
    solution = sums.solve(0.1)
    left, right, _ = formula.thin(solution)
    shift = (concept @ solution.T)[:1]
    weight, text = torch.randn(5, 8, generator=generator, dtype=torch.float64), concept[:1][None]
    made, _ = gate.gated(text.float(), left.float(), right.float(), shift.float(), [gate.Limits(1e-9, 2e-9)])
    expected = text @ (weight @ (torch.eye(8, dtype=torch.float64) + solution)).T
    torch.testing.assert_close(made.double() @ weight.T, expected, rtol=1e-4, atol=1e-4)
