"""Growth inhibitors on the rail: the targets' own attention is added, scaled, to the positive rows' cross-attention.

``paired`` is the published algorithm, ``single_pass`` ours; ``guards.inhibitors`` has the mathematics and says where paper
and code differ. All attention is the host's own fused kernel: scales are put into the values, so that no map is ever made.
What single_pass adds to a layer, by variant:
  words, words and end   scale * M* @ V over the targets' columns, as paired does
  aligned                for every target, scale * gate * (attention to its text - attention to an empty text); how much of
                         the target is in the prompt, and so the gate, shows in the first step
"""

import logging
from dataclasses import dataclass

import torch
from comfy.utils import repeat_to_batch_size

from ..host import attention, checks, rail
from . import formula as inhibitors
from . import host_text as inhibitor_text

TAG = "guard_inhibitor"
SERVES = 10  # steps from which on the first one can be spared to measure for the adapter


@dataclass(frozen=True, eq=False)
class GrowthInhibitor(rail.Guard):
    """Targets with one scale, or with an adapter that infers it."""

    target: inhibitor_text.Target
    scale: float
    twin: bool  # paired
    adapter: inhibitors.Adapter | None = None
    cross_end: float = 0.8
    self_end: float = 0.4
    variant: str = "aligned"  # of single_pass
    report: object = None  # called with the inferred scales' text

    def begin(self, run):
        positive = run.guider.conds.get("positive")
        if not positive:
            raise ValueError(
                "Growth Inhibitor needs a guider with a positive conditioning: use KSampler, or SamplerCustomAdvanced with "
                "CFGGuider, DualCFGGuider, PerpNegGuider or BasicGuider."
            )
        width = next((entry["cross_attn"].shape[-1] for entry in positive if entry.get("cross_attn") is not None), None)
        if width is not None and width != self.target.context.shape[-1]:
            raise ValueError(
                f"The targets were encoded {self.target.context.shape[-1]} wide, the sampler's prompt {width} wide: they come "
                "from different text encoders. Connect the CLIP that belongs to this model to the Growth Inhibitor."
            )
        alignments = {}
        if self.twin and sum(guard.twin for guard in run.guards) > 1:
            raise ValueError(
                "Two Growth Inhibitors in mode paired cannot share a run: name all targets in one node, separated by commas, "
                "or set one of them to single_pass."
            )
        if self.twin:
            run.guider.conds["positive"] = [self._paired(run, entry, alignments) for entry in positive]
        state = _State(inhibitors.windows(run.steps, self.cross_end, self.self_end), alignments)
        if not self.looks:
            state.weights = self.weights(torch.full((1, self.target.count), float(self.scale)))
        return state

    @property
    def gated(self):
        return self.variant == "aligned" and not self.twin

    @property
    def looks(self):
        """Whether the scales depend on what the first step shows."""
        return self.adapter is not None or self.gated

    def weights(self, scales):
        """What values are multiplied by, from scales (b, tokens): (b, targets) when aligned, else (b, T, 1), 0 for other tokens."""
        if self.gated:
            return torch.stack(
                [
                    scales[:, [o == number for o in self.target.owners]].mean(1)
                    for number in range(len(self.target.each))
                ],
                1,
            )
        weights = torch.zeros(scales.shape[0], self.target.context.shape[1], 1)
        weights[:, 1 : 1 + self.target.count, 0] = scales
        if self.variant == "words and end" and not self.twin:
            weights[:, 1 + self.target.count, 0] = scales.mean(1)
        return weights

    def _paired(self, run, entry, alignments):
        """A positive entry for twins: the injected context for the guarded half, its own for the other."""
        if entry.get("cross_attn") is None:
            return entry
        own = repeat_to_batch_size(entry["cross_attn"], run.batch)
        injected = own
        if TAG in entry:
            alignments[entry["uuid"]] = entry[TAG]["alignment"]
            injected = repeat_to_batch_size(entry[TAG]["context"].to(own), run.batch)
        return {**entry, "cross_attn": torch.cat([injected, own])}

    def patch(self, run, state, options):
        state.run = run

        def cross(layer, block):
            return lambda q, k, v, extra, inner: self._cross(state, layer, block, q, k, v, extra, inner)

        attention.wrap_cross(options, run.model.diffusion_model, cross)
        if self.twin:
            attention.add_self(options, lambda n, context, value, extra: self._self(state, n, context, value, extra))

    def _cross(self, state, layer, block, q, k, v, extra, inner):
        run = state.run
        total = min(q.shape[0], extra["original_shape"][0])  # other packs may have appended rows of their own
        rows = run.rows(total, extra) if run.step < state.cross_end and (state.active or state.measuring) else []
        if not rows:
            return inner(q, k, v, extra)
        guarded = [slice(at.start, at.start + run.batch) if self.twin else at for at, _ in rows]
        own = [q[at] for at in guarded]
        if self.twin:
            q, k, v = q.clone(), k.clone(), v.clone()
            for at, (_, uuid) in zip(guarded, rows):
                twin = slice(at.stop, at.stop + run.batch)
                q[at], k[at] = q[twin], k[twin]
                if uuid in state.alignments:
                    v[at] = inhibitors.fold(v[at], state.alignments[uuid])
        out = inner(q, k, v, extra)
        for at, queries in zip(guarded, own):
            if state.measuring:
                injected = self.adapter is not None and self.adapter.injected
                seen = (
                    slice(at.stop, at.stop + run.batch) if self.twin and not injected else at
                )  # the twin is the unguarded one
                looking = queries if seen == at else q[seen]
                attended = out[seen] if inner is attention.plain else attention.also(looking, k[seen], v[seen], extra)
                self._look(state, layer, block, looking, attended, extra)
                if not injected:
                    continue
            weights = self.weights(torch.ones(1, self.target.count)) if state.weights is None else state.weights
            weights = repeat_to_batch_size(weights.to(q), queries.shape[0])
            if self.gated:
                nothing = attention.text(block, queries, self.target.empty, 1, extra)
                for number, context in enumerate(self.target.each):
                    out[at] += weights[:, number].view(-1, 1, 1) * (
                        attention.text(block, queries, context, 1, extra) - nothing
                    )
            else:
                out[at] += attention.text(block, queries, self.target.context, weights, extra)
        return out

    def _look(self, state, layer, block, queries, attended, extra):
        """Measure a layer: the tokens' mean attention for the adapter, and how much of each target is in the prompt.

        ``attended``: the prompt's own attention, without what other packs add to it.
        """
        if self.adapter is not None:
            keys = block.attn2.to_k(self.target.context.to(queries)).expand(queries.shape[0], -1, -1)
            maps = attention.probabilities(queries, keys, extra["n_heads"])
            state.measure("means", layer, maps[..., 1 : 1 + self.target.count].mean((1, 2)))
        nothing = attention.text(block, queries, self.target.empty, 1, extra)
        shares = [
            inhibitors.contained(attended - nothing, attention.text(block, queries, context, 1, extra) - nothing)
            for context in self.target.each
        ]
        state.measure("shares", layer, torch.stack(shares, 1))

    def _self(self, state, n, context, value, extra):
        """The twin's self-attention map: queries and keys from the twin's hidden states, values from the row's own."""
        run = state.run
        if n.shape[1] > inhibitors.SELF_POSITIONS or run.step >= state.self_end or context.shape[1] != n.shape[1]:
            return n, context, value
        n, context = n.clone(), context.clone()
        for at, _ in run.rows(n.shape[0], extra):
            guarded, twin = slice(at.start, at.start + run.batch), slice(at.start + run.batch, at.stop)
            n[guarded], context[guarded] = n[twin], context[twin]
        return n, context, value

    def prepare(self, run, state, evaluate):
        """A look at the first evaluation, from which the scales come.

        Published: an evaluation that does not count, with all scales 1. Ours: an unguarded one; in single_pass that is the first
        step itself, if the run has steps enough to spare it.
        """
        if not self.looks or state.weights is not None:
            return
        injected = self.adapter is not None and self.adapter.injected
        if not state.measuring:
            state.measuring = True
            if not (self.twin or injected) and run.steps >= SERVES:
                return
            evaluate()
        state.measuring = False
        shares = state.measured("shares")  # (b, targets, layers)
        if self.adapter is not None:
            scales = self.adapter.scales(state.measured("means"), shares[:, list(self.target.owners)])
        else:
            scales = self.scale * inhibitors.gate(shares)[:, list(self.target.owners)]
        state.weights = self.weights(scales)
        state.active = bool((scales != 0).any())
        text = scales_text(self.target, scales)
        logging.info("Growth Inhibitor: %s", text)
        if self.report is not None:
            self.report(text)


