"""What the guards cost, each against unguarded sampling in the same run: one table of ratios, on a random UNet of Stable
Diffusion 1.5's shape. Time is per step, from callback to callback; the runs take turns (off, guarded, off, ...), and the
median is compared, so that a busy machine disturbs both sides alike. Rows are counted where they reach the model."""
from __future__ import annotations

import argparse
import statistics
import sys
import time

from .pack import PROJECT

sys.path.append(str(PROJECT / "tests"))     # the random twins of the tests, at full size
NOISE = 0.05                                # what a median still wanders on a quiet machine; on a busy one the spread of "off" counts


def rows(twins, hosting):
    """name -> (function of a MODEL and its positive: what the guard's node returns, highest ratio, rows a step)."""
    from dataclasses import replace
    sld, pure = hosting.module("guards.host.safe_latent_diffusion"), hosting.module("guards.sld")
    tin = hosting.module("guards.host.prompt_intervention")
    concept, other = (twins.conditioning(words) for words in ("an unwanted thing", "a harmless thing"))
    late = replace(pure.PRESETS["weak"], warmup_steps=10_000)
    return {
        "SLD, published max": (lambda m, p: (sld.guard(m, pure.PRESETS["max"], concept), p), 1.52, 3),
        "SLD, aligned strong": (lambda m, p: (sld.guard(m, pure.ALIGNED["strong"], concept), p), 1.52, 3),
        "SLD in its warm-up (no momentum)": (lambda m, p: (sld.guard(m, late, concept), p), 1.0, 2),
        "SLD at scale 0": (lambda m, p: (sld.guard(m, replace(late, guidance_scale=0), concept), p), 1.0, 2),
        "prompt intervention": (lambda m, p: tin.guard(m, p, other, 0.5), 1.0, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("--size", type=int, default=32, help="side of the latents; 64 is a picture of 512x512 (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side (default: %(default)s)")
    options = parser.parse_args()

    import hosting
    hosting.start()
    import comfy.samplers
    import diffusers
    import models
    import torch
    from comfyui_version import __version__ as host_version
    from exact import twins as library
    with torch.inference_mode():
        twins = library.Twins(library.SD15, options.size, options.size)
    print(f"ComfyUI {host_version}, diffusers {diffusers.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"float32, latents {options.size}x{options.size}, PyTorch attention\n", flush=True)

    def hosted(guarded, positive):
        """Seconds of each step, and rows of each forward pass, of one run in the host."""
        counter = models.Rows(guarded)
        guider = comfy.samplers.CFGGuider(counter.model)
        guider.set_conds(positive, twins.conditioning(library.NEGATIVE))
        guider.set_cfg(library.CFG)
        ticks = []
        with torch.inference_mode():
            noise = twins.noise(1)
            guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("ddim"), twins.sigmas(50)[:options.steps + 2],
                          callback=lambda *_: ticks.append(time.perf_counter()), disable_pbar=True, seed=0)
        return [b - a for a, b in zip(ticks, ticks[1:], strict=False)], [n for n, _ in counter.calls]

    def published():
        """Seconds of each step of diffusers' Safe pipeline."""
        ticks = []
        twins.published(library.published_presets()["max"], options.steps + 1, 1, callback=lambda *_: ticks.append(time.perf_counter()))
        return [b - a for a, b in zip(ticks, ticks[1:], strict=False)]

    positive, failed = twins.conditioning(library.PROMPTS[0]), []
    print(f"{'guard':<34}{'s / step':>9}{'ratio':>8}{'limit':>8}{'rows / step':>13}")
    for name, (guard, limit, expected) in rows(twins, hosting).items():
        on, off, counts = [], [], []
        for _ in range(options.rounds):
            off += hosted(twins.model, positive)[0]
            seconds, calls = hosted(*guard(twins.model, positive))
            on, counts = on + seconds, counts + calls
        ratio = statistics.median(on) / statistics.median(off)
        noise = max(NOISE, (max(off) - min(off)) / statistics.median(off))
        fine = ratio <= limit + noise and set(counts) == {expected}
        failed += [] if fine else [name]
        counted = "/".join(map(str, sorted(set(counts))))
        print(f"{name:<34}{statistics.median(on):>9.2f}{ratio:>8.3f}{limit:>8.2f}{counted:>13}{'' if fine else '  too much'}", flush=True)
    guard = rows(twins, hosting)["SLD, published max"][0]
    ours, theirs = [], []
    for _ in range(options.rounds):
        theirs += published()
        ours += hosted(*guard(twins.model, positive))[0]
    ratio = statistics.median(ours) / statistics.median(theirs)
    failed += [] if ratio <= 1 + NOISE else ["SLD against diffusers"]
    print(f"{'SLD, against diffusers Safe pipeline':<34}{statistics.median(ours):>7.2f}{ratio:>8.3f}{1:>8.2f}")
    if failed:
        print(f"\nOver the limit: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    from .command import run
    run(main)
