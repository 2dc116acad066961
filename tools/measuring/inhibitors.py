"""How well the growth inhibitor keeps a concept out of the demo model's pictures.

    python3 run.py measure inhibitors [--count 256] [--rows "off;aligned -2;aligned adapter"] [--concepts object,implicit,style]

Concepts: an object that the captions name, one that they imply by an invented word, a style, and (scene) the object beside another one,
which must be kept. Per row and concept three shares: of the pictures that show the concept; of pictures whose other attributes are as
the caption says, among those where they were
without a guard; and of pictures of prompts without the concept in which the classifier's answer changed.

Rows: off; aligned, words, local or end (words and end) with a scale; paired and paired paper with a scale; the same with ``adapter`` for
the scale; ``whole``: suppressed in all steps (cross_end 1), as in "aligned whole adapter".
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from .. import PROJECT
from ..testing import hosting
from . import table

ROWS = "off;aligned -1;aligned -2;aligned -3;words -1;words -1.5;end -1;paired -1;paired paper -1"


class Inhibited:
    """The guarded pictures of one row after the other."""

    def __init__(self, studio: table.Studio, options: argparse.Namespace):
        from ..demo_model import suites

        self.studio, self.world, self.concepts = studio, suites, options.concepts.split(",")
        self.guard = hosting.module("guards.inhibitors.host").guard
        self.adapters = hosting.module("guards.inhibitors.host_adapters")
        self.adapter_file = options.adapter
        self.there, self.without = suites.inhibited(options.count)
        self.unguarded = {}  # what is seen without a guard, by the suite's seed

    @functools.cached_property
    def adapter(self):
        return self.adapters.read(self.adapter_file)

    def setting(self, name: str) -> tuple | None:
        """(mode, scale, adapter or None, options) of a row's name; None for off."""
        if name == "off":
            return None
        kind, *rest = name.split()
        network = self.adapter if rest[-1] == "adapter" else None
        scale = 0.0 if network else float(rest[-1])
        more = {"cross_end": 1.0} if "whole" in rest else {}
        if kind == "paired":
            return "paired", scale, network, {**more, "reading": "paper" if "paper" in rest else "code"}
        return "single_pass", scale, network, {**more, "variant": {"end": "words and end"}.get(kind, kind)}

    def see(self, setting: tuple | None, target: str, suite: table.Suite):
        studio = self.studio
        if setting is None:
            if suite.seed not in self.unguarded:
                self.unguarded[suite.seed] = studio.see(studio.model, suite)
            return self.unguarded[suite.seed]
        mode, scale, network, more = setting
        if mode == "single_pass":
            model, _, _ = self.guard(studio.model, studio.clip, "", target, scale, mode, network, **more)
            return studio.see(model, suite)
        import torch

        images, empty = [], studio.text("")  # paired: every prompt has an alignment of its own
        for seed, caption in enumerate(suite.captions, suite.seed):
            model, positive, _ = self.guard(studio.model, studio.clip, caption, target, scale, mode, network, **more)
            images.append(studio.conditioned(model, positive, empty, [seed], seed))
        return studio.judge.see(torch.cat(images))

    def kept(self, concept: str, seen) -> list[bool]:
        from ..demo_model.measure import judge

        return table.kept(judge(seen, self.there[concept].prompts), self.world.KEYS_OF[concept])

    def row(self, name: str) -> table.Figures:
        setting, figures, changed = self.setting(name), {}, {}
        for concept in self.concepts:
            target = self.world.TARGETS[concept]
            seen = self.see(setting, target, self.there[concept])
            if target not in changed:
                suite = self.without[target]
                now, before = (self.world.answers(self.see(s, target, suite)) for s in (setting, None))
                changed[target] = sum(a != b for a, b in zip(now, before, strict=True)) / len(now)
            before = self.kept(concept, self.see(None, target, self.there[concept]))
            figures[f"{concept} shown"] = self.world.shows(seen, target).float().mean().item()
            figures[f"{concept} kept"] = table.retention(self.kept(concept, seen), before)
            figures[f"{concept} changed"] = changed[target]
        return figures


def scales(inhibited: Inhibited) -> int:
    """Print which scales the adapter infers for the captions of every suite, and how far the gate would open."""
    import torch

    text, train = hosting.module("guards.inhibitors.host_text"), hosting.module("guards.inhibitors.host_training")
    pure, studio = hosting.module("guards.inhibitors.formula"), inhibited.studio
    sets = [(name, inhibited.world.TARGETS[name], suite) for name, suite in inhibited.there.items()]
    sets += [(f"without {name}", name, suite) for name, suite in inhibited.without.items()]
    empty = studio.conditioning("")
    for name, target, suite in sets:
        words, parts = text.target(studio.clip, [target]), []
        for at in range(0, len(suite.captions), 64):
            positive = studio.conditioning(*suite.captions[at : at + 64])
            seeds = range(suite.seed + at, suite.seed + at + len(positive[0][0]))
            noise = studio.sampling.noise(studio.model, seeds)
            parts.append(train.look(studio.model, words, positive, empty, noise, studio.cfg))
        inputs = torch.cat(parts)[:, 0]
        found, gate = inhibited.adapter(inputs.clone()), pure.gate(inputs[:, None, inputs.shape[1] // 2 :])[:, 0]
        print(
            f"{name:<16}n {len(found)}  scale {found.min():.2f} .. {found.mean():.2f} .. {found.max():.2f}, "
            f"below -1 {int((found < -1).sum())}, below -0.5 {int((found < -0.5).sum())}"
            f"  gate mean {gate.mean():.3f}, above 0.5 {int((gate > 0.5).sum())}",
            flush=True,
        )
    return 0


def main() -> int:
    parser = table.parser("inhibitors", __doc__)
    parser.set_defaults(rows=ROWS)
    parser.add_argument("--model", type=Path, default=table.MODEL)
    parser.add_argument("--adapter", default=str(PROJECT / "models" / "demo_adapter.safetensors"))
    parser.add_argument("--concepts", default="object,implicit,style")
    parser.add_argument(
        "--scales", action="store_true", help="only say which scales the adapter infers (one evaluation a picture)"
    )
    options = parser.parse_args()
    inhibited = Inhibited(table.Studio(options, options.model), options)
    if options.scales:
        return scales(inhibited)
    names = [name.strip() for name in options.rows.split(";")]
    return table.fill({name: functools.partial(inhibited.row, name) for name in names}, options)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
