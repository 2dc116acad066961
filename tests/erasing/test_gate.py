"""The gated edit: texts that mean a concept are read as its replacement, all others are left as they are, bit for bit."""

import pytest
import torch

from guards.erasing import formula, gate

LIMITS = gate.Limits(0.4, 0.6)


def edit(*moves):
    """P that sends e_a to e_b for each (a, b), of 6 dimensions."""
    unit = torch.eye(6)
    shifts = torch.stack([unit[b] - unit[a] for a, b in moves])
    return gate.Reading(shifts.T.contiguous(), torch.stack([unit[a] for a, _ in moves]), shifts[:, None])


@pytest.fixture
def moves():
    """Sends e0 to e1 and e2 to e3."""
    return edit((0, 1), (2, 3))


def hints(named):
    """What tells how far a text implies a concept, by the same edit."""
    return named.shifts @ named.left @ named.right / named.shifts.square().sum(2, keepdim=True)


def gated(text, named, implied=None, alone=(False, False), causal=False, implying=LIMITS):
    return gate.gated(text, named, hints(implied or named), (LIMITS, implying), alone, causal)


def test_meaning_is_one_for_the_concept_a_half_for_half_of_it_and_nothing_for_others(moves):
    unit = torch.eye(6)
    text = torch.stack([unit[0], 0.5 * unit[0] + unit[4], unit[2], unit[5]])[None]
    means = moves.meaning(moves.change(text))
    torch.testing.assert_close(means[0, :, 0], torch.tensor([1.0, 0.5, 0.0, 0.0]))
    torch.testing.assert_close(means[0, :, 1], torch.tensor([0.0, 0.0, 1.0, 0.0]))
    torch.testing.assert_close(gate.most(text, moves.telling()), means)


def test_of_several_ways_to_tell_it_the_most_counts():
    """As where either of two text encoders may be told of it: e0 + e2 becomes e1 + e3, and each half by itself."""
    unit = torch.eye(6)
    halves = torch.stack([unit[1] - unit[0], unit[3] - unit[2]])
    both = gate.Reading(halves.T.contiguous(), unit[[0, 2]], torch.stack([halves.sum(0), *halves])[None])
    text = torch.stack([unit[0] + unit[2], unit[0], unit[2] + unit[4], 0.5 * unit[2], unit[4]])[None]
    means = both.meaning(both.change(text))
    torch.testing.assert_close(means[0, :, 0], torch.tensor([1.0, 1.0, 1.0, 0.5, 0.0]))
    torch.testing.assert_close(gate.most(text, both.telling()), means)
    whole = gate.Reading(both.left, both.right, both.shifts[:, :1])
    torch.testing.assert_close(whole.meaning(whole.change(text))[0, :, 0], torch.tensor([1.0, 0.5, 0.5, 0.25, 0.0]))
    made, _ = gate.gated(text[:, 1:3].transpose(0, 1), both, hints(both), (LIMITS, LIMITS), (False,), False)
    torch.testing.assert_close(made[:, 0], torch.stack([unit[1], unit[3] + unit[4]]))


def test_a_text_that_names_it_is_edited_and_one_that_implies_it_says_so(moves):
    unit = torch.eye(6)
    text = torch.stack([unit[0] + unit[4], 0.55 * unit[2] + unit[5], 0.35 * unit[2]])[:, None]
    made, told = gated(text, moves, implying=gate.Limits(0.3, 0.4))
    torch.testing.assert_close(made[0, 0], unit[1] + unit[4])
    torch.testing.assert_close(made[1, 0], 0.55 * (unit[2] + 0.75 * (unit[3] - unit[2])) + unit[5])
    assert torch.equal(made[2], text[2])
    torch.testing.assert_close(told, torch.tensor([[0.0, 0.0], [0.0, 0.25], [0.0, 0.5]]))


def test_between_the_limits_a_text_is_moved_in_part(moves):
    unit = torch.eye(6)
    made, _ = gated((0.5 * unit[0])[None, None], moves)
    torch.testing.assert_close(made[0, 0], 0.5 * unit[0] + 0.25 * (unit[1] - unit[0]))


def test_a_text_that_implies_it_is_told_and_changed_only_where_nothing_else_takes_care_of_it(moves):
    """Whether it does is said by the edit that holds others."""
    unit, low = torch.eye(6), gate.Limits(0.2, 0.3)
    text = (0.35 * unit[0] + unit[4])[None, None]
    left_alone, told = gated(text, moves, implying=low)
    assert torch.equal(left_alone, text) and told.tolist() == [[1.0, 0.0]]
    made, _ = gated(text, moves, alone=(True, False), implying=low)
    torch.testing.assert_close(made[0, 0], 0.35 * unit[1] + unit[4])
    other, _ = gated(text, moves, alone=(False, True), implying=low)
    assert torch.equal(other, text)
    deaf, told = gated(text, moves, edit((4, 5), (2, 3)), alone=(False, True), implying=low)
    assert torch.equal(deaf, text) and told.tolist() == [[1.0, 0.0]]
    deaf, told = gated(text, moves, edit((5, 4), (2, 3)), alone=(True, True), implying=low)
    assert torch.equal(deaf, text) and told.tolist() == [[0.0, 0.0]]


def test_where_the_text_encoder_is_causal_nothing_before_the_first_vector_that_means_it_is_changed(moves):
    unit = torch.eye(6)
    text = torch.stack([unit[4] + 0.2 * unit[0], unit[0], unit[5] + 0.2 * unit[0]])[None]
    made, _ = gated(text, moves, causal=True)
    assert torch.equal(made[0, 0], text[0, 0])
    torch.testing.assert_close(made[0, 1:], torch.stack([unit[1], unit[5] + 0.2 * unit[1]]))
    both, _ = gated(text, moves)
    torch.testing.assert_close(both[0, 0], unit[4] + 0.2 * unit[1])


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_a_text_that_does_not_mean_it_keeps_its_very_bits_beside_one_that_does(moves, kind, causal):
    text = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0)).to(kind)
    text[..., [0, 2]] *= 0.1
    text[1, 2, 0] = 1.0
    made, _ = gated(text, moves, alone=(True, True), causal=causal)
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
    edited = gate.Reading(left.float(), right.float(), (concept @ solution.T)[:1][None].float())
    weight, text = torch.randn(5, 8, generator=generator, dtype=torch.float64), concept[:1][None]
    open_wide = gate.Limits(1e-9, 2e-9)
    made, _ = gate.gated(text.float(), edited, hints(edited), (open_wide, open_wide), [False], causal=False)
    expected = text @ (weight @ (torch.eye(8, dtype=torch.float64) + solution)).T
    torch.testing.assert_close(made.double() @ weight.T, expected, rtol=1e-4, atol=1e-4)
