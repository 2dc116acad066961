"""A direction as a difference of means, without a gradient: what naming the concept changes behind the block.

v = mean over pictures, noise and noise levels of h(x, target) - h(x, base), both at the same noisy picture x. Ours for this place; such
differences of mean activations are known from language models: Rimsky et al., "Steering Llama 2 via Contrastive Activation Addition",
ACL 2024 (arXiv 2312.06681).
"""

import math

import comfy.model_management
import comfy.samplers
import torch

from .. import looking
from ..host import checks, compiled, rail
from ..training import host as training
from ..training import loop
from . import host_places as places

TIMES = 1000  # into how many noise levels the schedule is cut


class _Means(comfy.samplers.Sampler):
    """In the host's eyes a sampler: so the host loads the model, streams it where it must, and prepares both prompts."""

    def __init__(self, measure):
        self.measure = measure

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        options = extra_args["model_options"]

        def behind(x, sigma, role, block, patcher):
            """What comes out of ``block``, one mean over places for each row of a transformer: (n, C, H, W) or (n, C), float32."""
            seen, transformer = [], dict(options["transformer_options"])

            def look(h, extra):
                seen.append(h.detach().float() if h.ndim == 4 else h.detach().float().mean(1))
                return h

            places.after(transformer, patcher, block, look)
            comfy.samplers.calc_cond_batch(
                guider.inner_model, [guider.conds[role]], x, sigma, {**options, "transformer_options": transformer}
            )
            return torch.cat(seen)

        self.measure(behind, noise.device)
        return noise


def discover(model, target, base, latents, settings, per_place=True, on_step=lambda done, result, preview: None):
    """The mean difference of ``target`` and ``base`` (CONDITIONINGs) on ``latents`` (n, c, h, w), of videos (n, c, t, h, w), in the
    model's own scale. Returns a loop.Result: ``values`` (C, H, W), or (C,) without ``per_place`` and in transformers; its losses are
    the mean's relative standard error after each of ``settings.steps`` steps, of which every one sees ``settings.batch_size`` pictures
    twice. ``on_step(done, result, None)`` may raise the host's interruption: the mean so far is then the result. Guards on the model are
    left out.

    Raises ValueError for models that cannot be steered, and for two prompts that are the same.
    """
    block = places.default(model)
    for name, conditioning in (("target", target), ("base", base)):
        checks.conditioning(conditioning, name)
    if len(target) == len(base) and all(_same(a[0], b[0]) for a, b in zip(target, base, strict=True)):
        raise ValueError(
            "target and base are the same prompt, and method means measures their difference. Name the concept in target, leave it out "
            "of base, and steer away from it with a negative strength; or choose method gradient."
        )
    result = loop.Result(torch.zeros(places.channels(model)))

    def measure(behind, device):
        sampling = patcher.get_model_object("model_sampling")
        levels = torch.tensor([float(sampling.percent_to_sigma((i + 0.5) / TIMES)) for i in range(TIMES)])
        flow = training.prediction(patcher) == "flow"
        examples, mean, squares, count = loop.Examples(latents, TIMES, settings.seed), 0.0, 0.0, 0
        for step in range(1, settings.steps + 1):
            x0, noise, times = examples.draw(settings.batch_size)
            sigma = levels[times]
            x = loop.add_noise(x0, noise, sigma, flow).to(device)
            sigma = sigma.to(device)
            rows = behind(x, sigma, "target", block, patcher) - behind(x, sigma, "base", block, patcher)
            rows = rows if per_place else rows.flatten(2).mean(2) if rows.ndim == 4 else rows
            mean, squares, count = mean + rows.sum(0), squares + rows.square().sum(0), count + len(rows)
            spread = (squares / count - (mean / count).square()).clamp(min=0).sum().cpu().item()
            result.values = (mean / count).cpu()
            error = math.sqrt(spread / count) / max(result.values.norm().item(), 1e-12)
            result.losses.append((step, error))
            result.best, result.best_step = error, step
            comfy.model_management.throw_exception_if_processing_interrupted()
            on_step(step, result, None)

    patcher = model.clone()
    rail.detach(patcher)
    guider = comfy.samplers.CFGGuider(patcher)
    guider.inner_set_conds({"target": target, "base": base})
    guider.set_cfg(1.0)
    start = torch.zeros(settings.batch_size, *latents.shape[1:])
    try:
        with compiled.uncompiled(patcher), looking.no_picture():
            guider.sample(
                start, torch.zeros_like(start), _Means(measure), torch.ones(2), disable_pbar=True, seed=settings.seed
            )
    except comfy.model_management.InterruptProcessingException:
        if not result.losses:
            raise
    return result


def _same(a, b):
    return a.shape == b.shape and torch.equal(a.cpu(), b.cpu())
