"""Compare the guards with the published algorithms at full size: the same random weights of Stable Diffusion 1.5's shape (860
million, float32) in diffusers and in ComfyUI under the guard; the same noise, texts, negative prompt and DDIM schedule. Safe Latent
Diffusion against StableDiffusionPipelineSafe; a steered picture against the same pipeline's with the direction added after the
middle block, by hand; paired growth inhibitors against the published algorithm written over diffusers' UNet with every attention map
made. The error is the relative distance of the final latents."""

from __future__ import annotations

import argparse
import itertools
import time


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py exact", description=__doc__)
    parser.add_argument(
        "--size",
        type=int,
        default=8,
        help="side of the latents, a multiple of 8; 64 is a picture of 512x512 (default: 8, "
        "which keeps the whole table to about 20 minutes)",
    )
    parser.add_argument(
        "--what", nargs="+", default=["sld", "direction", "inhibitor"], choices=["sld", "direction", "inhibitor"]
    )
    parser.add_argument("--presets", nargs="+", default=["weak", "medium", "strong", "max"])
    parser.add_argument("--steps", nargs="+", type=int, default=[20, 50])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 3], choices=[1, 2, 3])
    options = parser.parse_args()
    if options.size < 8 or options.size % 8:
        parser.error("--size must be a multiple of 8")

    from ..testing import hosting

    hosting.start()
    import diffusers
    import torch
    from comfyui_version import __version__ as host_version

    from ..testing import growth, models, twins

    presets = twins.published_presets()
    if unknown := set(options.presets) - set(presets):
        parser.error(f"no such preset: {', '.join(unknown)} (there are {', '.join(presets)})")

    with torch.inference_mode():
        pair = twins.Twins(twins.SD15, options.size, options.size)
    print(
        f"ComfyUI {host_version}, diffusers {diffusers.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads\n"
        f"{sum(p.numel() for p in pair.unet.parameters()) / 1e6:.0f} M weights, latents {options.size}x{options.size}, DDIM, "
        f"cfg {twins.CFG}, with a negative prompt\n\n"
        "guard                           steps  batch      error  what the guard changes",
        flush=True,
    )
    started, worst = time.monotonic(), 0.0
    values = torch.randn(1280, options.size // 8, options.size // 8, generator=torch.Generator().manual_seed(7))
    direction = hosting.module("guards.directions.formula").Direction("random", values, "sd1", 8 * options.size)
    steered = hosting.module("guards.directions.host").steer(pair.model, direction, 1.0)

    def compare(name, steps, batch, published, hosted, unguarded):
        nonlocal worst
        error = twins.error(hosted, published)
        worst = max(worst, error)
        print(f"{name:30}  {steps:5}  {batch:5}  {error:9.1e}  {twins.error(unguarded, published):.1e}", flush=True)

    for steps, batch in itertools.product(options.steps, options.batch):
        if not {"sld", "direction"} & set(options.what):
            continue
        unguarded = pair.published(None, steps, batch)
        for preset in options.presets if "sld" in options.what else ():
            compare(
                preset,
                steps,
                batch,
                pair.published(presets[preset], steps, batch),
                pair.hosted(presets[preset], steps, batch),
                unguarded,
            )
        if "direction" in options.what:
            with twins.after_middle_block(pair.unet, values):
                published = pair.published(None, steps, batch)
            compare("direction", steps, batch, published, pair.hosted(None, steps, batch, model=steered), unguarded)
    if "inhibitor" in options.what:
        clip = models.clip(twins.SD15.context)
        for steps, targets, inferred in itertools.product(options.steps, growth.TARGETS[::-1], (True, False)):
            both, hosted, _ = growth.compare(pair, clip, targets, steps, inferred)
            name = f"{targets.count(',') + 1} target{'s' * (',' in targets)}{', adapter' * inferred}"
            compare(f"inhibitor, {name}", steps, 1, both[1:], hosted, both[:1])
    print(
        f"\nLargest error {worst:.1e}, allowed {twins.TOLERANCE:.0e} ({(time.monotonic() - started) / 60:.0f} minutes)"
    )
    return int(not worst <= twins.TOLERANCE)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
