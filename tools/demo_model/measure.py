"""How well the demo model follows its captions, by the oracle.

    python3 run.py measure model [--model FILE] [--cfg 3] [--sampler euler] [--sheet sheet.png]

FILE is the training checkpoint (unet.ckpt, with vae_polished.safetensors or vae.safetensors beside it; the averaged
weights are used) or, by default, the shipped demo_model.safetensors.
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


def load_model(path, threads=None):
    """(model_patcher, clip, vae) of a training checkpoint or of a shipped file; the host must have been started."""
    import torch

    if path.endswith(".safetensors"):
        return sampling.load_model(path, threads)
    if threads:
        torch.set_num_threads(threads)
    demo = hosting.module("guards.demo.host")
    import comfy.model_management
    import comfy.model_patcher
    from safetensors.torch import load_file

    from . import draw, train_unet

    saved = torch.load(path, weights_only=True)
    model, clip, text_model = train_unet.build(demo, torch.Generator().manual_seed(0))
    tokens = train_unet.Tokens(clip, draw)
    if tokens.ids != saved["ids"]:
        raise ValueError(f"{path}: its token rows are not those of this draw.py and tokenizer")
    embedding = text_model.embeddings.token_embedding
    text_model.embeddings.token_embedding = torch.nn.Identity()  # the names and their order are train_unet's
    trained = torch.nn.ModuleDict(dict(unet=model.diffusion_model, text=text_model))
    if [n for n, _ in trained.named_parameters()] + ["table"] != saved["names"]:
        raise ValueError(f"{path}: its parameters are not those of this demo_model.py")
    with torch.no_grad():
        for p, mean in zip(trained.parameters(), saved["ema"][:-1], strict=True):
            p.copy_(mean)
        table = saved["ema"][-1]
        embedding.weight.copy_(table[2].expand_as(embedding.weight))  # every other word shares the unknown row
        for token, row in zip(tokens.ids, table):
            if token >= 0:
                embedding.weight[token] = row.to(embedding.weight)
    text_model.embeddings.token_embedding = embedding
    trained.requires_grad_(False)
    for layer in text_model.encoder.layers:
        layer.__dict__.pop("forward", None)  # the host's own again
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(
        model, load_device=comfy.model_management.get_torch_device(), offload_device=cpu
    )
    files = [os.path.join(os.path.dirname(path), name) for name in ("vae_polished.safetensors", "vae.safetensors")]
    weights = load_file(next(filter(os.path.exists, files), files[-1]))
    vae = demo.build_vae({key: value.float() for key, value in weights.items()})
    return patcher, clip, vae


# ---- prompts with what they promise: a list of dicts of caption, slots, colours, background, texture (None: not said) ----


def prompts(n, seed=0, two=False, words=None):
    """n varied captions in the words of draw.py; shapes, colours and backgrounds come round equally often."""
    import torch

    from . import draw

    generator = torch.Generator().manual_seed(1_000 + seed)

    def pick(k):
        return int(torch.randint(0, k, (), generator=generator))

    def chance(p):
        return float(torch.rand((), generator=generator)) < p

    words = words or {s: s for s in draw.SHAPES}  # word -> the shape that it promises
    names, rows = list(words), []
    for i in range(n):
        word, colour, ground = names[i % len(names)], draw.COLOURS[i // len(names) % 6], draw.BACKGROUNDS[pick(4)]
        word2, colour2 = names[(i + 1 + pick(max(1, len(names) - 1))) % len(names)], draw.COLOURS[pick(6)]
        texture = draw.TEXTURES[1 + pick(2)] if not two and chance(0.3) else "plain"
        says = dict(colour=chance(0.85), colour2=chance(0.85), ground=chance(0.8))
        row = dict(
            slots=[None, words[word], None],
            colours=[None, colour if says["colour"] else None, None],
            background=ground if says["ground"] else None,
            texture=texture,
        )
        text = draw.article(([texture] if texture != "plain" else []) + ([colour] if says["colour"] else []) + [word])
        if two:
            row.update(
                slots=[words[word], None, words[word2]],
                texture=None,
                colours=[colour if says["colour"] else None, None, colour2 if says["colour2"] else None],
            )
            text += " and " + draw.article(([colour2] if says["colour2"] else []) + [word2])
        if says["ground"]:
            text += f" on a {ground} background"
        if chance(0.12):
            text = ("a picture of ", "a drawing of ")[i % 2] + text
        if chance(0.12):
            parts = text.split(" ")
            at = 1 if i % 3 else len(parts)
            text = " ".join(parts[:at] + [draw.FILLERS[pick(len(draw.FILLERS))] for _ in range(1 + i % 2)] + parts[at:])
        rows.append(dict(row, caption=text))
    return rows


def judge(seen, rows):
    """How the oracle's answers agree with prompts(): per-picture bool lists (None where the caption says nothing)."""
    oracle = hosting.module("guards.demo.oracle")

    slots, colours = seen.slots.tolist(), seen.colours.tolist()
    out = []
    for i, row in enumerate(rows):
        two = row["slots"][1] is None
        there = [oracle.CLASSES[k] for k in slots[i]]
        hue = [oracle.COLOURS[k] for k in colours[i]]
        r = dict(none="none" in there or set(there) == {"absent"})
        if two:
            want = [row["slots"][0], row["slots"][2]]
            r.update(
                both=set(want) <= set(there),
                ordered=there[0] == want[0] and there[2] == want[1],
                left=there[0] == want[0],
                right=there[2] == want[1],
            )
            for name, slot in (("left colour", 0), ("right colour", 2)):
                r[name] = (
                    None
                    if row["colours"][slot] is None
                    else there[slot] != "absent" and hue[slot] == row["colours"][slot]
                )
        else:
            r["shape"] = there == ["absent", row["slots"][1], "absent"]
            want = row["colours"][1]
            r["colour"] = None if want is None else there[1] != "absent" and hue[1] == want
            r["texture"] = oracle.TEXTURES[seen.texture[i]] == row["texture"]
        r["background"] = (
            None if row["background"] is None else oracle.BACKGROUNDS[seen.background[i]] == row["background"]
        )
        out.append(r)
    return out


