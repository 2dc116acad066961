"""How well the growth inhibitor keeps a concept out of the demo model's pictures, by the oracle: the table of the help page.

    python -m tools.demo_model.inhibit --comfyui PATH [--count 256] [--rows "off;aligned -2;aligned adapter"]
        [--concepts object,implicit,style]

Concepts: an object (captions that say star, target star), an implicit one (captions that say zorp, whose pictures are stars,
target star), a style (captions that say striped, target striped). Per row and concept three shares: of the pictures that
show the concept; of pictures whose other attributes are as the caption says, among those where they were without a guard; and
of pictures of prompts without the concept in which the oracle's answer (shape, colour, texture, background) changed.
One seed per picture, the same in every row; no prompt or seed is one that the adapter was trained with.
"""

import argparse
import os
import time

from . import common, measure
from .train_adapter import found

CONCEPTS = {"object": "star", "implicit": "star", "style": "striped"}


def suites(count):
    """concept -> (rows with it, what their pictures must keep), and target -> rows without it."""
    from . import draw

    others = {shape: shape for shape in draw.SHAPES if shape != "star"}
    mixed = measure.prompts(12 * count, 34, words={shape: shape for shape in draw.SHAPES})
    return (
        {
            "object": measure.prompts(count, 32, words={"star": "star"}),
            "implicit": measure.prompts(count, 31, words={"zorp": "star"}),
            "style": [r for r in mixed if r["texture"] == "striped"][:count],
        },
        {
            "star": measure.prompts(count, 33, words=others),
            "striped": [r for r in mixed if r["texture"] != "striped"][:count],
        },
    )


KEPT = {
    "object": ("colour", "background", "texture"),
    "implicit": ("colour", "background", "texture"),
    "style": ("shape", "colour", "background"),
}


def rows(names, adapter):
    """name -> (mode, scale, adapter, options). Names: off, aligned -2, words -1, end -1 (words and end), paired -1, paired paper -1,
    aligned adapter, words adapter; with ``whole`` the targets are suppressed in all steps, cross_end 1: aligned whole adapter."""
    table = {}
    for name in names:
        kind, *rest = name.split()
        if name == "off":
            table[name] = None
            continue
        network = adapter if rest[-1] == "adapter" else None
        scale = 0.0 if network else float(rest[-1])
        options = {"cross_end": 1.0} if "whole" in rest else {}
        if kind == "paired":
            table[name] = ("paired", scale, network, {**options, "reading": "paper" if "paper" in rest else "code"})
        else:
            table[name] = (
                "single_pass",
                scale,
                network,
                {**options, "variant": {"end": "words and end"}.get(kind, kind)},
            )
    return table


def labels(seen):
    """All that the oracle says of each picture's centre."""
    return list(
        zip(
            seen.slots.tolist(),
            seen.colours[:, 1].tolist(),
            seen.texture.tolist(),
            seen.background.tolist(),
            strict=True,
        )
    )


