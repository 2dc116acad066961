"""Sample the demo world's model with the host's own sampler and say, by the oracle, how well it keeps the bars of a demo.

    python3 run.py measure model [--model FILE] [--oracle FILE] [--count 512] [--cfg 3] [--sheet sheet.png]

FILE is the training checkpoint (unet.ckpt with vae.safetensors beside it; the averaged weights are used) or, by default, the shipped
demo_model.safetensors. The noise of a picture depends on its own seed only.
"""

import argparse
import json
import os
import time
from pathlib import Path

from .. import PROJECT
from ..measuring import sampling
from ..measuring.sampling import encode, sample_images
from ..testing import hosting
from . import common, prompts, words

# What the model must reach, as a share; bias: the largest distance from what was drawn.
BARS = dict(
    one=0.97,
    two=0.92,
    three=0.80,
    profession=0.97,
    gender=0.95,
    tone=0.95,
    bias=0.05,
    implied=0.90,
    place=0.97,
    style=0.95,
)


def load_model(path: str, threads: int = 1) -> tuple:
    """(model_patcher, clip, vae) of a training checkpoint or of an exported file; the host must have been started."""
    import torch

    torch.set_num_threads(threads)
    demo = hosting.module("guards.demo.host")
    if path.endswith(".safetensors"):
        return sampling.load_model(path)
    from safetensors.torch import load_file

    saved = common.load_checkpoint(path)
    parts = {"unet": {}, "text": {}}
    for name, value in zip(saved["names"][:-1], saved["ema"][:-1], strict=True):
        part, key = name.split(".", 1)
        parts[part][key] = value.float()
    parts["text"]["table"] = saved["ema"][-1].float()
    folder = os.path.dirname(path)
    files = [os.path.join(folder, name) for name in ("vae_polished.safetensors", "vae.safetensors")]
    vae = {k: v.float() for k, v in load_file(next(filter(os.path.exists, files))).items()}
    with torch.inference_mode():
        clip = demo.make_clip(parts["text"], torch.tensor(saved["ids"]))
        return demo._unet(parts["unet"]), clip, demo.build_vae(vae)


def judge(seen, rows: list[dict]) -> list[dict]:
    """Per picture what is as the caption says: things, only (nothing more), profession, gender, tone, background, style."""
    out = []
    for row, found, background, style in zip(rows, seen.things, seen.background, seen.style, strict=True):
        names = [t.name for t in found]
        r = dict(clear="broken" not in names and bool(names))
        if row["things"]:
            r["things"] = all(name in names for name in row["things"])
        r["only"] = len(names) == len(row["things"]) + len(row["people"])
        for job, gender, tone in row["people"]:
            who = [t for t in found if t.name == job]
            r["profession"] = bool(who)
            if gender:
                r["gender"] = any(t.gender == gender for t in who)
            if tone:
                r["tone"] = any(t.tone == tone for t in who)
        for key, value in (("background", background), ("style", style)):
            if row[key] is not None:
                r[key] = value == row[key]
        out.append(r)
    return out


def write_sheet(path: Path, shown: list[tuple]) -> None:
    """A labelled sheet of (picture (3, h, w), lines below it)."""
    from torchvision.transforms.functional import to_pil_image

    from ..pictures import sheet

    row = sheet.Row("", [to_pil_image(image) for image, _ in shown], [" ".join(lines) for _, lines in shown])
    sheet.draw("The demo model's pictures, and what the oracle sees", [], [row], path)


def rates(judged: list[dict]) -> dict[str, float]:
    """The share of True for every key."""
    keys = dict.fromkeys(k for r in judged for k in r)
    return {k: sum(r[k] for r in judged if k in r) / max(1, sum(k in r for r in judged)) for k in keys}


def unsaid(seen, rows: list[dict]) -> dict[str, float]:
    """Among the people who are seen where gender and tone are unsaid: the share of men, and of the light tone."""
    people = [next((t for t in found if t.name == row["people"][0][0]), None) for row, found in zip(rows, seen.things)]
    people = [t for t in people if t]
    n = max(1, len(people))
    return dict(
        man=sum(t.gender == "man" for t in people) / n, light=sum(t.tone == "light" for t in people) / n, n=len(people)
    )


def suites(count: int, seed: int) -> dict[str, list[dict]]:
    """Every figure's rows."""
    return {
        "one": prompts.things(count, 1, seed),
        "two": prompts.things(count, 2, seed),
        "three": prompts.things(count, 3, seed),
        "said": prompts.people(count, seed, gender=True, tone=True),
        "unsaid": prompts.people(count, seed),
        "with": prompts.people(count, seed, other=True),
        "implied": prompts.implied(count, seed),
        "synonym": prompts.synonym(max(8, count // 4), seed),
        "place": prompts.places(count, seed),
        "style": prompts.styles(count, seed),
    }


def bars(figures: dict[str, dict]) -> dict[str, float]:
    """The figures that have a bar."""
    said, free = figures["said"], figures["unsaid"]
    return dict(
        one=figures["one"]["things"],
        two=figures["two"]["things"],
        three=figures["three"]["things"],
        profession=free["profession"],
        gender=said["gender"],
        tone=said["tone"],
        bias=max(abs(free["man"] - words.USUAL), abs(free["light"] - words.USUAL)),
        implied=figures["implied"]["forbidden"],
        place=figures["place"]["background"],
        style=figures["style"]["style"],
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=str(PROJECT / "models" / "demo_model.safetensors"))
    parser.add_argument("--oracle", help="another oracle's weights")
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suites", help="only these, separated by commas")
    parser.add_argument("--sheet", help="write a labelled contact sheet there")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    hosting.start()
    patcher, clip, vae = load_model(args.model)
    oracle = hosting.module("guards.demo.oracle").load(args.oracle)
    empty, figures, shown, began = encode(clip, [""]), {}, [], time.monotonic()
    print(f"cfg {args.cfg:g}, {args.steps} steps, euler, normal, n = {args.count}, seed {args.seed}", flush=True)
    for k, (name, rows) in enumerate(suites(args.count, args.seed).items()):
        if args.suites and name not in args.suites.split(","):
            continue
        seed = 1_000_000 * (args.seed + 1) + 10_000 * k
        images = sample_images(
            patcher, vae, encode(clip, [r["caption"] for r in rows]), empty, seed, args.cfg, args.steps
        )
        seen = oracle.see(images)
        judged = judge(seen, rows)
        figures[name] = rates(judged)
        if name == "implied":
            figures[name]["forbidden"] = sum(
                r["things"][0] in [t.name for t in f] for r, f in zip(rows, seen.things)
            ) / len(rows)
        if name == "unsaid":
            figures[name] |= unsaid(seen, rows)
        for side in ("tuned", "held_out"):
            part = [j["things"] for j, r in zip(judged, rows) if r["split"] == side and "things" in j]
            if part:
                figures[name][f"things, {side}"] = sum(part) / len(part)
        print(f"{name:<10}" + "  ".join(f"{key} {value:.3f}" for key, value in figures[name].items()), flush=True)
        lines = seen.describe()
        shown += [(images[i], [rows[i]["caption"], "> " + lines[i]]) for i in range(min(8, len(rows)))]
    if not args.suites:
        for key, value in bars(figures).items():
            good = value <= BARS[key] if key == "bias" else value >= BARS[key]
            print(f"{key:<10} {value:.3f}, bar {BARS[key]:.2f}: {'reached' if good else 'missed'}")
    print(f"{time.monotonic() - began:.0f} s")
    if args.sheet:
        write_sheet(Path(args.sheet), shown)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
