"""Train the demo model's autoencoder (the host's AutoencoderKL, 64x64x3 <-> 8x8x16) on drawn pictures.

    python -m demo_model.train_vae --comfyui PATH --out FOLDER [--minutes 10]

Stops after --minutes of training; run again with the same folder to resume. At the end the latent channels are
normalised to zero mean and unit variance, exactly, inside quant_conv and post_quant_conv.
"""
import argparse
import os
import time

from . import common


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    common.start_host(args.comfyui)
    import torch
    import torch.nn.functional as F
    from comfy.ldm.models.autoencoder import AutoencoderKL

    from . import draw
    demo = common.host_module("guards.host.demo_model")
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    vae = AutoencoderKL(ddconfig=demo.VAE, embed_dim=demo.VAE["z_channels"]).float()
    common.initialise(vae, generator)
    vae.requires_grad_(True)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = common.Schedule(2e-3, args.minutes * 60, warmup=20)
    path = os.path.join(args.out, "vae.ckpt")
    step, saved = 0, common.load_checkpoint(path)
    if saved:
        vae.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step = saved["spent"], saved["step"]
        generator.set_state(saved["generator"])

    def save():
        common.save_checkpoint(path, model=vae.state_dict(), optimiser=optimiser.state_dict(), spent=schedule.spent,
                               step=step, generator=generator.get_state(), seed=args.seed)
    last = time.monotonic()
    while schedule.tick():
        spec, _ = draw.sample(args.batch, generator)
        x = draw.draw(spec, scale=1) * 2 - 1
        patches = demo.to_patches((x + 1) / 2)
        with torch.autocast("cpu", torch.bfloat16):
            moments = vae.quant_conv(vae.encoder(patches)).float()
            mean, logvar = moments.chunk(2, 1)
            logvar = logvar.clamp(-12, 4)
            z = mean + torch.randn(mean.shape, generator=generator) * (0.5 * logvar).exp()
            y = F.pixel_shuffle(vae.decoder(vae.post_quant_conv(z)).float(), demo.PATCH)
        kl = 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).mean()
        error = y - x
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        loss = F.smooth_l1_loss(y, x, beta=0.1) + 0.5 * error.square().mean() + 0.5 * edges + 1e-4 * kl
        optimiser.param_groups[0]["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 100 == 0:
            psnr = -10 * torch.log10((error / 2).square().mean()).item()
            print(f"step {step} {schedule.spent:.0f} s loss {loss.item():.4f} psnr {psnr:.1f} dB kl {kl.item():.2f} "
                  f"std {mean.std().item():.2f} sigma {(0.5 * logvar).exp().mean().item():.3f} "
                  f"{100 * args.batch / (time.monotonic() - last):.0f} images/s", flush=True)
            last = time.monotonic()
        if step % 500 == 0:
            save()
    save()
    finish(vae, demo, draw, args, F)


def finish(vae, demo, draw, args, F):
    """Normalise the latent, write the weights, print the quality on pictures that training never saw."""
    import torch
    from safetensors.torch import save_file
    vae.eval()
    with torch.no_grad():
        spec, _ = draw.sample(1024, torch.Generator().manual_seed(10_000 + args.seed))
        x = draw.draw(spec)
        c = demo.DemoLatent.latent_channels
        z = torch.cat([vae.encode(demo.to_patches(b)) for b in x.split(64)])
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
        q, p = vae.quant_conv, vae.post_quant_conv
        p.bias.add_(p.weight[:, :, 0, 0] @ mean)
        p.weight.mul_(std.view(1, c, 1, 1))
        q.weight[:c].div_(std.view(c, 1, 1, 1))
        q.bias[:c].sub_(mean).div_(std)
        q.bias[c:].sub_(2 * std.log())
        z = torch.cat([vae.encode(demo.to_patches(b)) for b in x.split(64)])
        y = torch.cat([demo.from_patches(vae.decode(b)) for b in z.split(64)])
        noisy = torch.cat([demo.from_patches(vae.decode(b + 0.1 * torch.randn(b.shape))) for b in z.split(64)])
    for name, picture in (("reconstruction", y), ("with latent noise 0.1", noisy)):
        print(f"{name}: psnr {-10 * torch.log10(F.mse_loss(picture, x)).item():.2f} dB")
    save_file({k: v.half().contiguous() for k, v in vae.state_dict().items()}, os.path.join(args.out, "vae.safetensors"))
    from PIL import Image
    grid = torch.stack([x[:32], y[:32]], 1).reshape(8, 8, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(512, 512, 3)
    Image.fromarray((grid * 255).byte().numpy()).resize((1024, 1024), 0).save(os.path.join(args.out, "vae.png"))


if __name__ == "__main__":
    main()
