"""Train the demo model's transformer twin (guards/demo/host_dit.py) on the pool of latents: rectified flow.

    python3 run.py train dit --out FOLDER --model models/demo_model.safetensors [--minutes 240]

The text encoder is the model's own and stays as it is, so the network alone is learnt. Needs vae.safetensors and pool/ in the folder;
their autoencoder must be the model's. One cosine over --minutes; saves every 250 steps, run it again to resume. Writes dit.ckpt
(resume), demo_dit.safetensors (the averaged weights, half precision) and preview grids.

With --taught the velocity to learn is what the model's UNet says of the same noisy latent, instead of one sample of it: the mean over all
pictures of the caption, which a sample misses by where things happen to stand. Slower a step, fewer steps.
"""

import argparse
import os

from ..testing import hosting
from . import common
from .train_unet import PREVIEW, Pool, Tokens


def inside(name: str, parameter) -> bool:
    """Whether it is a matrix between hidden layers, which Muon is for."""
    return parameter.ndim > 1 and not any(
        end in name for end in ("x_embedder", "cap_embedder", "final_layer", "t_embedder")
    )


def initialise(network, generator) -> None:
    """Fan-in scaled matrices, unit norms; modulations and the last layer start at zero, but gates are open a little."""
    import torch

    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.ndim == 1:
                p.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            elif "adaLN" in name or "final_layer.linear" in name:
                p.zero_()
            else:
                p.copy_(torch.randn(p.shape, generator=generator) * p.shape[1] ** -0.5)
            if "adaLN" in name and p.ndim == 1 and "final" not in name:
                width = len(p) // 4  # scale, gate, scale, gate
                p[width : 2 * width] = p[3 * width :] = 0.3


class Texts:
    """The text encoder of an exported demo_model.safetensors, as it is, cut to ``count`` tokens."""

    def __init__(self, path: str, demo, count: int) -> None:
        import torch

        parts, ids = demo.read(path, "text")
        clip, self.count = demo.make_clip(parts["text"], ids, tokens=count), count
        self.model = clip.cond_stage_model.clip_l.transformer.float().text_model
        self.tokens = Tokens(clip)
        unknown = next(i for i in range(49406) if i not in self.tokens.row)
        self.ids = torch.tensor([unknown if i < 0 else i for i in self.tokens.ids])

    def encode(self, rows):
        """Rows of the words' table (n, at least count) to the conditioning (n, count, width) that the host's CLIP gives."""
        import torch

        with torch.no_grad():
            return self.model(self.ids[rows[:, : self.count]])[0]


class Teacher:
    """The UNet of an exported demo_model.safetensors (v-prediction), asked for the velocity of rectified flow."""

    def __init__(self, path: str, demo) -> None:
        import torch

        self.texts = Texts(path, demo, 77)
        self.model = demo.build_unet(torch.bfloat16)
        self.model.diffusion_model.load_state_dict(demo.read(path, "unet")[0]["unet"])
        self.model.diffusion_model.requires_grad_(False)
        sampling = self.model.model_sampling
        self.sigmas = sampling.sigmas.float()
        self.most = float(self.sigmas[-1] / (1 + self.sigmas[-1]))  # the latest time it knows

    def snapped(self, t):
        """(the times (n,) moved to the nearest that it knows, their steps)."""
        t = t.clamp(1e-3, self.most)
        step = (self.sigmas.log()[None] - (t / (1 - t)).log()[:, None]).abs().argmin(1)
        sigma = self.sigmas[step]
        return sigma / (1 + sigma), step

    def velocity(self, x, t, step, rows):
        """E[noise - x0] at x = (1 - t) x0 + t noise, for snapped times (n, 1, 1, 1). With a = (1 - t) c, b = t c and a^2 + b^2 = 1, cx
        is the same latent as the UNet knows it, and noise - x0 = (b - a) cx + (a + b) v of its v = a noise - b x0."""
        import torch

        c = ((1 - t) ** 2 + t**2).rsqrt()
        a, b, x = (1 - t) * c, t * c, x * c
        with torch.no_grad():
            context = self.texts.encode(rows).bfloat16()
            v = self.model.diffusion_model(x.bfloat16(), step.bfloat16(), context=context).float()
        return (b - a) * x + (a + b) * v


