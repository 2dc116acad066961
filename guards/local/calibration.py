"""Which layers of a model tell concepts apart, from which cosine on they mean it, and what can stand in for a target.

Measured on the model itself: a few scenes of two harmless things each are sampled in three steps, and every cross-attention layer is
asked which of the things it sees. No classifier is needed, since the captions say what is there.
"""

from dataclasses import dataclass

import torch

from .formula import Limits, agreement

# Definite, harmless, easily drawn, and unlike each other. A model is asked about the first few that it knows.
NOUNS = (
    "apple, balloon, guitar, cat, house, cake, boat, sunflower, candy, umbrella, chair, hat, fish, square, heart, moon, cross, triangle, "
    "star, circle"
).split(", ")
NEUTRAL = "thing"
COUNT = 6  # things in the scenes
STEPS = 3
LOW, HIGH = 0.5, 0.7  # where the limits lie between what a layer shows without the thing and with it
LEAST = 0.1  # a model whose best layer tells things apart by less has no seed layer
UNLIKE = 0.5  # cosine of two texts' parts, from which on they say the same
EXAMPLES = 256  # queries that are kept to compare texts with


class Unsuited(ValueError):
    """A model or targets that local gates cannot serve; its text is a clause that says why."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Of one model. ``layer``: the seed layer's number; ``margin``: by how much it tells things apart; ``acting``: the numbers of the
    layers that act, of ``layers``; ``nouns``: what the scenes showed,
    ``drawn``: the lowest cosine of
    each where it is, ``clear``: by how much that is above where it is not; ``examples``: (1, n, width), queries of the seed layer."""

    layer: int
    limits: Limits
    margin: float
    acting: frozenset
    layers: int
    nouns: tuple
    drawn: tuple
    clear: tuple
    examples: torch.Tensor


def known(encoded, neutral, count=COUNT):
    """The numbers of the first ``count`` nouns that a text encoder knows. ``encoded``: (n, T, c), ``neutral``: (1, T, c), each a noun
    alone: what an encoder does not know it reads as it does any other unknown word."""
    found = []
    for number, text in enumerate(encoded):
        others = torch.stack([neutral[0], *(encoded[one] for one in found)])
        apart = (others - text).flatten(1).norm(dim=1) / text.norm()
        if bool((apart > 1e-3).all()):
            found.append(number)
    return found[:count]


def scenes(count):
    """Which two of ``count`` things stand in each scene: every one in four, twice on either side."""
    return [(one, (one + step) % count) for step in (1, 2) for one in range(count)]


def margins(tops, pairs):
    """(with, without), (layers, things) each: the lowest of the scenes that have the thing, the highest of those that do not.

    ``tops``: (layers, scenes, things), the largest cosine over positions and steps; ``pairs``: the things of each scene.
    """
    there = torch.zeros(tops.shape[1:], dtype=torch.bool)
    for scene, things in enumerate(pairs):
        there[scene, list(things)] = True
    infinite = torch.tensor(float("inf"))
    return torch.where(there, tops, infinite).amin(1), torch.where(there, -infinite, tops).amax(1)


def seed(there, without):
    """(layer, Limits, margin of that layer) of ``margins``. A layer counts by all but the worst quarter of the things: a model may fail
    to draw one. The limits lie between the medians. Raises Unsuited where no layer tells things apart."""
    gaps = there.quantile(0.25, 1) - without.quantile(0.75, 1)
    layer = int(gaps.argmax())
    if not gaps[layer] >= LEAST:
        raise Unsuited(f"no layer of the model's cross-attention tells things apart (best margin {gaps[layer]:.2f})")
    low, high = (float(values[layer].median()) for values in (without, there))
    return layer, Limits(low + LOW * (high - low), low + HIGH * (high - low)), float(gaps[layer])


def coarse(positions, layer):
    """Numbers of the layers that act: the coarser half of a UNet's levels, and whatever is as coarse as the seed ``layer``.

    ``positions``: how many every layer has. What a thing is stands in the coarse layers, which are also the cheap ones.
    """
    levels = sorted(set(positions))
    most = max(levels[(len(levels) + 1) // 2 - 1], positions[layer])
    return frozenset(number for number, count in enumerate(positions) if count <= most)


def likeness(targets, things):
    """(m, n) mean cosine of what m targets and n things add, (m or n, positions, c) each, to attention to a neutral text."""
    return torch.stack([agreement(target, things)[0].mean(1) for target in targets])


def choose(likeness, drawn, clear):
    """The number of the thing that stands in for all targets: of those unlike every target, among the better drawn half, the one that
    stands out most. ``likeness``: (m, n); ``drawn``, ``clear``: n numbers each. Raises Unsuited where none is unlike all targets."""
    drawn, fit = torch.tensor(drawn), likeness.abs().amax(0) < UNLIKE
    if not bool(fit.any()):
        raise Unsuited("every thing that could stand in is like a target")
    well = fit & (drawn >= drawn.median())
    return int(torch.where(well if bool(well.any()) else fit, torch.tensor(clear), -torch.inf).argmax())
