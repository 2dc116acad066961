"""Latent directions in the UNet's middle block (h-space): what they are, how they add up, how they fit another picture size.

Li et al., "Self-Discovering Interpretable Diffusion Latent Directions for Responsible Text-to-Image Generation", CVPR 2024
(arXiv 2311.17216): h <- h + sum_k strength_k * direction_k after the middle block, for the rows of the prompt alone. In a transformer,
ours: the same vector for every token of the picture, after one block of its stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

MIDDLE = "middle"  # a UNet's block; a transformer's are double:0, double:1 and so on


def block_number(block: str) -> int | None:
    """12 for ``"double:12"``, None for a UNet's middle block. Raises ValueError for anything else."""
    if block == MIDDLE:
        return None
    found = re.fullmatch(r"double:(\d{1,4})", block)
    if not found:
        raise ValueError(f"{block!r} is no block that can be steered: {MIDDLE} and double:<number> are.")
    return int(found[1])


@dataclass(frozen=True, eq=False)
class Direction:
    """What the socket GUARD_DIRECTION carries.

    ``values``: float32 on the CPU, (C, H, W), or (C,) for one that is the same everywhere. ``family``: the models it was found on
    (sd1, sd2, sdxl, demo, flux ...; "" is unknown). ``trained_size``: pixels of the side of the pictures, 0 if unknown. ``info``:
    prompts and settings, plain JSON values. ``block``: behind which block it is added, MIDDLE or ``double:<number>``.
    """

    concept: str
    values: Tensor
    family: str = ""
    trained_size: int = 0
    info: dict = field(default_factory=dict)
    block: str = MIDDLE

    def __post_init__(self):
        values = self.values
        if not isinstance(values, Tensor) or values.ndim not in (1, 3) or 0 in values.shape:
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(
                f"direction {self.concept!r}: its shape must be (channels,) or (channels, height, width), not {shape}."
            )
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            raise ValueError(
                f"direction {self.concept!r} holds values that are no finite numbers: the file is damaged, or its training "
                "went wrong. Use another file, or discover the direction again with a lower learning rate."
            )

    @property
    def channels(self) -> int:
        return self.values.shape[0]


def combine(a: Direction, b: Direction, weight_a: float = 1.0, weight_b: float = 1.0) -> Direction:
    """weight_a * a + weight_b * b. Steering with the sum is steering with both. A (C,) direction counts at every place.

    Raises ValueError if they are for different model families or blocks, or differ in channels or in height and width.
    """
    if a.family and b.family and a.family != b.family:
        raise ValueError(
            f"a ({a.concept}) is a direction of {a.family} models, b ({b.concept}) one of {b.family} models: only directions "
            "of one family can be combined."
        )
    if a.block != b.block:
        raise ValueError(
            f"a ({a.concept}) belongs to the block {a.block}, b ({b.concept}) to {b.block}: only directions of one block can be "
            "combined. Put one Steer with Direction node after the other instead."
        )
    sizes = {d.values.shape[1:] for d in (a, b) if d.values.ndim == 3}
    if a.channels != b.channels or len(sizes) > 1:
        raise ValueError(
            f"a ({a.concept}) is {tuple(a.values.shape)}, b ({b.concept}) is {tuple(b.values.shape)}: only directions of one "
            "size can be combined. Put one Steer with Direction node after the other instead: each is fitted to the picture."
        )
    x, y = (d.values if not sizes or d.values.ndim == 3 else d.values[:, None, None] for d in (a, b))
    name = " ".join([_term(weight_a, a.concept), _term(weight_b, b.concept, signed=True)])
    parts = [
        {"concept": d.concept, "weight": w, **({"info": d.info} if d.info else {})}
        for d, w in ((a, weight_a), (b, weight_b))
    ]
    return Direction(
        name,
        (weight_a * x + weight_b * y).float(),
        a.family or b.family,
        a.trained_size or b.trained_size,
        {"sum": parts},
        a.block,
    )


def _term(weight: float, concept: str, signed: bool = False) -> str:
    sign = ("- " if weight < 0 else "+ ") if signed else ("-" if weight < 0 else "")
    return sign + (concept if abs(weight) == 1 else f"{abs(weight):g} {concept}")


def fitted(values: Tensor, height: int, width: int) -> Tensor:
    """A direction (C, H, W) or (C,) as (1, C, height, width) or (1, C, 1, 1), for a middle block of that size.

    Another size or aspect ratio than the trained one is an extension of ours: bilinear resampling (with antialiasing when it
    shrinks), place by place. At the trained size nothing is resampled.
    """
    if values.ndim == 1:
        return values[None, :, None, None]
    values = values[None]
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False, antialias=True)
