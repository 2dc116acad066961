"""Where a forbidden thing is in a picture, and how much changes there and elsewhere."""

import pytest
import torch

from tools.measuring import outside
from tools.testing import hosting

oracle = hosting.module("guards.demo.oracle")


def test_the_thing_s_place_is_where_it_was_and_where_its_replacement_is():
    before = [oracle.Thing("beer", 0.25, 0.25, 0.9), oracle.Thing("dog", 0.75, 0.75, 0.9)]
    after = [oracle.Thing("milk", 0.75, 0.25, 0.9), oracle.Thing("dog", 0.75, 0.75, 0.9)]
    mask = outside.places(before, after, "beer", "milk", 8)
    assert mask[:4].all() and not mask[4:].any()
    assert outside.places(before, before, "beer", "milk", 8)[:4, :4].sum() == mask.sum() - 16 == 16
    assert outside.places(after, before, "beer", "milk", 8) is None


def test_changes_are_told_apart_by_place():
    before, after, mask = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), torch.zeros(4, 4, dtype=torch.bool)
    mask[:, :2], after[:, :, :2], after[0, 3, 3] = True, 0.5, 0.4
    assert outside.differences(before, after, mask) == pytest.approx((0.4 / 3 / 8, 0.5))