def rates(judged):
    """{name: (share, n)} of judge()'s answers."""
    names = list(dict.fromkeys(k for r in judged for k in r))
    values = {k: [r[k] for r in judged if r.get(k) is not None] for k in names}
    return {k: (sum(v) / max(1, len(v)), len(v)) for k, v in values.items()}


def shares(seen):
    """{what: share} of the centre's class, the most frequent first."""
    oracle = hosting.module("guards.demo.oracle")

    counts = {}
    for left, centre, right in seen.slots.tolist():
        what = oracle.CLASSES[centre] if (left, right) == (oracle.ABSENT,) * 2 else "several"
        counts[what] = counts.get(what, 0) + 1
    return {k: v / len(seen) for k, v in sorted(counts.items(), key=lambda kv: -kv[1])}


def line(title, values):
    print(
        f"{title:<34}"
        + "  ".join(
            f"{k} {v[0]:.3f} (n={v[1]})" if isinstance(v, tuple) else f"{k} {v:.3f}" for k, v in values.items()
        ),
        flush=True,
    )


def write_sheet(path, shown):
    """A labelled sheet of (picture (3, h, w), lines below it)."""
    from torchvision.transforms.functional import to_pil_image

    from ..pictures import sheet

    row = sheet.Row("", [to_pil_image(image) for image, _ in shown], [" ".join(lines) for _, lines in shown])
    sheet.draw("The demo model's pictures, and what the oracle sees", [], [row], path)


