"""The gated edit on the rail: every text that counts towards the picture is read as `gate` says, whatever model reads it."""

from dataclasses import dataclass, field

import torch

from ..host import checks, rail
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

    def read(self, run, state, texts, extra):
        left, right, shifts = state.map(self.made, texts.device)
        rows = run.rows(texts.shape[0], extra)
        made = texts.clone() if rows else texts
        for at, _ in rows:
            made[at], means = gate.gated(texts[at], left, right, shifts, self.named)
            told = gate.ramp(means, self.implied.low, self.implied.high)
            for name, one in zip(self.made.concepts, told.unbind(1), strict=True):
                run.meant[at.start, name] = one
        return made

    def end(self, state):
        state.maps.clear()


@dataclass
class _State:
    """Of one sampling run."""

    maps: dict = field(default_factory=dict)  # device -> the map there

    def map(self, made: Map, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if device not in self.maps:
            self.maps[device] = tuple(part.to(device) for part in (made.left, made.right, made.shifts))
        return self.maps[device]


def guard(model, made: Map, named: tuple[gate.Limits, ...], implied: gate.Limits):
    """A clone of the MODEL that reads texts so."""
    return rail.attach(model, EraseGate(made, named, implied))
