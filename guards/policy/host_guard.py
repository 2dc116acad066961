"""What the nodes do that the server puts into a graph under a policy: guard a MODEL, read a text, look at pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..host import rail
from ..judging import host_score
from ..sld import formula
from ..sld import host as sld
from . import host_tripwire as tripwire
from .host_office import Stopped, in_force, office
from .rules import Policy, Refusal

SETTINGS = {  # strictness -> strength of the aligned guidance, and when it looks
    "gentle": ("medium", "auto"),
    "balanced": ("strong", "watchful"),
    "strict": ("max", "off"),
}


@dataclass(frozen=True, eq=False)
class UnderPolicy(rail.Guard):
    """Marks a run as guarded for the tripwire, and holds it to the policy. ``own``: the guards that the policy put before it."""

    fingerprint: str
    own: tuple[rail.Guard, ...]

    def begin(self, run):
        policy = in_force(self.fingerprint)
        if run.steps < policy.minimum_steps:
            refusal = Refusal(
                "steps", f"This sampler takes {run.steps} steps, at least {policy.minimum_steps} are needed here."
            )
            office.record("refused", refusal)
            raise Stopped(refusal, policy)
        return {}

    def patch(self, run, state, options):
        state["token"] = options[tripwire.TOKEN] = tripwire.begin()

    def end(self, state):
        if "token" in state:
            tripwire.end(state["token"])


def guard(model, clip, policy: Policy):
    """A clone of a MODEL that keeps the policy's concepts out, and that the tripwire lets pass; the last guard, and there once.

    Raises Stopped where no text encoder is there to say what the concepts are."""
    if clip is None:
        raise Stopped(
            Refusal("encoder", "No text encoder belongs to this model here, so it cannot be guarded."), policy
        )
    options = model.model_options.get("transformer_options", {})
    earlier = options.get(rail.KEY, ())
    policys = {id(one) for under in earlier if isinstance(under, UnderPolicy) for one in (under, *under.own)}
    guarded = model.clone()
    if policys:
        rail.detach(guarded)
        for one in earlier:
            if id(one) not in policys:
                guarded = rail.attach(guarded, one)
    before = guarded.model_options.get("transformer_options", {}).get(rail.KEY, ())
    empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    preset, gating = SETTINGS[policy.strictness]
    for text in policy.texts:
        concept = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        guarded = sld.guard(guarded, formula.ALIGNED[preset], concept, empty, gating)
    own = guarded.model_options["transformer_options"][rail.KEY][len(before) :]
    return rail.attach(guarded, UnderPolicy(policy.fingerprint, tuple(own)))


def read(text: str, policy: Policy) -> str:
    """The text itself. Raises Stopped where it names a refused concept."""
    concept = office.names(text) if isinstance(text, str) else None
    if concept is not None:
        refusal = Refusal(
            "text", f"A text that was made while the graph ran asks for {concept}, which is not allowed here."
        )
        office.record("refused", refusal)
        raise Stopped(refusal, policy)
    return text


def look(images: Any, policy: Policy) -> Refusal | None:
    """Why pictures may not be shown, or None. What is no picture passes: latents are looked at when they have become pictures."""
    pictures = images.get_components().images if hasattr(images, "get_components") else images
    if (
        policy.check_images != "block"
        or not isinstance(pictures, torch.Tensor)
        or pictures.ndim != 4
        or pictures.shape[-1] < 3
    ):
        return None
    what = ", ".join(policy.texts) if policy.checker == "demo oracle" else ""
    scores = host_score.find(policy.checker, pictures, what).scores
    if float(scores.max()) <= policy.threshold:
        return None
    return Refusal("picture", "The picture shows what is not allowed here, so it was stopped.")
