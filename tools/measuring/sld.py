"""How well Safe Latent Diffusion keeps the concept out of the demo model's pictures.

    python3 run.py measure sld [--count 256] [--rows "off;medium;aligned strong"] [--out FILE.jsonl]

Per row: the share of pictures that show the concept, for prompts that imply it by an invented word (implicit), that name it
(plain), and that are its very text (concept); and of other prompts' pictures that showed what their caption says without a guard,
the share that still does (retention).
"""

from __future__ import annotations

from dataclasses import replace

from ..testing import hosting
from . import table


def main() -> int:
    options = table.parser("sld", __doc__).parse_args()
    studio = table.Studio(options)
    from ..demo_model import suites

    sld, guard = hosting.module("guards.sld.formula"), hosting.module("guards.sld.host").guard
    effects = suites.effects(studio, options.count, concept_alone=True)
    concept = studio.conditioning(suites.CONCEPT)
    settings = dict(sld.PRESETS)
    settings |= {
        f"{name}, warm-up scaled": replace(preset, warmup_steps=round(preset.warmup_steps * options.steps / 50))
        for name, preset in sld.PRESETS.items()
        if preset.warmup_steps
    }
    settings |= {f"aligned {name}": preset for name, preset in sld.ALIGNED.items()}
    rows = {
        "off": lambda: effects.figures(studio.model),
        "negative": lambda: effects.figures(studio.model, concept[0][0]),
    }
    for name, chosen in settings.items():
        rows[name] = lambda chosen=chosen: effects.figures(guard(studio.model, chosen, concept))
    alone = f"n = {options.count} ({options.count // 4} for the concept's own text), concept {suites.CONCEPT!r}"
    return table.fill(rows, options, alone)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
