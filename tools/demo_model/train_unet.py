"""Train the demo model's UNet and text encoder together (v-prediction, the host's own modules) on drawn pictures.

    python3 run.py train unet --out FOLDER [--minutes 60]

Needs vae.safetensors in the same folder. Stops after --minutes of training; run again to resume. A pool of pictures is
drawn and encoded first and part of it is replaced as training goes on. Writes unet.ckpt (resume) and a preview grid.
"""

import argparse
import os
import time

from ..testing import hosting
from . import common

POOL = 49152


def build(demo, generator):
    """The UNet, the CLIP object and the small trainable token table, initialised."""
    import torch

    model = demo.build_unet()
    clip = demo.build_clip()
    text = clip.cond_stage_model.clip_l.transformer.float()
    common.initialise(model.diffusion_model, generator)
    common.initialise(text.text_model, generator)
    with torch.no_grad():
        text.text_model.embeddings.position_embedding.weight.mul_(0.3)
        text.text_projection.weight.copy_(torch.eye(demo.CONTEXT))
    for layer in text.text_model.encoder.layers:  # the host adds in place, which autograd refuses
        layer.forward = _out_of_place(layer)
    return model, clip, text.text_model


def _out_of_place(layer):
    def forward(x, mask=None, optimized_attention=None):
        x = x + layer.self_attn(layer.layer_norm1(x), mask, optimized_attention)
        return x + layer.mlp(layer.layer_norm2(x))

    return forward


class Tokens:
    """Captions to rows of the small table: the start token, the end token, the unknown word, then the known ones."""

    def __init__(self, clip, draw):
        self.clip = clip
        ids = [49406, 49407, -1]
        for word in draw.vocabulary():
            ids += [i for i in self.raw(word) if i not in ids]
        self.ids = ids  # row -> token id (-1: the unknown word)
        self.row = {token: row for row, token in enumerate(ids)}

    def raw(self, caption):
        chunk = self.clip.tokenize(caption)["l"][0]
        return [int(token) for token, _ in chunk if token not in (49406, 49407)]

    def rows(self, caption):
        body = [self.row.get(i, 2) for i in self.raw(caption)]
        return [0] + body + [1] * (76 - len(body))


