"""The gated edit on the rail: every text that counts towards the picture, in a UNet's cross-attention, is read as `gate` says."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ..host import attention, checks, rail
from . import gate
from .host import Map


@dataclass(frozen=True, eq=False)
class EraseGate(rail.Guard):
    """``made``: the map; texts are changed that mean one of its concepts by its limits in ``named``. ``implied``: from when on guards
    behind this one are told that a text means a concept."""

    made: Map
    named: tuple[gate.Limits, ...]
    implied: gate.Limits

    def begin(self, run):
        checks.targets(run, len(self.made.left))
        return _State()

    def patch(self, run, state, options):
        def read(hidden, context, value, extra):
            value = None if value is None else self._read(run, state, value, extra)
            return hidden, self._read(run, state, context, extra), value

        attention.add_first(options, "attn2_patch", read)

    def _read(self, run, state, context, extra):
        """Its rows that count, changed; the very same tensor again for all layers of an evaluation."""
        if context is state.given:
            return state.made
        left, right, shifts = state.map(self.made, context.device)
        made = context
        rows = run.rows(attention.own_rows(context, extra), extra)
        if rows:
            made = context.clone()
            for at, _ in rows:
                made[at], means = gate.gated(context[at], left, right, shifts, self.named)
                told = gate.ramp(means, self.implied.low, self.implied.high)
                for name, one in zip(self.made.concepts, told.unbind(1), strict=True):
                    run.meant[at.start, name] = one
        state.given, state.made = context, made
        return made

    def end(self, state):
        state.given = state.made = None
        state.maps.clear()


@dataclass
class _State:
    """Of one sampling run."""

    given: Any = None  # the text of the evaluation under way ...
    made: Any = None  # ... and as it is read
    maps: dict = field(default_factory=dict)  # device -> the map there

    def map(self, made: Map, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if device not in self.maps:
            self.maps[device] = tuple(part.to(device) for part in (made.left, made.right, made.shifts))
        return self.maps[device]


def guard(model, made: Map, named: tuple[gate.Limits, ...], implied: gate.Limits):
    """A clone of the MODEL, a UNet, that reads texts so."""
    return rail.attach(model, EraseGate(made, named, implied))
