"""The local gate on the rail.

What an evaluation finds decides which layers the next one computes: one number is read a step, before the network starts, and
none inside it. Until something is found only the seed layer costs, and the picture is the unguarded one, bit for bit.
"""

from dataclasses import dataclass, field

import torch

from ..host import attention, checks, rail
from . import calibration, formula, replacements
from . import host_calibration as calibrated

SHORT = 10  # steps: in fewer, every evaluation counts, and all layers that act are ready from the first one on


@dataclass(frozen=True, eq=False)
class LocalGate(rail.Guard):
    """Targets, and what stands in for each."""

    texts: torch.Tensor  # (2 m + 2, T, c): m targets, their replacements, a neutral text, no text
    names: tuple[str, ...]  # of the targets
    made: calibration.Calibration
    strength: float = 1.0

    @property
    def count(self):
        """How many targets there are."""
        return len(self.texts) // 2 - 1

    def begin(self, run):
        checks.targets(run, self.texts.shape[-1])
        short = run.steps < SHORT
        return _State(attention.Texts(run.guider), 0 if short else 1, open=short)

    def patch(self, run, state, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._cross(run, state, layer, q, k, v, extra, inner)

        layers = self.made.acting | {self.made.layer}
        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross, layers)

    def prepare(self, run, state, evaluate):
        if not state.open:
            state.open = any(bool((evidence > 0).any()) for evidence in state.found.values())

    def _cross(self, run, state, layer, q, k, v, extra, inner):
        out, seeing = inner(q, k, v, extra), layer == self.made.layer
        if run.step < state.begins or not (seeing or state.open):
            return out
        for at, uuid in run.rows(attention.own_rows(q, extra), extra):
            own = out[at] if inner is attention.plain else attention.also(q[at], k[at], v[at], extra)
            meant = [run.meant.get((at.start, name)) for name in self.names] if seeing else ()
            out[at] = self._gated(state, layer, seeing, uuid, q[at], own, out[at], extra, meant)
        return out

    def _gated(self, state, layer, seeing, uuid, queries, own, out, extra, meant):
        """``out`` (b, positions, width) of one entry's rows; ``own``: their attention to the prompt alone, the same shape."""
        read = state.texts.attend_all(layer, queries, self.texts, extra)
        targets, instead = read[: self.count], read[self.count : -2]
        cos, share = formula.agreement(own - read[-1], targets - read[-2])
        limits, key = self.made.limits, (uuid, cos.shape[1], cos.device)
        evidence = state.found.get(key)
        if seeing:
            now = formula.ramp(cos.amax(2).T, limits.low, limits.high)
            for number, told in enumerate(meant):  # by the text itself
                if told is not None:
                    now[:, number] = torch.maximum(now[:, number], told)
            evidence = state.found[key] = now if evidence is None else torch.maximum(evidence, now)
        if evidence is None:
            return out
        return formula.replaced(out, cos, share, evidence, limits.low, targets, instead, self.strength)


@dataclass
class _State:
    """Of one sampling run."""

    texts: attention.Texts
    begins: int  # the first step that counts: the very first sees pure noise, where other things may look like a target
    open: bool  # whether the layers that only act are computed: any target was found, in any picture
    found: dict = field(default_factory=dict)  # (uuid, rows, device) -> the evidence (b, m) so far


def guard(model, clip, targets, replacement="", strength=1.0, tick=None):
    """(MODEL, {target: what stands in for it}). ``targets``: their names; ``replacement``: as `replacements.read` takes it; ``strength``:
    0 (the model itself) to 1. What the user names no replacement for gets a thing that the model draws clearly and finds unlike all
    targets. Raises ValueError where the model cannot be served."""
    given = replacements.read(replacement, targets)
    if strength == 0:
        return model, given
    made = calibrated.calibrate(model, clip, tick)
    names = {target: given.get(target, "") for target in targets}
    if "" in names.values():
        alike = calibrated.likeness(model, clip, made, targets)
        chosen = made.nouns[calibration.choose(alike, made.drawn, made.clear)]
        names = {target: instead or chosen for target, instead in names.items()}
    texts, _ = calibrated.prompts(clip, [*names, *names.values(), calibration.NEUTRAL, ""])
    return rail.attach(model, LocalGate(texts, tuple(names), made, float(strength))), names
