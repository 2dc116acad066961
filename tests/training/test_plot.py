"""The plot of a training."""

import math

import pytest
import torch

from tools.testing import hosting

plots = hosting.module("guards.training.plot")
PLAIN = {"training": [(1, 0.9), (2, 0.7), (3, 0.6), (4, 0.5)]}


def inked(image, colour):
    """The share of pixels of a colour."""
    return (image[0].mul(255).round().int() == torch.tensor(colour)).all(-1).float().mean()


def test_a_plot_is_an_image_of_the_host(tmp_path):
    image = plots.plot("a title", PLAIN)
    assert image.shape == (1, 360, 640, 3) and image.dtype == torch.float32
    assert 0 <= float(image.min()) < 0.5 and float(image.max()) == 1


def test_every_curve_has_a_colour_of_its_own():
    curves = {name: [(x, x * k) for x in range(9)] for k, name in enumerate("abcd", 1)}
    image = plots.plot("", curves)
    assert all(inked(image, colour) > 0 for colour in plots.COLOURS)
    assert inked(plots.plot("", PLAIN), plots.COLOURS[1]) == 0


@pytest.mark.parametrize(
    "curves", [{}, {"empty": []}, {"one": [(5, 2.0)]}, {"flat": [(1, 3.0), (2, 3.0)]}, {"zero": [(1, 0.0)]}]
)
def test_there_is_a_plot_of_little(curves):
    assert plots.plot("", curves).isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_points_that_are_not_finite_are_left_out(bad):
    assert torch.equal(plots.plot("", {"training": [*PLAIN["training"], (5, bad)]}), plots.plot("", PLAIN))


def test_one_wild_point_does_not_flatten_the_curve():
    points = [(x, 1 + math.cos(x / 20)) for x in range(300)]
    calm = inked(plots.plot("", {"a": points}), plots.COLOURS[0])
    assert inked(plots.plot("", {"a": [*points, (300, 1e9)]}), plots.COLOURS[0]) > 0.8 * calm


def test_the_axes_name_the_range_of_what_is_drawn():
    assert plots._range([0.0, 1.0]) == pytest.approx((-0.05, 1.05))
    low, high = plots._range([2.0])
    assert low < 2 < high


def test_the_mean_of_the_last_points_begins_with_fewer():
    points = [(1, 4.0), (2, 2.0), (3, 0.0), (5, 7.0)]
    assert plots.moving_mean(points, 3) == [(1, 4.0), (2, 3.0), (3, 2.0), (5, 3.0)] and plots.moving_mean([]) == []