class Training:
    """The network, what is learnt of it, and the training's own randomness."""

    def __init__(self, args, demo, dit) -> None:
        import torch

        self.args, self.path = args, os.path.join(args.out, "dit.ckpt")
        self.generator = torch.Generator().manual_seed(args.seed + 1)
        self.texts = Texts(args.model, demo, dit.TOKENS)
        self.network = dit.build().diffusion_model.float()
        initialise(self.network, self.generator)
        self.network.requires_grad_(True)
        self.compiled = torch.compile(self.network, dynamic=False) if args.compile else self.network
        self.learner = common.Learner([*self.network.named_parameters()], args.rate, args.minutes, inside)
        self.teacher = Teacher(args.model, demo) if args.taught else None

    def begin_with(self, path: str) -> None:
        """Start from the weights of an exported demo_dit.safetensors, with fresh optimisers."""
        from safetensors.torch import load_file

        file = load_file(path)
        self.learner.begin_with([file[name] for name in self.learner.names])

    def resume(self) -> None:
        saved = common.load_checkpoint(self.path)
        if saved:
            self.learner.resume(saved, self.generator, self.args.seed)

    def save(self) -> None:
        common.save_checkpoint(self.path, **self.learner.state(), seed=self.args.seed)
        about = dict(format="concept-guards.demo-dit/1", art="Fluent Emoji Flat, Microsoft, MIT", licence="MIT")
        self.learner.export(os.path.join(self.args.out, "demo_dit.safetensors"), self.args.seed, **about)

    def learn(self, x0, rows) -> None:
        """One step on latents (n, 24, 12, 12) and caption rows (n, 77)."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        n = len(x0)
        even = torch.rand(n, generator=self.generator)
        middle = torch.sigmoid(torch.randn(n, generator=self.generator) + 0.3)
        t = torch.where(torch.rand(n, generator=self.generator) < 0.3, even, middle)
        x, t, aim = self.noisy(x0, t, rows)
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            context = self.texts.encode(rows)
            v = self.compiled(x, t, context, context.shape[1])
        self.learner.learn(torch.nn.functional.mse_loss(v.float(), aim))

    def noisy(self, x0, t, rows):
        """(noisy latents, their times, the velocities to learn) for times t (n,), which a teacher may move a little.

        Later than the teacher knows, the latent is one of its latest with fresh noise on top: the mean of what it says of those is then
        what there is to learn of this one."""
        import torch

        noise, at = torch.randn(x0.shape, generator=self.generator), t.view(-1, 1, 1, 1)
        if self.teacher is None:
            return (1 - at) * x0 + at * noise, t, noise - x0
        known, step = self.teacher.snapped(t)
        later, known = t > self.teacher.most, known.view(-1, 1, 1, 1)
        x = (1 - known) * x0 + known * noise
        aim = self.teacher.velocity(x, known, step, rows)
        at = torch.where(later.view(-1, 1, 1, 1), at, known)
        fresh = torch.randn(x0.shape, generator=self.generator)
        ratio = (1 - at) / (1 - known)
        noisier = ratio * x + (at**2 - (ratio * known) ** 2).clamp(min=0).sqrt() * fresh
        x0 = x - known * aim
        return noisier, at.flatten(), torch.where(later.view(-1, 1, 1, 1), (noisier - x0) / at, aim)


def preview(training: Training, vae, path: str, cfg: float = 3.0, steps: int = 16, each: int = 4) -> None:
    """Sample a small grid with the averaged weights (Euler) and write it as a PNG."""
    import torch
    from torchvision.utils import make_grid, save_image

    with training.learner.averaged(), torch.no_grad():
        rows = torch.tensor(
            [training.texts.tokens.rows(c) for c in PREVIEW for _ in range(each)] + [training.texts.tokens.rows("")]
        )
        context = training.texts.encode(rows)
        n = len(rows) - 1
        context = torch.cat([context[:n], context[n:].expand(n, -1, -1)])
        x = torch.randn(n, 24, 12, 12, generator=torch.Generator().manual_seed(0))
        times = torch.linspace(1, 0, steps + 1)
        for now, then in zip(times[:-1], times[1:]):
            v = training.network(torch.cat([x, x]), now.repeat(2 * n), context, context.shape[1])
            x = x + (then - now) * (v[n:] + cfg * (v[:n] - v[n:]))
        image = (vae.decode(x).clamp(-1, 1) + 1) / 2
    save_image(make_grid(image, nrow=2 * each, padding=0), path)


def options(name: str, about: str | None, minutes: float) -> argparse.ArgumentParser:
    """The options that every training of the twin has."""
    parser = argparse.ArgumentParser(
        prog=f"run.py train {name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", required=True, help="the exported demo_model.safetensors whose text encoder is used")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help=common.COMPILE)
    return parser


def start(args, kind):
    """(autoencoder, a new training of class ``kind``), in a host that can train the twin."""
    hosting.start()
    import comfy.model_management
    import torch

    comfy.model_management.in_training = True  # the host's fused norms have no way back
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    made = kind(args, hosting.module("guards.demo.host"), hosting.module("guards.demo.host_dit"))
    return common.load_vae(args.out), made


def main() -> None:
    parser = options("dit", __doc__, minutes=240)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--from", dest="begin", help="an exported demo_dit.safetensors to go on from, without dit.ckpt")
    parser.add_argument("--taught", action="store_true", help="learn what the UNet of --model says, not samples")
    args = parser.parse_args()
    vae, training = start(args, Training)
    if args.begin and not os.path.exists(training.path):
        training.begin_with(args.begin)
    training.resume()
    print(f"{sum(p.numel() for p in training.learner.parameters) / 1e6:.2f} M", flush=True)
    pool = Pool(os.path.join(args.out, "pool"), training.texts.tokens)
    print(f"pool of {pool.look()} pictures", flush=True)
    folder, learner = args.out, training.learner
    every = {
        50: pool.look,
        250: training.save,
        500: lambda: preview(training, vae, os.path.join(folder, f"dit_{learner.step:06d}.png")),
    }
    common.run(learner, lambda: training.learn(*pool.draw(args.batch, training.generator)), every, args.batch)
    training.save()


if __name__ == "__main__":
    main()
