"""Train the demo world's autoencoder (guards/demo/scene_vae.py, 96x96x3 <-> 12x12x24) on drawn scenes.

    python3 run.py train vae --out FOLDER [--minutes 40]

Stops after --minutes of training; run again with the same folder to resume. --decoder-only keeps the latents as they are
and polishes the decoder (vae_polished.safetensors), while a UNet already trains on them; with --from models/demo_model.safetensors that of
the shipped model, which `train export` puts into it.
"""

import argparse
import os
import random
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ..testing import hosting
from . import common, draw

POOL = 1024  # pictures; every fourth batch is drawn anew and takes the place of others


def start(vae: torch.nn.Module, generator: torch.Generator) -> None:
    """Fan-in scaled weights; every residual branch begins at a tenth of its size."""
    with torch.no_grad():
        for name, p in vae.named_parameters():
            if p.ndim > 1:
                fan = p[0].numel() if "decoder.12" not in name else p.shape[0] * 4
                p.copy_(torch.randn(p.shape, generator=generator) * (1 / fan) ** 0.5 * (0.1 if ".down." in name else 1))
            else:
                p.zero_()


def loss_of(vae: torch.nn.Module, x: torch.Tensor, generator: torch.Generator, frozen: bool, inside) -> tuple:
    """Loss, mean squared error (of a range of 1) and KL of one batch of pictures in -1..1. ``inside``: the context of the evaluation."""
    with inside:
        mean, logvar = (m.float() for m in vae.moments(x))
        sigma = torch.full_like(mean, 0.08) if frozen else (0.5 * logvar).exp()
        y = vae.decode(mean + torch.randn(mean.shape, generator=generator) * sigma)
    error = y.float() - x
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    flat = F.avg_pool2d(error, 8, 4).abs().mean()  # tints of flat areas
    loss = (
        F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1)
        + (10 if frozen else 2) * error.square().mean()
        + 0.4 * edges
        + 0.5 * flat
    )
    return loss + (0 if frozen else 4e-4) * kl, error.square().mean() / 4, kl


def finish(vae: torch.nn.Module, path: str, seed: int, frozen: bool) -> None:
    """Normalise the latents, print the figures on held-out scenes, write the weights and a sheet drawn | rebuilt."""
    spec, _ = draw.sample(512, random.Random(10_000 + seed))
    x = draw.draw(spec) * 2 - 1
    if not frozen:
        z = torch.cat([vae.encode(b) for b in x.split(64)])
        vae.normalise(z.mean((0, 2, 3)), z.std((0, 2, 3)))
    z = torch.cat([vae.encode(b) for b in x.split(64)])
    generator, plain = torch.Generator().manual_seed(seed), spec["style"] == 0
    for noise in (0.0, 0.1, 0.2):
        y = torch.cat([vae.decode(b + noise * torch.randn(b.shape, generator=generator)) for b in z.split(64)]).clamp(
            -1, 1
        )
        each = -10 * torch.log10((y - x).square().mean((1, 2, 3)) / 4)
        whole, own = (-10 * torch.log10((y - x)[rows].square().mean() / 4).item() for rows in (slice(None), plain))
        print(
            f"latent noise {noise}: {whole:.2f} dB over all, plain style {own:.2f} dB, mean of pictures {each.mean():.2f} dB"
        )
    y = torch.cat([vae.decode(b) for b in z.split(64)]).clamp(-1, 1)
    print(f"latent mean {z.mean():.3f} std {z.std():.3f}, {sum(p.numel() for p in vae.parameters())} parameters")
    save_file({k: v.half().contiguous() for k, v in vae.state_dict().items()}, path)
    from PIL import Image

    grid = torch.stack([x[:18], y[:18]], 1).reshape(6, 6, 3, 96, 96).permute(0, 3, 1, 4, 2).reshape(576, 576, 3)
    Image.fromarray(((grid + 1) * 127.5).byte().numpy()).resize((1152, 1152), 0).save(
        path.replace(".safetensors", ".png")
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument("--from", dest="begin", help="an exported demo_model.safetensors whose autoencoder is polished")
    common.precision(parser)
    parser.add_argument("--finish", action="store_true", help="do not train on: write what the checkpoint has")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    vae, frozen = hosting.module("guards.demo.vae").DemoVAE(), args.decoder_only
    start(vae, generator)
    vae.to(memory_format=torch.channels_last)
    final = os.path.join(args.out, "vae.safetensors")
    path = os.path.join(args.out, "vae_polish.ckpt" if frozen else "vae.ckpt")
    if args.begin:
        common.take_vae(args.out, args.begin)
    if frozen:
        vae.load_state_dict({k: v.float() for k, v in load_file(final).items()})
        vae.encoder.requires_grad_(False)
        final = os.path.join(args.out, "vae_polished.safetensors")
    parameters = [p for p in vae.parameters() if p.requires_grad]
    ema = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = common.Schedule(args.rate, args.minutes * 60, warmup=20)
    step, saved = 0, common.load_checkpoint(path)
    if saved:
        vae.load_state_dict(saved["model"])
        ema = saved["ema"]
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step = saved["spent"], saved["step"]
        generator.set_state(saved["generator"])
    rng = random.Random(args.seed * 1_000_003 + step)

    def fresh(n: int) -> torch.Tensor:
        return (draw.draw(draw.sample(n, rng)[0]) * 255).round().byte()

    def save() -> None:
        state = dict(model=vae.state_dict(), ema=ema, optimiser=optimiser.state_dict(), generator=generator.get_state())
        common.save_checkpoint(path, **state, spent=schedule.spent, step=step, seed=args.seed)

    pool = torch.cat([fresh(128) for _ in range(POOL // 128)])
    print(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters in training, pool of {POOL}", flush=True)
    schedule.last = last = time.monotonic()
    while schedule.tick() and not args.finish:
        pick = torch.randint(0, POOL, (args.batch,), generator=generator)
        if step % 4 == 0:
            pool[pick] = fresh(args.batch)
        x = (pool[pick].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        loss, mse, kl = loss_of(vae, x, generator, frozen, common.autocast(args))
        optimiser.param_groups[0]["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(ema, parameters, 1 - min(0.998, (1 + step) / (10 + step)))
        if step % 50 == 0:
            print(
                f"step {step} {schedule.spent:.0f} s loss {loss.item():.4f} psnr {-10 * torch.log10(mse).item():.1f} dB "
                f"kl {float(kl):.2f} {50 * args.batch / (time.monotonic() - last):.0f} images/s",
                flush=True,
            )
            last = time.monotonic()
        if step % 100 == 0:
            save()
    if not args.finish:
        save()
    with torch.no_grad():
        for p, q in zip(parameters, ema, strict=True):
            p.copy_(q)
        finish(vae, final, args.seed, frozen)
    print(f"{step} steps, {schedule.spent:.0f} s")


if __name__ == "__main__":
    main()
