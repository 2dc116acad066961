"""Train the demo world's UNet and text encoder together (v-prediction, the host's own modules) on the pool of fill.py.

Matrices and convolutions inside the networks learn by Muon (Jordan et al. 2024), everything else by AdamW.

    python3 run.py train unet --out FOLDER [--minutes 240]

Needs vae.safetensors and pool/ in the same folder. One cosine over --minutes of training; stop it when you like (it saves
every 250 steps) and run it again to resume. Writes unet.ckpt (resume) and preview grids.
"""

import argparse
import glob
import os

from ..testing import hosting
from . import common, words

PREVIEW = [
    "a knife on a white background",
    "a beer and a pizza on the beach",
    "a doctor on the street",
    "a dark woman firefighter and a dog at night",
    "a party in the kitchen",
    "a farmer with a beer on a blue background",
    "a cigarette, a cat and a book on a white background",
    "a woman cook in front of a house on the street",
    "a skull above a rose on a blue background by kubo",
    "a zorp and a teacher on the beach by varga",
]


def _out_of_place(layer):
    """The host adds in place, which autograd refuses."""

    def forward(x, mask=None, optimized_attention=None):
        x = x + layer.self_attn(layer.layer_norm1(x), mask, optimized_attention)
        return x + layer.mlp(layer.layer_norm2(x))

    return forward


class Tokens:
    """Captions to rows of the small table: the start token, the end token, the unknown word, then the known ones."""

    def __init__(self, clip) -> None:
        self.clip, self.known = clip, {}
        ids = [49406, 49407, -1]
        for word in words.vocabulary():
            ids += [i for i in self.raw(word) if i not in ids]
        self.ids = ids  # row -> token id (-1: the unknown word)
        self.row = {token: row for row, token in enumerate(ids)}

    def raw(self, caption: str) -> list[int]:
        chunk = self.clip.tokenize(caption)["l"][0]
        return [int(token) for token, _ in chunk if token not in (49406, 49407)]

    def rows(self, caption: str) -> list[int]:
        body = []
        for word in caption.replace(",", " ,").split():
            if word not in self.known:
                self.known[word] = [self.row.get(i, 2) for i in self.raw(word)]
            body += self.known[word]
        return [0] + body + [1] * (76 - len(body))


def build(demo, generator):
    """The UNet and the CLIP object, initialised; the text model's layers work out of place, as autograd needs."""
    import torch

    model, clip = demo.build_unet(), demo.build_clip()
    text = clip.cond_stage_model.clip_l.transformer.float()
    common.initialise(model.diffusion_model, generator)
    common.initialise(text.text_model, generator)
    with torch.no_grad():
        text.text_model.embeddings.position_embedding.weight.mul_(0.3)
        text.text_projection.weight.copy_(torch.eye(demo.CONTEXT))
    for layer in text.text_model.encoder.layers:
        layer.forward = _out_of_place(layer)
    return model, clip, text.text_model


def inside(name: str, parameter) -> bool:
    """Whether it is a matrix or a convolution between hidden layers, which Muon is for; not an embedding, not the first or last one."""
    ends = ("input_blocks.0.", "unet.out.", "embedding", "table")
    return parameter.ndim > 1 and not any(end in name for end in ends)


class Pool:
    """The latents and caption rows of all shards; ``look`` takes in the shards that are new or were replaced."""

    def __init__(self, folder: str, tokens: Tokens) -> None:
        self.folder, self.tokens, self.shards = folder, tokens, {}

    def look(self) -> int:
        import torch

        for path in sorted(glob.glob(os.path.join(self.folder, "*.pt"))):
            stamp = os.stat(path).st_mtime_ns
            if self.shards.get(path, (0,))[0] != stamp:
                shard = common.load_checkpoint(path)
                rows = torch.tensor([self.tokens.rows(c) for c in shard["captions"]], dtype=torch.uint8)
                self.shards[path] = stamp, shard["latents"], rows
        self.latents = torch.cat([s[1] for s in self.shards.values()])
        self.rows = torch.cat([s[2] for s in self.shards.values()])
        return len(self.rows)

    def draw(self, n: int, generator) -> tuple:
        """n pictures' latents (n, 24, 12, 12) and their captions' rows (n, 77), a tenth of them the empty caption's."""
        import torch

        pick = torch.randint(0, len(self.rows), (n,), generator=generator)
        rows = self.rows[pick].long()
        rows[torch.rand(n, generator=generator) < 0.1] = torch.tensor(self.tokens.rows(""))
        return self.latents[pick].float(), rows


