"""Heat maps as pictures, by hand on maps of two by two."""

import torch

from tools.testing import hosting

heat = hosting.module("guards.inhibitors.heat")


def test_each_map_reaches_from_0_to_1_and_a_flat_one_is_all_0():
    maps = torch.tensor([[[2.0, 4.0], [3.0, 6.0]], [[5.0, 5.0], [5.0, 5.0]]])
    expected = torch.tensor([[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert torch.equal(heat.normalise(maps), expected)


def test_a_map_is_resized_between_the_middles_of_its_places():
    row = heat.resize(torch.tensor([[[0.0, 1.0]]]), 1, 4)
    assert torch.allclose(row, torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))
    assert heat.resize(torch.zeros(3, 2, 2, dtype=torch.float16), 5, 7).shape == (3, 5, 7)


def test_colours_are_the_stops_where_the_map_is_at_one_and_mixed_between_two():
    shares = torch.tensor([[[0.0, 0.25, 0.5, 0.75, 1.0, 0.125, 7.0, -1.0]]])
    found = heat.colours(shares)[0, 0]
    assert torch.allclose(found[:5], heat.STOPS)
    assert torch.allclose(found[5], (heat.STOPS[0] + heat.STOPS[1]) / 2)
    assert torch.allclose(found[6:], heat.STOPS[[-1, 0]]), "out of range: the ends"


def test_a_hot_place_covers_more_of_the_picture_than_a_cold_one():
    pictures = torch.full((1, 1, 2, 3), 0.5)
    cold, hot = heat.overlay(torch.tensor([[[0.0, 1.0]]]), pictures, strength=1.0)[0, 0]
    assert torch.allclose(hot, heat.STOPS[-1])
    assert torch.allclose(cold, 0.75 * torch.tensor(0.5) + 0.25 * heat.STOPS[0])
    assert torch.equal(heat.overlay(torch.zeros(1, 1, 2), pictures, strength=0.0), pictures)
