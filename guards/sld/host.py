"""Safe Latent Diffusion on the rail: the third prediction, the published correction, momentum per sampler step."""

from dataclasses import dataclass

import torch

from ..host import checks, rail
from . import formula as sld

# What the safety concept must share with the prompt, or the difference of the two would hold more than their meaning.
SHARED = (
    "control",
    "control_apply_to_uncond",
    "gligen",
    "width",
    "height",
    "crop_w",
    "crop_h",
    "target_width",
    "target_height",
    "guidance",
    "reference_latents",
    "concat_latent_image",
    "concat_mask",
    "concat_image",
    "noise_augmentation",
)


@dataclass(frozen=True, eq=False)
class SafeLatentDiffusion(rail.Guard):
    """One safety concept with one set of numbers. Two of them on a MODEL are two concepts, both effective."""

    settings: sld.Settings | sld.Aligned
    concept: list  # CONDITIONING
    unconditional: list | None = None  # CONDITIONING, for guiders that have none of their own

    def begin(self, run):
        positive = run.guider.conds.get("positive")
        if not positive:
            raise ValueError(
                "Safe Latent Diffusion needs a guider with a positive conditioning: use KSampler, or SamplerCustomAdvanced "
                "with CFGGuider, DualCFGGuider, PerpNegGuider or BasicGuider."
            )
        checks.same_encoder(run.model, self.concept, "safety_concept", positive)
        shared = {key: positive[0][key] for key in SHARED if positive[0].get(key) is not None}
        own = {key for _, options in self.concept for key in options}
        shared = {key: value for key, value in shared.items() if key not in own}
        concept = run.add(self.concept, prompt_type="negative", **shared)
        unconditional = run.unconditional
        if unconditional is None:
            if self.unconditional is None:
                raise ValueError(
                    "Safe Latent Diffusion measures the concept against the negative prompt, and this guider has none. Use CFGGuider (cfg "
                    "1 is allowed) instead of BasicGuider, or connect an empty prompt to the node's 'unconditional' input."
                )
            checks.same_encoder(run.model, self.unconditional, "unconditional", positive)
            unconditional = run.add(self.unconditional, prompt_type="negative", **shared)
        elif _same(self.concept, run.guider.conds[unconditional]):
            raise ValueError(
                "safety_concept and the negative prompt are the same text, so the guard has nothing to measure and would do nothing. Leave "
                "the negative prompt empty (or use it for other things): the guard does its work."
            )
        partial = any(key in options for _, options in self.concept for key in ("area", "mask"))
        return _State(concept, unconditional, partial)

    def wants(self, run, state):
        settings = self.settings
        needed = run.scale != 0 and (settings.always or settings.needed(run.step))
        state.wanted = needed and run.live(state.concept)
        return ("positive", state.unconditional, state.concept) if state.wanted else ()

    def correct(self, run, state, predictions):
        if not state.wanted:
            return None
        x, sigma = run.x, run.sigma.view(-1, *[1] * (run.x.ndim - 1))
        if sigma.shape[0] == 1:
            sigma = sigma.expand(x.shape[0], *sigma.shape[1:])
        positive, unconditional, concept = (predictions[n] for n in ("positive", state.unconditional, state.concept))
        eps = [(x - d).float() / sigma for d in (positive, unconditional, concept)]
        if state.partial:  # outside its area or mask the host leaves the prediction at exactly zero
            eps[2] = torch.where((concept != 0).any(dim=1, keepdim=True), eps[2], eps[1])
        gamma, state.candidate = self.settings.gamma(*eps, state.memory)
        if not (self.settings.always or self.settings.guided(run.step)):
            return None
        return gamma * sigma * run.scale

    def commit(self, state):
        if state.candidate is not None:
            state.memory, state.candidate = state.candidate, None


class _State:
    """Of one sampling run. Every evaluation proposes a memory (momentum, similarity); the one that ends a step is kept."""

    def __init__(self, concept, unconditional, partial):
        self.concept, self.unconditional, self.partial = concept, unconditional, partial
        self.memory = self.candidate = None
        self.wanted = False


def _same(conditioning, entries):
    """Whether a CONDITIONING and a sampler's entries hold the very same text tensors."""
    return len(conditioning) == len(entries) and all(
        entry.get("cross_attn") is not None
        and tensor.shape == entry["cross_attn"].shape
        and torch.equal(tensor.to(entry["cross_attn"]), entry["cross_attn"])
        for (tensor, _), entry in zip(conditioning, entries, strict=True)
    )


def guard(model, settings, concept, unconditional=None):
    """A clone of ``model`` under the guard; the same object when the guard is off (guidance scale 0)."""
    checks.conditioning(concept, "safety_concept")
    if settings.off:
        return model
    return rail.attach(model, SafeLatentDiffusion(settings, concept, unconditional))
