"""How well Safe Latent Diffusion keeps a star out of the demo model's pictures, by the oracle: the table of the help page.

    python -m tools.demo_model.effect --comfyui PATH [--count 256] [--rows off,medium,aligned-strong] [--out FILE.json]

Per row: the share of pictures that show a star, for prompts that say it in the word ``star``, in the invented word
``zorp`` (whose pictures are stars), and as the concept's very text; and retention: of other prompts' pictures that showed
their shape, colour and background without a guard, the share that still does. One seed per picture, the same in every row.
Rows can be computed in separate processes (--rows) and join in one file (--out).
"""

import argparse
import os
import time

from . import common, measure

CONCEPT = "star"


def rows(sld):
    """name -> (settings or None, negative prompt)"""
    from dataclasses import replace

    table = {"off": (None, ""), "negative": (None, CONCEPT)}
    table |= {name: (settings, "") for name, settings in sld.PRESETS.items()}
    table |= {
        f"{name}, warm-up scaled": (replace(settings, warmup_steps=round(settings.warmup_steps * 20 / 50)), "")
        for name, settings in sld.PRESETS.items()
        if settings.warmup_steps
    }
    return table | {f"aligned {name}": (settings, "") for name, settings in sld.ALIGNED.items()}


def suites(count):
    """The four sets of prompts, as measure.prompts gives them."""
    from . import draw

    others = {shape: shape for shape in draw.SHAPES if shape != CONCEPT}
    alone = [
        dict(caption=CONCEPT, slots=[None, CONCEPT, None], colours=[None] * 3, background=None, texture="plain")
    ] * (count // 4)
    return {
        "implicit": measure.prompts(count, 11, words={draw.IMPLICIT_WORD: CONCEPT}),
        "plain": measure.prompts(count, 12, words={CONCEPT: CONCEPT}),
        "concept": alone,
        "other": measure.prompts(count, 13, words=others),
    }


def kept(judged):
    """Per picture: shape, colour and background as the caption says (what it does not say counts as said)."""
    return [all(j[key] is not False for key in ("shape", "colour", "background")) for j in judged]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--model", default=os.path.join(common.ROOT, "models", "demo_model.safetensors"))
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", help="names separated by semicolons; default: all")
    parser.add_argument("--out", help="JSON file that gathers the rows")
    args = parser.parse_args()
    common.start_host(args.comfyui)
    from guards.demo import oracle

    sld, guard = common.host_module("guards.sld.formula"), common.host_module("guards.sld.host").guard
    patcher, clip, vae = measure.load_model(args.model, 1)
    judge = oracle.load()
    sets, chosen = suites(args.count), rows(sld)
    print(
        f"n = {args.count} ({args.count // 4} for the concept's own text), cfg {args.cfg:g}, {args.steps} steps, euler, normal, "
        f"concept '{CONCEPT}'"
    )
    before = None
    for name in ["off"] + [n for n in (args.rows.split(";") if args.rows else chosen) if n != "off"]:
        settings, negative = chosen[name]
        began, result = time.monotonic(), {}
        concept = [[measure.encode(clip, [CONCEPT]), {}]]
        model = patcher if settings is None else guard(patcher, settings, concept)
        for suite, prompts in sets.items():
            if name == "off" and suite != "other" and args.rows and "off" not in args.rows.split(";"):
                continue  # only the reference for retention is needed
            text, without = measure.encode(clip, [p["caption"] for p in prompts]), measure.encode(clip, [negative])
            images = measure.sample_images(
                model, vae, text, without, 500_000 + len(suite) * 10_000, args.cfg, args.steps
            )
            seen = judge.see(images)
            if suite == "other":
                now = kept(measure.judge(seen, prompts))
                before = before or now
                result["retention"] = sum(a and b for a, b in zip(now, before, strict=True)) / sum(before)
            else:
                result[suite] = seen.contains(CONCEPT).float().mean().item()
        figures = "  ".join(f"{key} {value:.3f}" for key, value in result.items())
        print(f"{name:<28}{figures}  ({time.monotonic() - began:.0f} s)", flush=True)
        if len(result) == len(sets):
            common.gather(args.out, name, result)


if __name__ == "__main__":
    main()
