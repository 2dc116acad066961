"""What the nodes do that the server puts into a graph under a policy: guard a MODEL, read a text, look at pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..concepts import host as concepts
from ..host import rail
from ..judging import host_score
from . import host_tripwire as tripwire
from .host_office import Stopped, in_force, office
from .rules import Policy, Refusal


@dataclass(frozen=True, eq=False)
class UnderPolicy(rail.Guard):
    """Marks a run as guarded for the tripwire, and holds it to the policy. ``own``: the guards that the policy put before it."""

    fingerprint: str
    own: tuple[rail.Guard, ...]
    patches: object  # what the host knows the guarded weights by

    def begin(self, run):
        policy = in_force(self.fingerprint)
        if run.steps < policy.minimum_steps:
            refusal = Refusal(
                "steps", f"This sampler takes {run.steps} steps, at least {policy.minimum_steps} are needed here."
            )
            office.record("refused", refusal, policy=policy)
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
    earlier = model.model_options.get("transformer_options", {}).get(rail.KEY, ())
    last = earlier[-1] if earlier else None
    if isinstance(last, UnderPolicy) and last.fingerprint == policy.fingerprint and last.patches == model.patches_uuid:
        return model  # as the policy's node left it
    policys = {id(one) for under in earlier if isinstance(under, UnderPolicy) for one in (under, *under.own)}
    guarded: Any = model.clone()
    if policys:
        rail.detach(guarded)
        for one in earlier:
            if id(one) not in policys:
                guarded = rail.attach(guarded, one)
    before = guarded.model_options.get("transformer_options", {}).get(rail.KEY, ())
    lines = "\n".join(concept.line for concept in policy.concepts)
    with tripwire.measuring():
        guarded = concepts.guard(guarded, clip, lines, policy.strictness)[0]
    own = guarded.model_options.get("transformer_options", {}).get(rail.KEY, ())[len(before) :]
    return rail.attach(guarded, UnderPolicy(policy.fingerprint, tuple(own), guarded.patches_uuid))


def read(text: str, policy: Policy) -> str:
    """The text itself. Raises Stopped where it names a refused concept."""
    concept = office.names(policy, text) if isinstance(text, str) else None
    if concept is not None:
        refusal = Refusal(
            "text", f"A text that was made while the graph ran asks for {concept}, which is not allowed here."
        )
        office.record("refused", refusal, policy=policy)
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
