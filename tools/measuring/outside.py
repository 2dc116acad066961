"""How much a guarded picture differs from the unguarded one where the forbidden thing is, and everywhere else.

    python3 run.py measure outside [--count 8] [--strictness balanced] [--dit]

Scenes of the demo world, each with one forbidden thing, with Concept Guard and the harmless neighbour as its replacement. The thing's
place: a square of half the picture's side around where the oracle sees it without the guard, and around where it sees its replacement
with it. A figure is the mean absolute difference of pixels, 0..1, outside and inside; pictures in which the oracle does not see the
thing, without the guard, do not count.
"""

from __future__ import annotations

import argparse

from .. import PROJECT
from ..demo_world import suites, words
from ..testing import hosting
from . import sampling

HALF = 0.25  # of the picture's side: things beside others are drawn 16 to 22 of 96 pixels from their middle, and a little beyond


def places(before, after, thing: str, instead: str, side: int):
    """(side, side) bool: where the thing was or its replacement is; None where the thing is not seen. ``before``, ``after``: `Thing`s."""
    import torch

    seen = [one for one in before if one.name == thing]
    if not seen:
        return None
    axis, mask = (torch.arange(side) + 0.5) / side, torch.zeros(side, side, dtype=torch.bool)
    for one in seen + [other for other in after if other.name == instead]:
        mask |= ((axis - one.y).abs() < HALF)[:, None] & ((axis - one.x).abs() < HALF)
    return mask


def differences(before, after, mask) -> tuple[float, float]:
    """The mean absolute difference of two pictures (3, h, w) outside and inside of a mask (h, w)."""
    change = (before - after).abs().mean(0)
    return change[~mask].mean().item(), change[mask].mean().item()


def measure(model, clip, vae, oracle, concept: str, count: int, strictness: str) -> list[tuple[float, float]]:
    """(outside, inside) of each of ``count`` scenes in which the oracle sees the concept without the guard."""
    import torch

    instead = suites.neighbour(concept)
    rows = suites.captions(concept, "scenes", count, seed=5, also=[instead])
    texts = [sampling.encode(clip, [row["caption"] for row in rows]), sampling.encode(clip, [""])]
    with torch.inference_mode():
        guarded, _ = hosting.module("guards.concepts.host").guard(model, clip, f"{concept} -> {instead}", strictness)
    seed = suites.seed_of(concept, "scenes") + 5_000
    pictures = [sampling.sample_images(one, vae, *texts, seed) for one in (model, guarded)]
    seen = [oracle.see(images).things for images in pictures]
    found = []
    for before, after, *things in zip(*pictures, *seen, strict=True):
        mask = places(*things, concept, instead, before.shape[-1])
        if mask is not None:
            found.append(differences(before, after, mask))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=8, help="scenes of each thing")
    parser.add_argument("--strictness", choices=("gentle", "balanced", "strict"), default="balanced")
    parser.add_argument("--dit", action="store_true", help="the demo model's transformer twin")
    args = parser.parse_args()
    hosting.start()
    path = PROJECT / "models" / ("demo_dit.safetensors" if args.dit else "demo_model.safetensors")
    loaded, oracle = sampling.load_model(path, threads=1), hosting.module("guards.demo.oracle").load()
    sides: dict[str, list[tuple[float, float]]] = {}
    for concept in words.FORBIDDEN:
        found = measure(*loaded, oracle, concept, args.count, args.strictness)
        sides.setdefault(suites.side(concept), []).extend(found)
        print(f"{concept:<10} {_figures(found)}", flush=True)
    for side, found in sides.items():
        print(f"{side:<10} {_figures(found)}")


def _figures(found: list[tuple[float, float]]) -> str:
    if not found:
        return "not seen in any picture"
    outside, inside = (sum(values) / len(found) for values in zip(*found, strict=True))
    middle = sorted(one / other if other else 0.0 for one, other in found)[len(found) // 2]
    return f"outside {outside:.4f}, inside {inside:.4f}: {outside / inside:.3f}, in the median {middle:.3f} (n = {len(found)})"


if __name__ == "__main__":
    main()