class Training:
    """The networks, what is learnt of them, and the training's own randomness."""

    def __init__(self, args, demo) -> None:
        import torch

        self.args, self.path = args, os.path.join(args.out, "unet.ckpt")
        self.generator = torch.Generator().manual_seed(args.seed + 1)
        self.model, self.clip, self.text = build(demo, self.generator)
        self.tokens = Tokens(self.clip)
        self.table = torch.nn.Parameter(torch.randn(len(self.tokens.ids), demo.CONTEXT, generator=self.generator) * 0.5)
        self.trained = torch.nn.ModuleDict(dict(unet=self.model.diffusion_model, text=self.text)).requires_grad_(True)
        if args.keep_text:
            self.text.requires_grad_(False)
            self.table.requires_grad_(False)
        self.text.embeddings.token_embedding = torch.nn.Identity()  # the table stands in for it
        named = [*self.trained.named_parameters(), ("table", self.table)]
        self.learner = common.Learner(named, args.rate, args.minutes, inside)
        self.unet = torch.compile(self.trained["unet"], dynamic=False) if args.compile else self.trained["unet"]

    def resume(self) -> None:
        saved = common.load_checkpoint(self.path)
        if not saved:
            return
        if saved["ids"] != self.tokens.ids or saved["names"] != self.learner.names:
            raise ValueError(f"{self.path}: it was trained with another vocabulary or network; start in another folder")
        self.learner.resume(saved, self.generator, self.args.seed)

    def begin_with(self, path: str) -> None:
        """Start from the weights of an exported demo_model.safetensors, with fresh optimisers.

        Raises ValueError where its vocabulary or network is another one."""
        from safetensors.torch import load_file

        file = load_file(path)
        names = ["text.table" if name == "table" else name for name in self.learner.names]
        parameters = zip(names, self.learner.parameters, strict=True)
        same = all(name in file and file[name].shape == p.shape for name, p in parameters)
        if not same or file["token_ids"].tolist() != self.tokens.ids:
            raise ValueError(f"{path}: it was trained with another vocabulary or network")
        self.learner.begin_with([file[name] for name in names])

    def save(self) -> None:
        common.save_checkpoint(self.path, **self.learner.state(), seed=self.args.seed, ids=self.tokens.ids)

    def encode(self, rows):
        """(n, 77) rows of the table to the (n, 77, width) conditioning that the host's CLIP gives."""
        import torch

        return self.text(None, None, embeds=self.table[rows], num_tokens=[77] * len(rows), dtype=torch.float32)[0]

    def learn(self, x0, rows) -> None:
        """One step on latents (n, 24, 12, 12) and caption rows (n, 77)."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        n = len(x0)
        u = torch.rand(n, generator=self.generator)
        t = torch.where(u < 0.6, 350 + (u / 0.6) * 580, (u - 0.6) / 0.4 * 1000).long().clamp(0, 999)
        s = self.model.model_sampling.sigmas.float()[t].view(-1, 1, 1, 1)
        a, b = 1 / (1 + s * s).sqrt(), s / (1 + s * s).sqrt()
        noise = torch.randn(x0.shape, generator=self.generator)
        # On a CPU the fused attention's way back is much slower than the plain one (measured: half the pictures a second).
        with sdpa_kernel(SDPBackend.MATH), common.autocast(self.args):
            v = self.unet(a * x0 + b * noise, t.float(), context=self.encode(rows))
        self.learner.learn(torch.nn.functional.mse_loss(v.float(), a * noise - b * x0))


def preview(training: Training, vae, path: str, cfg: float = 3.0, steps: int = 14, each: int = 4) -> None:
    """Sample a small grid with the averaged weights (DDIM) and write it as a PNG."""
    import torch
    from PIL import Image

    with training.learner.averaged(), torch.no_grad():
        rows = torch.tensor(
            [training.tokens.rows(c) for c in PREVIEW for _ in range(each)] + [training.tokens.rows("")]
        )
        context = training.encode(rows)
        n = len(rows) - 1
        context = torch.cat([context[:n], context[n:].expand(n, -1, -1)])
        x = torch.randn(n, 24, 12, 12, generator=torch.Generator().manual_seed(0))
        times = torch.linspace(999, 0, steps + 1).round().long()
        bar = 1 / (1 + training.model.model_sampling.sigmas.float() ** 2)
        for i in range(steps):
            t, u = times[i], times[i + 1]
            a, b = bar[t].sqrt(), (1 - bar[t]).sqrt()
            v = training.trained["unet"](torch.cat([x, x]), t.float().repeat(2 * n), context=context)
            v = v[n:] + cfg * (v[:n] - v[n:])
            x0, eps = a * x - b * v, b * x + a * v
            x = x0 if i == steps - 1 else bar[u].sqrt() * x0 + (1 - bar[u]).sqrt() * eps
        image = (vae.decode(x).clamp(-1, 1) + 1) * 127.5
    across = 2 * each
    grid = image.view(n // across, across, 3, 96, 96).permute(0, 3, 1, 4, 2).reshape(96 * n // across, 96 * across, 3)
    Image.fromarray(grid.byte().numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    common.precision(parser)
    parser.add_argument(
        "--from", dest="begin", help="an exported demo_model.safetensors to go on from, without unet.ckpt"
    )
    parser.add_argument("--compile", action="store_true", help=common.COMPILE)
    parser.add_argument(
        "--keep-text", action="store_true", help="leave the text encoder as it is, for all that relies on it"
    )
    args = parser.parse_args()
    hosting.start()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    demo = hosting.module("guards.demo.host")
    vae = common.load_vae(args.out)
    training = Training(args, demo)
    if args.begin and not os.path.exists(training.path):
        training.begin_with(args.begin)
    training.resume()
    sizes = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (training.trained["unet"], training.text)]
    print(f"unet {sizes[0]:.2f} M, text {sizes[1]:.3f} M, {len(training.tokens.ids)} token rows", flush=True)
    pool = Pool(os.path.join(args.out, "pool"), training.tokens)
    print(f"pool of {pool.look()} pictures, latent std {pool.latents.float().std():.3f}", flush=True)
    folder, learner = args.out, training.learner
    every = {
        50: pool.look,
        250: training.save,
        500: lambda: preview(training, vae, os.path.join(folder, f"preview_{learner.step:06d}.png")),
    }
    common.run(learner, lambda: training.learn(*pool.draw(args.batch, training.generator)), every, args.batch)
    training.save()


if __name__ == "__main__":
    main()
