"""Sample the demo model with the host's own sampler, for measurements: the noise of a picture depends on its own seed only, so that
two runs can be compared picture by picture. The host must have been started."""

from __future__ import annotations

import os

from .. import PROJECT
from ..testing import hosting

MODEL = PROJECT / "models" / "demo_model.safetensors"


def load_model(path, threads=None):
    """(model_patcher, clip, vae) of a shipped file; the transformer twin is told by its name."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    demo = hosting.module("guards.demo." + ("host_dit" if os.path.basename(path).startswith("demo_dit") else "host"))
    same = os.path.exists(demo.PATH) and os.path.samefile(path, demo.PATH)
    with torch.inference_mode():
        return demo.load() if same else demo.load(str(path))


def encode(clip, prompts):
    """(n, 77, width): one row of conditioning per prompt, by the host's CLIP."""
    import torch

    with torch.inference_mode():
        known = {p: clip.encode_from_tokens(clip.tokenize(p)).float() for p in dict.fromkeys(prompts)}
        return torch.cat([known[p] for p in prompts])


def noise(patcher, seeds):
    """(n, channels, side, side) noise at the size that the demo model was trained on; each picture's depends on its own seed only."""
    import torch

    side = patcher.model.model_config.trained_side
    shape = (patcher.model.latent_format.latent_channels, side, side)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds])


def sample_latents(
    patcher, positive, negative, seeds, cfg=3.0, steps=20, sampler="euler", scheduler="normal", chunk=64
):
    """Latents (n, channels, 12, 12). ``positive``, ``negative``: (n or 1, 77, width). ``seeds``: one int per picture, or the first of n."""
    import comfy.sample
    import torch

    n = len(positive) if not hasattr(seeds, "__len__") else len(seeds)
    seeds = list(seeds) if hasattr(seeds, "__len__") else list(range(seeds, seeds + n))
    parts = []
    with torch.inference_mode():
        start = noise(patcher, seeds)
        rows = [t.expand(n, -1, -1) for t in (positive, negative)]
        for at in range(0, n, chunk):
            x = start[at : at + chunk]
            good, bad = ([[t[at : at + chunk].contiguous(), {}]] for t in rows)
            parts.append(
                comfy.sample.sample(
                    patcher,
                    x,
                    steps,
                    cfg,
                    sampler,
                    scheduler,
                    good,
                    bad,
                    torch.zeros_like(x),
                    disable_pbar=True,
                    seed=seeds[at],
                ).float()
            )
        return torch.cat(parts)


def sample_images(
    patcher, vae, positive, negative, seeds, cfg=3.0, steps=20, sampler="euler", scheduler="normal", chunk=64
):
    """Pictures (n, 3, 96, 96) in 0..1; arguments as for sample_latents."""
    import torch

    latents = sample_latents(patcher, positive, negative, seeds, cfg, steps, sampler, scheduler, chunk)
    with torch.inference_mode():
        return torch.cat([vae.decode(z).float().movedim(-1, 1) for z in latents.split(chunk)]).clamp(0, 1).contiguous()
