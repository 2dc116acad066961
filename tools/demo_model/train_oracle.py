"""Train the oracle (guards/demo/oracle.py) on drawn pictures, clean and broken, and on their VAE reconstructions.

    python3 run.py train oracle --out FOLDER [--minutes 6]

A pool of pictures is drawn once (oracle_pool.pt); with vae.safetensors in the folder half of it goes through the demo
model's VAE. Stops after --minutes of processor time; run again to resume. Writes models/demo_oracle.safetensors.
"""

import argparse
import json
import math
import os
import time

from .. import PROJECT
from ..testing import hosting
from . import common

CLEAN, BROKEN, FADES = 10240, 16384, 2048
VERSION = 3  # of the pool's recipe


class Autoencoder:
    """The demo model's VAE with the weights of the training folder; pictures are (n, 3, h, w) in 0..1."""

    def __init__(self, path):
        from safetensors.torch import load_file

        self.model = hosting.module("guards.demo.vae").DemoVAE().eval().requires_grad_(False)
        self.model.load_state_dict({k: v.float() for k, v in load_file(path).items()})

    def encode(self, x):
        return self.model.encode(x * 2 - 1)

    def decode(self, z):
        return self.model.decode(z).add(1).div(2).clamp(0, 1)


def make_vae(folder):
    path = os.path.join(folder, "vae.safetensors")
    return Autoencoder(path) if os.path.exists(path) else None


def through(vae, x, generator, most=0.25):
    """Encode and decode pictures, with some noise on the latent, as a sampler leaves it."""
    import torch

    z = vae.encode(x)
    z = z + torch.randn(z.shape, generator=generator) * (most * torch.rand(len(z), 1, 1, 1, generator=generator))
    return vae.decode(z)


def ghosts(vae, n, generator, broken, draw):
    """Latents that show no shape: mixtures of two pictures' latents, and pure noise."""
    import torch

    a, b = broken.evenly(n, generator), broken.evenly(n, generator)
    for key in ("shape", "shape2"):
        b[key] = torch.where((b[key] == a[key]) | (b[key] < 0), (a[key] + 3) % 8, b[key])
    b["shape2"] = torch.where(a["shape2"] < 0, -1, b["shape2"])
    b["geometry"] = draw.geometry(n, a["shape2"] >= 0, generator)
    t = 0.4 + 0.2 * torch.rand(n, 1, 1, 1, generator=generator)
    za, zb = (vae.encode(draw.draw(s, 1)) for s in (a, b))
    z = ((1 - t) * za + t * zb) / (t**2 + (1 - t) ** 2) ** torch.rand(n, 1, 1, 1, generator=generator).mul(0.5)
    labels = broken.merged(a, b)
    pure = torch.rand(n, generator=generator) < 0.25
    z[pure] = torch.randn(z[pure].shape, generator=generator) * (
        0.5 + 0.5 * torch.rand(int(pure.sum()), 1, 1, 1, generator=generator)
    )
    labels["slots"][pure] = torch.tensor([broken.ABSENT, broken.NONE, broken.ABSENT])
    soft = torch.tensor([s in ("circle", "square", "ring", "moon") for s in draw.SHAPES])
    for key, slots in (("shape", [0, 1]), ("shape2", [2])):  # halfway between these there may well be one of them
        for slot in slots:
            labels["slots"][soft[a[key]] & soft[b[key]] & (labels["slots"][:, slot] == broken.NONE) & ~pure, slot] = -1
    for key in ("colours", "texture", "background"):
        labels[key][pure] = -1
    return vae.decode(z), labels


