"""How much two pictures differ, by hand."""

import pytest
import torch

from tools.testing import hosting

comparing = hosting.module("guards.judging.comparing")


def test_black_against_white_is_all_the_change_there_is_and_the_same_is_none():
    black, white = torch.zeros(1, 16, 16, 3), torch.ones(1, 16, 16, 3)
    found = comparing.change(torch.cat([black, black]), torch.cat([white, black]))
    assert found.changed.tolist() == [1, 0] and found.pixels.tolist() == [1, 0]
    assert found.likeness[1] == 1 and found.likeness[0] < 0.01
    assert "1 of them identical" in comparing.report(found)


def test_a_quarter_that_changes_by_a_half_changes_an_eighth():
    first = torch.zeros(1, 8, 8, 3)
    second = first.clone()
    second[:, :4, :4] = 0.5
    found = comparing.change(first, second)
    assert found.changed.item() == pytest.approx(0.125) and found.pixels.item() == 0.25
    assert found.map[0, :4, :4].eq(0.5).all() and found.map.sum() == 8


def test_flat_pictures_have_the_likeness_of_their_means():
    """Without structure only the first factor is left: (2 m1 m2 + C1) / (m1^2 + m2^2 + C1)."""
    first, second = torch.full((1, 12, 20, 3), 0.4), torch.full((1, 12, 20, 3), 0.6)
    wanted = (2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4)
    assert comparing.likeness(first, second).item() == pytest.approx(wanted, abs=1e-5)


def test_an_inverted_pattern_is_less_like_than_a_paler_one():
    board = (torch.arange(16)[:, None] + torch.arange(16)).remainder(2)[None, ..., None].expand(1, 16, 16, 3).float()
    assert comparing.likeness(board, 1 - board).item() < -0.9
    assert 0.7 < comparing.likeness(board, board * 0.5 + 0.25).item() < 0.9


def test_pictures_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared pixel by pixel"):
        comparing.change(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 9, 3))
