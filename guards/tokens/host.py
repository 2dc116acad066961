"""The Growth Inhibitor in transformers: targets are encoded and checked, and their attention is added, or flipped, in one pass.

UNets go to the room ``inhibitors``, whose gate, scales and share of the steps are those of here, too.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from comfy.utils import repeat_to_batch_size

from ..host import checks, rail
from ..inhibitors import formula as inhibitors
from ..inhibitors import host as unets
from . import host_attention as attention
from .host_layouts import layout
from .host_words import Targets, encode

ALIGNED, FLIP = "aligned", "sign_flip"
SERVES = 10  # steps from which on the first one can be spared to measure for the scales
EMPTY = ""
SERVED = (
    "SD1.x, SD2.x and SDXL; Flux, Chroma, SD3, Qwen-Image, Mage-Flow, Lumina2, Z-Image, Wan, HunyuanVideo, AuraFlow, Cosmos "
    "Predict2, Krea 2, OmniGen2, Kandinsky 5 and LTX-Video"
)


@dataclass(frozen=True, eq=False)
class Inhibitor(rail.Guard):
    """Targets with one scale, in one of the forms of ``formula``."""

    targets: Targets
    scale: float
    form: str = ALIGNED
    cross_end: float = 0.8
    report: Callable | None = None  # called with the inferred scales' text

    def begin(self, run):
        checks.targets(run, self.targets.width)
        positive = run.guider.conds["positive"]
        texts = {
            name: attention.carried(positive, conditioning) for name, conditioning in self.targets.conditionings.items()
        }
        if self.form == FLIP:
            texts.pop(EMPTY)
        state = _State(inhibitors.windows(run.steps, self.cross_end)[0], attention.Texts(run, texts))
        if self.form == FLIP:
            state.weights = torch.full((1, len(self.targets.names)), float(self.scale))
        return state

    def patch(self, run, state, options):
        """One override for all guards of this kind: each would else count the other's calls."""
        mine = [(guard, one) for guard, one in zip(run.guards, run.states, strict=True) if isinstance(guard, Inhibitor)]
        if mine[0][1] is state:
            texts = [one.texts for _, one in mine]
            attention.count_calls(options, run.guider.model_patcher, texts)
            attention.override(options, lambda call: _act(run, mine, call), texts)

    def prepare(self, run, state, evaluate):
        """The targets' keys and values of this noise level; and the look at the first evaluation, from which the scales come: the first
        step itself goes unguarded, if the run has steps enough to spare it, else there is one more evaluation."""
        if run.step >= state.end:
            return
        again = state.alive is not None and run.alive() != state.alive  # another prompt's time has come
        if again:
            state.weights, state.alive, state.active = None, None, True
            state.shares.clear()
            state._moved.clear()
        if not state.active:
            return
        state.texts.refresh()
        if state.weights is not None:
            return
        if not state.looks:
            state.looks = True
            if run.steps >= SERVES and not again:
                return
            evaluate()
        if not state.shares:
            return  # no positive row yet: its time has not come
        state.looks, state.alive = False, run.alive()
        shares = torch.stack([most.cpu() for _, most in sorted(state.shares.items())], -1)
        state.weights = self.scale * inhibitors.gate(shares)
        state.active = bool((state.weights != 0).any())
        text = "; ".join(
            f"{name}: {value:.3g}"
            for name, value in zip(self.targets.names, state.weights.mean(0).tolist(), strict=True)
        )
        logging.info("Growth Inhibitor: %s", text)
        if self.report is not None:
            self.report(text)

    def differences(self, state, call, rows):
        """For each target what attention to its text adds to attention to an empty one: [(rows, tokens, channels)]; and the latter."""
        nothing = call.beside(rows, *state.texts.keys_and_values(EMPTY, call, rows))
        return [
            call.beside(rows, *state.texts.keys_and_values(name, call, rows)) - nothing for name in self.targets.names
        ], nothing


def _act(run, mine, call):
    """One attention between text and picture, with all guards of this kind."""
    rows = [at for at, _ in run.rows(call.tensors.q.shape[0], call.extra)] if run.slots else []
    acting = [(guard, state) for guard, state in mine if state.active and state.texts.numbers and run.step < state.end]
    flips = [(guard, state) for guard, state in acting if guard.form == FLIP]
    groups = [_flip(flips, call, at) for at in rows] if flips else []
    out = call.tensors.flipped(groups) if groups else call.whole()
    for guard, state in acting:
        for at in rows if guard.form == ALIGNED else ():
            if state.looks:
                state.look(guard, call, at)
            elif state.weights is not None:
                _align(guard, state, call, out, at)
    return out


