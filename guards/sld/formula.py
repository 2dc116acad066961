"""Safe Latent Diffusion: a safety concept steers every denoising step.

Schramowski et al., "Safe Latent Diffusion: Mitigating Inappropriate Degeneration in Diffusion Models", CVPR 2023
(arXiv 2211.05105); read against the authors' pipeline, whose numbers these are: the scale is clamped to at most 1, the
threshold compares the signed difference, momentum builds up during warm-up.
"""

from dataclasses import dataclass

import torch


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

    @property
    def always(self):
        """Whether every step is guided, so that nobody needs to ask which step it is."""
        return self.warmup_steps == 0

    def guided(self, step):
        """Whether the correction is applied at executed step ``step`` (zero-based; the authors gate with >=)."""
        return step >= self.warmup_steps

    def needed(self, step):
        """Whether the concept's prediction is needed at ``step``: momentum is gathered during warm-up as well."""
        return not self.off and (self.guided(step) or self.momentum_scale != 0)

    def gamma(self, eps_positive, eps_unconditional, eps_concept, momentum=None):
        """gamma and the new momentum (equations 4 and 6 to 8; the caller subtracts gamma inside the guidance bracket, eq. 3).

        All tensors: raw predictions of one shape (n, c, h, w), float32: eps, or the velocity for flow models. ``momentum`` is
        None at the start of a run. Element-wise throughout; nothing is changed in place.
        """
        difference = eps_positive - eps_concept
        scale = (difference.abs() * self.guidance_scale).clamp_(max=1.0)
        scale.masked_fill_(difference >= self.threshold, 0.0)
        gamma = scale.mul_(eps_concept - eps_unconditional)
        if momentum is None:
            return gamma, gamma * (1 - self.momentum_beta)
        gamma = gamma.add_(momentum, alpha=self.momentum_scale)
        return gamma, torch.lerp(gamma, momentum, self.momentum_beta)


PRESETS = {
    "weak": Settings(20, 15, 0.0, 0.0, 0.0),
    "medium": Settings(1000, 10, 0.01, 0.3, 0.4),
    "strong": Settings(2000, 7, 0.025, 0.5, 0.7),
    "max": Settings(5000, 0, 1.0, 0.5, 0.7),
}


# ---- ours -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aligned:
    """The aligned variant: how hard to push (1 takes the concept's direction out once), where its gate opens."""

    strength: float
    opens: float = 0.3  # cosine at which the gate starts to open ...
    open: float = 0.6  # ... and at which it is fully open

    always = True

    @property
    def off(self):
        return self.strength == 0

    def gamma(self, eps_positive, eps_unconditional, eps_concept, similarity=None):
        """gamma and the new running similarity of the aligned variant: ours, not published.

        The published scale grows with the difference of prompt and concept, so it vanishes where both say the same, and it
        pushes where they are unlike. Here the push depends on how well the directions agree: the cosine, per picture, between
        what the prompt wants (eps_positive - eps_unconditional) and what the concept wants, averaged over the steps so far
        (later steps count for more: the first predictions are vague, so the gate also starts half shut). A prompt for the
        concept is pushed with the full strength, whatever its words; an unrelated one is left alone.

        Tensors as for ``Settings.gamma``. ``similarity``: None at the start of a run, else what the last step returned.
        """
        wanted, concept = eps_positive - eps_unconditional, eps_concept - eps_unconditional
        cosine = torch.nn.functional.cosine_similarity(wanted.flatten(1), concept.flatten(1), eps=1e-12)
        total, step = similarity if similarity is not None else (torch.zeros_like(cosine), 0)
        total, step = total + (step + 0.5) * cosine, step + 1
        gate = ((total / (0.5 + 0.5 * step**2) - self.opens) / (self.open - self.opens)).clamp_(0, 1)
        return concept.mul_((self.strength * gate).view(-1, *[1] * (concept.ndim - 1))), (total, step)


ALIGNED = {"weak": Aligned(1.0), "medium": Aligned(1.5), "strong": Aligned(2.0), "max": Aligned(3.0)}
