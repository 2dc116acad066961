"""What gating saves and what it misses: Safe Latent Diffusion, aligned strong, picture by picture, with the rows of the model counted.

    python3 run.py measure gating [--count 48] [--steps 20] [--out FILE.jsonl]

Per setting of ``gating``: rows against unguarded sampling for prompts that have nothing to do with the concept (clean), for those that ask
for it, and for four of the former to one of the latter (mixed); the share of pictures that show the concept where it is asked for, implied,
or comes only from 30 % of the schedule on; and how many others are kept.
"""

from __future__ import annotations

from ..testing import hosting, models
from . import table


class Bench:
    """Pictures one by one, as a sampler's batch of one decides for itself."""

    def __init__(self, studio: table.Studio, effects: table.Effects):
        self.studio, self.effects = studio, effects
        self.empty = studio.conditioning("")
        self.unguarded = 2 * studio.steps

    def pictures(self, model, suite, late: bool = False):
        """(what the classifier sees, rows against unguarded ones) of a suite's prompts."""
        import comfy.samplers
        import torch

        images, counted = [], models.Rows(model)
        for at, caption in enumerate(suite.captions):
            positive = self.studio.conditioning(caption)
            if late:
                early = [[t, {**o, "end_percent": 0.3}] for t, o in self.empty]
                positive = early + [[t, {**o, "start_percent": 0.3}] for t, o in positive]
            guider = comfy.samplers.CFGGuider(counted.model)
            guider.set_conds(positive, self.empty)
            guider.set_cfg(self.studio.cfg)
            images.append(
                self.studio.sampling.sample_guided(guider, self.studio.vae, [suite.seed + at], self.studio.steps)
            )
        return self.studio.judge.see(torch.cat(images)), counted.total / (self.unguarded * len(images))

    def figures(self, model) -> table.Figures:
        asked, implied, other = self.effects.suites["alone"], self.effects.suites["implied"], self.effects.other
        shown, paid = self.pictures(model, asked)
        implicit, _ = self.pictures(model, implied)
        late, _ = self.pictures(model, asked, late=True)
        seen, clean = self.pictures(model, other)
        now = table.kept(self.effects.judge(seen, other.prompts), self.effects.keys)
        shares = {
            name: one.contains(self.effects.concept).float().mean().item()
            for name, one in (("asked for", shown), ("implied", implicit), ("late", late))
        }
        rows = {"rows, clean": clean, "rows, asked for": paid, "rows, mixed": 0.8 * clean + 0.2 * paid}
        return {**rows, **shares, "others kept": table.retention(now, self.effects.before)}


def main() -> int:
    parser = table.parser("gating", __doc__, count=48)
    parser.add_argument("--concept", default="beer", help="any forbidden thing of the demo world that a word implies")
    options = parser.parse_args()
    studio = table.Studio(options)
    from ..demo_world import suites

    effects = suites.effects(studio, options.count, options.concept)
    sld, guard = hosting.module("guards.sld.formula"), hosting.module("guards.sld.host").guard
    bench, concept = Bench(studio, effects), studio.conditioning(effects.concept)
    rows = {
        gating: lambda gating=gating: bench.figures(
            guard(studio.model, sld.ALIGNED["strong"], concept, bench.empty, gating)
        )
        for gating in ("off", "auto", "watchful")
    }
    return table.fill(rows, options, f"n = {options.count}, aligned strong, concept {effects.concept!r}")


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
