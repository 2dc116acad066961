"""What the words learnt from the demo model's rated pictures guard, each beside the plain word.

    python3 run.py measure feedback [--count 256] [--rows "off;word, SDD"] [--out FILE.jsonl]

Rows: the word as safety concept, as negative prompt, and distilled away (SDD). ``word`` was learnt with counter-examples, ``seen``
from the high-rated pictures alone.
"""

from __future__ import annotations

from ..testing import hosting
from . import table

DISTIL = dict(
    steps=400, learning_rate=5e-4, batch_size=4, rank=16, average=0.99, sample_steps=12, seed=0, keep_weight=0.15
)
HELD = 24  # captions of other things that distillation holds


def words(studio: table.Studio, concept: str) -> dict[str, list]:
    """CONDITIONINGs: the two learnt words, and the plain one."""
    import torch
    from safetensors.torch import load_file

    from ..demo_world.feedback import SEEN, TOKEN

    encode = hosting.module("guards.inversion.host").encode
    with torch.inference_mode():
        learnt = {
            name: [[encode(studio.clip, {"l": load_file(path)["clip_l"]})[0][0].float(), {}]]
            for name, path in (("word", TOKEN), ("seen", SEEN))
        }
    return learnt | {concept: studio.conditioning(concept)}


def distilled(studio: table.Studio, concept: list, held: int = HELD):
    """The MODEL after self-distillation of a concept, ``held`` other captions kept."""
    import torch

    from ..demo_world import suites

    keep = [studio.conditioning(row["caption"])[0] for row in suites.without(suites.CONCEPT, held)]
    distillation = hosting.module("guards.distillation.host")
    settings = hosting.module("guards.distillation.formula").Settings(**DISTIL)
    empty = studio.conditioning("")
    with torch.inference_mode():
        result = distillation.distil(studio.model, concept, empty, (24, 12, 12), settings, keep=keep)
        return distillation.apply(studio.model, distillation.to_lora(result.changes))


def main() -> int:
    options = table.parser("feedback", __doc__).parse_args()
    studio = table.Studio(options)
    from ..demo_world import suites

    sld, guard = hosting.module("guards.sld.formula"), hosting.module("guards.sld.host").guard
    effects, texts, plain = suites.effects(studio, options.count), words(studio, suites.CONCEPT), suites.CONCEPT
    rows = {"off": lambda: effects.figures(studio.model)}
    for name in ("word", plain):
        for title, settings in (("SLD aligned max", sld.ALIGNED["max"]), ("SLD published max", sld.PRESETS["max"])):
            rows[f"{name}, {title}"] = lambda name=name, settings=settings: effects.figures(
                guard(studio.model, settings, texts[name])
            )
        rows[f"{name}, negative"] = lambda name=name: effects.figures(studio.model, texts[name][0][0])
    for name in ("seen", "word", plain):
        rows[f"{name}, SDD"] = lambda name=name: effects.figures(distilled(studio, texts[name]))
    rows["seen, SDD as published"] = lambda: effects.figures(distilled(studio, texts["seen"], 0))
    return table.fill(rows, options)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
