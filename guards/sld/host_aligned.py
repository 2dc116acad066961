"""The aligned variant on the rail: it looks at what the guider returns, whatever the slots are called and however they are mixed."""

import logging
from dataclasses import dataclass

import comfy.utils
import torch

from ..host import checks, rail, roles
from . import formula as sld
from . import host_texts as texts
from .watch import Watch


@dataclass(frozen=True, eq=False)
class AlignedGuidance(rail.Guard):
    """One safety concept. Two of them on a MODEL are two concepts, both effective."""

    settings: sld.Aligned
    concept: list  # CONDITIONING
    unconditional: list | None = None  # CONDITIONING, an empty text; None: the guider's negative prompt stands for it
    gating: str = "off"

    def begin(self, run):
        leading = texts.leading(run)
        if not leading:
            raise ValueError("Safe Latent Diffusion: the guider has no conditioning at all. Connect a prompt to it.")
        checks.same_encoder(run.model, self.concept, "safety_concept", leading)
        shared = texts.shared_options(run, self.concept)
        empty = self.unconditional
        nothing = self._negative(run) if empty is None else (self._empty(run, empty[:1], leading), None)
        few = run.steps <= sld.FEW
        named = texts.asked_for(run, self.concept) if few else None
        watch = (
            None if few or self.gating == "off" else Watch(run.steps, self.settings.opens, self.gating == "watchful")
        )
        concept = run.add(self.concept, prompt_type="negative", **shared)
        partial = any(key in options for _, options in self.concept for key in ("area", "mask"))
        return _State(concept, *nothing, partial, few, named, watch)

    def _empty(self, run, text, leading):
        """The name of the prediction for the empty text of our own: that of a slot which holds the very same, else of a row of ours."""
        checks.same_encoder(run.model, text, "unconditional", leading)
        (tensor, options), *_ = text
        entry = {"cross_attn": tensor}
        if texts.same_text(self.concept, [entry]) or texts.says(entry, self.concept):
            raise ValueError(
                "Safe Latent Diffusion: the text at 'unconditional' names the concept, so the guard would see no difference and do "
                "nothing. Connect an empty prompt (CLIP Text Encode without words) to 'unconditional'."
            )
        kept = {key: value for key, value in options.items() if key not in texts.RANGED}
        role = texts.standing_for(run, text)
        return role or run.add([[tensor, kept]], prompt_type="negative", **texts.shared_options(run, text))

    def _negative(self, run):
        """(role, name of the same without its timestep range or None) of the guider's own negative prompt, in place of an empty text."""
        role = run.unconditional
        if role is None:
            raise ValueError(
                "Safe Latent Diffusion measures the concept from an empty prompt, and this guider has none. Connect an empty prompt to the "
                "node's 'unconditional' input, or use CFGGuider (cfg 1 is allowed) instead of BasicGuider."
            )
        entries = run.guider.conds[role]
        if texts.same_text(self.concept, entries) or (texts.names(run, role, self.concept) and not _away(run)):
            raise ValueError(
                f"Safe Latent Diffusion: the conditioning '{role}' says what safety_concept says, or nearly the same text, so the guard, "
                "which measures from it, would do nothing. Connect an empty prompt (CLIP Text Encode without words) to 'unconditional', "
                "and the guard does its work whatever the slots hold."
            )
        if texts.names(run, role, self.concept):
            logging.warning(
                "Safe Latent Diffusion: the conditioning '%s' names the concept, and without an empty prompt at 'unconditional' the guard "
                "is measured from it, which weakens it. Connect an empty prompt there.",
                role,
            )
        return role, run.add_always(role) if roles.is_scheduled(entries) else None

    def wants(self, run, state):
        state.follow(run.alive(), run.scale if state.watch is not None else None)
        if not (state.needed() and run.live(state.concept)):
            return ()
        return state.nothing(run), state.concept

    def correct(self, run, state, predictions):
        result, nothing, concept = run.result, predictions[state.nothing(run)], predictions[state.concept]
        if state.partial:  # outside its area or mask the host leaves the prediction at exactly zero
            inside = (concept != 0).any(dim=1, keepdim=True)
            concept, result = (torch.where(inside, part, nothing) for part in (concept, result))
        known = state.memory is None or len(state.memory.total) == len(result)
        addition, made = self.settings.push(
            result, nothing, concept, state.memory if known else None, state.doubt, state.opened(result), state.few
        )
        if known:  # else some of the pictures alone, or several versions of each, as a pack's sampler may ask for between steps
            state.candidate = made
        return addition

    def commit(self, state):
        state.commit()


def _away(run) -> bool:
    """Whether guidance pushes away from the negative prompt (cfg above 1), whatever it names. Lists of scales: in any step."""
    scale = roles.number_or_list(getattr(run.guider, "cfg", 1.0))
    return max(scale) > 1 if isinstance(scale, list | tuple) else run.scale > 1


class _State:
    """Of one sampling run. Every evaluation proposes a memory; the one that ends a step is kept."""

    def __init__(self, concept, base, always, partial, few, named, watch):
        self.concept, self.partial, self.few, self.watch = concept, partial, few, watch
        self._base, self._always = base, always  # the latter: the former without its timestep range, if it has one
        self._named = named if named is not None and bool(named.any()) else None
        self.memory = self.candidate = None
        self.doubt = 0.0 if few else 0.5
        self._alive = self._scale = None
        self._looked = False  # whether the last step has something to tell to the watch

    def nothing(self, run):
        """What the concept is measured from now: where a slot's text has ended, the host's prediction for it is zero."""
        return self._base if self._always is None or run.live(self._base) else self._always

    def follow(self, alive, scale):
        """Forget the agreement when other prompts are live than before: what comes out now is about something else. The watch begins
        anew then, and where the guider's scale has changed."""
        if self._alive is not None and alive != self._alive:
            self.memory, self.candidate, self.doubt, self._looked = None, None, 0.0, False
        if self.watch is not None and self._alive is not None and (alive, scale) != (self._alive, self._scale):
            self.watch.restart()
        self._alive, self._scale = alive, scale

    def needed(self):
        """Whether the concept is evaluated now. Reads one number from the device where the watch asks for it: in a few steps of a run."""
        if self.watch is None:
            return True
        if self._looked and self.memory is not None:
            self._looked = False
            if self.watch.asks:
                self.watch.look(float(self.memory.agreement.max()))
        return self.watch.needed

    def opened(self, result):
        """(n,) how far the gate is open whatever the pictures show, on the device; None where that is for none."""
        if self._named is None:
            return None
        if self._named.shape[0] != result.shape[0] or self._named.device != result.device:
            self._named = comfy.utils.repeat_to_batch_size(self._named, result.shape[0]).to(result.device)
        return self._named

    def commit(self):
        if self.watch is not None:
            self.watch.step += 1
        if self.candidate is not None:
            self.memory, self.candidate, self._looked = self.candidate, None, True
