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


FEW = 8  # executed steps up to which every one of them decides much
FEW_PUSH = 1.5  # how much harder each of these pushes


@dataclass(frozen=True)
class Memory:
    """How well a run's steps so far agreed with the concept: (n,) sum of weighted cosines, their number, and the weight of doubt."""

    total: torch.Tensor
    steps: int
    doubt: float

    @property
    def agreement(self) -> torch.Tensor:
        """(n,) running cosine, -1 to 1: later steps count for more (weights 0.5, 1.5, 2.5, ...)."""
        return self.total / (self.doubt + 0.5 * self.steps**2)


@dataclass(frozen=True)
class Aligned:
    """The aligned variant: how hard to push (1 takes the concept's direction out once), where its gate opens."""

    strength: float
    opens: float = 0.3  # cosine at which the gate starts to open ...
    open: float = 0.6  # ... and at which it is fully open

    @property
    def off(self):
        return self.strength == 0

    def push(self, result, nothing, concept, memory=None, doubt=0.5, named=None, few=False):
        """(what to add to ``result``, the new ``Memory``): ours, not published.

        The published scale grows with the difference of prompt and concept, so it vanishes where both say the same, and it
        pushes where they are unlike. Here the push depends on how well the directions agree: the cosine, per picture, between
        what comes out (result - nothing) and what the concept wants (concept - nothing), averaged over the steps so far. Which
        prompts made the result, and by which scales, does not matter. A place in the picture counts by how much the concept wants
        there. The push is the projection on the concept's direction, ``strength`` times, where that is positive (DVE, arXiv
        2602.01089, equation of its projection; gate and averages are ours).

        Tensors: denoised predictions of one shape (n, c, ...), of any floating type: the guider's result and those of an empty text
        and of the concept. ``memory``: None at the start, else what the last step returned; ``doubt``: the weight that an agreement of
        zero has beside the steps, 0.5 where the first predictions are vague. ``named``: (n or 1,) 0 to 1, how far the gate is open whatever
        the pictures show. ``few``: whether the run has at most ``FEW`` steps. Nothing is changed in place, nothing waits for the device.
        """
        wanted, direction = result.float() - nothing.float(), concept.float() - nothing.float()
        square = direction.square()
        weight = square.sum(1, keepdim=True)
        weight = weight / weight.flatten(1).mean(1).view(-1, *[1] * (weight.ndim - 1)).clamp_min(1e-12)
        product = wanted * direction
        norms = (weight * wanted.square()).flatten(1).sum(1) * (weight * square).flatten(1).sum(1)
        cosine = (weight * product).flatten(1).sum(1) / norms.sqrt().clamp_min(1e-12)
        total, steps = (memory.total, memory.steps) if memory is not None else (torch.zeros_like(cosine), 0)
        doubt = memory.doubt if memory is not None else doubt
        memory = Memory(total + (steps + 0.5) * cosine, steps + 1, doubt)
        gate = ((memory.agreement - self.opens) / (self.open - self.opens)).clamp(0, 1)
        if named is not None:
            gate = torch.maximum(gate, named)
        share = product.flatten(1).sum(1) / square.flatten(1).sum(1).clamp_min(1e-12)
        amount = share.clamp_min(0) * gate * (self.strength * (FEW_PUSH if few else 1.0))
        return direction * -amount.view(-1, *[1] * (direction.ndim - 1)), memory


ALIGNED = {"weak": Aligned(1.0), "medium": Aligned(1.5), "strong": Aligned(2.0), "max": Aligned(3.0)}


def named(text: torch.Tensor, concept: torch.Tensor, alike: float = 0.9, distinct: float = 0.25) -> torch.Tensor:
    """(rows,) which share of the concept's words each text has, 0 to 1, by their encodings alone.

    ``text``: (rows, tokens, width), ``concept``: (1 or more, tokens, width; the first row counts), encoded by the same text encoder. Words
    of the concept are its tokens, without the first (a start token is the same in all texts), that are unlike its last one (padding); a
    text has one if any of its tokens has a cosine of ``alike`` with it. A concept without such tokens is named by no text.
    """
    words, text = concept[0].float(), text.float()
    words, text = (torch.nn.functional.normalize(rows, dim=-1) for rows in (words, text))
    own = (words @ words[-1] < 1 - distinct) & (words.square().sum(-1) > 0)
    own[0] = False
    words = words[own]
    if not len(words):
        return text.new_zeros(text.shape[0])
    return ((text[:, 1:] @ words.T).amax(1) >= alike).float().mean(1)
