"""A second latent beside every one of a run, from the same noise: the guard changes the first, the twin stays as it was.

The sampler sees one batch twice as large, the user the first half only (result and previews).
"""

import copy
import inspect

import comfy.samplers
import torch

from .. import seeds


class Twin:
    """Doubles one sampling run. ``noise``: (b, c, h, w), the run's own; ``seed``: the run's, or None."""

    def __init__(self, noise: torch.Tensor, seed: int | None):
        self.noise, self.seed, self.batch = noise, seed, noise.shape[0]

    def sample(self, executor, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, **kwargs):
        """The host's outer sample with twins; returns the guarded latents (b, c, h, w).

        Arguments as for the host's OUTER_SAMPLE wrapper, without noise and seed: ``latent_image`` (b, c, h, w), ``sigmas`` (steps + 1,),
        ``denoise_mask`` (b or 1, c, h, w) or None. ``callback`` and previews see the first half only. An ancestral or SDE sampler of
        ComfyUI's adds the same noise to a latent and its twin.
        """
        if denoise_mask is not None and denoise_mask.shape[0] == self.batch:
            denoise_mask = _twice(denoise_mask)
        if "latent_shapes" in kwargs and kwargs["latent_shapes"] is not None:
            kwargs["latent_shapes"] = [(2 * shape[0], *shape[1:]) for shape in kwargs["latent_shapes"]]

        def first_half(step, x0, x, total):
            callback(step, x0[: self.batch], x[: self.batch], total)

        out = executor(
            _twice(self.noise),
            _twice(latent_image),
            self._same_noise(sampler),
            sigmas,
            denoise_mask,
            first_half,
            disable_pbar,
            self.seed,
            **kwargs,
        )
        return out[: self.batch]

    def _same_noise(self, sampler):
        """A sampler that adds noise (ancestral, SDE) must add the same to both halves, also inside of another pack's (Detail Daemon)."""
        if not isinstance(sampler, comfy.samplers.KSAMPLER) or "noise_sampler" in sampler.extra_options:
            return sampler
        options = {name: self._same_noise(value) for name, value in sampler.extra_options.items()}
        if "noise_sampler" in inspect.signature(sampler.sampler_function).parameters:
            options["noise_sampler"] = self._noise_sampler()
        sampler = copy.copy(sampler)
        sampler.extra_options = options
        return sampler

    def _noise_sampler(self):
        generator = seeds.generator((self.seed or 0) + 1)  # not that of the starting noise
        half = self.noise

        def draw(sigma, sigma_next):
            return _twice(torch.randn(half.shape, generator=generator)).to(getattr(sigma, "device", half.device))

        return draw


def _twice(tensor):
    return torch.cat([tensor, tensor])
