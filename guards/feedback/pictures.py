"""What travels over a GUARD_FEEDBACK wire: a set's pictures with their rewards. Pictures are read when asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .agreement import Agreement
from .archive import MOST_PIXELS
from .reward import Quality


@dataclass(frozen=True, eq=False)
class Feedback:
    """Pictures and how much each shows ``concept``.

    ``paths``: n PNGs. ``rewards``: float32 (n,), 0 (not at all) to 1 (entirely). ``judged``: bool (n,), whether people rated the picture
    themselves or only the head did. ``prompts``, ``seeds``: n each ("" and None where unknown). ``warnings``: what is missing, in words.
    """

    name: str
    concept: str
    paths: tuple[str, ...]
    rewards: Tensor
    judged: Tensor
    prompts: tuple[str, ...]
    seeds: tuple[int | None, ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> Tensor:
        """One picture, float32 (h, w, 3), 0 to 1. Raises ValueError naming the file."""
        return read_picture(self.paths[index])

    def images(self, indices: Sequence[int] | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """Pictures as float32 (n, h, w, 3), 0 to 1; all of them by default.

        ``size``: (width, height) that each is scaled to, its sides cropped evenly where the shape differs. Without it, pictures of
        different sizes take the size of the first one asked for.
        """
        indices = range(len(self)) if indices is None else indices
        found = []
        for index in indices:
            path = self.paths[index]
            if size is None and found:
                size = (found[0].shape[1], found[0].shape[0])
            found.append(read_picture(path, size))
        if not found:
            raise ValueError("feedback: no picture was asked for.")
        return torch.stack(found)


def read_picture(path: str, size: tuple[int, int] | None = None) -> Tensor:
    """A PNG as float32 (h, w, 3), 0 to 1, scaled and cropped to (width, height) if asked for. Raises ValueError naming the file."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels are too many")
            picture = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"feedback: the picture {os.path.basename(path)} cannot be read ({error}). Remove it from the set."
        ) from error
    if size is not None and picture.size != tuple(size):
        picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)


def report(
    feedback: Feedback,
    ratings: int,
    comparisons: int,
    raters: Sequence[str],
    agreed: Agreement,
    quality: Quality | None,
) -> str:
    """The set in a few lines, for people."""
    lines = [
        f"{feedback.name}: {len(feedback)} pictures, {int(feedback.judged.sum())} of them judged by people. "
        f"Concept: {feedback.concept}.",
        f"{ratings} ratings and {comparisons} comparisons by {len(raters)} rater{'s' if len(raters) != 1 else ''}.",
    ]
    if agreed.pictures:
        alpha = (
            "not defined, all ratings are the same"
            if agreed.alpha is None
            else f"{agreed.alpha:.2f} (1 is full, 0 is chance)"
        )
        lines.append(
            f"Agreement on {agreed.pictures} pictures rated by several: {alpha}; {agreed.within_one:.0%} of ratings at most one "
            "step apart."
        )
    if quality is None:
        lines.append(
            "Rewards: the ratings themselves. With clip_vision, a head would also judge the pictures that nobody rated."
        )
    else:
        parts = []
        if quality.right is not None:
            parts.append(
                f"{quality.right:.0%} of ratings on the right side of the middle (always guessing the commoner side: "
                f"{quality.guess:.0%})"
            )
        if quality.order is not None:
            parts.append(f"{quality.order:.0%} of comparisons in the right order (chance: 50%)")
        lines.append(
            "Rewards: a head on CLIP Vision features. On pictures left out of its training: "
            + ("; ".join(parts) or "not tested")
            + f". Ridge {quality.ridge:g}."
        )
    rewards = feedback.rewards
    lines.append(
        f"Rewards from {float(rewards.min()):.2f} to {float(rewards.max()):.2f}, mean {float(rewards.mean()):.2f}; "
        f"{int((rewards > 0.5).sum())} above the middle."
    )
    return "\n".join(lines + [f"Warning: {text}" for text in feedback.warnings])
