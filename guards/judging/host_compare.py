"""The same noise through two models: what a guard changes, and what it costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import comfy.sample
import comfy.utils
import latent_preview
import torch
from comfy.patcher_extension import WrappersMP

KEY = "concept_guards_compare"


@dataclass(frozen=True, eq=False)
class Settings:
    """What both sides share: the sampler's settings, the latent and the VAE."""

    negative: list
    latent: dict
    vae: Any
    seed: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str


@dataclass(frozen=True, eq=False)
class Side:
    """``pictures`` (n, h, w, 3), ``rows`` that the model evaluated for them, and the ``seconds`` of sampling and decoding."""

    pictures: torch.Tensor
    rows: int
    seconds: float

    def cost(self, name: str) -> str:
        return f"{name} {self.rows} rows, {self.seconds:.1f} s"


class _Bar:
    """One progress bar for both runs, with the host's previews."""

    def __init__(self, model, steps: int):
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self._bar, self._steps, self.before = comfy.utils.ProgressBar(2 * steps), steps, 0

    def __call__(self, step, x0, x, total):
        picture = None
        if self._previewer is not None:
            shown = x0.tensors[0] if x0.is_nested else x0
            picture = self._previewer.decode_latent_to_preview_image("JPEG", shown)
        self._bar.update_absolute(self.before + step + 1, 2 * self._steps, picture)


def both(model, guarded, positive: list, guarded_positive: list, settings: Settings) -> tuple[Side, Side]:
    """(off, on): the pictures of ``model`` and of ``guarded``, from the same noise, as two KSamplers would make them."""
    bar = _Bar(model, settings.steps)
    off = _run(model, positive, settings, bar)
    bar.before = settings.steps
    return off, _run(guarded, guarded_positive, settings, bar)


def _run(model, positive, settings: Settings, callback) -> Side:
    rows, began = [0], time.perf_counter()

    def count(executor, x, *arguments, **named):
        rows[0] += x.shape[0]
        return executor(x, *arguments, **named)

    counted = model.clone()
    counted.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, count)
    names = ("downscale_ratio_spacial", "downscale_ratio_temporal")  # of empty latents that fit several models
    ratios = {name: settings.latent[name] for name in names if settings.latent.get(name) is not None}
    latent = comfy.sample.fix_empty_latent_channels(counted, settings.latent["samples"], **ratios)
    samples = comfy.sample.sample(
        counted,
        comfy.sample.prepare_noise(latent, settings.seed, settings.latent.get("batch_index")),
        settings.steps,
        settings.cfg,
        settings.sampler,
        settings.scheduler,
        positive,
        settings.negative,
        latent,
        noise_mask=settings.latent.get("noise_mask"),
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    pictures = settings.vae.decode(samples.unbind()[0] if samples.is_nested else samples)
    if pictures.ndim == 5:  # video: its frames
        pictures = pictures.flatten(0, 1)
    return Side(pictures[..., :3], rows[0], time.perf_counter() - began)
