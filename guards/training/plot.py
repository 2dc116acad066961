"""A small plot of a training, as the host's IMAGE."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .loop import Result

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 34, 34
INK, GRID, COLOURS = (40, 40, 46), (226, 226, 230), ((158, 178, 206), (196, 62, 52), (60, 130, 80), (150, 100, 180))


def plot(title: str, curves: Mapping[str, Sequence[tuple[float, float]]], across: str = "step") -> Tensor:
    """Curves of (x, y) points by name, drawn in their order: IMAGE (1, 360, 640, 3) in 0..1. Points that are not finite are left out."""
    curves = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in curves.items()
    }
    points = [point for curve in curves.values() for point in curve] or [(0.0, 0.0)]
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _range([y for _, y in points])
    x1 = x1 if x1 > x0 else x0 + 1

    def place(x, y):
        return (
            LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (min(max(y, low), high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for k in range(5):
        y = low + (high - low) * k / 4
        draw.line([place(x0, y), place(x1, y)], fill=GRID)
        draw.text((6, place(x0, y)[1] - 6), f"{y:.4g}", fill=INK)
        x = x0 + (x1 - x0) * k / 4
        draw.text((place(x, low)[0] - 10, HEIGHT - BOTTOM + 6), f"{x:g}", fill=INK)
    draw.text((WIDTH - RIGHT - 7 * len(across), HEIGHT - 16), across, fill=INK)
    draw.text((LEFT, 4), title, fill=INK)
    for k, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        draw.text((LEFT + 140 * k, 18), f"- {name}", fill=colour)
        if len(curve) > 1:
            draw.line([place(*point) for point in curve], fill=colour, width=2 if k else 1)
        elif curve:
            x, y = place(*curve[0])
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)[None]


def loss_plot(name: str, result: Result) -> Tensor:
    """The losses of a vector that ``loop.fit_vector`` trained, in training and on its fixed examples: IMAGE (1, 360, 640, 3) in 0..1."""
    return plot(
        f"{name}: best {result.best:.5g} at step {result.best_step}",
        {"training": result.losses, "fixed examples": result.validation},
    )


def moving_mean(points: Sequence[tuple[float, float]], width: int = 20) -> list[tuple[float, float]]:
    """The points (x, y) with each y replaced by the mean of it and the up to ``width`` - 1 before it."""
    windows = ([y for _, y in points[max(i - width + 1, 0) : i + 1]] for i in range(len(points)))
    return [(x, sum(window) / len(window)) for (x, _), window in zip(points, windows, strict=True)]


def _range(values: list[float]) -> tuple[float, float]:
    """What the axis spans: all but the wildest points, which are drawn at its edge."""
    values = sorted(values)
    low, high = values[len(values) // 100], values[-1 - len(values) // 100]
    if high <= low:
        low, high = low - 0.5 * abs(low) - 1e-6, high + 0.5 * abs(high) + 1e-6
    margin = 0.05 * (high - low)
    return low - margin, high + margin
