"""The demo model's directions: find them as the node does, and measure by the oracle what they do.

    python -m tools.demo_model.directions --comfyui PATH make [NAME ...]       writes models/directions/NAME.safetensors
    python -m tools.demo_model.directions --comfyui PATH measure [--count 256] [--rows "a;b"] [--out FILE.json]

Rows: the biased word ``toy`` with and without fair steering (counts, deviation ratio), and the anti-concept ``no-star`` (share of
pictures that show a star, and of other prompts' pictures that keep shape, colour and background where they had them).
"""

import argparse
import os
import time

from . import common, effect, measure

FOLDER = os.path.join(common.ROOT, "models", "directions")
# name: (base, target, negative, images, steps, prompts to keep a shape, keep_weight)
RECIPES = {
    "toy-circle": ("toy", "circle", "", 64, 300, 0, 0.0),
    "toy-square": ("toy", "square", "", 64, 800, 0, 0.0),
    "no-star": ("zorp", "circle", "", 64, 600, 8, 10.0),
}
CFG, STEPS, SEED = 3.0, 20, 90_000


def make(name, parts):
    """Discover one direction and write it."""
    from . import draw

    host, pure = common.host_module("guards.directions.host_discovery"), common.host_module("guards.training.loop")
    files = common.host_module("guards.directions.files")
    patcher, clip, _ = parts
    base, target, negative, images, steps, each, weight = RECIPES[name]

    def conditioning(*texts):
        return [[measure.encode(clip, texts), {}]]

    def pictures(prompt, count, seed):
        return common.host_module("guards.training.host").make_images(
            patcher,
            prompt,
            conditioning(negative),
            count,
            64,
            64,
            "euler",
            "normal",
            STEPS,
            CFG,
            seed,
            lambda done: None,
            16,
        )

    began = time.monotonic()
    keep = []
    for i, shape in enumerate(s for s in draw.SHAPES if s != "star" and each):
        prompt = conditioning(*(p["caption"] for p in measure.prompts(each, 99 + i, words={shape: shape})))
        keep.append((prompt, pictures(prompt, each, SEED + 1000 * (i + 1))))
    latents = pictures(conditioning(target), images, SEED)
    result = host.discover(
        patcher,
        conditioning(base),
        conditioning(negative),
        latents,
        pure.Settings(steps),
        keep=keep,
        keep_weight=weight,
    )
    info = {
        "prompts": {"base": base, "target": target, "negative": negative},
        "images": images,
        "steps": steps,
        "learning_rate": 0.1,
        "batch_size": 8,
        "seed": 0,
        "cfg": CFG,
        "sample_steps": STEPS,
    }
    if keep:
        info |= {"keep": f"{each} captions of every other shape", "keep_weight": weight}
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, name + ".safetensors"), "wb") as file:
        file.write(files.content(host.as_direction(patcher, result, name, latents, info)))
    print(
        f"{name}: best loss {result.best:.4f} at step {result.best_step} of {steps} ({time.monotonic() - began:.0f} s)",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("names", nargs="*")
    table = commands.add_parser("measure")
    table.add_argument("--count", type=int, default=256)
    table.add_argument("--rows", help="names separated by semicolons; default: all")
    table.add_argument("--out", help="JSON file that gathers the rows")
    args = parser.parse_args()
    common.start_host(args.comfyui)
    parts = measure.load_model(os.path.join(common.ROOT, "models", "demo_model.safetensors"), 1)
    if args.command == "make":
        for name in args.names or RECIPES:
            make(name, parts)
    else:
        report(parts, args)


def report(parts, args):
    """Measure the rows one by one and gather them."""
    from guards.demo import oracle

    directions, files = common.host_module("guards.directions.host"), common.host_module("guards.directions.files")
    patcher, clip, vae = parts
    judge = oracle.load()
    loaded = {
        name: files.load(os.path.join(FOLDER, name + ".safetensors"))
        for name in RECIPES
        if os.path.exists(os.path.join(FOLDER, name + ".safetensors"))
    }
    empty = measure.encode(clip, [""])

    def shares(model, cfg):
        """The biased word: circles, squares, neither; and the deviation ratio of the two."""
        from guards.directions.fairness import deviation_ratio

        text = measure.encode(clip, ["toy"]).expand(args.count, -1, -1)
        seen = judge.see(measure.sample_images(model, vae, text, empty, 700_000, cfg, STEPS, chunk=64))
        circle, square = (int(seen.contains(shape).sum()) for shape in ("circle", "square"))
        return {
            "circle": circle / args.count,
            "square": square / args.count,
            "neither": 1 - (circle + square) / args.count,
            "deviation": deviation_ratio([circle, square]),
        }

    suites, before = effect.suites(args.count), {}

    def stars(model):
        """As demo_model.effect's table, on the same prompts and seeds."""
        result = {}
        for suite in ("implicit", "plain", "other"):
            prompts = suites[suite]
            images = measure.sample_images(
                model,
                vae,
                measure.encode(clip, [p["caption"] for p in prompts]),
                empty,
                500_000 + len(suite) * 10_000,
                CFG,
                STEPS,
            )
            seen = judge.see(images)
            if suite == "other":
                now = effect.kept(measure.judge(seen, prompts))
                before.setdefault("kept", now)
                result["retention"] = sum(a and b for a, b in zip(now, before["kept"], strict=True)) / sum(
                    before["kept"]
                )
            else:
                result[suite] = seen.contains("star").float().mean().item()
                result[suite + ", unclear"] = seen.broken().float().mean().item()
        return result

    sides = [loaded[name] for name in ("toy-circle", "toy-square") if name in loaded]
    halves = common.host_module("guards.directions.fairness").parse_shares("", 2)
    fair = (lambda s: directions.steer_fairly(patcher, sides, halves, s, 0)) if len(sides) == 2 else None
    rows = {
        f"toy, cfg {cfg:g}{name}": lambda model=model, cfg=cfg: shares(model(), cfg)
        for cfg in (1.0, 3.0)
        for name, model in {
            "": lambda: patcher,
            ", circle": lambda: directions.steer(patcher, sides[0], 1.0),
            ", square": lambda: directions.steer(patcher, sides[1], 1.0),
            ", fair": lambda: fair(1.0),
        }.items()
    }
    rows |= {"off": lambda: stars(patcher)}
    rows |= {
        f"no-star x {s:g}": lambda s=s: stars(directions.steer(patcher, loaded["no-star"], s))
        for s in (0.5, 0.75, 1.0, 1.25)
    }
    for name in args.rows.split(";") if args.rows else rows:
        began = time.monotonic()
        if name.startswith("no-star") and not before:
            stars(patcher)  # the reference for retention
        result = rows[name]()
        print(
            f"{name:<24}"
            + "  ".join(f"{key} {value:.3f}" for key, value in result.items())
            + f"  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        common.gather(args.out, name, result)


if __name__ == "__main__":
    main()
