"""Safe Latent Diffusion on the rail: the third prediction, the published correction, momentum per sampler step."""

from dataclasses import dataclass

import torch

from ..host import checks, rail
from . import formula as sld

# What carries a conditioning's text, area, or time: its own. All else (reference pictures, ControlNets, sizes, hooks ...) the safety
# concept shares with the prompt, or the difference of the two would hold more than their meaning.
OWN = frozenset(
    """cross_attn pooled_output attention_mask t5xxl_ids t5xxl_weights text_input_ids conditioning_llama3 conditioning_mt5xl
    attention_mask_mt5xl conditioning_byt5small conditioning_lyrics lyrics_strength cross_attn_controlnet unprocessed_ltxav_embeds
    reference_latents_text_embeds minimax_token_tags area strength set_area_to_bounds mask mask_strength default start_percent
    end_percent clip_start_percent clip_end_percent timestep_start timestep_end uuid model_conds prompt_type""".split()
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
        own = OWN.union(*(options for _, options in self.concept))
        shared = {key: value for key, value in positive[0].items() if key not in own and not key.startswith("guard_")}
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
        ends = any(
            entry.get("start_percent") or entry.get("end_percent", 1.0) < 1 for entry in run.guider.conds[unconditional]
        )
        return _State(concept, unconditional, run.add_always(unconditional) if ends else None, partial)

    def wants(self, run, state):
        settings = self.settings
        needed = run.scale != 0 and (settings.always or settings.needed(run.step))
        if not (needed and run.live(state.concept) and run.live("positive")):
            return ()
        return "positive", state.base(run), state.concept

    def correct(self, run, state, predictions):
        x, sigma = run.x, run.sigma.view(-1, *[1] * (run.x.ndim - 1))
        if sigma.shape[0] == 1:
            sigma = sigma.expand(x.shape[0], *sigma.shape[1:])
        positive, unconditional, concept = (predictions[n] for n in ("positive", state.base(run), state.concept))
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

    def __init__(self, concept, unconditional, always, partial):
        self.concept, self.unconditional, self.partial = concept, unconditional, partial
        self.always = always  # the negative without its timestep range, if it has one
        self.memory = self.candidate = None

    def base(self, run):
        """What the concept is measured from now: where the negative prompt has ended, the host's prediction for it is zero."""
        return self.unconditional if self.always is None or run.live(self.unconditional) else self.always


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
