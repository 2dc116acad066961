"""The gated edit on the rail: every text that counts towards the picture is read as `gate` says, whatever model reads it."""

import logging
from dataclasses import dataclass, field

import torch

from ..host import checks, rail, roles, strangers
from . import gate
from .host import Map

OTHER = 0.1  # of its length: from which on a start token's vector is that of another text encoder, layer or LoRA


@dataclass(frozen=True, eq=False)
class EraseGate(rail.Guard):
    """``made``: the map. ``limits``: from when on a text names, and implies, one of its concepts; ``alone``: of each, whether texts that
    imply it are changed, too. Guards behind this one are told by how much a text implies a concept that it does not name."""

    made: Map
    limits: tuple[gate.Limits, gate.Limits]
    alone: tuple[bool, ...]
    settled: bool = False  # whether texts are changed only when it stands what is where in the picture

    def begin(self, run):
        checks.targets(run, len(self.made.named.left))
        begins = roles.settled(run) if self.settled else 0
        state = _State(begins, begun=not begins)
        if checks.is_unet(run.guider.model_patcher):  # else no pack has such patches

            def read(texts, extra):
                return self._read(run, state, texts, strangers.rows(run, len(texts), extra)) if run.slots else texts

            strangers.follow(run.guider.model_options["transformer_options"], read)
        return state

    def prepare(self, run, state, evaluate):
        """Whether texts are changed by now. Once a run, when the host has prepared its texts: refuse a model that reads none as vectors,
        and tell of others than ours."""
        state.begun = state.begun or run.step >= state.begins
        if state.checked:
            return
        state.checked = True
        entries = (entry.get("model_conds", {}) for entries in run.guider.conds.values() for entry in entries or ())
        texts = [entry["c_crossattn"].cond for entry in entries if "c_crossattn" in entry]
        if not texts:
            raise ValueError(
                f"Concept Guard: {checks.model_name(run.guider.model_patcher)} is given no text as vectors in this run, so none can be "
                "read as something else. Use Safe Latent Diffusion, which looks at what comes out."
            )
        start = self.made.start
        if start is not None and any(_is_other(text[:, 0].float().cpu(), start) for text in texts if text.ndim == 3):
            logging.warning(
                "Concept Guard: a prompt was encoded with another text encoder, another of its layers (clip skip) or other LoRAs than the "
                "clip of the guard, so its words may not be recognised. Connect the same CLIP to the guard and to the prompts."
            )

    def read(self, run, state, texts, extra):
        return self._read(run, state, texts, run.rows(texts.shape[0], extra))

    def _read(self, run, state, texts, rows):
        named, hints = state.moved(self.made, texts.device)
        made = texts.clone() if rows else texts
        for at, _ in rows:
            made[at], told = gate.gated(texts[at], named, hints, self.limits, self.alone, self.made.causal)
            for name, one in zip(self.made.concepts, told.unbind(1), strict=True):
                run.meant[texts.device, at.start, name] = one
        return made if state.begun else texts

    def end(self, state):
        state.near.clear()


def _is_other(starts: torch.Tensor, known: torch.Tensor) -> bool:
    """Whether any of a text's first vectors (b, c) is another than ``known`` (c,); zeroed out ones are passed over."""
    if starts.shape[1] != len(known):
        return True
    away = (starts - known).norm(dim=1)
    return bool(((away > OTHER * known.norm()) & starts.any(1)).any())


@dataclass
class _State:
    """Of one sampling run."""

    begins: int  # the first step whose texts are changed
    begun: bool  # whether it was reached
    near: dict = field(default_factory=dict)  # device -> the map's tensors there
    checked: bool = False  # whether the run's texts are known to be vectors

    def moved(self, made: Map, device: torch.device) -> tuple[gate.Reading, torch.Tensor]:
        if device not in self.near:
            self.near[device] = made.named.to(device), made.hints.to(device)
        return self.near[device]


def guard(model, made: Map, limits: tuple[gate.Limits, gate.Limits], alone, settled=False):
    """A clone of the MODEL that reads texts so; the arguments as ``EraseGate`` has them."""
    return rail.attach(model, EraseGate(made, limits, tuple(alone), settled))
