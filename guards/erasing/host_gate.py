"""The gated edit on the rail: every text that counts towards the picture is read as `gate` says, whatever model reads it."""

from dataclasses import dataclass, field

import torch

from ..host import checks, rail
from . import gate
from .host import Map


@dataclass(frozen=True, eq=False)
class EraseGate(rail.Guard):
    """``made``: the map. ``limits``: from when on a text names, and implies, one of its concepts; ``alone``: of each, whether texts that
    imply it are changed, too. Guards behind this one are told by how much a text implies a concept that it does not name."""

    made: Map
    limits: tuple[gate.Limits, gate.Limits]
    alone: tuple[bool, ...]

    def begin(self, run):
        checks.targets(run, len(self.made.named.left))
        return _State()

    def prepare(self, run, state, evaluate):
        """Once a run, when the host has prepared its texts: refuse a model that reads none as vectors."""
        if state.checked:
            return
        state.checked = True
        entries = (entry for entries in run.guider.conds.values() for entry in entries or ())
        if not any("c_crossattn" in entry.get("model_conds", {}) for entry in entries):
            raise ValueError(
                f"Concept Guard: {checks.model_name(run.guider.model_patcher)} is given no text as vectors in this run, so none can be "
                "read as something else. Use Safe Latent Diffusion, which looks at what comes out."
            )

    def read(self, run, state, texts, extra):
        named, hints = state.moved(self.made, texts.device)
        rows = run.rows(texts.shape[0], extra)
        made = texts.clone() if rows else texts
        for at, _ in rows:
            made[at], told = gate.gated(texts[at], named, hints, self.limits, self.alone, self.made.causal)
            for name, one in zip(self.made.concepts, told.unbind(1), strict=True):
                run.meant[at.start, name] = one
        return made

    def end(self, state):
        state.near.clear()


@dataclass
class _State:
    """Of one sampling run."""

    near: dict = field(default_factory=dict)  # device -> the map's tensors there
    checked: bool = False  # whether the run's texts are known to be vectors

    def moved(self, made: Map, device: torch.device) -> tuple[gate.Reading, torch.Tensor]:
        if device not in self.near:
            self.near[device] = made.named.to(device), made.hints.to(device)
        return self.near[device]


def guard(model, made: Map, limits: tuple[gate.Limits, gate.Limits], alone):
    """A clone of the MODEL that reads texts so; the arguments as ``EraseGate`` has them."""
    return rail.attach(model, EraseGate(made, limits, tuple(alone)))
