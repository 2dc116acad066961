"""Local gates: a concept is looked for at every position of the picture, and only there another text's part stands in for it.

At a cross-attention layer and a position p, with the layer's own query and texts of our own:
    w_p = attention to the prompt - attention to no text           what the prompt adds here
    t_p = attention to the target - attention to a neutral text    what the target adds here
    share_p = <w_p, t_p> / |t_p|^2        cos_p = <w_p, t_p> / (|w_p| |t_p|)
Is the target anywhere? That shows in the model's seed layers, those whose cross-attention tells concepts apart (`calibration`):
    e = ramp(max over positions of cos_p; low, high)               the largest so far, a picture and target each
Where? At every position of a picture with e > 0, in every layer that acts:
    g_p = e ramp(cos_p; l / 2, l),  l = low (1 - (1 - WIDER) told)
    out_p <- out_p - strength g_p clamp(share_p, 0, 2) (attention to the target - attention to its replacement)
told is how far the prompt's own text means the target, where a guard knows (`erasing.gate`), else 0; e is no less. Such a picture is
looked at from the first step on, which sees pure noise, and more of it is taken for the target.
Ours. One agreement for the whole picture, as in `inhibitors`, is diluted by whatever else stands in it; a projection without a
replacement leaves something that is no clear thing, and fails where two targets are each other's opposite.
"""

from dataclasses import dataclass

import torch

WIDER = 0.85  # of the limit: where a target is looked for in a picture whose text means it. Tuned on the demo world's tuned concepts.
MOST = 2.0  # times what the target's text adds, at most, is taken out


@dataclass(frozen=True)
class Limits:
    """Of a number without unit, a seed layer's largest cosine or how far a text means a concept: it begins to mean it at ``low``, and
    does at ``high``."""

    low: float
    high: float


def ramp(values, low, high):
    """0 below ``low``, 1 above ``high``, straight between."""
    return ((values - low) / (high - low)).clamp(0, 1)


def agreement(wanted, added):
    """(cos, share), (m, b, p) each, float32, of ``wanted`` (b, p, c) with each of ``added`` (m, b, p, c). Where either is nothing, 0."""
    wanted, added = wanted.float(), added.float()
    dot, size = (added * wanted).sum(-1), added.square().sum(-1)
    length = (size * wanted.square().sum(-1)).sqrt()
    nothing = torch.zeros_like(dot)
    return torch.where(length > 0, dot / length, nothing), torch.where(size > 0, dot / size, nothing)


def replaced(out, cos, share, evidence, limit, targets, instead, strength):
    """``out`` (b, p, c) with the targets' part replaced where they are; the very same bits at all other positions.

    ``cos``, ``share``: (m, b, p), as ``agreement``; ``evidence``: (b, m), 0 to 1; ``limit``: the cosine from which on a position is
    wholly the target's, a number or (m, b, 1); ``targets``, ``instead``: (m, b, p, c), the attention to either text; ``strength``: 0 to
    1. Where several targets are found at one position, they share it: words for one thing are not taken out twice.
    """
    gates = ramp(cos, limit / 2, limit) * evidence.T[:, :, None]
    parts = gates * gates.sum(0).clamp(min=1).reciprocal() * share.clamp(0, MOST) * strength
    change = (parts[..., None] * (targets.float() - instead.float())).sum(0)
    return torch.where((parts > 0).any(0)[..., None], (out.float() - change).to(out), out)
