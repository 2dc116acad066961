"""What a guard, or a stack of guards, does to the demo world's pictures: concept by concept, tuned and held-out ones apart.

    python3 run.py measure concepts [--rows "off;erase;local"] [--side held_out] [--count 24] [--out FILE.jsonl] [--sheet FOLDER]

``--count`` pictures of every kind for every concept: the forbidden thing alone, in scenes, and implied; scenes of its harmless
neighbour; others. A figure is the share over all concepts of a side; n stands below it. ``same``: other prompts' pictures that are
bit for bit what they are without a guard; ``changed``: their mean change of a pixel, of a range of 1; ``inside``, ``outside``: the same
in scenes, within the forbidden thing and elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..testing import hosting
from . import table

Pairs = dict[str, str | None]  # forbidden concept -> its harmless neighbour, if it has one
Guard = Callable[["World", Pairs], tuple]  # the MODEL and CLIP to sample with
INSIDE = 0.22  # of the picture's width: how far from its middle a thing reaches, for what changes inside it and outside


def _lines(pairs: Pairs, named: bool) -> str:
    """What a user would write: with ``named``, what takes the concept's place, or, of an artist's style, that nothing does."""
    from ..demo_world import suites

    written = []
    for concept, other in pairs.items():
        instead = f"a {{}} by {concept} -> a {{}}" if concept in suites.STYLES else f"{concept} -> {other}"
        written.append(instead if named else concept)
    return "\n".join(written)


def _sld(preset: str) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        sld = hosting.module("guards.sld.formula")
        chosen = sld.ALIGNED[preset.removeprefix("aligned ")] if preset.startswith("aligned ") else sld.PRESETS[preset]
        text = world.conditioning(", ".join(pairs))
        return hosting.module("guards.sld.host").guard(world.model, chosen, text), world.clip

    return guard


def _inhibitor(scale: float, adapter: bool = False, **options) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        inhibit, network = hosting.module("guards.inhibitors.host").guard, None
        if adapter:
            adapters = hosting.module("guards.inhibitors.host_adapters")
            network = adapters.read(adapters.SHIPPED_PATH)
        targets = ", ".join(pairs)
        return inhibit(world.model, world.clip, "", targets, scale, "single_pass", network, **options)[0], world.clip

    return guard


def _local(named: bool) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        arrows = "\n".join(f"{concept} -> {other}" for concept, other in pairs.items() if named and other)
        return hosting.module("guards.local.host").guard(world.model, world.clip, list(pairs), arrows)[0], world.clip

    return guard


def _erase(named: bool) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        import torch

        erasing = hosting.module("guards.erasing.host")
        with torch.inference_mode():
            edit = erasing.erase(world.model, world.clip, erasing.Settings(_lines(pairs, named)))
            return erasing.apply(world.model, edit, 1.0)[0], world.clip

    return guard


def _gated(named: bool) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        import torch

        erasing, gate = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
        with torch.inference_mode():
            made = erasing.solve(world.model, world.clip, erasing.Settings(_lines(pairs, named)))
        _, limits = hosting.module("guards.concepts.host").MEANS["balanced"]
        return gate.guard(world.model, made, (limits,) * len(pairs), limits), world.clip

    return guard


def _concept_guard(strictness: str, named: bool) -> Guard:
    def guard(world: World, pairs: Pairs) -> tuple:
        guard = hosting.module("guards.concepts.host").guard
        return guard(world.model, world.clip, _lines(pairs, named), strictness)[0], world.clip

    return guard


ROWS: dict[str, Guard | None] = {
    "off": None,
    **{f"sld {preset}": _sld(preset) for preset in ("weak", "medium", "strong", "max")},
    "sld aligned medium": _sld("aligned medium"),
    "sld aligned strong": _sld("aligned strong"),
    "sld aligned max": _sld("aligned max"),
    "inhibitor -1.5": _inhibitor(-1.5),
    "inhibitor -3": _inhibitor(-3.0),
    "inhibitor words -1.5": _inhibitor(-1.5, variant="words"),
    "inhibitor adapter": _inhibitor(0.0, adapter=True, cross_end=1.0),
    "local": _local(False),
    "local ->": _local(True),
    "erase": _erase(False),
    "erase ->": _erase(True),
    "erase, gated ->": _gated(True),
    **{
        f"concept guard {strictness}{arrow}": _concept_guard(strictness, bool(arrow))
        for strictness in ("gentle", "balanced", "strict")
        for arrow in ("", " ->")
    },
}


class World:
    """The demo world's model and oracle, with the table's sampler settings; pictures without a guard are made once."""

    def __init__(self, options) -> None:
        hosting.start()
        from . import sampling

        self.sampling, self.options = sampling, options
        self.model, self.clip, self.vae = sampling.load_model(options.model, threads=1)
        self.oracle = hosting.module("guards.demo.oracle").load(options.oracle)
        self.known: dict[tuple, tuple] = {}

    def conditioning(self, text: str) -> list:
        return [[self.sampling.encode(self.clip, [text]), {}]]

    def pictures(self, model, clip, rows: list[dict], seed: int) -> tuple:
        """(pictures (n, 3, 96, 96) in 0..1, what the oracle sees in them)."""
        texts = self.sampling.encode(clip, [row["caption"] for row in rows] + [""])
        chosen = self.options
        images = self.sampling.sample_images(model, self.vae, texts[:-1], texts[-1:], seed, chosen.cfg, chosen.steps)
        return images, self.oracle.see(images)

    def unguarded(self, concept: str, kind: str, rows: list[dict], seed: int) -> tuple:
        key = (concept, kind)
        if key not in self.known:
            self.known[key] = self.pictures(self.model, self.clip, rows, seed)
        return self.known[key]


def row(world: World, name: str, concepts: list[str]) -> dict[str, tuple[float, float]]:
    """{figure: (sum, of)} over the concepts, each guarded alone, or ``--together`` as many at once."""
    from ..demo_world import suites

    total: dict[str, tuple[float, float]] = {}
    make, together = ROWS[name], world.options.together
    for at in range(0, len(concepts), together):
        group = concepts[at : at + together]
        pairs = {concept: suites.neighbour(concept) for concept in group}
        model, clip = make(world, pairs) if make else (world.model, world.clip)
        for concept in group:
            also = [word for one, other in pairs.items() if one != concept for word in (one, other) if word]
            for key, (hits, of) in _concept(world, name, concept, model, clip, also).items():
                a, b = total.get(key, (0, 0))
                total[key] = a + hits, b + of
    return total


def _concept(world: World, name: str, concept: str, model, clip, also: list[str]) -> dict[str, tuple[float, float]]:
    """{figure: (sum, of)} of one concept's captions; ``also``: what else is guarded, which they do not name."""
    from ..demo_world import suites

    total: dict[str, tuple[float, float]] = {}
    for kind in world.options.kinds.split(","):
        rows = suites.captions(concept, kind, world.options.count, also=also)
        if not rows:
            continue
        seed = suites.seed_of(concept, kind)
        images, before = world.unguarded(concept, kind, rows, seed)
        now, seen = world.pictures(model, clip, rows, seed) if ROWS[name] else (images, before)
        figures = suites.count(kind, rows, before, seen, concept, suites.neighbour(concept) if "->" in name else None)
        apart = (now - images).abs()
        if kind == "scenes":
            figures |= changes(apart, before, concept)
        if kind == "others":
            apart = apart.flatten(1)
            figures |= {
                "same": (int((apart.amax(1) == 0).sum()), len(rows)),
                "changed": (float(apart.mean(1).sum()), len(rows)),
            }
        if world.options.sheet:
            show(Path(world.options.sheet), f"{name} {concept} {kind}", rows, images, now, seen)
        for key, (hits, of) in figures.items():
            a, b = total.get(key, (0, 0))
            total[key] = a + hits, b + of
    return total


