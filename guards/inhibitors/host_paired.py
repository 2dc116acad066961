"""Growth inhibition as published: every guarded picture has an unguarded twin beside it in the batch.

For the positive rows, cross-attention is
    out = A_twin[..., mapper] * alpha @ V  +  (M*[..., erase] * scale) * (1 - alpha) @ V
with the twin's maps A for the prompt's tokens, and the attention M* to the targets' words alone for the appended ones; the small
self-attention maps of the first steps are the twin's as well. ``formula`` says where paper and code differ. No map is ever made: the
first part is the twin's attention over folded values, the second one attention over the targets' text with weighted values.
"""

from dataclasses import dataclass, field

import torch
from comfy.utils import repeat_to_batch_size

from ..host import attention, checks, rail, strangers
from . import formula as inhibitors
from . import host_look as look
from . import host_text as inhibitor_text

TAG = "guard_inhibitor"  # of a conditioning entry: its text, the injected context, and how both are aligned


@dataclass(frozen=True, eq=False)
class Paired(rail.Guard):
    """Targets with one scale, or with an adapter that infers it."""

    target: inhibitor_text.Target
    scale: float
    adapter: inhibitors.Adapter | None = None
    cross_end: float = 0.8
    self_end: float = 0.4
    report: object = None  # called with the inferred scales' text

    twin = True

    def begin(self, run):
        checks.targets(run, self.target.context.shape[-1])
        if sum(guard.twin for guard in run.guards) > 1:
            raise ValueError(
                "Two Growth Inhibitors in mode paired cannot share a run: name all targets in one node, separated by commas, "
                "or set one of them to single_pass."
            )
        state = _State(
            *inhibitors.windows(run.steps, self.cross_end, self.self_end),
            look.Look(run.guider, self.target, self.adapter, lambda scales: look.word_weights(self.target, scales)),
        )
        positive = run.guider.conds["positive"]
        run.guider.conds["positive"] = [self._with_twin(run, entry, state.alignments) for entry in positive]
        if self.adapter is None:
            state.look.set(torch.full((1, self.target.count), float(self.scale)))
        return state

    def _with_twin(self, run, entry, alignments):
        """A positive entry for twins: the injected context for the guarded half, its own for the other."""
        if entry.get("cross_attn") is None:
            return entry
        own = repeat_to_batch_size(entry["cross_attn"], run.batch)
        injected = own
        if TAG in entry and own.shape[1] >= entry[TAG]["text"].shape[1]:
            text, context = (entry[TAG][part].to(own) for part in ("text", "context"))
            alignment, nothing = entry[TAG]["alignment"], torch.zeros_like(context)
            first, more = own.split([text.shape[1], own.shape[1] - text.shape[1]], 1)
            injected = repeat_to_batch_size(context, run.batch)
            if not torch.equal(first, repeat_to_batch_size(text, run.batch)):  # ConditioningAverage and the like
                injected = injected + inhibitors.inject(first - text, nothing, alignment)
            injected = torch.cat([injected, more], 1)  # ConditioningConcat's is behind it
            alignments[entry["uuid"]] = inhibitors.longer(alignment, more.shape[1])
        return {**entry, "cross_attn": torch.cat([injected, own])}

    def patch(self, run, state, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._cross(run, state, layer, q, k, v, extra, inner)

        def layout(n, context, value, extra):
            return self._layout(run, state, n, context, value, extra)

        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross)
        attention.add_first(options, "attn1_patch", layout)

    def _cross(self, run, state, layer, q, k, v, extra, inner):
        acts = run.step < state.cross_end and (state.look.active or state.look.on)
        rows = _twins(run, strangers.own_rows(q.shape[0], extra), extra) if acts else []
        if not rows:
            return inner(q, k, v, extra)
        own = [q[guarded] for guarded, _, _ in rows]
        q, k, v = q.clone(), k.clone(), v.clone()
        for guarded, twin, uuid in rows:
            q[guarded], k[guarded] = q[twin], k[twin]
            if uuid in state.alignments:
                v[guarded] = inhibitors.fold(v[guarded], state.alignments[uuid], state.moves(uuid, v.device))
        out = inner(q, k, v, extra)
        for (guarded, twin, _), queries in zip(rows, own, strict=True):
            if state.look.on:
                looking, at = (queries, guarded) if state.look.injected else (q[twin], twin)
                attended = out[at] if inner is attention.plain else attention.also(looking, k[at], v[at], extra)
                state.look.layer(layer, looking, attended, extra)
                if not state.look.injected:
                    continue
            weights = state.look.weights(queries)
            out[guarded] += state.look.texts.attend(layer, queries, self.target.context, extra, weights)
        return out

    def _layout(self, run, state, n, context, value, extra):
        """The twin's self-attention map: queries and keys from the twin's hidden states, values from the row's own."""
        if n.shape[1] > inhibitors.SELF_POSITIONS or run.step >= state.self_end or context.shape[1] != n.shape[1]:
            return n, context, value
        n, context = n.clone(), context.clone()
        for guarded, twin, _ in _twins(run, n.shape[0], extra):
            n[guarded], context[guarded] = n[twin], context[twin]
        return n, context, value

    def prepare(self, run, state, evaluate):
        """An adapter infers the scales from an evaluation that does not count, before the first one."""
        if not state.look.done:
            state.look.on = True
            evaluate()
            state.look.infer(self.scale, self.report)


def _twins(run, total, extra):
    """[(the guarded pictures' rows, their twins' rows, uuid)] of the positive rows among ``total``. Raises NotImplementedError where they
    are not all there."""
    rows = run.rows(total, extra)
    if any(at.stop - at.start != 2 * run.batch for at, _ in rows):
        checks.whole_latents(run.guards, corrected=False)
    positive = run.guider.conds["positive"]
    only = positive[0].get("uuid") if len(positive) == 1 else None  # for packs that lose which entry a row is of
    return [
        (slice(at.start, at.start + run.batch), slice(at.start + run.batch, at.stop), uuid or only) for at, uuid in rows
    ]


@dataclass
class _State:
    """Of one sampling run: the first steps without its two parts, its scales, and how each positive entry is aligned."""

    cross_end: int
    self_end: int
    look: look.Look
    alignments: dict = field(default_factory=dict)
    _moved: dict = field(default_factory=dict)

    def moves(self, uuid, device):
        """An alignment's moves on the device, brought there once a run."""
        if (uuid, device) not in self._moved:
            self._moved[uuid, device] = [part.to(device) for part in self.alignments[uuid].moves]
        return self._moved[uuid, device]
