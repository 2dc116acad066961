"""The closed-form edit of a text where the text means the concept, and nowhere else.

The edit of `formula` multiplies every map that reads a text by I + P; so does (I + P) c for a text's vectors c, with the weights as they
are. A vector means concept k by how far P moves it along the way on which it moves the concept's own vector, s_k:

    m = max over k of <P c, s_k> / |s_k|^2          about 1 where the concept is named, less where it is implied, near 0 elsewhere
    e = ramp(max of m over the text's vectors; low, high)
    c' = c + e P c / min(max(m, low), 1) where m >= low, c + e P c elsewhere

so what implies the concept by half is moved the whole way, and a text that does not mean it is left as it is, bit for bit. Ours.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Limits:
    """Of m, without unit: a text begins to mean the concept at ``low``, and does at ``high``. Above 0."""

    low: float
    high: float


def meaning(change: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """m (b, T) of what the map changes, ``change`` (b, T, c); ``shifts`` (k, c): how far it moves each concept's own vector."""
    sizes = shifts.square().sum(1).clamp(min=1e-12)
    return ((change @ shifts.T) / sizes).amax(2)


def gated(
    text: torch.Tensor, left: torch.Tensor, right: torch.Tensor, shifts: torch.Tensor, limits: Limits
) -> torch.Tensor:
    """``text`` (b, T, c) with the texts changed that mean a concept, in its own type. ``left`` (c, r), ``right`` (r, c), ``shifts`` (k, c),
    float32 on its device."""
    change = (text.float() @ right.T) @ left.T
    means = meaning(change, shifts)
    found = ((means.amax(1) - limits.low) / (limits.high - limits.low)).clamp(0, 1)[:, None, None]
    whole = torch.where(means >= limits.low, means.clamp(limits.low, 1).reciprocal(), torch.ones_like(means))
    return torch.where(found > 0, (text.float() + found * whole[..., None] * change).to(text), text)
