"""What the training scripts share: initialised weights, a resumable checkpoint, averaged weights, a clock."""

import io
import math
import os
import time

from ..testing import hosting


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


def load_checkpoint(path):
    import torch

    return torch.load(path, weights_only=True) if os.path.exists(path) else None


def averaged(model, decay, steps=0):
    """An exponential moving average of a module, or of a list of parameters, that follows closely at first: after step n
    it keeps min(decay, (1 + n) / (10 + n)). ``steps``: how many were taken before (its values are then loaded)."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def update(average, current, count):
        get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (10 + int(count))))(average, current, count)

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
