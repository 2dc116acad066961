"""What the nodes do that the server puts into a graph under a policy: guard a MODEL, read a text, look at pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import looking
from ..concepts import host as concepts
from ..host import rail
from . import host_check, permitted
from . import host_tripwire as tripwire
from .host_office import Stopped, in_force, office
from .rules import Policy
from .sayings import Refusal


@dataclass(frozen=True, eq=False)
class UnderPolicy(rail.Guard):
    """Marks a run as guarded for the tripwire, and holds it to the policy. ``own``: the guards that the policy put before it."""

    stamp: str  # the policy's fingerprint and the language of whoever sent the graph
    own: tuple[rail.Guard, ...]
    patches: object  # what the host knows the guarded weights by

    def begin(self, run):
        policy, language = in_force(self.stamp)
        if run.steps < policy.minimum_steps:
            refusal = Refusal("steps", "steps", values={"steps": run.steps, "least": policy.minimum_steps})
            office.record("refused", refusal, policy=policy)
            raise Stopped(refusal, policy, language)
        return {}

    def patch(self, run, state, options):
        state["token"] = options[tripwire.TOKEN] = tripwire.begin()

    def end(self, state):
        if "token" in state:
            tripwire.end(state["token"])


def guard(model, clip, stamp: str):
    """A clone of a MODEL that keeps the policy's concepts out, and that the tripwire lets pass; the last guard, and there once. What is no
    MODEL passes.

    Raises Stopped where no text encoder is there to say what the concepts are."""
    policy, language = in_force(stamp)
    if not (hasattr(model, "model_options") and hasattr(model, "clone")):
        return model
    if clip is None:
        raise Stopped(Refusal("encoder", "no encoder"), policy, language)
    earlier = model.model_options.get("transformer_options", {}).get(rail.KEY, ())
    last = earlier[-1] if earlier else None
    if isinstance(last, UnderPolicy) and last.stamp == stamp and last.patches == model.patches_uuid:
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
    with looking.no_picture():
        guarded = concepts.guard(guarded, clip, lines, policy.strictness)[0]
    own = guarded.model_options.get("transformer_options", {}).get(rail.KEY, ())[len(before) :]
    return rail.attach(guarded, UnderPolicy(stamp, tuple(own), guarded.patches_uuid))


def read(text: str, stamp: str) -> str:
    """The text itself. Raises Stopped where it names a refused concept, or an embedding that is not allowed."""
    policy, language = in_force(stamp)
    refusal = _unwanted(text, policy) if isinstance(text, str) else None
    if refusal is not None:
        office.record("refused", refusal, policy=policy)
        raise Stopped(refusal, policy, language)
    return text


def _unwanted(text: str, policy: Policy) -> Refusal | None:
    concept = office.names(policy, text)
    if concept is not None:
        return Refusal("text", "made wish", values={"concept": concept})
    named = permitted.embedding(text, policy)
    if named is None:
        return None
    return Refusal("files", "made file", values={"file": named[0], **permitted.choice("embeddings", named[1])})


def look(images: Any, stamp: str) -> Any:
    """The pictures themselves. Raises Stopped where they may not be shown."""
    policy, language = in_force(stamp)
    refusal = host_check.look(images, policy)
    if refusal is not None:
        office.record("blocked", refusal, policy=policy)
        raise Stopped(refusal, policy, language)
    return images
