"""Growth inhibition in a single pass, ours: the targets' attention is added, scaled, to the positive rows' own.

What a layer's cross-attention gains, by variant:
  words, words and end   scale * M* @ V over the targets' columns, as the published algorithm
  aligned                for every target, scale * gate * (attention to its text - attention to an empty text); how much of
                         the target is in the prompt, and so the gate, shows in the first step
"""

from dataclasses import dataclass

import torch

from ..host import attention, checks, rail, strangers
from . import formula as inhibitors
from . import host_look as look
from . import host_text as inhibitor_text

SERVES = 10  # steps from which on the first one can be spared to measure for the scales


@dataclass(frozen=True, eq=False)
class SinglePass(rail.Guard):
    """Targets with one scale, or with an adapter that infers it."""

    target: inhibitor_text.Target
    scale: float
    adapter: look.Inferring | None = None
    cross_end: float = 0.8
    variant: str = "aligned"
    report: object = None  # called with the inferred scales' text

    def begin(self, run):
        checks.targets(run, self.target.context.shape[-1])
        state = _State(
            inhibitors.windows(run.steps, self.cross_end)[0],
            look.Look(run.guider, self.target, self.adapter, self.weights),
        )
        if self.adapter is None and not self.aligned:
            state.look.set(torch.full((1, self.target.count), float(self.scale)))
        return state

    @property
    def aligned(self):
        return self.variant == "aligned"

    def weights(self, scales):
        """Of scales (b, tokens): (b, targets) when aligned, else those of ``look.word_weights``."""
        if not self.aligned:
            return look.word_weights(self.target, scales, self.variant == "words and end")
        owners = self.target.owners
        each = ([owner == number for owner in owners] for number in range(len(self.target.each)))
        return torch.stack([scales[:, mine].mean(1) for mine in each], 1)

    def patch(self, run, state, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._cross(run, state, layer, q, k, v, extra, inner)

        strangers.follow(options)
        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross)

    def _cross(self, run, state, layer, q, k, v, extra, inner):
        out = inner(q, k, v, extra)
        if run.step >= state.end or not (state.look.active or state.look.on):
            return out
        for at, _ in strangers.rows(run, q.shape[0], extra):
            if state.look.on:
                attended = out[at] if inner is attention.plain else attention.also(q[at], k[at], v[at], extra)
                state.look.layer(layer, q[at], attended, extra)
                if not state.look.injected:
                    continue
            self._inhibit(state.look, layer, out[at], q[at], extra)
        return out

    def _inhibit(self, looked, layer, out, queries, extra):
        """Add to ``out`` (b, positions, heads * width), in place."""
        weights, texts = looked.weights(queries), looked.texts
        if not self.aligned:
            out += texts.attend(layer, queries, self.target.context, extra, weights)
            return
        nothing = texts.attend(layer, queries, self.target.empty, extra)
        for number, context in enumerate(self.target.each):
            out += weights[:, number].view(-1, 1, 1) * (texts.attend(layer, queries, context, extra) - nothing)

    def prepare(self, run, state, evaluate):
        """A look at the first evaluation, from which the scales come: the first step itself goes unguarded, if the run has steps enough
        to spare it, else there is one more evaluation. Published adapters want one with all scales 1, which never counts."""
        again = state.alive is not None and run.alive() != state.alive  # another prompt's time has come
        if again:
            state.look.again()
        if state.look.done:
            return
        if not state.look.on:
            state.look.on = True
            if not state.look.injected and run.steps >= SERVES and not again:
                return
            evaluate()
        if not state.look.seen:
            return  # no prompt yet: its time has not come
        state.look.infer(self.scale, self.report)
        state.alive = run.alive()


@dataclass
class _State:
    """Of one sampling run: the first step without the guard, and its scales."""

    end: int
    look: look.Look
    alive: frozenset | None = None  # the prompts that the scales were inferred from