def main():
    parser = argparse.ArgumentParser(
        prog="run.py measure model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=str(PROJECT / "models" / "demo_model.safetensors"))
    parser.add_argument("--oracle", default=None, help="another oracle's weights")
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--bias-cfg", type=float, nargs="*", default=[1.0, 1.5, 2.0, 3.0, 5.0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--scheduler", default="normal")
    parser.add_argument(
        "--count", type=int, default=512, help="captions of the main figures; the others use half or less"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", help="write a labelled contact sheet there")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    hosting.start()
    module = hosting.module("guards.demo.oracle")

    from . import draw

    patcher, clip, vae = load_model(args.model, args.threads)
    oracle = module.load(args.oracle)
    empty = encode(clip, [""])
    began, figures, shown = time.monotonic(), {}, []

    def run(captions, seed, cfg=args.cfg):
        images = sample_images(
            patcher,
            vae,
            encode(clip, captions),
            empty,
            100_000 * (args.seed + 1) + seed,
            cfg,
            args.steps,
            args.sampler,
            args.scheduler,
        )
        return images, oracle.see(images)

    def show(rows, images, seen, k):
        for i in range(min(k, len(rows))):
            shown.append(
                (images[i], [rows[i]["caption"] if isinstance(rows[i], dict) else rows[i], "> " + seen.describe()[i]])
            )

    def note(title, values):
        figures[title] = values
        line(title, values)

    print(f"cfg {args.cfg:g}, {args.steps} steps, {args.sampler}, {args.scheduler}, seed {args.seed}")
    half, some = args.count // 2, max(16, args.count // 4)
    rows = prompts(args.count, args.seed)
    images, seen = run([r["caption"] for r in rows], 0)
    judged = judge(seen, rows)
    note("one object", rates(judged))
    note(
        "  shape, by shape",
        {
            s: (sum(j["shape"] for j in js) / max(1, len(js)), len(js))
            for s in draw.SHAPES
            for js in [[j for j, r in zip(judged, rows) if r["slots"][1] == s]]
        },
    )
    note(
        "  texture, by texture",
        {
            t: (sum(j["texture"] for j in js) / max(1, len(js)), len(js))
            for t in draw.TEXTURES
            for js in [[j for j, r in zip(judged, rows) if r["texture"] == t]]
        },
    )
    show(rows, images, seen, 32)
    missed = [i for i, j in enumerate(judged) if False in (j["shape"], j["colour"], j["background"], j["texture"])]
    rows = prompts(half, args.seed + 1, two=True)
    images2, seen2 = run([r["caption"] for r in rows], 10_000)
    note("two objects", rates(judge(seen2, rows)))
    show(rows, images2, seen2, 24)
    for title, word, shape, seed in (
        (f"implicit: {draw.IMPLICIT_WORD}", draw.IMPLICIT_WORD, draw.IMPLICIT_SHAPE, 20_000),
        ("plain word: star", "star", "star", 30_000),
    ):
        rows = prompts(some, args.seed + 2, words={word: shape})
        images1, seen1 = run([r["caption"] for r in rows], seed)
        note(
            title,
            {shape: (seen1.contains(shape).float().mean().item(), some), "none": rates(judge(seen1, rows))["none"]},
        )
        show(rows, images1, seen1, 8)
        bare = [f"a {word}"] * 64
        images1, seen1 = run(bare, seed + 5_000)
        note(f'  "a {word}" alone', {shape: (seen1.contains(shape).float().mean().item(), 64)})
    rows = prompts(
        args.count,
        args.seed + 3,
        two=True,
        words={**{s: s for s in draw.SHAPES if s != "star"}, draw.IMPLICIT_WORD: "star"},
    )
    rows = [r for r in rows if draw.IMPLICIT_WORD in r["caption"]]
    images1, seen1 = run([r["caption"] for r in rows], 40_000)
    note(f"two objects, one a {draw.IMPLICIT_WORD}", rates(judge(seen1, rows)))
    show(rows, images1, seen1, 8)
    toys = [r["caption"] for r in prompts(half, args.seed + 4, words={draw.BIASED_WORD: "circle"})]
    for cfg in args.bias_cfg:
        images1, seen1 = run(toys, 50_000, cfg)
        note(f"biased: {draw.BIASED_WORD}, cfg {cfg:g} (n={half})", shares(seen1))
    show(toys, images1, seen1, 8)
    generic = [r["caption"] for r in prompts(some, args.seed + 5, words={draw.GENERIC_WORD: "circle"})]
    images1, seen1 = run(generic, 60_000)
    note(f"generic: {draw.GENERIC_WORD} (n={some})", shares(seen1))
    show(generic, images1, seen1, 8)
    print(f"{time.monotonic() - began:.0f} s")
    if args.sheet:
        rows = prompts(args.count, args.seed)
        for i in missed[:24]:
            shown.append((images[i], ["MISS " + rows[i]["caption"], "> " + seen.describe()[i]]))
        write_sheet(Path(args.sheet), shown)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
