"""Train the demo model's autoencoder (guards/demo/vae.py, 64x64x3 <-> 8x8x16) on drawn pictures.

    python3 run.py train vae --out FOLDER [--minutes 8]

Stops after --minutes of training; run again with the same folder to resume. --decoder-only keeps the latents as they are
(for polishing while a UNet already trains on them).
"""

import argparse
import os
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torchvision.utils import save_image

from ..testing import hosting
from . import common, draw


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--decoder-only", action="store_true")
    args = parser.parse_args()
    DemoVAE = hosting.module("guards.demo.vae").DemoVAE
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    vae = DemoVAE()
    final, path = (
        os.path.join(args.out, "vae.safetensors"),
        os.path.join(args.out, "vae_polish.ckpt" if args.decoder_only else "vae.ckpt"),
    )
    if args.decoder_only:
        vae.load_state_dict({k: v.float() for k, v in load_file(final).items()})
        vae.encoder.requires_grad_(False)
        final = os.path.join(args.out, "vae_polished.safetensors")
    parameters = [p for p in vae.parameters() if p.requires_grad]
    average = common.averaged(parameters, 0.998)
    ema = list(average.module.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = common.Schedule(args.rate, args.minutes * 60, warmup=10)
    step, saved = 0, common.load_checkpoint(path)
    if saved:
        vae.load_state_dict(saved["model"])
        with torch.no_grad():
            for p, q in zip(ema, saved["ema"], strict=True):
                p.copy_(q)
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step = saved["spent"], saved["step"]
        average.n_averaged.fill_(1 + step)
        generator.set_state(saved["generator"])

    def save():
        common.save_checkpoint(
            path,
            model=vae.state_dict(),
            ema=ema,
            optimiser=optimiser.state_dict(),
            spent=schedule.spent,
            step=step,
            generator=generator.get_state(),
            seed=args.seed,
        )

    last = time.monotonic()
    while schedule.tick():
        spec, _ = draw.sample(args.batch, generator)
        x = draw.draw(spec, scale=1) * 2 - 1
        mean, logvar = vae.moments(x)
        if args.decoder_only:  # latents as the UNet will give them: nearly, not quite
            z, kl = mean + 0.08 * torch.randn(mean.shape, generator=generator), 0.0
        else:
            z = mean + torch.randn(mean.shape, generator=generator) * (0.5 * logvar).exp()
            kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        error = vae.decode(z) - x
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        loss = (
            F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1) + error.square().mean() + 0.5 * edges + 4e-4 * kl
        )
        optimiser.param_groups[0]["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        average.update_parameters(torch.nn.ParameterList(parameters))
        if step % 200 == 0:
            psnr = -10 * torch.log10((error / 2).square().mean()).item()
            print(
                f"step {step} {schedule.spent:.0f} s loss {loss.item():.4f} psnr {psnr:.1f} dB kl {float(kl):.2f} "
                f"std {mean.std().item():.2f} sigma {(0.5 * logvar).exp().mean().item():.3f} "
                f"{200 * args.batch / (time.monotonic() - last):.0f} images/s",
                flush=True,
            )
            last = time.monotonic()
        if step % 1000 == 0:
            save()
    save()
    with torch.no_grad():
        for p, q in zip(parameters, ema, strict=True):
            p.copy_(q)
        spec, _ = draw.sample(1024, torch.Generator().manual_seed(10_000 + args.seed))
        x = draw.draw(spec) * 2 - 1
        if not args.decoder_only:
            z = torch.cat([vae.encode(b) for b in x.split(64)])
            vae.normalise(z.mean((0, 2, 3)), z.std((0, 2, 3)))
        z = torch.cat([vae.encode(b) for b in x.split(64)])
        y = torch.cat([vae.decode(b) for b in z.split(64)]).clamp(-1, 1)
        for noise in (0.0, 0.1, 0.2):
            out = torch.cat([vae.decode(b + noise * torch.randn(b.shape)) for b in z.split(64)]).clamp(-1, 1)
            print(f"latent noise {noise}: psnr {-10 * torch.log10(F.mse_loss(out, x) / 4).item():.2f} dB")
    print(
        f"latent mean {z.mean():.3f} std {z.std():.3f}, {sum(p.numel() for p in vae.parameters())} parameters, {step} steps"
    )
    save_file({k: v.half().contiguous() for k, v in vae.state_dict().items()}, final)
    pairs = torch.stack([x[:32], y[:32]], 1).flatten(0, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    save_image((pairs + 1) / 2, final.replace(".safetensors", ".png"), nrow=8, padding=0)


if __name__ == "__main__":
    main()
