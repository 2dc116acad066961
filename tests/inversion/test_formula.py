"""Feedback inversion's formulas, by hand."""

import pytest
import torch

from tools.testing import hosting

inversion = hosting.module("guards.inversion.formula")


def test_ratings_count_by_their_distance_from_the_middle():
    shown, missing = inversion.weights(torch.tensor([0.2, 0.5, 0.6, 1.0]))  # the middle is 0.6
    assert torch.allclose(shown, torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert torch.allclose(missing, torch.tensor([1.0, 0.25, 0.0, 0.0]), atol=1e-6)


@pytest.mark.parametrize("rewards", [[0.5, 0.5], [float("nan"), 1.0], []])
def test_ratings_that_tell_nothing_apart_are_refused(rewards):
    with pytest.raises(ValueError, match="feedback: "):
        inversion.weights(torch.tensor(rewards))


def test_a_counter_example_costs_what_the_word_explains_better_than_no_word_by_the_margin():
    with_word, without = torch.tensor([0.5, 1.04, 2.0], requires_grad=True), torch.tensor([1.0, 1.0, 1.0])
    loss = inversion.contrast(lambda *_: with_word, lambda *_: without)(None, None, None, None)
    assert torch.allclose(loss, torch.tensor([0.55, 0.01, 0.0]), atol=1e-6)
    loss.sum().backward()
    assert with_word.grad.tolist() == [-1.0, -1.0, 0.0]
