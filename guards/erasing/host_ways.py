"""By which ways a text comes into a model: an edit of a text's vectors holds where they are the one that says what it means.

Some models make other vectors of a text before they read it, which is where the edit must be; some read it a second time, by another
encoder's vectors or as plain tokens. A pooled vector says little by itself, and is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..host import checks
from . import host_look

PLAIN = {"pooled_output", "attention_mask"}  # of a CONDITIONING's options: what goes with its vectors
REMADE = {
    "Anima": ("t5xxl", {"t5xxl_ids", "t5xxl_weights"})
}  # the host's class -> the tokens whose places the vectors have that it
# makes of a text, and what it makes them of besides the text encoder's
NO_VECTORS = {
    "StageC",
    "StageB",
    "HiDreamO1Transformer",
}  # they read a text, but not as vectors that go with every step


class OtherWayError(ValueError):
    """A text comes into a model by a way that cannot be edited."""


@dataclass(frozen=True)
class Remaking:
    """What a MODEL makes of a text's vectors. ``tokens``: of which of the text encoder's tokenizers they have the places."""

    model: Any
    tokens: str

    def vectors(self, conditionings: Sequence[list], tick: Callable[[int], None]) -> list[torch.Tensor]:
        """(T, width) of each CONDITIONING, float32 on the CPU, as the host prepares them for a run of this MODEL. ``tick(done)`` is called
        after each, and may raise to stop."""
        made = []

        def take(guider, noise, sigmas, options):
            for number in range(len(conditionings)):
                vectors = guider.conds[str(number)][0]["model_conds"]["c_crossattn"].cond[0]
                made.append(vectors.detach().float().cpu())
                tick(number + 1)

        latents = torch.zeros(1, *host_look.shape(self.model))
        with torch.inference_mode():
            host_look.prepared(self.model, conditionings, latents, torch.tensor([1.0, 0.0]), take)
        return [part.clone() for part in made]  # no tensors of inference alone: a training may go on from them


def remaking(model) -> Remaking | None:
    """How a MODEL makes other vectors of a text; None where it reads the text encoder's."""
    kind = checks.kind(model, REMADE)
    return Remaking(model, REMADE[kind][0]) if kind else None


def check(model, clip, text: str) -> torch.Tensor:
    """The vectors (1, T, c) of ``text``. Raises OtherWayError where an edit of them would not change all that this MODEL is told of it."""
    name, kind = checks.model_name(model), checks.kind(model, REMADE)
    if checks.kind(model, NO_VECTORS):
        raise OtherWayError(f"{name} reads its text by another way than vectors that could be changed.")
    if not kind and hasattr(checks.network(model), "preprocess_text_embeds"):
        raise OtherWayError(f"{name} makes other vectors of a text before it reads it, whose places are not known.")
    known = PLAIN | (REMADE[kind][1] if kind else set())
    vectors, options = clip.encode_from_tokens_scheduled(clip.tokenize(text))[0]
    more = {key: one for key, one in options.items() if key not in known and isinstance(one, torch.Tensor)}
    if more:
        without = clip.encode_from_tokens_scheduled(clip.tokenize(""))[0][1]
        more = sorted(key for key, one in more.items() if not _equal(one, without.get(key)))
    if more:
        raise OtherWayError(f"{name} reads a text twice, also as {', '.join(more)}, which cannot be changed.")
    return vectors


def _equal(one: torch.Tensor, other) -> bool:
    return isinstance(other, torch.Tensor) and one.shape == other.shape and bool(torch.equal(one, other.to(one)))