def encode_text(text_model, table, rows):
    """(n, 77) rows of the table to the (n, 77, width) conditioning the host's CLIP gives."""
    import torch

    return text_model(None, None, embeds=table[rows], num_tokens=[77] * len(rows), dtype=torch.float32)[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    hosting.start()
    import torch
    from safetensors.torch import load_file

    from . import draw

    demo = hosting.module("guards.demo.host")
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed + 1)
    vae = hosting.module("guards.demo.vae").DemoVAE().eval().requires_grad_(False)
    vae.load_state_dict({k: v.float() for k, v in load_file(os.path.join(args.out, "vae.safetensors")).items()})
    model, clip, text_model = build(demo, generator)
    tokens = Tokens(clip, draw)
    unet = model.diffusion_model
    table = torch.nn.Parameter(torch.randn(len(tokens.ids), demo.CONTEXT, generator=generator) * 0.5)
    trained = torch.nn.ModuleDict(dict(unet=unet, text=text_model)).requires_grad_(True)
    text_model.embeddings.token_embedding = torch.nn.Identity()  # the table stands in for it
    parameters = [*trained.parameters(), table]
    average = common.averaged(parameters, 0.999)
    ema = list(average.module.parameters())
    decay = [p for p in parameters if p.ndim > 1 and p is not table]
    rest = [p for p in parameters if p.ndim <= 1 or p is table]
    optimiser = torch.optim.AdamW(
        [dict(params=decay, weight_decay=1e-2), dict(params=rest, weight_decay=0.0)], lr=args.rate, betas=(0.9, 0.98)
    )
    schedule = common.Schedule(args.rate, args.minutes * 60, warmup=90)
    path = os.path.join(args.out, "unet.ckpt")
    step, saved, mean_loss = 0, common.load_checkpoint(path), 0.0
    if saved:
        with torch.no_grad():
            for p, q, value, mean in zip(parameters, ema, saved["parameters"], saved["ema"], strict=True):
                p.copy_(value)
                q.copy_(mean)
        optimiser.load_state_dict(saved["optimiser"])
        schedule.spent, step = saved["spent"], saved["step"]
        average.n_averaged.fill_(1 + step)
        generator.manual_seed(args.seed + 1000 + step)
    print(
        f"unet {sum(p.numel() for p in unet.parameters()) / 1e6:.2f} M, text "
        f"{sum(p.numel() for p in text_model.parameters()) / 1e6:.3f} M, {len(tokens.ids)} token rows",
        flush=True,
    )

    def fresh(n):
        """n new pictures: their latents and their caption rows."""
        spec, captions = draw.sample(n, generator)
        with torch.no_grad():
            latent = vae.encode(draw.draw(spec, scale=1) * 2 - 1)
        return latent, torch.tensor([tokens.rows(c) for c in captions], dtype=torch.uint8)

    began = time.monotonic()
    parts = [fresh(128) for _ in range(POOL // 128)]
    latents, rows = torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])
    print(f"pool of {POOL} pictures in {time.monotonic() - began:.0f} s, latent std {latents.std():.3f}", flush=True)
    empty = torch.tensor(tokens.rows(""), dtype=torch.uint8)
    sampling = model.model_sampling
    sigma = sampling.sigmas.float()
    order, at = torch.randperm(POOL, generator=generator), 0
    schedule.last = last = time.monotonic()
    while schedule.tick():
        if at + args.batch > POOL:
            order, at = torch.randperm(POOL, generator=generator), 0
        pick = order[at : at + args.batch]
        at += args.batch
        x0, row = latents[pick], rows[pick].long()
        drop = torch.rand(args.batch, generator=generator) < 0.1
        row[drop] = empty.long()
        u = torch.rand(args.batch, generator=generator)
        t = torch.where(u < 0.6, 350 + (u / 0.6) * 580, (u - 0.6) / 0.4 * 1000).long().clamp(0, 999)
        s = sigma[t].view(-1, 1, 1, 1)
        a, b = 1 / (1 + s * s).sqrt(), s / (1 + s * s).sqrt()
        noise = torch.randn(x0.shape, generator=generator)
        context = encode_text(text_model, table, row)
        v = unet(a * x0 + b * noise, t.float(), context=context)
        loss = torch.nn.functional.mse_loss(v, a * noise - b * x0)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        average.update_parameters(torch.nn.ParameterList(parameters))
        mean_loss += (loss.item() - mean_loss) * max(0.01, 1 / step)
        if step % 100 == 0:
            print(
                f"step {step} {schedule.spent:.0f} s loss {mean_loss:.4f} rate {schedule.rate():.2e} "
                f"{100 * args.batch / (time.monotonic() - last):.0f} images/s",
                flush=True,
            )
            last = time.monotonic()
        if step % 20 == 0:  # a slow stream of new pictures
            where = torch.randint(0, POOL, (args.batch,), generator=generator)
            latents[where], rows[where] = fresh(args.batch)
        if step % 500 == 0:
            common.save_checkpoint(
                path,
                parameters=[p.detach() for p in parameters],
                ema=ema,
                step=step,
                optimiser=optimiser.state_dict(),
                spent=schedule.spent,
                ids=tokens.ids,
                names=[n for n, _ in trained.named_parameters()] + ["table"],
                seed=args.seed,
                loss=mean_loss,
            )
            preview(
                model,
                vae,
                trained,
                parameters,
                ema,
                lambda c: encode_text(text_model, table, torch.tensor([tokens.rows(x) for x in c])),
                os.path.join(args.out, f"preview_{step:06d}.png"),
            )
            last = time.monotonic()
    common.save_checkpoint(
        path,
        parameters=[p.detach() for p in parameters],
        ema=ema,
        step=step,
        optimiser=optimiser.state_dict(),
        spent=schedule.spent,
        ids=tokens.ids,
        names=[n for n, _ in trained.named_parameters()] + ["table"],
        seed=args.seed,
        loss=mean_loss,
    )


PREVIEW = [
    "a red star on a white background",
    "a blue circle on a black background",
    "a yellow heart and a green square",
    "a zorp on a gray background",
    "a striped orange moon",
    "a dotted purple cross",
    "a toy on a pink background",
    "a green ring",
    "a blue triangle",
    "a purple star and a red moon on a white background",
]


def preview(model, vae, trained, parameters, ema, encode, path, cfg=3.0, steps=12, each=6):
    """Sample a small grid with the averaged weights (DDIM) and write it as a PNG."""
    import torch
    from torchvision.utils import save_image

    raw = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, q in zip(parameters, ema, strict=True):
            p.copy_(q)
        context = torch.cat(
            [encode(PREVIEW).repeat_interleave(each, 0), encode([""]).expand(len(PREVIEW) * each, -1, -1)]
        )
        n = len(context) // 2
        x = torch.randn(n, 16, 8, 8, generator=torch.Generator().manual_seed(0))
        times = torch.linspace(999, 0, steps + 1).round().long()
        bar = 1 / (1 + model.model_sampling.sigmas.float() ** 2)
        for i in range(steps):
            t, u = times[i], times[i + 1]
            a, b = bar[t].sqrt(), (1 - bar[t]).sqrt()
            v = trained["unet"](torch.cat([x, x]), t.float().repeat(2 * n), context=context)
            v = v[n:] + cfg * (v[:n] - v[n:])
            x0, eps = a * x - b * v, b * x + a * v
            x = x0 if i == steps - 1 else bar[u].sqrt() * x0 + (1 - bar[u]).sqrt() * eps
        image = (vae.decode(x).clamp(-1, 1) + 1) / 2
        for p, q in zip(parameters, raw, strict=True):
            p.copy_(q)
    save_image(image, path, nrow=each, padding=0)


if __name__ == "__main__":
    main()
