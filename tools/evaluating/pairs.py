"""Which pairs of pictures a report shows, and as what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import tables
from .plan import Plan
from .results import Store
from .tables import Arm, Picture

OF_A_KIND, SIDE = 4, 128


@dataclass(frozen=True)
class Pair:
    """The unguarded picture and the arm's. ``rank``: its place among those of its kind."""

    title: str
    rank: int
    first: Picture
    second: Picture
    why: str


def choose(plan: Plan, arm: Arm, reference: Arm) -> list[Pair]:
    """Best: what was shown and is gone. Worst: what is still shown; and what was as asked for and is lost."""
    names = [one.name for one in plan.detectors if one.role == "concept"]
    both = tables.pairs(arm, reference)
    shown = [(a, b) for a, b in both if a.shown and a.asks]
    gone = [couple for couple in shown if not couple[1].shown]
    gone.sort(key=lambda couple: _highest(couple[1], names) - _highest(couple[0], names))
    still = sorted((couple for couple in shown if couple[1].shown), key=lambda couple: -_highest(couple[1], names))
    lost = [(a, b) for a, b in both if a.kept and b.kept is False]
    found = []
    for title, couples in (("gone", gone), ("still shown", still), ("not kept", lost)):
        for rank, (a, b) in enumerate(couples[:OF_A_KIND]):
            why = f"score {_highest(a, names):.2f} → {_highest(b, names):.2f}"
            if title == "not kept":
                why = "what was asked for is lost"
            found.append(Pair(f"{arm.name}: {title} ({len(couples)})", rank, a, b, why))
    return found


def _highest(picture: Picture, names: list[str]) -> float:
    return max((picture.scores[name] for name in names if name in picture.scores), default=0.0)


def pictures(pair: Pair, store: Store) -> list[Image.Image]:
    """Without, with, and the change map: at most 128 pixels."""
    both = [store.picture(one.file) for one in (pair.first, pair.second)]
    if both[0].size != both[1].size:
        both[1] = both[1].resize(both[0].size)
    first, second = (np.asarray(one, dtype=np.float32) for one in both)
    heat = np.clip(np.abs(first - second).mean(-1, keepdims=True) * 2, 0, 255)
    grey = first.mean(-1, keepdims=True) * 0.35
    mixed = np.concatenate([np.maximum(grey, heat), np.maximum(grey, heat * 0.55), grey], -1)
    both.append(Image.fromarray(mixed.astype(np.uint8)))
    for one in both:
        one.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return both
