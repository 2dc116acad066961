"""Self-distillation's formulas, by hand."""

import torch

from tools.testing import hosting

distillation = hosting.module("guards.distillation.formula")


def change(rank, start=None):
    return distillation.Change(torch.Size([3, 5]), rank, torch.Generator().manual_seed(0), "cpu", start)


def test_a_new_change_is_nothing_and_a_thin_one_has_its_rank():
    for rank in (0, 2, 16):
        assert torch.equal(change(rank).value("student"), torch.zeros(3, 5))
    assert [part.shape for part in change(2).student] == [(3, 2), (2, 5)]
    assert [part.shape for part in change(16).student] == [(3, 3), (3, 5)]  # no more than the matrix has
    assert [part.shape for part in change(0).student] == [(3, 5)]


def test_a_change_goes_on_from_an_earlier_one_of_its_shape_only():
    earlier = [torch.ones(3, 2), torch.ones(2, 5)]
    assert torch.equal(change(2, earlier).value("teacher"), torch.full((3, 5), 2.0))
    assert torch.equal(change(1, earlier).value("teacher"), torch.zeros(3, 5))


def test_the_teacher_follows_by_the_average():
    one = change(0)
    with torch.no_grad():
        one.student[0] += 1
    for expected in (0.25, 0.4375):  # 1 - 0.75, 1 - 0.75 ** 2
        one.follow(0.75)
        assert torch.allclose(one.value("teacher"), torch.full((3, 5), expected))
