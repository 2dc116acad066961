"""The closed form by plain numpy, the thin pair, and which position of a text takes which."""

import numpy
import pytest
import torch

from tools.testing import hosting

formula = hosting.module("guards.erasing.formula")


def vectors(count, width, seed):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("preserve, regularise", [(1.0, 0.1), (0.3, 10.0), (5.0, 0.001)])
def test_the_edit_is_equation_7_in_plain_numpy(preserve, regularise):
    width, out = 24, 10
    old, new, held, matrix = (vectors(n, width, seed) for seed, n in enumerate((30, 30, 12, out)))
    sums = formula.Sums(width)
    for part in range(0, 30, 7):
        sums.edit(old[part : part + 7], new[part : part + 7])
    sums.keep(held, preserve)
    edited = (matrix + matrix @ sums.solve(regularise)).numpy()
    c, t, p, w = (one.numpy() for one in (old, new, held, matrix))
    left = sum(numpy.outer(w @ t[i], c[i]) for i in range(30))
    left = left + preserve * sum(numpy.outer(w @ p[i], p[i]) for i in range(12)) + regularise * w
    right = sum(numpy.outer(c[i], c[i]) for i in range(30))
    right = right + preserve * sum(numpy.outer(p[i], p[i]) for i in range(12)) + regularise * numpy.eye(width)
    expected = left @ numpy.linalg.inv(right)
    assert numpy.abs(edited - expected).max() <= 1e-9 * numpy.abs(expected).max()


def test_what_was_gathered_counts_as_often_as_one_says():
    held, sums = formula.Sums(5), formula.Sums(5)
    held.keep(vectors(7, 5, 0), 1.0)
    sums.keep(vectors(7, 5, 0), 0.2)
    torch.testing.assert_close(held.times(0.2).gram, sums.gram)
    assert held.times(1.0).gram is not held.gram


def test_what_is_held_stays_and_the_concept_goes_where_both_are_apart():
    basis = torch.eye(6, dtype=torch.float64)
    sums = formula.Sums(6)
    sums.edit(basis[:1], basis[1:2])
    sums.keep(basis[1:], 1.0)
    solution = sums.solve(1e-6)
    moved = basis + basis @ solution.T
    torch.testing.assert_close(moved[0], basis[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[1:], basis[1:], rtol=0, atol=1e-5)


def test_numbers_that_have_no_solution_are_refused_with_the_mend():
    sums = formula.Sums(3)
    sums.edit(torch.full((1, 3), float("inf")), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="raise regularise"):
        sums.solve(0.1)


def test_a_thin_pair_loses_nothing_where_the_rank_suffices_and_says_what_it_loses_where_not():
    solution = vectors(20, 3, 1) @ vectors(3, 20, 2)
    left, right, lost = formula.thin(solution)
    assert left.shape == (20, 3) and right.shape == (3, 20) and lost < 1e-6
    torch.testing.assert_close(left @ right, solution, rtol=1e-6, atol=1e-6)
    left, right, lost = formula.thin(solution, rank=2)
    assert left.shape == (20, 2)
    assert lost == pytest.approx(float((left @ right - solution).norm() / solution.norm()), rel=1e-6) and lost > 0.01
    values = numpy.linalg.svd(solution.numpy(), compute_uv=False)
    assert lost == pytest.approx(values[2] / numpy.sqrt((values**2).sum()), rel=1e-6), "not the best of this rank"


def test_an_edit_of_nothing_is_a_pair_of_zeros():
    left, right, lost = formula.thin(torch.zeros(5, 5, dtype=torch.float64))
    assert lost == 0 and not bool((left @ right).any())


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("< a gun >", "< a banana >", [0, 1, 2, 3, 4, 5]),
        ("< a machine gun >", "< a banana >", [0, 1, 2, 2, 3, 4]),  # the last new word takes what is left over
        (
            "< a gun on grass >",
            "< a ripe banana on grass >",
            [0, 1, 2, 4, 5, 6],
        ),  # what stands behind goes with its words
        ("< a gun >", "< a >", [0, 1, 2, 2, 3, 4]),  # no new word: what follows
        ("< gun >", "< >", [0, 1, 1, 2, 3, 4]),
        ("< a gun >", "< a gun >", [0, 1, 2, 3, 4, 5]),
        ("< a a a >", "< a a >", [0, 1, 2, 3, 3, 4]),
    ],
)
def test_positions_of_a_text_go_to_the_same_words_of_the_other(old, new, expected):
    here, there = formula.positions(old.split(), new.split(), 6)
    assert here == list(range(6)) and there == expected
