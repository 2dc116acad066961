"""What both inhibitors share in a sampling run: where its scales come from, and the look at the model that infers them."""

import logging
from typing import Protocol

import torch
from comfy.utils import repeat_to_batch_size

from ..host import attention
from . import formula as inhibitors


def word_weights(target, scales, end=False):
    """(b, T, 1) of scales (b, tokens): what the values of the targets' text are multiplied by, 0 for other tokens. ``end``: the end
    token gets the mean of all."""
    weights = torch.zeros(scales.shape[0], target.context.shape[1], 1)
    weights[:, 1 : 1 + target.count, 0] = scales
    if end:
        weights[:, 1 + target.count, 0] = scales.mean(1)
    return weights


class Inferring(Protocol):
    """What infers the scales of a run: an adapter, or what stands in for one while examples are made."""

    injected: bool

    def scales(self, means: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """(b, tokens) from the tokens' mean attention and shares, (b, tokens, layers) each."""
        ...


class Look:
    """What evaluations show of the targets, layer by layer, and the weights that come of it. Of one sampling run.

    ``to_weights``: scales (b, tokens) -> what the attention to the targets is multiplied by, (b, ...). Published adapters infer the
    scales from an evaluation with all of them 1 (``injected``), ours from an unguarded one.
    """

    def __init__(self, guider, target, adapter, to_weights):
        self.texts, self.target, self.adapter, self.to_weights = attention.Texts(guider), target, adapter, to_weights
        self.injected = adapter is not None and adapter.injected
        self.on = False  # whether the evaluation under way is looked at
        self.active = True  # whether any scale is not 0
        self._weights, self._moved, self._seen = None, {}, {}

    @property
    def done(self):
        """Whether the scales are known."""
        return self._weights is not None

    @property
    def seen(self):
        """Whether any prompt was looked at."""
        return bool(self._seen)

    def again(self):
        """Forget what was seen."""
        self.active, self._weights, self._moved, self._seen = True, None, {}, {}

    def set(self, scales):
        """The run's scales from now on: (b or 1, tokens)."""
        self._weights, self._moved = self.to_weights(scales), {}

    def weights(self, queries):
        """The weights for ``queries`` (b, positions, ...), on their device and in their type; all scales 1 as long as none are known."""
        key = (queries.shape[0], queries.device, queries.dtype)
        if key not in self._moved:
            weights = self.to_weights(torch.ones(1, self.target.count)) if self._weights is None else self._weights
            self._moved[key] = repeat_to_batch_size(weights.to(queries), queries.shape[0])
        return self._moved[key]

    def layer(self, layer, queries, attended, extra):
        """Measure a layer: the tokens' mean attention for the adapter, and how much of each target is in the prompt.

        ``queries``, ``attended``: (b, positions, heads * width), the prompt's own attention, without what other packs add to it.
        """
        if self.adapter is not None:
            keys, _ = self.texts.keys_and_values(layer, self.target.context, queries)
            maps = attention.probabilities(queries, keys.expand(queries.shape[0], -1, -1), extra["n_heads"])
            self._add("means", layer, maps[..., 1 : 1 + self.target.count].mean((1, 2)))
        nothing = self.texts.attend(layer, queries, self.target.empty, extra)
        shares = [
            inhibitors.contained(attended - nothing, self.texts.attend(layer, queries, context, extra) - nothing)
            for context in self.target.each
        ]
        self._add("shares", layer, torch.stack(shares, 1))

    def infer(self, scale, report):
        """Take the run's scales from what was measured: the adapter's, or ``scale`` as far as each target is in the prompt. ``report``
        is called with their text."""
        self.on = False
        shares = self._measured("shares")[:, list(self.target.owners)]  # (b, tokens, layers)
        if self.adapter is not None:
            scales = self.adapter.scales(self._measured("means"), shares)
        else:
            scales = scale * inhibitors.gate(shares)
        self.set(scales)
        self.active = bool((scales != 0).any())
        text = scales_text(self.target, scales)
        logging.info("Growth Inhibitor: %s", text)
        if report is not None:
            report(text)

    def _add(self, kind, layer, values):
        """``values``: (b, m), of one pass through a layer."""
        # on its card: no waiting in the middle of a pass
        self._seen.setdefault((kind, layer), []).append(values.float())

    def _measured(self, kind):
        """(b, m, layers), the mean of all passes, on the CPU; of the shares the most: one prompt of several may hold the target."""
        layers = [
            torch.stack([one.cpu() for one in passes]) for (one, _), passes in sorted(self._seen.items()) if one == kind
        ]
        return torch.stack([passes.amax(0) if kind == "shares" else passes.mean(0) for passes in layers], -1)


def scales_text(target, scales):
    """``"weapon: -0.62; van gogh: -0.40, -0.44"``: one number for each token, the mean over the pictures."""
    parts = {}
    for owner, number in zip(target.owners, scales.mean(0).tolist(), strict=True):
        parts.setdefault(target.targets[owner], []).append(f"{number:.3g}")
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in parts.items())
