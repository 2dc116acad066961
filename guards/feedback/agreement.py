"""How far raters agree: Krippendorff's alpha (K. Krippendorff, *Content Analysis*, 2004, chapter 11)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """How far raters agree on the pictures that at least two have rated.

    ``alpha``: Krippendorff's, with squared differences: 1 is perfect, 0 no better than chance; None where it is not defined (nothing
    rated twice, or every rating the same). ``within_one``: the share of pairs of ratings at most one step apart.
    """

    pictures: int = 0
    alpha: float | None = None
    within_one: float | None = None


def agreement(by_image: dict[str, dict[str, int]]) -> Agreement:
    """The agreement of ratings given as image -> rater -> rating (K. Krippendorff, *Content Analysis*, 2004, chapter 11)."""
    units = [list(ratings.values()) for ratings in by_image.values() if len(ratings) > 1]
    if not units:
        return Agreement()
    pairs = [abs(a - b) for unit in units for index, a in enumerate(unit) for b in unit[:index]]
    values = [value for unit in units for value in unit]
    count = len(values)
    observed = sum(2 * _spread(unit) / (len(unit) - 1) for unit in units) / count
    expected = 2 * _spread(values) / (count * (count - 1))
    return Agreement(
        len(units), 1 - observed / expected if expected else None, sum(pair <= 1 for pair in pairs) / len(pairs)
    )


def _spread(values: list[int]) -> float:
    """The sum of squared differences over all unordered pairs."""
    return len(values) * sum(value * value for value in values) - sum(values) ** 2
