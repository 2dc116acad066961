"""Discovering a direction on the loaded model: its own pictures, the frozen UNet, one trained vector."""

import comfy.model_management
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import torch

from ..host import checks
from ..training import host as training
from ..training import loop
from .formula import Direction, fitted
from .host import check_fit, middle_channels

SAMPLERS, SCHEDULERS = comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS


def middle_size(model, latents):
    """(height, width) of the middle block for latents (n, c, h, w): one halving for each downsampling of the UNet."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample

    halvings = sum(isinstance(part, Downsample) for block in model.model.diffusion_model.input_blocks for part in block)
    height, width = latents.shape[-2:]
    for _ in range(halvings):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


def discover(
    model,
    base,
    negative,
    latents,
    settings,
    start=None,
    per_place=True,
    keep=(),
    keep_weight=1.0,
    on_step=lambda done, result, preview: None,
) -> loop.Result:
    """Train a direction's values on ``latents`` (n, c, h, w), pictures that show what ``base`` does not say. Returns a Result.

    ``keep``: (CONDITIONING, latents) pairs of prompts whose predictions are held where they are without the direction (ours).
    ``start``: a Direction to go on from. ``per_place``: (C, H, W) values, else (C,). ``on_step(done, result, preview)`` may raise the
    host's interruption: the best so far is then the result. ``preview()`` samples one noise with 0, half and all of the present vector:
    latents (3, c, h, w). The model comes out as it was.
    """
    channels = middle_channels(model)
    checks.conditioning(base, "base")
    size = middle_size(model, latents)
    values, result = _start_values(model, start, channels, size if per_place else None), None

    def train(denoise, device):
        sampling, kind = model.get_model_object("model_sampling"), training.prediction(model)
        sigmas = sampling.sigmas.to(device)

        def task(role, images, seed, weight=1.0):
            """Match the pictures, or, to keep a prompt as it is, the model's own prediction for it."""

            def error(direction, x0, noise, times):
                x0, noise, sigma = x0.to(device), noise.to(device), sigmas[times.to(device)]
                x = loop.add_noise(x0, noise, sigma, kind == "flow")
                if role != "positive":
                    with torch.no_grad():
                        x0 = denoise(x, sigma, role)
                return loop.errors(denoise(x, sigma, role, _adding(direction)), x0, sigma, kind)

            return loop.Task(loop.Examples(training.ordinary(images), len(sigmas), seed), error, weight)

        def watch(done, latest):
            nonlocal result
            result = latest
            comfy.model_management.throw_exception_if_processing_interrupted()
            on_step(done, latest, lambda: _preview(denoise, sampling, latest.values.to(device), latents, settings.seed))

        keeps = [task(f"keep {i}", images, settings.seed + i, keep_weight) for i, (_, images) in enumerate(keep)]
        positive = task("positive", latents, settings.seed)
        loop.fit_vector(positive, keeps, values.clone(), settings, device, watch, training.is_half(model))

    training.check(model, "Discover Direction")
    prompts = {f"keep {i}": conditioning for i, (conditioning, _) in enumerate(keep)}
    with training.stoppable("Discover Direction", lambda: result is not None), training.trainable(model) as model:
        training.run(model, {"positive": base, "negative": negative, **prompts}, latents[: settings.batch_size], train)
    assert result is not None  # else the run ended with an error, which has been raised
    return result


def _start_values(model, start, channels, size):
    """What training begins from: zeros, or the Direction ``start``. (channels, h, w) for a ``size``, else (channels,)."""
    if start is None:
        return torch.zeros(channels, *(size or ()))
    check_fit(model, start, "start")
    if size is None:
        return start.values.reshape(channels, -1).mean(1)
    return fitted(start.values, *size)[0].expand(channels, *size)


def _adding(direction, scales=None):
    """Patches that add a direction, (C, H, W) or (C,), after the middle block; ``scales``: (n,), another strength for each row."""
    addition = direction if direction.ndim == 3 else direction[:, None, None]
    if scales is not None:
        addition = scales.view(-1, 1, 1, 1) * addition

    def add(h, skip, options):
        return (h + addition.to(h.dtype) if options["block"] == ("output", 0) else h), skip

    return {"output_block_patch": [add]}


def _preview(denoise, sampling, direction, latents, seed, steps=12, cfg=5.0):
    """Latents (3, c, h, w) from one noise with strengths 0, 0.5 and 1: plain Euler steps, with the direction on the prompt's rows."""
    with torch.no_grad():
        sigmas = comfy.samplers.simple_scheduler(sampling, steps).to(direction)
        noise = (
            torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(seed))
            .to(direction)
            .repeat(3, 1, 1, 1)
        )
        patches = _adding(direction, torch.tensor([0.0, 0.5, 1.0]).to(direction))

        def guided(x, sigma):
            steered, without = denoise(x, sigma, patches=patches), denoise(x, sigma, "negative")
            return without + cfg * (steered - without)

        return training.euler(sampling, sigmas, noise, guided).cpu()


def as_direction(model, result, name, latents, info):
    """A Result as the Direction ``name`` of this model's family, with what it was made with."""
    return Direction(
        name,
        result.values,
        checks.family(model),
        latents.shape[-1] * training.latent_scale(model),
        {**info, "steps_done": len(result.losses), "best_step": result.best_step, "best_loss": round(result.best, 6)},
    )
