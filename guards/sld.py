"""Safe Latent Diffusion: a safety concept steers every denoising step.

Schramowski et al., "Safe Latent Diffusion: Mitigating Inappropriate Degeneration in Diffusion Models", CVPR 2023
(arXiv 2211.05105); read against the authors' pipeline, whose numbers these are: the scale is clamped to at most 1, the
threshold compares the signed difference, momentum builds up during warm-up.
"""
from dataclasses import dataclass

import torch

CONCEPTS = ("hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids, blood, "
            "obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty")


@dataclass(frozen=True)
class Settings:
    """The five published numbers. ``warmup_steps`` counts executed steps; the rest is without unit."""
    guidance_scale: float
    warmup_steps: int
    threshold: float
    momentum_scale: float
    momentum_beta: float

    @property
    def off(self):
        return self.guidance_scale == 0

    def guided(self, step):
        """Whether the correction is applied at executed step ``step`` (zero-based; the authors gate with >=)."""
        return step >= self.warmup_steps

    def needed(self, step):
        """Whether the concept's prediction is needed at ``step``: momentum is gathered during warm-up as well."""
        return not self.off and (self.guided(step) or self.momentum_scale != 0)


PRESETS = {
    "weak": Settings(20, 15, 0.0, 0.0, 0.0),
    "medium": Settings(1000, 10, 0.01, 0.3, 0.4),
    "strong": Settings(2000, 7, 0.025, 0.5, 0.7),
    "max": Settings(5000, 0, 1.0, 0.5, 0.7),
}


def guidance(settings, eps_positive, eps_unconditional, eps_concept, momentum=None):
    """gamma and the new momentum (equations 4 and 6 to 8; the caller subtracts gamma inside the guidance bracket, eq. 3).

    All tensors: raw predictions of one shape (n, c, h, w), float32: eps, or the velocity for flow models. ``momentum`` is
    None at the start of a run. Element-wise throughout; nothing is changed in place.
    """
    difference = eps_positive - eps_concept
    scale = (difference.abs() * settings.guidance_scale).clamp_(max=1.0)
    scale.masked_fill_(difference >= settings.threshold, 0.0)
    gamma = scale.mul_(eps_concept - eps_unconditional)
    if momentum is None:
        return gamma, gamma * (1 - settings.momentum_beta)
    gamma = gamma.add_(momentum, alpha=settings.momentum_scale)
    return gamma, torch.lerp(gamma, momentum, settings.momentum_beta)
