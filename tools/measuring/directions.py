"""What the demo model's directions do to its pictures.

    python3 run.py measure directions [--count 256] [--rows "off;no-beer x 1"] [--out FILE.jsonl]

Rows: professions, biased towards men, with and without steering (shares and deviation ratio; the directions were found with *doctor*
alone), and the anti-concept ``no-beer`` (share of pictures that show a beer, or nothing clear, and of other prompts' pictures that keep
what their caption says where they had it).
"""

from __future__ import annotations

from .. import PROJECT
from ..testing import hosting
from . import table

FOLDER = PROJECT / "models" / "directions"
SIDES = ("man", "woman")


def main() -> int:
    options = table.parser("directions", __doc__).parse_args()
    studio = table.Studio(options)
    from ..demo_world import suites

    steering, files = hosting.module("guards.directions.host"), hosting.module("guards.directions.files")
    fairness = hosting.module("guards.directions.fairness")
    effects, model = suites.effects(studio, options.count), studio.model
    sides = [files.load(str(FOLDER / f"doctor-{side}.safetensors")) for side in SIDES]
    without = files.load(str(FOLDER / f"no-{suites.CONCEPT}.safetensors"))

    def shares(model, job: str, cfg: float) -> table.Figures:
        """A profession without a gender: either side, neither, and how far from fair."""
        text = studio.text(job).expand(options.count, -1, -1)
        seen = studio.judge.see(studio.images(model, text, studio.text(""), 700_000, cfg))
        people = [next((thing.gender for thing in things if thing.name == job), "") for things in seen.things]
        counts = [people.count(side) for side in SIDES]
        figures = {side: count / options.count for side, count in zip(SIDES, counts, strict=True)}
        return {**figures, "neither": 1 - sum(counts) / options.count, "deviation": fairness.deviation_ratio(counts)}

    def fair():
        return steering.steer_fairly(model, sides, fairness.parse_shares("", 2), 1.0, 0)

    steered = {"": lambda: model}
    steered |= {
        f", {side}": lambda direction=direction: steering.steer(model, direction, 1.0)
        for side, direction in zip(SIDES, sides, strict=True)
    }
    steered[", fair"] = fair
    rows = {
        f"{job}, cfg {cfg:g}{name}": lambda made=made, job=job, cfg=cfg: shares(made(), job, cfg)
        for job in ("doctor", "teacher", "firefighter")
        for cfg in (1.0, 3.0)
        for name, made in steered.items()
    }
    rows["off"] = lambda: effects.figures(model, unclear=True)
    for strength in (0.5, 0.75, 1.0, 1.25):
        rows[f"no-{suites.CONCEPT} x {strength:g}"] = lambda strength=strength: effects.figures(
            steering.steer(model, without, strength), unclear=True
        )
    return table.fill(rows, options)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
