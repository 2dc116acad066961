"""Seeds: whole numbers from 0 to 2**64 - 1, in ComfyUI as in torch. What counts on from the last one begins again at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

COUNT = 2**64


def is_seed(value: object) -> bool:
    """Whether a value from a file or a graph is a seed: an int in range, and no bool."""
    return type(value) is int and 0 <= value < COUNT


def wrap(seed: int) -> int:
    """Any whole number as a seed, so that a seed plus a running number is one."""
    return seed % COUNT


def generator(seed: int) -> torch.Generator:
    """A generator on the CPU, so that one seed draws the same on every device. ``seed``: any whole number."""
    import torch  # here: tools read graphs with a Python that has none

    return torch.Generator().manual_seed(wrap(seed))