def make_pool(vae, sizes, generator, share=0.5, scales=(1, 1, 1, 2), progress=False):
    """Pictures as bytes, their labels, and which of them went through the VAE."""
    import torch

    from . import broken, draw

    clean, bad, fades = sizes
    jobs = ["clean"] * (clean // 128) + ["broken"] * (bad // 128) + ["fades"] * (fades // 128)
    jobs += ["ghosts"] * (fades // 128 if vae else 0)
    pictures, labels, decoded = [], [], []
    for i, job in enumerate(jobs):
        scale = scales[i % len(scales)]
        if job == "clean":
            spec = broken.evenly(128, generator)
            x, y = draw.draw(spec, scale), dict(broken.truth(spec), kind=torch.full((128,), -1))
        elif job == "broken":
            x, y = broken.sample(128, generator, scale)
        elif job == "fades":
            x, y = broken.crossfades(128, generator, scale)
        else:
            x, y = ghosts(vae, 128, generator, broken, draw)
        again = int(128 * share) if vae and job != "ghosts" else 0
        if again:
            x[:again] = through(vae, x[:again], generator)
            lost = (torch.arange(128) < again) & (y["kind"] == broken.KINDS.index("faint"))
            y["slots"][lost] = torch.where(y["slots"][lost] == broken.NONE, -1, y["slots"][lost])  # the VAE may drop it
        pictures.append((x * 255).round().byte())
        labels.append(y)
        decoded.append(torch.arange(128) < (128 if job == "ghosts" else again))
        if progress and i % 30 == 29:
            print(f"pool {i + 1}/{len(jobs)}", flush=True)
    return torch.cat(pictures), {k: torch.cat([y[k] for y in labels]) for k in labels[0]}, torch.cat(decoded)


def augment(x, generator, strength=1.0):
    """Small moves, bends, blur, light and noise; a fifth of the pictures stays as it is."""
    import torch
    import torch.nn.functional as F

    n = len(x)
    on = (torch.rand(n, 1, 1, 1, generator=generator) < 0.8).float() * strength

    def u(*shape):
        return torch.rand(*shape, generator=generator) * 2 - 1

    angle, size, move = u(n) * 0.09, 1 + u(n) * 0.07, u(n, 2) * (2.5 / 32)
    k = on.view(n)
    angle, size, move = angle * k, 1 + (size - 1) * k, move * k[:, None]
    c, s = angle.cos() * size, angle.sin() * size
    grid = F.affine_grid(
        torch.stack([torch.stack([c, -s, move[:, 0]], 1), torch.stack([s, c, move[:, 1]], 1)], 1),
        x.shape,
        align_corners=False,
    )
    cells = int(torch.randint(6, 14, (), generator=generator))  # from a lean to the wobbly edges of a young model
    bend = F.interpolate(
        torch.randn(n, 2, cells, cells, generator=generator), size=x.shape[2:], mode="bicubic", align_corners=True
    )
    bend = bend * (on * torch.rand(n, 1, 1, 1, generator=generator)) * (1.3 / 32)
    x = F.grid_sample(x, grid + bend.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    soft = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), (line[:, None] * line).expand(3, 1, 5, 5), groups=3)
    x = x + (soft - x) * (u(n, 1, 1, 1) * 1.2).clamp(-0.3, 1) * on  # blurred a little, or sharpened
    x = (x - 0.5) * (1 + 0.12 * u(n, 1, 1, 1) * on) + 0.5 + 0.06 * u(n, 3, 1, 1) * on
    x = x + torch.randn(x.shape, generator=generator) * (0.05 * on * u(n, 1, 1, 1).clamp(min=0))
    cloud = F.interpolate(
        torch.randn(n, 3, 8, 8, generator=generator), size=x.shape[2:], mode="bilinear", align_corners=True
    )
    return (x + cloud * (0.05 * on * u(n, 1, 1, 1).clamp(min=0))).clamp(0, 1)


def losses(out, y):
    import torch.nn.functional as F

    def ce(logits, labels):
        return F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-1, label_smoothing=0.01
        )

    slots, colours, texture, background = out
    return (
        3 * ce(slots, y["slots"])
        + ce(colours, y["colours"])
        + 0.7 * ce(texture, y["texture"])
        + 0.5 * ce(background, y["background"])
    )