def scales(patcher, clip, adapter, there, without, empty, cfg):
    """Print which scales the adapter infers for the captions of every suite, and how far the gate would open."""
    import torch

    text, train = (
        common.host_module("guards.inhibitors.host_text"),
        common.host_module("guards.inhibitors.host_training"),
    )
    pure = common.host_module("guards.inhibitors.formula")
    sets = [(name, CONCEPTS[name], rows, 800_000 + 10_000 * i) for i, (name, rows) in enumerate(there.items())]
    sets += [(f"without {name}", name, rows, 850_000 + 10_000 * i) for i, (name, rows) in enumerate(without.items())]
    for name, target, prompts, first in sets:
        words, parts = text.target(clip, [target]), []
        for at in range(0, len(prompts), 64):
            positive = measure.encode(clip, [p["caption"] for p in prompts[at : at + 64]])
            noise = measure.noise(patcher, range(first + at, first + at + len(positive)))
            parts.append(train.look(patcher, words, [[positive, {}]], [[empty, {}]], noise, cfg))
        inputs = torch.cat(parts)[:, 0]
        found, gate = adapter(inputs.clone()), pure.gate(inputs[:, None, inputs.shape[1] // 2 :])[:, 0]
        print(
            f"{name:<16}n {len(found)}  scale {found.min():.2f} .. {found.mean():.2f} .. {found.max():.2f}, "
            f"below -1 {int((found < -1).sum())}, below -0.5 {int((found < -0.5).sum())}"
            f"  gate mean {gate.mean():.3f}, above 0.5 {int((gate > 0.5).sum())}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--model", default=os.path.join(common.ROOT, "models", "demo_model.safetensors"))
    parser.add_argument("--adapter", default=os.path.join(common.ROOT, "models", "demo_adapter.safetensors"))
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--concepts", default="object,implicit,style")
    parser.add_argument(
        "--rows", default="off;aligned -1;aligned -2;aligned -3;words -1;words -1.5;end -1;paired -1;paired paper -1"
    )
    parser.add_argument(
        "--scales", action="store_true", help="only say which scales the adapter infers (one evaluation a picture)"
    )
    parser.add_argument("--out", help="JSON file that gathers the figures")
    args = parser.parse_args()
    common.start_host(args.comfyui)
    from guards.demo import oracle

    guard, adapters = (
        common.host_module("guards.inhibitors.host").guard,
        common.host_module("guards.inhibitors.host_adapters"),
    )
    patcher, clip, vae = measure.load_model(args.model, 1)
    judge, empty = oracle.load(), measure.encode(clip, [""])
    adapter = adapters.read(args.adapter) if "adapter" in args.rows or args.scales else None
    there, without = suites(args.count)
    if args.scales:
        return scales(patcher, clip, adapter, there, without, empty, args.cfg)
    plain, concepts = {}, args.concepts.split(",")
    print(f"n = {args.count}, cfg {args.cfg:g}, {args.steps} steps, euler, normal")

    def look(setting, target, prompts, first):
        seeds = list(range(first, first + len(prompts)))
        if setting is None or setting[0] == "single_pass":
            model = patcher
            if setting is not None:
                mode, scale, network, options = setting
                model, _, _ = guard(patcher, clip, "", target, scale, mode, network, **options)
            positive = measure.encode(clip, [p["caption"] for p in prompts])
            return judge.see(measure.sample_images(model, vae, positive, empty, seeds, args.cfg, args.steps))
        import comfy.sample
        import torch

        mode, scale, network, options = setting  # paired: every prompt has an alignment of its own
        images = []
        for row, seed in zip(prompts, seeds, strict=True):
            model, positive, _ = guard(patcher, clip, row["caption"], target, scale, mode, network, **options)
            with torch.inference_mode():
                noise = measure.noise(patcher, [seed])
                latent = comfy.sample.sample(
                    model,
                    noise,
                    args.steps,
                    args.cfg,
                    "euler",
                    "normal",
                    positive,
                    [[empty, {}]],
                    torch.zeros_like(noise),
                    disable_pbar=True,
                    seed=seed,
                )
                images.append(vae.decode(latent).float().movedim(-1, 1).clamp(0, 1))
        return judge.see(torch.cat(images))

    for name, setting in rows(["off"] + [n for n in args.rows.split(";") if n != "off"], adapter).items():
        figures, changed = {}, {}
        began = time.monotonic()
        for concept in concepts:
            target = CONCEPTS[concept]
            seen = look(setting, target, there[concept], 800_000 + 10_000 * list(CONCEPTS).index(concept))
            kept = [all(j[key] is not False for key in KEPT[concept]) for j in measure.judge(seen, there[concept])]
            plain.setdefault(("kept", concept), kept)
            before = plain["kept", concept]
            if target not in changed:
                answers = labels(look(setting, target, without[target], 850_000 + 10_000 * list(without).index(target)))
                plain.setdefault(("labels", target), answers)
                changed[target] = sum(a != b for a, b in zip(answers, plain["labels", target], strict=True)) / len(
                    answers
                )
            figures[concept] = dict(
                shown=found(seen, target).float().mean().item(),
                kept=sum(a and b for a, b in zip(kept, before, strict=True)) / max(1, sum(before)),
                changed=changed[target],
            )
        print(
            f"{name:<16}"
            + "   ".join(f"{c}: " + " ".join(f"{k} {v:.3f}" for k, v in f.items()) for c, f in figures.items())
            + f"  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        common.gather(args.out, name, figures)


if __name__ == "__main__":
    main()
