"""Feedback inversion: rated pictures are condensed into the vectors of a new word (HFI).

Kim et al., "Human Feedback Inversion", ECCV 2024 (arXiv 2407.21032): find v that maximises the expected reward of pictures drawn with v,
in its concrete form reward-weighted textual inversion, min_v E w(r(x)) || eps - eps_theta(x_t, t, v) ||^2. The weighting was not
published; the one here is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..training.loop import Task


def weights(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """(shown, not shown): for each picture how much it counts as an example of the concept, and how much as a counter-example.

    ``rewards``: (n,) in 0..1, 1 shows the concept. Shifted by the middle between the lowest and highest, clipped at 0, so that a
    doubtful picture counts for nothing on either side. Raises ValueError when the ratings do not tell pictures apart.
    """
    if rewards.ndim != 1 or not len(rewards) or not bool(torch.isfinite(rewards).all()):
        raise ValueError("feedback: the ratings must be numbers, one for each picture")
    low, high = rewards.min(), rewards.max()
    if high - low < 1e-6:
        raise ValueError(
            f"feedback: all {len(rewards)} pictures are rated the same, so nothing tells the concept apart. Rate pictures "
            "that show it and pictures that do not."
        )
    middle = (low + high) / 2
    return (rewards - middle).clamp(min=0) / (high - middle), (middle - rewards).clamp(min=0) / (middle - low)


def contrast(error, reference, margin: float = 0.05):
    """The loss of a counter-example: the word must not explain it better than no word does, by ``margin`` of that error.

    ``error`` and ``reference``: as a Task's, with and without the word. Ours.
    """

    def hinge(values, x0, noise, times):
        with torch.no_grad():
            without = reference(values, x0, noise, times)
        return torch.relu((1 + margin) * without - error(values, x0, noise, times))

    return hinge


def counter_task(examples, error, reference, weight: float) -> Task:
    """Counter-examples as a task beside the inversion."""
    return Task(examples, contrast(error, reference), weight)