def report(oracle, name, x, y):
    """Print the accuracy of every head on one set; return it."""
    NONE = hosting.module("guards.demo.oracle").NONE

    seen = oracle.see(x)
    rows = {}
    for head, found in (
        ("slots", seen.slots),
        ("colours", seen.colours),
        ("texture", seen.texture),
        ("background", seen.background),
    ):
        judged = y[head] >= 0
        rows[head] = (found == y[head])[judged].float().mean().item() if judged.any() else float("nan")
    rows["picture"] = ((seen.slots == y["slots"]) | (y["slots"] < 0)).all(1).float().mean().item()
    said, true = (seen.slots == NONE) & (y["slots"] >= 0), y["slots"] == NONE
    both = (said & true).sum().item()
    text = (
        f", none: precision {both / max(1, said.sum().item()):.4f} recall {both / true.sum().item():.4f}"
        if true.any()
        else f", clear slots called none: {said.sum().item()}"
    )
    print(f"{name} (n={len(x)}): " + ", ".join(f"{k} {v:.4f}" for k, v in rows.items()) + text, flush=True)
    return rows


def evaluate(oracle, vae, seed, n=4096):
    """Held-out figures: pictures of a seed that training never used."""
    import torch

    from . import broken, draw

    generator = torch.Generator().manual_seed(seed)

    def clean(scale):
        spec = broken.evenly(n // 2, generator)
        return draw.draw(spec, scale), broken.truth(spec)

    parts = [clean(1), clean(2)]
    x, y = torch.cat([a for a, _ in parts]), {k: torch.cat([b[k] for _, b in parts]) for k in parts[0][1]}
    out = {"clean": report(oracle, "clean drawings", x, y)}
    report(oracle, "clean, augmented", augment(x, generator), y)
    if vae:
        report(
            oracle,
            "clean, reconstructed",
            torch.cat([through(vae, b, generator, 0.0) for b in x[::4].split(128)]),
            {k: v[::4] for k, v in y.items()},
        )
        report(
            oracle,
            "clean, reconstructed with latent noise 0.25",
            torch.cat([through(vae, b, generator) for b in x[1::4].split(128)]),
            {k: v[1::4] for k, v in y.items()},
        )
    parts = [broken.sample(512, generator, 1 + i % 2) for i in range(n // 1024)]
    bx, by = torch.cat([a for a, _ in parts]), {k: torch.cat([b[k] for _, b in parts]) for k in parts[0][1]}
    out["broken"] = report(oracle, "broken and missing objects", bx, by)
    fx, fy = broken.crossfades(n // 8, generator)
    report(oracle, "cross-fades", fx, fy)
    report(oracle, "all of these", torch.cat([x, bx, fx]), {k: torch.cat([y[k], by[k], fy[k]]) for k in y})
    if vae:
        report(
            oracle,
            "broken, reconstructed",
            torch.cat([through(vae, b, generator, 0.0) for b in bx[::2].split(128)]),
            {k: v[::2] for k, v in by.items()},
        )
        report(oracle, "latent mixtures and noise", *ghosts(vae, n // 8, generator, broken, draw))
    seen, none = oracle.see(bx), broken.NONE
    for i, kind in enumerate(broken.KINDS):
        rows = (by["kind"] == i) & ((by["slots"] == none).sum(1) == 1)
        if rows.any():
            print(
                f"  {kind}: recall {((seen.slots == none) & (by['slots'] == none))[rows].any(1).float().mean():.3f} of {rows.sum()}"
            )
    names = [*draw.SHAPES, "none", "absent"]
    table = torch.zeros(10, 10, dtype=torch.long)
    ax, ay = torch.cat([x, bx]), torch.cat([y["slots"], by["slots"]])
    table.index_put_(
        (ay.flatten(), oracle.see(ax).slots.flatten()), torch.ones(ay.numel(), dtype=torch.long), accumulate=True
    )
    worst = [(int(table[i, j]), names[i], names[j]) for i in range(10) for j in range(10) if i != j and table[i, j]]
    print(
        "  confusions (true -> said): " + ", ".join(f"{a} -> {b} {k}" for k, a, b in sorted(worst, reverse=True)[:12])
    )
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", default=os.path.join(PROJECT, "models", "demo_oracle.safetensors"))
    parser.add_argument("--evaluate", action="store_true", help="only print the figures of the weights that are there")
    args = parser.parse_args()
    import torch

    module = hosting.module("guards.demo.oracle")

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    vae = make_vae(args.out)
    if args.evaluate:
        with torch.inference_mode():
            evaluate(module.load(args.weights), vae, 20_000 + args.seed)
        return
    cache, path = os.path.join(args.out, "oracle_pool.pt"), os.path.join(args.out, "oracle.ckpt")
    recipe = [VERSION, args.seed, CLEAN, BROKEN, FADES, vae is not None]
    pool = common.load_checkpoint(cache)
    if pool is None or pool["recipe"] != recipe:
        began = time.monotonic()
        with torch.no_grad():
            pictures, labels, decoded = make_pool(
                vae, (CLEAN, BROKEN, FADES), torch.Generator().manual_seed(args.seed), progress=True
            )
        pool = dict(pictures=pictures, labels=labels, decoded=decoded, recipe=recipe)
        common.save_checkpoint(cache, **pool)
        print(
            f"pool of {len(pictures)} pictures in {time.monotonic() - began:.0f} s, "
            f"{decoded.float().mean():.0%} of them decoded by the VAE",
            flush=True,
        )
    pictures, labels = pool["pictures"], pool["labels"]
    generator = torch.Generator().manual_seed(args.seed + 1)
    model = module.Oracle().to(memory_format=torch.channels_last)
    for p in model.parameters():
        if p.ndim > 1:
            with torch.no_grad():
                p.copy_(torch.randn(p.shape, generator=generator) * math.sqrt(2 / p[0].numel()))
    model.heads.weight.data.mul_(0.3)
    average = common.averaged(model, 0.995)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.02)
    schedule = common.Schedule(args.rate, args.minutes * 60, warmup=15)
    step, saved, mean = 0, common.load_checkpoint(path), 0.0
    if saved:
        model.load_state_dict(saved["model"])
        average.module.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step = saved["spent"], saved["step"]
        average.n_averaged.fill_(1 + step)
        generator.manual_seed(args.seed + 1000 + step)
    print(f"oracle {sum(p.numel() for p in model.parameters()) / 1e6:.3f} M, pool {len(pictures)}", flush=True)

    def save():
        common.save_checkpoint(
            path,
            model=model.state_dict(),
            average=average.module.state_dict(),
            optimiser=optimiser.state_dict(),
            spent=schedule.spent,
            step=step,
            seed=args.seed,
            loss=mean,
        )

    order, at = torch.randperm(len(pictures), generator=generator), 0
    last, before = time.monotonic(), time.process_time()
    model.train()
    while schedule.spent < schedule.seconds:
        if at + args.batch > len(order):
            order, at = torch.randperm(len(pictures), generator=generator), 0
        pick = order[at : at + args.batch]
        at += args.batch
        x = augment(pictures[pick].float() / 255, generator)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x.contiguous(memory_format=torch.channels_last))
        loss = losses([head.float() for head in out], {k: v[pick] for k, v in labels.items()})
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        step += 1
        schedule.spent, before = schedule.spent + time.process_time() - before, time.process_time()
        average.update_parameters(model)
        mean += (loss.item() - mean) * max(0.01, 1 / step)
        if step % 100 == 0:
            print(
                f"step {step} {schedule.spent:.0f} s loss {mean:.4f} {100 * args.batch / (time.monotonic() - last):.0f} images/s",
                flush=True,
            )
            last = time.monotonic()
        if step % 400 == 0:
            save()
    save()
    from safetensors.torch import save_file

    lists = dict(
        slots=module.SLOTS,
        classes=module.CLASSES,
        colours=module.COLOURS,
        backgrounds=module.BACKGROUNDS,
        textures=module.TEXTURES,
    )
    weights = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in average.module.state_dict().items()}
    os.makedirs(os.path.dirname(args.weights), exist_ok=True)
    save_file(weights, args.weights, metadata=dict({k: json.dumps(v) for k, v in lists.items()}, format=module.FORMAT))
    print(
        f"{step} steps, {step * args.batch} pictures, {schedule.spent:.0f} s, loss {mean:.4f}, seed {args.seed}; "
        f"{os.path.getsize(args.weights)} bytes",
        flush=True,
    )
    with torch.inference_mode():
        evaluate(module.load(args.weights), vae, 20_000 + args.seed)


if __name__ == "__main__":
    main()
