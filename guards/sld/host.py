"""Safe Latent Diffusion on the rail: a further prediction, the published correction, momentum per sampler step."""

import logging
from dataclasses import dataclass

import torch

from ..host import checks, rail, roles
from . import formula as sld
from .host_aligned import AlignedGuidance
from .host_texts import names, same_text, shared_options

LEAST = 1e-6  # noise level: unsampling starts without any, where every prediction is the picture itself


@dataclass(frozen=True, eq=False)
class SafeLatentDiffusion(rail.Guard):
    """One safety concept with one of the published sets of numbers. Two of them on a MODEL are two concepts, both effective."""

    settings: sld.Settings
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
        self._say_what_is_not_seen(run)
        shared = shared_options(run, self.concept)
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
        elif same_text(self.concept, run.guider.conds[unconditional]):
            raise ValueError(
                "safety_concept and the negative prompt are the same text, so the guard has nothing to measure and would do nothing. Leave "
                "the negative prompt empty (or use it for other things): the guard does its work."
            )
        partial = any(key in options for _, options in self.concept for key in ("area", "mask"))
        ends = roles.is_scheduled(run.guider.conds[unconditional])
        return _State(concept, unconditional, run.add_always(unconditional) if ends else None, partial)

    def _say_what_is_not_seen(self, run):
        """The published formula looks at the positive prompt alone, by its distance from the negative one, and after the warm-up."""
        if self.settings.warmup_steps >= run.steps:
            logging.warning(
                "Safe Latent Diffusion: this run has %d steps and the warm-up takes %d, so the guard does nothing in it. Choose preset "
                "custom with fewer warmup_steps, or variant aligned, which has no warm-up.",
                run.steps,
                self.settings.warmup_steps,
            )
        others = (role for role in run.guider.conds if role != "positive" and role not in run.added)
        hidden = [role for role in others if names(run, role, self.concept)]
        if hidden:
            logging.warning(
                "Safe Latent Diffusion: the conditioning %s names the concept, and the published variant corrects what 'positive' adds "
                "only. Choose variant aligned, with an empty prompt at 'unconditional': it looks at whatever comes out.",
                " and ".join(f"'{role}'" for role in hidden),
            )

    def wants(self, run, state):
        if run.scale <= 0:
            raise ValueError(
                f"Safe Latent Diffusion: at cfg {run.scale:g} the picture is not the positive prompt's, which is all that the published "
                "variant corrects: it would do nothing. Raise cfg, or choose variant aligned, which looks at whatever comes out."
            )
        needed = self.settings.always or self.settings.needed(run.step)
        if not (needed and run.live(state.concept) and run.live("positive")):
            return ()
        return "positive", state.base(run), state.concept

    def correct(self, run, state, predictions):
        x, sigma = run.x, run.sigma.view(-1, *[1] * (run.x.ndim - 1)).clamp(min=LEAST)
        if sigma.shape[0] == 1:
            sigma = sigma.expand(x.shape[0], *sigma.shape[1:])
        positive, unconditional, concept = (predictions[n] for n in ("positive", state.base(run), state.concept))
        eps_positive, eps_base, eps_concept = ((x - d).float() / sigma for d in (positive, unconditional, concept))
        if state.partial:  # outside its area or mask the host leaves the prediction at exactly zero
            eps_concept = torch.where((concept != 0).any(dim=1, keepdim=True), eps_concept, eps_base)
        momentum = state.momentum.get(x.shape)
        gamma, state.candidates[x.shape] = self.settings.gamma(eps_positive, eps_base, eps_concept, momentum)
        if not (self.settings.always or self.settings.guided(run.step)):
            return None
        return gamma * sigma * run.scale

    def commit(self, state):
        state.momentum |= state.candidates
        state.candidates.clear()


class _State:
    """Of one sampling run. Every evaluation proposes a momentum; the one that ends a step is kept. Samplers that shrink or enlarge the
    latents on their way, or cut them up, have one for each size."""

    def __init__(self, concept, unconditional, always, partial):
        self.concept, self.unconditional, self.partial = concept, unconditional, partial
        self.always = always  # the negative without its timestep range, if it has one
        self.momentum, self.candidates = {}, {}

    def base(self, run):
        """What the concept is measured from now: where the negative prompt has ended, the host's prediction for it is zero."""
        return self.unconditional if self.always is None or run.live(self.unconditional) else self.always


def guard(model, settings, concept, unconditional=None, gating="off"):
    """A clone of ``model`` under the guard; the same object when the guard is off (guidance scale or strength 0).

    ``settings``: ``formula.Settings`` (published) or ``formula.Aligned``. ``concept``, ``unconditional``: CONDITIONING; the latter an
    empty text or None. ``gating``: "off", "auto" or "watchful"; counts for ``Aligned`` alone.
    """
    checks.conditioning(concept, "safety_concept")
    if unconditional is not None:
        checks.conditioning(unconditional, "unconditional")
    if settings.off:
        return model
    if isinstance(settings, sld.Aligned):
        return rail.attach(model, AlignedGuidance(settings, concept, unconditional, gating))
    return rail.attach(model, SafeLatentDiffusion(settings, concept, unconditional))
