"""Discovering a direction on the loaded model: its own pictures, the frozen network, one trained vector."""

import comfy.model_management
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import torch

from ..host import checks
from ..training import host as training
from ..training import loop
from . import host_places as places
from .formula import Direction, fitted
from .host import check_fit

SAMPLERS, SCHEDULERS = comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS
NO_BACKWARD = {"Flux", "Chroma", "HunyuanVideo"}  # the host's networks that write over what backward needs


def backward_fails(model):
    """Whether the host cannot go backward through a MODEL."""
    return checks.kind(model, NO_BACKWARD) is not None


def check_gradient(model):
    """Refuse a model through which the host cannot go backward. Raises ValueError."""
    places.default(model)
    if backward_fails(model):
        raise ValueError(
            f"method is gradient, and ComfyUI's {checks.model_name(model)} has no backward pass (it writes over what that needs): "
            "choose method means, which works with every model that can be steered."
        )
    training.check(model, "Discover Direction")


def middle_size(model, latents):
    """(height, width) of the middle block for latents (n, c, h, w): one halving for each downsampling of the UNet. None for a
    transformer, whose tokens all take the same."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample

    if not checks.is_unet(model):
        return None
    halvings = sum(isinstance(part, Downsample) for block in checks.network(model).input_blocks for part in block)
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
    """Train a direction's values on ``latents`` (n, c, h, w), pictures that show what ``base`` does not say; or on videos. Returns a
    Result.

    ``keep``: (CONDITIONING, latents) pairs of prompts whose predictions are held where they are without the direction (ours).
    ``start``: a Direction to go on from. ``per_place``: (C, H, W) values, else (C,), as always in a transformer. ``on_step(done, result,
    preview)`` may raise the host's interruption: the best so far is then the result. ``preview()`` samples one noise with 0, half and all
    of the present vector: latents (3, c, h, w). The model comes out as it was.
    """
    check_gradient(model)
    checks.conditioning(base, "base")
    channels, block = places.channels(model), places.default(model) if start is None else start.block
    values, result = _start_values(model, start, channels, middle_size(model, latents) if per_place else None), None

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
                return loop.errors(denoise(x, sigma, role, _adding(model, block, direction)), x0, sigma, kind)

            return loop.Task(loop.Examples(training.ordinary(images), len(sigmas), seed), error, weight)

        def watch(done, latest):
            nonlocal result
            result = latest
            comfy.model_management.throw_exception_if_processing_interrupted()
            steered = latest.values.to(device), torch.tensor([0.0, 0.5, 1.0], device=device)
            patches = _adding(model, block, *steered)
            on_step(done, latest, lambda: _preview(denoise, sampling, patches, latents, device, settings.seed))

        keeps = [task(f"keep {i}", images, settings.seed + i, keep_weight) for i, (_, images) in enumerate(keep)]
        positive = task("positive", latents, settings.seed)
        loop.fit_vector(positive, keeps, values.clone(), settings, device, watch, training.is_half(model))

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


def _adding(model, block, direction, scales=None):
    """Patches that add a direction, (C, H, W) or (C,), behind ``block``; ``scales``: (n,), another strength for each row."""

    def add(h, extra):
        addition = direction if 3 in (direction.ndim, h.ndim) else direction[:, None, None]
        if scales is not None:
            addition = scales.view(-1, *[1] * (h.ndim - 1)) * addition
        return h + addition.to(h.dtype)

    return lambda options: places.after(options, model, block, add)


def _preview(denoise, sampling, patches, latents, device, seed, steps=12, cfg=5.0):
    """Latents (3, c, h, w), of videos their first frames, from one noise with strengths 0, 0.5 and 1, which ``patches`` add to the
    prompt's rows: plain Euler steps."""
    with torch.no_grad():
        sigmas = comfy.samplers.simple_scheduler(sampling, steps).to(device)
        noise = torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(seed)).to(device)
        noise = torch.cat([noise] * 3)

        def guided(x, sigma):
            steered, without = denoise(x, sigma, patches=patches), denoise(x, sigma, "negative")
            return without + cfg * (steered - without)

        made = training.euler(sampling, sigmas, noise, guided).cpu()
        return made if made.ndim == 4 else made[:, :, 0]


def as_direction(model, result, name, latents, info, block=None):
    """A Result as the Direction ``name`` of this model's family, with what it was made with. ``block``: the model's middle one, unless
    another is given."""
    return Direction(
        name,
        result.values,
        checks.family(model),
        latents.shape[-1] * training.latent_scale(model),
        {**info, "steps_done": len(result.losses), "best_step": result.best_step, "best_loss": round(result.best, 6)},
        block or places.default(model),
    )
