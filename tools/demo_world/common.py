"""What the training scripts share: initialised weights, a resumable checkpoint, averaged weights, a clock."""

import contextlib
import io
import json
import math
import os
import time

from ..testing import hosting

COMPILE = "let torch compile the network first (minutes; needs a C++ compiler): about twice as fast"


def initialise(module, generator):
    """Fan-in scaled normal weights, unit norms, zero biases; the last layer of every residual branch starts at zero."""
    import torch

    with torch.no_grad():
        for name, p in module.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn(p.shape, generator=generator) * (1 / p[0].numel()) ** 0.5)
            else:
                p.fill_(1.0 if name.endswith("weight") else 0.0)
            if any(part in name for part in ("out_layers.3.", "proj_out.", "out.2.", "attn_1.proj_out", "conv2.")):
                p.zero_()


def save_checkpoint(path, **state):
    import torch

    files = hosting.module("guards.files")

    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write(path, buffer.getvalue())


def precision(parser):
    """Give a training the option `--precision`."""
    parser.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        default="bf16",
        help="fp32 on processors without bfloat16, which are 15 times slower in it",
    )


def autocast(args):
    """The context in which a training with these arguments evaluates its network."""
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")


def take_vae(folder, path):
    """Put the autoencoder of an exported demo model into a training folder that has none."""
    from safetensors.torch import load_file, save

    to = os.path.join(folder, "vae.safetensors")
    if not os.path.exists(to):
        os.makedirs(folder, exist_ok=True)
        own = {key[4:]: v.contiguous() for key, v in load_file(path).items() if key.startswith("vae.")}
        hosting.module("guards.files").write(to, save(own))


def load_vae(folder):
    """The autoencoder of a training folder, fixed."""
    from safetensors.torch import load_file

    vae = hosting.module("guards.demo.vae").DemoVAE().eval().requires_grad_(False)
    vae.load_state_dict({k: v.float() for k, v in load_file(os.path.join(folder, "vae.safetensors")).items()})
    return vae


def load_checkpoint(path):
    import torch

    return torch.load(path, weights_only=True) if os.path.exists(path) else None


def _decay(most, step):
    """How much of itself an average keeps after step ``step`` from 1: it follows closely at first."""
    return min(most, (1 + step) / (10 + step))


def averaged(model, decay, steps=0):
    """An exponential moving average of a module, or of a list of parameters, that follows closely at first: after step n
    it keeps min(decay, (1 + n) / (10 + n)). ``steps``: how many were taken before (its values are then loaded)."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def update(average, current, count):
        get_ema_multi_avg_fn(_decay(decay, int(count)))(average, current, count)

    model = model if isinstance(model, torch.nn.Module) else torch.nn.ParameterList(model)
    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    average.n_averaged.fill_(1 + steps)  # at zero, the first update would copy
    return average.requires_grad_(False)


class Schedule:
    """One cosine over a budget of seconds spent training, kept across resumes."""

    def __init__(self, peak, seconds, warmup=60.0, floor=0.01, spent=0.0):
        self.peak, self.seconds, self.warmup, self.floor, self.spent = peak, seconds, warmup, floor, spent
        self.last = time.monotonic()

    def tick(self):
        now = time.monotonic()
        self.spent, self.last = self.spent + now - self.last, now
        return self.spent < self.seconds

    def rate(self):
        f = min(1.0, self.spent / self.seconds)
        return (
            self.peak
            * min(1.0, (self.spent + 1) / self.warmup)
            * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * f)))
        )


class Learner:
    """Parameters, their running average, the optimisers and the clock: everything that a training's checkpoint holds.

    ``named``: (name, parameter) in a fixed order; those without ``requires_grad`` stay as they are. ``inner(name, parameter)``: whether
    Muon learns it; AdamW does the others.
    """

    def __init__(self, named, rate, minutes, inner):
        import torch

        from .muon import Muon

        self.names, self.parameters = [name for name, _ in named], [p for _, p in named]
        self.ema = [p.detach().clone() for p in self.parameters]
        free = [(n, p) for n, p in named if p.requires_grad]
        self.inner = [p for n, p in free if inner(n, p)]
        self.flat = [
            torch.nn.Parameter(p.detach().view(len(p), -1)) for p in self.inner
        ]  # the same memory, as matrices
        rest = [p for n, p in free if not inner(n, p)]
        self.optimisers = [torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)]
        if self.flat:
            self.optimisers.insert(0, Muon(self.flat, rate, 1e-2))
        self.schedule = Schedule(rate, minutes * 60, warmup=90)
        self.step, self.loss = 0, 0.0

    def state(self) -> dict:
        """What ``resume`` takes."""
        return dict(
            parameters=[p.detach() for p in self.parameters],
            ema=self.ema,
            optimisers=[o.state_dict() for o in self.optimisers],
            names=self.names,
            step=self.step,
            spent=self.schedule.spent,
            loss=self.loss,
        )

    def resume(self, saved: dict, generator, seed: int) -> None:
        """Go on from a ``state`` of the same network; ``generator``: the training's, which then draws what it never drew before."""
        self.put(saved["parameters"])
        self.ema = saved["ema"]
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.schedule.spent, self.step, self.loss = saved["spent"], saved["step"], saved["loss"]
        generator.manual_seed(seed + 1000 + self.step)

    def begin_with(self, values) -> None:
        """Start from these values, one for each parameter, with fresh optimisers."""
        self.put(values)
        self.ema = [p.detach().clone() for p in self.parameters]

    def learn(self, loss) -> None:
        """One step down the gradient of ``loss``, with the norm of all gradients at most 1."""
        import torch

        for p in self.parameters:
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for flat, p in zip(self.flat, self.inner, strict=True):
            flat.grad = p.grad.view(flat.shape)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.schedule.rate()
            optimiser.step()
        self.step += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.parameters, 1 - _decay(0.999, self.step))
        self.loss += (loss.item() - self.loss) * max(0.01, 1 / self.step)

    def export(self, path: str, seed: int, **about: str) -> None:
        """Write the averaged values, half precision, with ``about`` and the training's figures as the file's metadata."""
        from safetensors.torch import save

        figures = dict(seed=seed, step=self.step, spent=self.schedule.spent, loss=self.loss)
        about |= {key: json.dumps(round(value, 4)) for key, value in figures.items()}
        tensors = {name: value.half().contiguous() for name, value in zip(self.names, self.ema, strict=True)}
        hosting.module("guards.files").write(path, save(tensors, metadata=about))

    @contextlib.contextmanager
    def averaged(self):
        """The averaged weights instead of the raw ones, for as long as it is open."""
        raw = [p.detach().clone() for p in self.parameters]
        self.put(self.ema)
        try:
            yield
        finally:
            self.put(raw)

    def put(self, values) -> None:
        import torch

        with torch.no_grad():
            for p, q in zip(self.parameters, values, strict=True):
                p.copy_(q)


def run(learner, step, every, size: int) -> None:
    """Call ``step()``, which learns ``size`` pictures, until the budget is spent. ``every``: steps -> what to do then; time spent there
    does not count."""
    learner.schedule.last = last = time.monotonic()
    while learner.schedule.tick():
        step()
        if learner.step % 50 == 0:
            speed = 50 * size / (time.monotonic() - last)
            print(
                f"step {learner.step} {learner.schedule.spent:.0f} s loss {learner.loss:.4f} rate {learner.schedule.rate():.2e} "
                f"{speed:.0f} pictures/s",
                flush=True,
            )
        for steps, do in every.items():
            if learner.step % steps == 0:
                do()
        if learner.step % 50 == 0:
            learner.schedule.last = last = time.monotonic()
