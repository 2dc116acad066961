"""Train the demo world's oracle (guards/demo/scene_oracle.py) on drawn scenes, clean and broken, some through the autoencoder.

    python3 run.py train oracle --out FOLDER [--minutes 60]
    python3 run.py train oracle --out FOLDER --calibrate         # of what is there, how sure it is before it calls a thing broken
    python3 run.py train oracle --out FOLDER --evaluate          # the figures on held-out scenes

Resumable: stops after --minutes of training in all, saves every 200 steps. Writes oracle.safetensors, calibrated at the end.
"""

import argparse
import json
import os
import random
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save as serialise
from torch import Tensor

from ..testing import hosting
from . import broken, common

POOL = 2048  # pictures in memory; every second batch is drawn anew and takes the place of others


def autoencoder(folder: str) -> torch.nn.Module | None:
    """The trained autoencoder, if there is one yet."""
    return common.load_vae(folder) if os.path.exists(os.path.join(folder, "vae.safetensors")) else None


def through(vae: torch.nn.Module, x: Tensor, generator: torch.Generator, most: float = 0.3) -> Tensor:
    """Encode and decode pictures, with some noise on the latents, as a sampler leaves it."""
    with torch.no_grad():
        z = vae.encode(x * 2 - 1)
        z = z + torch.randn(z.shape, generator=generator) * (most * torch.rand(len(z), 1, 1, 1, generator=generator))
        return vae.decode(z).float().add(1).div(2).clamp(0, 1)


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Blur or sharpen, light, tints, noise; a fifth of the pictures stays as it is."""
    n = len(x)

    def u(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    on = (torch.rand(n, 1, 1, 1, generator=generator) < 0.8).float()
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x + (soft - x) * (u(n, 1, 1, 1) * 1.2).clamp(-0.3, 1) * on
    x = (x - 0.5) * (1 + 0.10 * u(n, 1, 1, 1) * on) + 0.5 + 0.04 * u(n, 3, 1, 1) * on
    cloud = F.interpolate(
        torch.randn(n, 3, 12, 12, generator=generator), size=x.shape[2:], mode="bilinear", align_corners=True
    )
    return (x + (cloud + torch.randn(x.shape, generator=generator)) * (0.03 * on * u(n, 1, 1, 1).clamp(min=0))).clamp(
        0, 1
    )


def losses(out: tuple, y: dict[str, Tensor]) -> Tensor:
    """Cross-entropies of all heads; cells with something and empty ones weigh the same in sum."""
    classes, genders, tones, background, style = out
    each = F.cross_entropy(classes, y["cells"], ignore_index=-1, reduction="none")
    full, free = (y["cells"] >= 0) & (y["cells"] != broken.NOTHING), y["cells"] == broken.NOTHING
    loss = (
        each[full].mean() + each[free].mean() * 3 + each[free].topk(max(1, int(free.sum()) // 100)).values.mean() * 0.3
    )
    for logits, key, weight in (
        (genders, "genders", 0.3),
        (tones, "tones", 0.3),
        (background, "background", 0.3),
        (style, "style", 0.2),
    ):
        if (y[key] >= 0).any():
            loss = loss + weight * F.cross_entropy(logits, y[key], ignore_index=-1)
    return loss


def score(oracle, x: Tensor, y: dict[str, Tensor]) -> dict[str, float]:
    """Shares of what is right, cell by cell: a thing is right if its peak is within one cell of its middle."""
    seen, tally = (
        oracle.see(x),
        dict.fromkeys(("thing", "said", "gender", "tone", "people", "broken", "said broken", "both", "extra"), 0),
    )
    for i, row in enumerate(seen.things):
        want = [
            (*p, int(y["cells"][i, p[0], p[1]]))
            for p in ((y["cells"][i] >= 0) & (y["cells"][i] != broken.NOTHING)).nonzero().tolist()
        ]
        free = list(row)
        for cy, cx, k in want:
            near = [t for t in free if abs(t.x * 12 - 0.5 - cx) <= 1.01 and abs(t.y * 12 - 0.5 - cy) <= 1.01]
            hit = next((t for t in near if t.name == broken.CLASSES[k]), near[0] if near else None)
            if hit:
                free.remove(hit)
            right = hit is not None and hit.name == broken.CLASSES[k]
            if k == broken.BROKEN:
                tally["broken"] += 1
                tally["both"] += right
            else:
                tally["thing"] += right
                tally["said"] += 1
                if right and hit.gender and int(y["tones"][i, cy, cx]) >= 0:
                    tally["people"] += 1
                    tally["gender"] += hit.gender == broken.NAMES["genders"][int(y["genders"][i, cy, cx])]
                    tally["tone"] += hit.tone == broken.NAMES["tones"][int(y["tones"][i, cy, cx])]
            tally["said broken"] += hit is not None and hit.name == "broken"
        tally["said broken"] += sum(t.name == "broken" for t in free)
        tally["extra"] += len(free)
    judged = y["background"] >= 0
    ground = torch.tensor([broken.NAMES["backgrounds"].index(b) for b in seen.background])
    style = torch.tensor([broken.NAMES["styles"].index(s) for s in seen.style])
    return dict(
        thing=tally["thing"] / max(1, tally["said"]),
        extra=tally["extra"] / len(x),
        gender=tally["gender"] / max(1, tally["people"]),
        tone=tally["tone"] / max(1, tally["people"]),
        background=(ground == y["background"])[judged].float().mean().item(),
        style=(style == y["style"]).float().mean().item(),
        broken_precision=tally["both"] / max(1, tally["said broken"]),
        broken_recall=tally["both"] / max(1, tally["broken"]),
    )


def calibrate(oracle, seed: int, n: int = 4096, precision: float = 0.982) -> float:
    """Lower the bias of *broken* until that share of what is called so is; the figure of the last try, on scenes that neither training nor
    ``evaluate`` has seen. What is broken by a little passes for whole then, so it goes down no further than need be."""
    x, y, _ = broken.scenes(n, random.Random(40_000 + seed), 0.33)
    for _ in range(40):
        figures = score(oracle, x, y)
        if figures["broken_precision"] >= precision:
            break
        oracle.cells.bias.data[broken.BROKEN] -= 0.05
    return figures["broken_precision"]


def evaluate(oracle, vae, seed: int, n: int = 1024) -> None:
    """Print the figures on scenes of a seed that training never used."""
    generator = torch.Generator().manual_seed(seed)
    for name, share, again in (("clean", 0.0, False), ("a third broken", 0.33, False), ("clean, rebuilt", 0.0, True)):
        if again and vae is None:
            continue
        x, y, _ = broken.scenes(n, random.Random(20_000 + seed), share)
        if again:
            x = torch.cat([through(vae, b, generator, 0.2) for b in x.split(64)])
        print(f"{name} (n={n}): " + ", ".join(f"{k} {v:.4f}" for k, v in score(oracle, x, y).items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--from", dest="begin", help="an exported demo_oracle.safetensors to go on from, without oracle.ckpt"
    )
    common.precision(parser)
    parser.add_argument(
        "--calibrate", action="store_true", help="do not train: calibrate what --from names or the folder has"
    )
    parser.add_argument("--evaluate", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    module, final = hosting.module("guards.demo.oracle"), os.path.join(args.out, "oracle.safetensors")
    vae = autoencoder(args.out)
    if args.evaluate:
        return evaluate(module.load(final), vae, args.seed)
    about = {key: json.dumps(value) for key, value in broken.NAMES.items()}
    about |= {"format": module.FORMAT, "licence": "MIT"}

    def write(oracle) -> None:
        weights = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in oracle.state_dict().items()}
        os.makedirs(args.out, exist_ok=True)
        hosting.module("guards.files").write(final, serialise(weights, metadata=about))

    def finish() -> None:
        oracle = module.load(args.begin if args.calibrate and args.begin else final)
        print(f"broken with precision {calibrate(oracle, args.seed):.4f}, bias {oracle.cells.bias[broken.BROKEN]:.3f}")
        write(oracle)
        evaluate(module.load(final), vae, args.seed)

    if args.calibrate:
        return finish()
    generator = torch.Generator().manual_seed(args.seed)
    model, average = module.Oracle(broken.NAMES), module.Oracle(broken.NAMES).eval().requires_grad_(False)
    average.load_state_dict(model.state_dict())
    model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.02)
    schedule, path, step, mean = (
        common.Schedule(args.rate, args.minutes * 60, warmup=30),
        os.path.join(args.out, "oracle.ckpt"),
        0,
        0.0,
    )
    saved = common.load_checkpoint(path)
    if args.begin and not saved:
        begun = module.load(args.begin).state_dict()
        model.load_state_dict(begun)
        average.load_state_dict(begun)
    if saved:
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step, mean = saved["spent"], saved["step"], saved["loss"]
    rng = random.Random(args.seed * 1_000_003 + step)

    def fresh(n: int) -> tuple[Tensor, dict[str, Tensor]]:
        x, y, _ = broken.scenes(n, rng)
        if vae is not None:
            with common.autocast(args):
                x[: n // 2] = through(vae, x[: n // 2], generator)
        return (x * 255).round().byte(), y

    def save() -> None:
        state = dict(model=model.state_dict(), average=average.state_dict(), optimiser=optimiser.state_dict())
        common.save_checkpoint(path, **state, spent=schedule.spent, step=step, seed=args.seed, loss=mean)
        write(average)

    parts = [fresh(128) for _ in range(POOL // 128)]
    pictures, labels = torch.cat([a for a, _ in parts]), {k: torch.cat([b[k] for _, b in parts]) for k in parts[0][1]}
    print(f"oracle {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M, {len(model.classes)} classes", flush=True)
    schedule.last = last = time.monotonic()
    while schedule.tick():
        pick = torch.randperm(POOL, generator=generator)[: args.batch]
        if step % 2 == 0:
            pictures[pick], new = fresh(args.batch)
            for key, value in new.items():
                labels[key][pick] = value
        x = augment(pictures[pick].float() / 255, generator).contiguous(memory_format=torch.channels_last)
        with common.autocast(args):
            out = model(x)
        loss = losses(tuple(head.float() for head in out), {k: v[pick] for k, v in labels.items()})
        optimiser.param_groups[0]["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        step += 1
        mean += (loss.item() - mean) * max(0.02, 1 / step)
        with torch.no_grad():
            for p, q in zip(average.state_dict().values(), model.state_dict().values()):
                p.lerp_(q, 1 - min(0.997, (1 + step) / (10 + step))) if p.is_floating_point() else p.copy_(q)
        if step % 100 == 0:
            speed = 100 * args.batch / (time.monotonic() - last)
            print(f"step {step} {schedule.spent:.0f} s loss {mean:.4f} {speed:.0f} images/s", flush=True)
            last = time.monotonic()
        if step % 200 == 0:
            save()
    save()
    finish()


if __name__ == "__main__":
    main()