def _flip(flips, call, rows):
    """(rows, the picture's queries, keys, values): the further keys and values, times the scales, of the targets' own tokens."""
    keys, values = [], []
    for guard, state in flips:
        for number, name in enumerate(guard.targets.names):
            k, v = (
                guard.targets.own(name, part, call.tensors.axis, state.texts.layout.front)
                for part in state.texts.keys_and_values(name, call, rows)[:2]
            )
            keys.append(k)
            values.append(v * float(state.weights[0, number]))
    count = max(part.shape[0] for part in keys)
    keys, values = (
        torch.cat([part.expand(count, *part.shape[1:]) for part in parts], call.tensors.axis)
        for parts in (keys, values)
    )
    return rows, call.picture, keys, values


def _align(guard, state, call, out, rows):
    weights = state.weights_for(call, rows)
    for number, difference in enumerate(guard.differences(state, call, rows)[0]):
        call.add(out, rows, weights[:, number].view(-1, 1, 1) * difference)


@dataclass
class _State:
    """Of one sampling run: the first step without the guard, its texts, and its weights (images or 1, targets) once they are known."""

    end: int
    texts: attention.Texts
    weights: torch.Tensor | None = None
    looks: bool = False  # whether the evaluation under way is looked at
    active: bool = True  # whether any weight is not 0
    shares: dict = field(default_factory=dict)  # attention's number -> (images, targets), of all prompts the most
    alive: frozenset | None = None  # the prompts that the weights were inferred from
    _moved: dict = field(default_factory=dict)

    def look(self, guard, call, rows):
        """Measure how much of each target is in the prompt."""
        differences, nothing = guard.differences(self, call, rows)
        prompt = call.prompt(rows) - nothing
        found = torch.stack([inhibitors.contained(prompt, one) for one in differences], 1)
        self.shares[call.number] = torch.maximum(self.shares.get(call.number, found).to(found), found)

    def weights_for(self, call, rows):
        """(rows, targets), on the card and in the type of the attention."""
        q = call.tensors.q
        key = (rows.stop - rows.start, q.device, q.dtype)
        if key not in self._moved:
            assert self.weights is not None  # else nothing is added yet
            self._moved[key] = repeat_to_batch_size(self.weights.to(q), key[0])
        return self._moved[key]


def guard(
    model,
    clip,
    text,
    targets,
    scale,
    mode,
    adapter=None,
    variant="aligned",
    form=ALIGNED,
    report=None,
    cross_end=0.8,
    **unet,
):
    """(MODEL, CONDITIONING, text of the scales); of UNets as ``inhibitors.host.guard``, which takes ``unet``, too. Scale 0 is off: the
    model itself and the plain prompt. Raises NotImplementedError for models whose attention is not known, and ValueError for inputs that
    only UNets have.
    """
    if checks.is_unet(model):
        if form != ALIGNED:
            raise ValueError(
                f"form is {form}, which is for transformers; this is {checks.model_name(model)}. Choose form aligned, and by variant and "
                "mode what the UNet does."
            )
        return unets.guard(
            model, clip, text, targets, scale, mode, adapter, cross_end, variant=variant, report=report, **unet
        )
    known = layout(model)
    if known is None:
        raise NotImplementedError(
            f"Growth Inhibitor does not know the attention of {checks.model_name(model)}; it knows that of {SERVED}. "
            "Use Safe Latent Diffusion, Prompt Intervention or Rewrite Prompt with it."
        )
    _refuse(model, mode=(mode, "single_pass"), variant=(variant, ALIGNED))
    if adapter is not None:
        raise ValueError(
            f"adapter is connected, and scale adapters are for UNets; this is {checks.model_name(model)}. Disconnect it and set a scale; "
            "form aligned measures by itself how much of a target a prompt holds."
        )
    encoded = encode(clip, inhibitors.split_targets(targets))
    conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(text))
    if scale == 0:
        return model, conditioning, "off (scale 0)"
    said = "; ".join(f"{name}: {scale:.3g}" for name in encoded.names)
    if form == ALIGNED:
        said += " (at most; how much of it, the first step shows: see the text under the node and the log)"
    said += f". The targets' keys and values come from {'the whole latents, as a row more' if known.whole else 'a pass over one token'}."
    return rail.attach(model, Inhibitor(encoded, scale, form, cross_end, report)), conditioning, said


def _refuse(model, **chosen):
    for name, (value, instead) in chosen.items():
        if value != instead:
            raise ValueError(
                f"{name} is {value}, which is for UNets; this is {checks.model_name(model)}. Choose {name} '{instead}'."
            )
