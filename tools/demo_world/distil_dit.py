"""Teach the demo model's transformer twin to draw in four steps at cfg 1, as a LoRA: what turbo models are to their parents.

    python3 run.py train few --out FOLDER --model models/demo_model.safetensors [--minutes 20]

The student goes its own four steps of rectified flow; from each of its places the teacher, FOLDER/demo_dit.safetensors at cfg 3, goes on in
three smaller ones, and the student learns the mean velocity of those (progressive distillation, Salimans and Ho 2022, on the student's own
path; guidance distilled as by Meng et al. 2023). Needs pool/ for its captions. Writes few.ckpt (resume), demo_dit_4_steps.safetensors and
preview grids.
"""

import os

from . import common
from .train_dit import Texts, options, start
from .train_unet import PREVIEW, Pool

STEPS, SMALLER, CFG, RANK = 4, 3, 3.0, 24


class Lora:
    """A linear layer's own forward and a change of low rank, (out, RANK) @ (RANK, in)."""

    def __init__(self, name: str, layer, generator) -> None:
        import torch

        self.name, self.layer, self.forward = name, layer, layer.forward
        self.down = torch.nn.Parameter(
            torch.randn(RANK, layer.in_features, generator=generator) * layer.in_features**-0.5
        )
        self.up = torch.nn.Parameter(torch.zeros(layer.out_features, RANK))
        layer.forward = self

    def __call__(self, x):
        return self.forward(x) + (x @ self.down.T) @ self.up.T


def loras(network, generator) -> list[Lora]:
    """One for every matrix between hidden layers, and for the last one."""
    import torch

    found = [(name, one) for name, one in network.named_modules() if isinstance(one, torch.nn.Linear)]
    return [
        Lora(name, one, generator)
        for name, one in found
        if not name.startswith(("t_embedder", "cap_embedder", "x_embedder"))
    ]


class Training:
    """Teacher, student, and the training's own randomness."""

    def __init__(self, args, demo, dit) -> None:
        import torch
        from safetensors.torch import load_file

        self.args, self.path = args, os.path.join(args.out, "few.ckpt")
        self.generator = torch.Generator().manual_seed(args.seed + 1)
        self.texts = Texts(args.model, demo, dit.TOKENS)
        weights = {k: v.float() for k, v in load_file(os.path.join(args.out, "demo_dit.safetensors")).items()}
        self.teacher, self.student = (dit.build().diffusion_model.float().requires_grad_(False) for _ in range(2))
        self.teacher.load_state_dict(weights)
        self.student.load_state_dict(weights)
        self.loras = loras(self.student, self.generator)
        named = [
            (f"diffusion_model.{one.name}.{part}", p)
            for one in self.loras
            for part, p in (("lora_A.weight", one.down), ("lora_B.weight", one.up))
        ]
        self.learner = common.Learner(named, args.rate, args.minutes, lambda name, p: False)
        self.fast = [torch.compile(one, dynamic=False) if args.compile else one for one in (self.teacher, self.student)]
        self.empty = self.texts.encode(torch.tensor([self.texts.tokens.rows("")]))

    def resume(self) -> None:
        saved = common.load_checkpoint(self.path)
        if saved:
            self.learner.resume(saved, self.generator, self.args.seed)

    def save(self) -> None:
        common.save_checkpoint(self.path, **self.learner.state(), seed=self.args.seed)
        about = dict(about="The demo model's transformer twin in 4 steps at cfg 1 (euler, simple)", licence="MIT")
        self.learner.export(os.path.join(self.args.out, "demo_dit_4_steps.safetensors"), self.args.seed, **about)

    def velocity(self, network, x, t: float, context):
        import torch

        with torch.autocast("cpu", torch.bfloat16):
            return network(x, torch.full((len(x),), t), context, context.shape[1]).float()

    def taught(self, x, t: float, context):
        """The mean velocity of the teacher's smaller steps from (x, t) to the student's next time."""
        import torch

        begin, both = x, torch.cat([context, self.empty.expand(len(x), -1, -1)])
        for k in range(SMALLER):
            v = self.velocity(self.fast[0], torch.cat([x, x]), t - k / (STEPS * SMALLER), both)
            with_text, without = v.chunk(2)
            x = x - (without + CFG * (with_text - without)) / (STEPS * SMALLER)
        return (begin - x) * STEPS

    def learn(self, rows) -> None:
        """One step on captions (n, 77)."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        context = self.texts.encode(rows)
        x = torch.randn(len(rows), 24, 12, 12, generator=self.generator)
        places, aims = [], []
        with torch.no_grad():
            for k in range(STEPS):
                t = 1 - k / STEPS
                places.append(x)
                aims.append(self.taught(x, t, context))
                x = x - self.velocity(self.student, x, t, context) / STEPS
        times = torch.arange(STEPS).repeat_interleave(len(rows))
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            context = context.repeat(STEPS, 1, 1)
            v = self.fast[1](torch.cat(places), 1 - times / STEPS, context, context.shape[1])
        self.learner.learn(torch.nn.functional.mse_loss(v.float(), torch.cat(aims)))


def preview(training: Training, vae, path: str, each: int = 4) -> None:
    """Pictures of four steps with the averaged weights, as a PNG."""
    import torch
    from torchvision.utils import make_grid, save_image

    with training.learner.averaged(), torch.no_grad():
        context = training.texts.encode(
            torch.tensor([training.texts.tokens.rows(c) for c in PREVIEW for _ in range(each)])
        )
        x = torch.randn(len(context), 24, 12, 12, generator=torch.Generator().manual_seed(0))
        for k in range(STEPS):
            x = x - training.velocity(training.student, x, 1 - k / STEPS, context) / STEPS
        image = (vae.decode(x).clamp(-1, 1) + 1) / 2
    save_image(make_grid(image, nrow=2 * each, padding=0), path)


def main() -> None:
    parser = options("few", __doc__, minutes=20)
    parser.add_argument("--batch", type=int, default=16, help="captions; each gives four places to learn from")
    args = parser.parse_args()
    vae, training = start(args, Training)
    training.resume()
    pool = Pool(os.path.join(args.out, "pool"), training.texts.tokens)
    print(f"{sum(p.numel() for p in training.learner.parameters) / 1e6:.2f} M, {pool.look()} captions", flush=True)
    folder, learner = args.out, training.learner
    every = {
        50: training.save,
        100: lambda: preview(training, vae, os.path.join(folder, f"few_{learner.step:06d}.png")),
    }
    common.run(learner, lambda: training.learn(pool.draw(args.batch, training.generator)[1]), every, args.batch * STEPS)
    training.save()


if __name__ == "__main__":
    main()
