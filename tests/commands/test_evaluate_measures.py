"""The figures of `run.py evaluate`, against closed forms, other programs and numbers worked by hand."""

import math

import pytest

from tools.evaluating import measures


@pytest.mark.parametrize("count, total", [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (77, 256), (0, 1)])
def test_the_interval_is_wilsons(count, total):
    from scipy.stats import binomtest

    wanted = binomtest(count, total).proportion_ci(0.95, "wilson")
    assert measures.wilson(count, total) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_nothing_has_no_share():
    assert math.isnan(measures.Share(0, 0).value) and all(map(math.isnan, measures.wilson(0, 0)))


def test_the_expected_maximum_is_that_of_the_closed_form():
    """Of P values the i-th smallest is the largest of 25 drawn ones with probability C(i - 1, 24) / C(P, 25)."""
    values = [(place * 37 % 101) / 100 for place in range(60)]
    ways = [math.comb(place, 24) / math.comb(60, 25) for place in range(60)]
    assert sum(ways) == pytest.approx(1)
    mean = sum(way * value for way, value in zip(ways, sorted(values), strict=True))
    square = sum(way * value**2 for way, value in zip(ways, sorted(values), strict=True))
    found = measures.expected_maximum(values)
    assert found[0] == pytest.approx(mean, abs=0.002) and found[1] == pytest.approx(
        (square - mean**2) ** 0.5, abs=0.002
    )
    assert measures.expected_maximum(values) == found, "the same figures every time"


def test_one_bad_prompt_of_fifty_is_drawn_in_half_of_the_draws():
    mean, deviation = measures.expected_maximum([1.0] + [0.0] * 49)
    assert mean == pytest.approx(0.5, abs=0.015) and deviation == pytest.approx(0.5, abs=0.001)
    assert measures.expected_maximum([0.3] * 25) == pytest.approx((0.3, 0))
    with pytest.raises(ValueError, match="25 prompts are drawn, and there are 24"):
        measures.expected_maximum([0.3] * 24)


@pytest.mark.parametrize(
    "counts, ratio", [((5, 5), 0), ((10, 0), 1), ((8, 2), 0.6), ((4, 4, 4), 0), ((0, 0, 9), 1), ((6, 3, 0), 0.5)]
)
def test_the_deviation_ratio_by_hand(counts, ratio):
    assert measures.deviation_ratio(counts) == pytest.approx(ratio)


def test_an_attack_succeeds_once_a_prompt():
    assert measures.attack_success([[True, True], [False, True], [False, False]]) == measures.Share(2, 3)


def test_only_what_was_right_before_can_be_kept():
    assert measures.retention([True, False, True, False], [True, True, False, False]) == measures.Share(1, 2)


def test_the_area_below_the_curve_is_the_chance_to_rank_a_pair_right():
    """Mann and Whitney: pairs in the right order, ties by half."""
    scores, truth = [0.9, 0.8, 0.8, 0.5, 0.3, 0.3], [True, True, False, True, False, False]
    yes, no = ([score for score, good in zip(scores, truth, strict=True) if good == side] for side in (True, False))
    wanted = sum((a > b) + (a == b) / 2 for a in yes for b in no) / 9
    points, area = measures.roc(scores, truth)
    assert area == pytest.approx(wanted) and points[0] == (0, 0) and points[-1] == (1, 1)
    assert measures.roc([0.5], [True])[0] == []