def changes(apart, before, concept: str) -> dict[str, tuple[float, float]]:
    """The mean change of a pixel (n, 3, h, w) inside the forbidden thing and outside it, in the scenes where it was seen."""
    import torch

    middle = (torch.arange(apart.shape[-1]) + 0.5) / apart.shape[-1]
    inside, outside, count = 0.0, 0.0, 0
    for picture, things in zip(apart.mean(1), before.things, strict=True):
        there = [thing for thing in things if thing.name == concept]
        if not there:
            continue
        mask = torch.zeros_like(picture, dtype=torch.bool)
        for thing in there:
            mask |= ((middle[:, None] - thing.y).abs() < INSIDE) & ((middle - thing.x).abs() < INSIDE)
        inside, outside, count = inside + float(picture[mask].mean()), outside + float(picture[~mask].mean()), count + 1
    return {"inside": (inside, count), "outside": (outside, count)}


def show(folder: Path, name: str, rows: list[dict], before, now, seen) -> None:
    """Six pictures without and with the guard, one above the other."""
    from torchvision.transforms.functional import to_pil_image

    from ..pictures import sheet

    lines, texts = seen.describe(), [r["caption"] for r in rows[:6]]
    pairs = [
        sheet.Row("unguarded", [to_pil_image(image) for image in before[:6]], texts),
        sheet.Row("guarded", [to_pil_image(image) for image in now[:6]], lines[:6]),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    sheet.draw(name, [], pairs, folder / f"{name.replace(' ', '_').replace('>', '')}.png")


def main() -> int:
    parser = table.parser("concepts", __doc__, count=24)
    parser.add_argument("--side", choices=("tuned", "held_out", "both"), default="both")
    parser.add_argument("--kinds", default="alone,scenes,implied,neighbour,others", help="of captions; default: all")
    parser.add_argument("--together", type=int, default=1, help="guard so many concepts at once")
    parser.add_argument("--concepts", help="only these, separated by commas")
    parser.add_argument("--model", type=Path, default=table.MODEL)
    parser.add_argument("--oracle", help="another oracle's weights")
    parser.add_argument("--sheet", help="folder for pictures of every concept without and with the guard")
    options = parser.parse_args()
    world = World(options)
    from ..demo_world import suites

    names = [name.strip() for name in options.rows.split(";")] if options.rows else list(ROWS)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise SystemExit(f"There is no row {unknown[0]!r}. Rows: {'; '.join(ROWS)}")
    wanted = options.concepts.split(",") if options.concepts else suites.CONCEPTS
    print(
        f"{options.count} pictures a concept and kind, cfg {options.cfg:g}, {options.steps} steps, euler, normal",
        flush=True,
    )
    for name in names:
        for side in ("tuned", "held_out"):
            concepts = [concept for concept in wanted if suites.side(concept) == side]
            if options.side not in (side, "both") or not concepts:
                continue
            began = time.monotonic()
            total = row(world, name, concepts)
            said = "  ".join(f"{key} {hits / max(1, of):.3f} ({of})" for key, (hits, of) in total.items())
            print(f"{name}, {side} ({time.monotonic() - began:.0f} s): {said}", flush=True)
            table.gather(options.out, f"{name}, {side}", {key: hits / max(1, of) for key, (hits, of) in total.items()})
    return 0


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
