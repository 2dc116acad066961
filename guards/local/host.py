"""The local gate on the rail.

What an evaluation finds decides which layers the next one computes: one number is read a step, before the network starts, and
none inside it. Until something is found only the seed layer costs, and the picture is the unguarded one, bit for bit.
"""

from dataclasses import dataclass, field

import torch

from .. import schedule
from ..host import attention, checks, rail, roles, strangers
from . import calibration, formula, replacements
from . import host_calibration as calibrated

BEFORE = 1  # steps that see pure noise, where other things may look like a target: only a text can tell


@dataclass(frozen=True, eq=False)
class LocalGate(rail.Guard):
    """Targets, and what stands in for each."""

    texts: torch.Tensor  # (2 m + 2, T, c): m targets, their replacements, a neutral text, no text
    names: tuple[str, ...]  # of the targets
    made: calibration.Calibration
    strength: float = 1.0
    settled: bool = False  # whether the picture is looked at only when it stands what is where

    @property
    def count(self):
        """How many targets there are."""
        return len(self.texts) // 2 - 1

    def begin(self, run):
        checks.targets(run, self.texts.shape[-1])
        short = run.steps < schedule.SHORT  # every step counts: all layers that act are ready from the first one on
        settled = roles.settled(run) if self.settled else 0
        return _State(attention.Texts(run.guider), 0 if short else max(BEFORE, settled), open=short)

    def patch(self, run, state, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._cross(run, state, layer, q, k, v, extra, inner)

        strangers.follow(options)
        layers = self.made.acting | {self.made.layer}
        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross, layers)

    def prepare(self, run, state, evaluate):
        if not state.open:
            state.open = any(bool((evidence > 0).any()) for evidence in state.found.values())

    def _cross(self, run, state, layer, q, k, v, extra, inner):
        out, looking = inner(q, k, v, extra), layer == self.made.layer and run.step >= state.begins
        if not (looking or state.is_open(run, self.names)):
            return out
        for at, uuid in strangers.rows(run, q.shape[0], extra):
            own = out[at] if inner is attention.plain else attention.also(q[at], k[at], v[at], extra)
            meant = [run.meant.get((q.device, at.start, name)) for name in self.names]
            out[at] = self._gated(state, layer, looking, uuid, q[at], own, out[at], extra, meant)
        return out

    def _gated(self, state, layer, looking, uuid, queries, own, out, extra, meant):
        """``out`` (b, positions, width) of one entry's rows; ``own``: their attention to the prompt alone, the same shape; ``meant``: how
        far their text means each target, (b,) or None."""
        read = state.texts.attend_all(layer, queries, self.texts, extra)
        targets, instead = read[: self.count], read[self.count : -2]
        cos, share = formula.agreement(own - read[-1], targets - read[-2])
        limits, nothing = self.made.limits, cos.new_zeros(cos.shape[1])
        told = torch.stack([nothing if one is None else one for one in meant], 1)  # (b, m)
        key = uuid, cos.shape[1], cos.device
        evidence = torch.maximum(told, state.found.get(key, told))
        if looking:
            evidence = torch.maximum(evidence, formula.ramp(cos.amax(2).T, limits.low, limits.high))
        state.found[key] = evidence
        where = limits.low * (1 - (1 - formula.WIDER) * told.T[:, :, None])
        return formula.replaced(out, cos, share, evidence, where, targets, instead, self.strength)


@dataclass
class _State:
    """Of one sampling run."""

    texts: attention.Texts
    begins: int  # the first step in which the picture is looked at
    open: bool  # whether the layers that only act are computed: any target was found, in any picture
    asked: int = 0  # how much of what texts mean was read
    found: dict = field(default_factory=dict)  # (uuid, rows, device) -> the evidence (b, m) so far

    def is_open(self, run, names):
        """Whether anything was found so far, or meant by a text when it was first read."""
        if not self.open and len(run.meant) > self.asked:
            self.asked = len(run.meant)
            told = (one for (_, _, name), one in run.meant.items() if name in names)
            self.open = any(bool((one > 0).any()) for one in told)
        return self.open


def guard(model, clip, targets, replacement="", strength=1.0, tick=None, settled=False):
    """(MODEL, {target: what stands in for it}). ``targets``: their names; ``replacement``: as `replacements.read` takes it; ``strength``:
    0 (the model itself) to 1; ``settled``: as `LocalGate` has it. What the user names no replacement for gets a thing that the model draws
    clearly and finds unlike all targets. Raises ValueError where the model cannot be served."""
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
    return rail.attach(model, LocalGate(texts, tuple(names), made, float(strength), settled)), names
