"""The closed-form edit of a text where the text means the concept, and nowhere else.

The edit of `formula` multiplies every map that reads a text by I + P; so does (I + P) c for a text's vectors c, with the weights as they
are. A vector means concept k by how far P moves it along the way s_k on which it moves the concept's own vector:

    m_k = <P c, s_k> / |s_k|^2     about 1 where the concept is named, less where it is implied, near 0 elsewhere

(of several s_k the most, where a text may be told to one of several text encoders alone).

Since a text that does not mean a concept is left as it is, bit for bit, its edit need not hold other texts as tightly as an edit of the
weights must. Whether a text implies a concept is told by one that does, by a wider margin:

    e = max over k of ramp(max over the text's vectors of m_k; low_k, high_k)
    c' = c + e P c

A word that implies a concept among other things would lose those, too, if it were moved the whole way: where the local gate (`local`) can
look for the concept in the picture, it is told instead, and the text is left. Where the text encoder is causal, no vector before the first
that means the concept (by half of the most) is changed. Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..local.formula import Limits, ramp

BEGUN = 0.5  # of the most that a text means a concept by: where it begins to


@dataclass(frozen=True, eq=False)
class Reading:
    """P = ``left`` (c, r) ``right`` (r, c); ``shifts`` (n, w, c): how far it moves each concept's own vector, in each of the w ways that a
    text may be told. float32, on one device."""

    left: torch.Tensor
    right: torch.Tensor
    shifts: torch.Tensor

    def to(self, device: torch.device) -> "Reading":
        return Reading(self.left.to(device), self.right.to(device), self.shifts.to(device))

    def change(self, text: torch.Tensor) -> torch.Tensor:
        """P c of a text's vectors (b, T, c)."""
        return (text.float() @ self.right.T) @ self.left.T

    def telling(self) -> torch.Tensor:
        """(n, w, c): the most of <c, telling> is m of a vector c, for those that need no change."""
        return (self.shifts @ self.left @ self.right) / self.shifts.square().sum(2, keepdim=True).clamp(min=1e-12)

    def meaning(self, change: torch.Tensor) -> torch.Tensor:
        """m (b, T, n) of a ``change``."""
        return most(change, self.shifts / self.shifts.square().sum(2, keepdim=True).clamp(min=1e-12))


def most(vectors: torch.Tensor, ways: torch.Tensor) -> torch.Tensor:
    """(..., n): of each of n concepts the most of <vector, way>, of ``vectors`` (..., c) and ``ways`` (n, w, c)."""
    return (vectors @ ways.flatten(0, 1).T).unflatten(-1, ways.shape[:2]).amax(-1)


def begun(means: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """(b, T, 1), 0 or 1: from which vector on a text means a concept that is ``found`` (b, n) in it. ``means``: (b, T, n)."""
    reached = (means >= BEGUN * means.amax(1, keepdim=True)) & (found > 0)[:, None]
    return reached.any(2).float().cummax(1).values[..., None]


def gated(
    text: torch.Tensor,
    named: Reading,
    hints: torch.Tensor,
    limits: tuple[Limits, Limits],
    alone: Sequence[bool],
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(``text`` (b, T, c) with the texts changed that mean a concept, in its own type; by how much each implies each concept without naming
    it (b, n)).

    ``hints`` (n, w, c): the most of <c, hint> is a vector's m by the edit that tells what a text implies; ``limits``: from when on a text
    names, and implies; ``alone``: of each concept, whether nothing else takes care of texts that imply it, so that these are changed,
    too."""
    change = named.change(text)
    means = named.meaning(change)
    each = ramp(means.amax(1), limits[0].low, limits[0].high)
    told = ramp(most(text.float(), hints).amax(1), limits[1].low, limits[1].high)
    implies = [one if own else torch.zeros_like(one) for one, own in zip(told.unbind(1), alone, strict=True)]
    meant = torch.maximum(each, torch.stack(implies, 1))
    found = meant.amax(1)[:, None, None]
    if causal:
        change = change * begun(means, meant)
    made = (text.float() + found * change).to(text)
    return torch.where(found > 0, made, text), told * (1 - each)
