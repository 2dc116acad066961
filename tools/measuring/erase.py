"""How well Erase Concept keeps concepts out of the demo model's pictures, alone, in scenes, implied, and in the negative at cfg 0.

    python3 run.py measure erase [--concepts "star;circle -> square"] [--together] [--count 96] [--steps 4]
    python3 run.py measure erase --beside "sld strong;inhibitor -1.5"

Two rows for each concept, without the edit and with it. Shares of pictures that show the concept: alone, scene (beside another
thing), implied (by a word of its own), negative (the caption in the negative at cfg 0). mate: of scenes that showed both, those that
still show the other thing. clear: of the pictures of the concept alone, those that show something unbroken. other: of other prompts'
pictures that were as their captions say, those that still are. --together: one edit takes all concepts. --beside: other guards of the
same concept, alone and behind the edit (sld with a preset of aligned; inhibitor with a scale and a variant). The concepts are whatever
the world of the demo model knows (tools/demo_model/suites.py).
"""

from __future__ import annotations

import functools
import sys
import time

from ..testing import hosting
from . import table


class Erased:
    """The pictures of a concept, with an edit and without."""

    def __init__(self, options):
        from ..demo_model import suites

        self.world, self.count = suites, options.count
        self.studio = table.Studio(options)
        self.erasing = hosting.module("guards.erasing.host")
        self.texts = hosting.module("guards.erasing.texts")
        self.model = functools.lru_cache(None)(self._model)
        self.unguarded = functools.lru_cache(None)(self._unguarded)

    def _model(self, lines: str):
        import torch

        began = time.process_time()
        with torch.inference_mode():
            edit = self.erasing.erase(self.studio.model, self.studio.clip, self.erasing.Settings(lines))
            model = self.erasing.apply(self.studio.model, edit, 1.0)[0]
        print(f"{time.process_time() - began:.1f} s of processor time\n" + "\n".join(edit.lines), file=sys.stderr)
        return model

    def see(self, model, concept: str) -> dict:
        """What is seen of every suite of a concept."""
        studio, found = self.studio, self.world.forbidden(concept, self.count)
        seen = {name: studio.see(model, suite) for name, suite in found.items()}
        alone = found["alone"]
        images = studio.images(
            model, studio.text(""), studio.text(*alone.captions), range(alone.seed, alone.seed + self.count), 0.0
        )
        return seen | {"negative": studio.judge.see(images)}

    def _unguarded(self, concept: str) -> dict:
        return self.see(self.studio.model, concept)

    def beside(self, model, concept: str, guard: str):
        """A MODEL with one more guard of the concept: ``sld strong``, ``inhibitor -1.5 words``; "" for none."""
        kind, *rest = guard.split() or [""]
        if kind == "sld":
            preset = hosting.module("guards.sld.formula").ALIGNED[rest[0]]
            return hosting.module("guards.sld.host").guard(model, preset, self.studio.conditioning(concept))
        if kind == "inhibitor":
            more = {"variant": rest[1]} if rest[1:] else {}
            inhibit = hosting.module("guards.inhibitors.host").guard
            return inhibit(model, self.studio.clip, "", concept, float(rest[0]), "single_pass", **more)[0]
        if kind:
            raise SystemExit(f"--beside: {guard!r} is none of: sld PRESET, inhibitor SCALE [VARIANT]")
        return model

    def row(self, concept: str, lines: str | None, guard: str = "") -> table.Figures:
        before, model = self.unguarded(concept), self.studio.model
        if lines is not None:
            model = self.model(lines)
        seen = before if lines is None and not guard else self.see(self.beside(model, concept, guard), concept)
        shares = {
            name: self.world.shows(seen[name], concept).float().mean().item()
            for name in ("alone", "scene", "implied", "negative")
            if name in seen
        }
        mates = [prompt["mate"] for prompt in self.world.forbidden(concept, self.count)["scene"].prompts]
        both = [
            bool(self.world.shows(before["scene"], mate)[i] & self.world.shows(before["scene"], concept)[i])
            for i, mate in enumerate(mates)
        ]
        still = [bool(self.world.shows(seen["scene"], mate)[i]) for i, mate in enumerate(mates)]
        return {
            **shares,
            "mate": table.retention(still, both),
            "clear": 1 - seen["alone"].broken().float().mean().item(),
            "other": table.retention(self.kept(concept, seen), self.kept(concept, before)),
        }

    def kept(self, concept: str, seen: dict) -> list[bool]:
        from ..demo_model.measure import judge

        prompts = self.world.forbidden(concept, self.count)["other"].prompts
        return table.kept(judge(seen["other"], prompts), self.world.KEYS)


def main() -> int:
    parser = table.parser("erase", __doc__, count=96)
    parser.add_argument(
        "--concepts", help="lines as the node takes them, separated by semicolons (default: those tuned on)"
    )
    parser.add_argument("--together", action="store_true", help="erase all of them in one edit")
    parser.add_argument("--beside", default="", help="guards of the same concept, separated by semicolons")
    options = parser.parse_args()
    erased = Erased(options)
    lines = (options.concepts or ";".join(erased.world.TUNED)).split(";")
    rows = {}
    for line in (one.strip() for one in lines):
        concept = erased.texts.read(line)[0].concept
        rows[f"off: {concept}"] = functools.partial(erased.row, concept, None)
        edit = "\n".join(lines) if options.together else line
        rows[line] = functools.partial(erased.row, concept, edit)
        for guard in (one.strip() for one in options.beside.split(";") if one.strip()):
            rows[f"{guard}: {concept}"] = functools.partial(erased.row, concept, None, guard)
            rows[f"{line} + {guard}"] = functools.partial(erased.row, concept, edit, guard)
    return table.fill(rows, options)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