class _State:
    """Of one sampling run: the windows, the weights of the targets' values, and what is measured for them."""

    def __init__(self, windows, alignments):
        self.cross_end, self.self_end = windows
        self.alignments, self.weights, self.run = alignments, None, None
        self.measuring, self.active, self._sums = False, True, {}

    def measure(self, kind, layer, values):
        """``values``: (b, m), of one pass through a layer."""
        total, count = self._sums.get((kind, layer), (0, 0))
        self._sums[kind, layer] = total + values.float().cpu(), count + 1

    def measured(self, kind):
        """(b, m, layers), the mean of all passes"""
        return torch.stack(
            [total / count for (one, _), (total, count) in sorted(self._sums.items()) if one == kind], -1
        )


def scales_text(target, scales):
    """``"weapon: -0.62; van gogh: -0.40, -0.44"``: one number for each token, the mean over the pictures."""
    parts = {}
    for owner, number in zip(target.owners, scales.mean(0).tolist()):
        parts.setdefault(target.targets[owner], []).append(f"{number:.3g}")
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in parts.items())


def guard(
    model,
    clip,
    text,
    targets,
    scale,
    mode,
    adapter=None,
    cross_end=0.8,
    self_end=0.4,
    reading="code",
    variant="aligned",
    report=None,
):
    """(MODEL, CONDITIONING, text of the scales). Scale 0 without an adapter is off: the model itself and the plain prompt."""
    if not checks.is_unet(model):
        raise NotImplementedError(
            f"Growth Inhibitor works on the UNets of SD1.x, SD2.x and SDXL; this is {checks.model_name(model)}. "
            "Use Safe Latent Diffusion, Prompt Intervention or Rewrite Prompt with it."
        )
    names = inhibitors.split_targets(targets)
    conditioning = inhibitor_text.prompt(clip, text)
    target = inhibitor_text.target(clip, names)
    if adapter is None and scale == 0:
        return model, conditioning, "off (scale 0)"
    layers = len(attention.blocks(checks.network(model)))
    if adapter is not None:
        # Refused now, and not when sampling.
        checks.same_family(
            model,
            adapter.family,
            "adapter was trained",
            "its scales would mean nothing here. Load an adapter of this model's family, train one with Train Scale Adapter, or use a "
            "fixed scale.",
        )
        adapter.scales(torch.zeros(1, 1, layers), torch.zeros(1, 1, layers))
    paired = mode == "paired"
    if paired:
        row, alignment = inhibitor_text.appended(clip, text, " ".join(names), target.count)
        source = row[0][0] if reading == "code" else conditioning[0][0]
        tag = {"context": inhibitors.inject(source, target.context, alignment), "alignment": alignment}
        conditioning = [[tensor, {**options, TAG: tag}] for tensor, options in conditioning]
    inhibitor = GrowthInhibitor(target, scale, paired, adapter, cross_end, self_end, variant, report)
    said = (
        scales_text(target, torch.full((1, target.count), float(scale)))
        if adapter is None
        else "inferred by the adapter in the first step of every run: see the text under the node and the log"
    )
    if adapter is None and inhibitor.gated:
        said += " (at most; how much of it, the first step shows: see the text under the node and the log)"
    return rail.attach(model, inhibitor), conditioning, said
