"""What the training scripts share: the host on sys.path, initialised weights, a resumable checkpoint, a clock."""

import io
import json
import math
import os
import sys
import time

from .. import PROJECT

ROOT = str(PROJECT)


def start_host(comfyui):
    """Put a ComfyUI checkout on the path and start it on the CPU, with PyTorch's own attention."""
    sys.path.insert(0, comfyui)
    sys.argv = ["main.py", "--cpu", "--use-pytorch-cross-attention"]
    import comfy.options

    comfy.options.enable_args_parsing(True)


def host_module(name):
    """A module of the pack, loaded the way the host loads it: as part of a package with a name of its own."""
    import importlib
    import importlib.util

    if "concept_guards" not in sys.modules:
        import types

        package = types.ModuleType("concept_guards")
        package.__path__ = [ROOT]
        sys.modules["concept_guards"] = package
    return importlib.import_module("concept_guards." + name)


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

    from guards import files

    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write(path, buffer.getvalue())


def load_checkpoint(path):
    import torch

    return torch.load(path, weights_only=True) if os.path.exists(path) else None


def gather(path, name, figures):
    """Add a row's figures to a JSON file of rows, so that several processes fill one table; without a path, nothing."""
    if not path:
        return
    rows = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
    rows[name] = {**rows.get(name, {}), **figures}
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    os.replace(temporary, path)


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
