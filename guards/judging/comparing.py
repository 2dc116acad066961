"""How much two pictures differ. Pictures are (n, height, width, 3) in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

VISIBLE = 0.1  # a pixel whose values differ by more than this on average counts as changed
WINDOW, SIGMA = 11, 1.5
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Change:
    """Of n pairs: ``map`` (n, h, w), the mean difference of a pixel's three values, 0..1; of each pair (n,) ``changed``, the mean of its
    map, ``pixels``, the share of pixels that differ visibly, and ``likeness``, the structural similarity (1: the same)."""

    map: Tensor
    changed: Tensor
    pixels: Tensor
    likeness: Tensor


def change(first: Tensor, second: Tensor) -> Change:
    """How much each picture of ``second`` differs from that of ``first``. Raises ValueError for pictures of different shapes."""
    if first.shape != second.shape:
        raise ValueError(f"pictures {tuple(first.shape)} and {tuple(second.shape)} cannot be compared pixel by pixel.")
    first, second = (one[..., :3].detach().float().cpu() for one in (first, second))
    difference = (first - second).abs().mean(-1).clamp(0, 1)
    visible = (difference > VISIBLE).float()
    return Change(difference, difference.mean((1, 2)), visible.mean((1, 2)), likeness(first, second))


def likeness(first: Tensor, second: Tensor) -> Tensor:
    """(n,): the structural similarity of the luminance, -1..1, 1 for the same picture.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", 2004, equation 13, with the paper's Gaussian window of 11 pixels
    (deviation 1.5), C1 = 0.01^2, C2 = 0.03^2, over the windows that lie inside the picture; a smaller picture gets a smaller window.
    """
    light = torch.tensor(LUMINANCE, dtype=torch.float64)
    a, b = ((one.double() @ light)[:, None] for one in (first, second))
    size = min(WINDOW, *a.shape[-2:])
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    bell = (-places.square() / (2 * SIGMA**2)).exp()
    bell = (bell / bell.sum())[None, None]

    def blurred(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, bell[..., None, :]), bell[..., None])

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    ratio = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (ratio / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3)).float()


def report(found: Change) -> str:
    """A line for each pair, and one for all."""
    lines = [
        f"{place + 1}: changed {changed:.3f}, visibly {pixels:.0%} of the pixels, structure {likeness:.3f}"
        for place, (changed, pixels, likeness) in enumerate(
            zip(found.changed.tolist(), found.pixels.tolist(), found.likeness.tolist(), strict=True)
        )
    ]
    same = int((found.map.amax((1, 2)) == 0).sum())
    mean = f"all {len(lines)}: changed {found.changed.mean():.3f} (0: the same, 1: black for white), "
    mean += f"visibly {found.pixels.mean():.0%} of the pixels (by more than {VISIBLE:g}), "
    mean += f"structure {found.likeness.mean():.3f} (SSIM; 1: the same)"
    return "\n".join([mean + (f"; {same} of them identical" if same else ""), *lines])
