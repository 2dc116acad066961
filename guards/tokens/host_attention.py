"""The one hook that all of the host's transformers share: what stands in for their attention, for one sampling run.

It has a single slot (``optimized_attention_override``), so another pack's override that is there already is called from inside. Calls
are told apart by their number within one evaluation of the network, which is the same in every evaluation of a model.
"""

import comfy.sampler_helpers
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from .. import looking
from ..host import checks, rail
from . import formula
from .host_layouts import Places, known, patch

SLOT = "optimized_attention_override"
CALLS = f"{rail.KEY}_calls"  # in an evaluation's transformer options: its _Evaluation
POSITIONAL = ("mask", "attn_precision", "skip_reshape", "skip_output_reshape")
# What a concept's conditioning needs of the prompt's, besides text.
CARRIED = ("guidance", "clip_vision_output", "frame_rate")


class _Evaluation:
    """One pass through the network: the number of its last attention, and where its tokens are; ``blind``: whether nothing is to act;
    ``blocks``: number -> the block that an attention is in, by the network's own count, where it has one; ``whole``: those of one that
    left out none."""

    def __init__(self, places, whole):
        self.places, self.number, self.blind, self.blocks, self.whole = places, -1, False, {}, whole

    def next(self, extra):
        """One more attention; where a cache has left out blocks (WaveSpeed's and others leave out all but the first and last ones), that
        of the block which runs."""
        block = extra.get("block_type"), extra.get("block_index")
        self.number += 1
        if self.whole.get(self.number) != block:
            later = (number for number in self.whole if number > self.number and self.whole[number] == block)
            self.number = next(later, self.number)
        self.blocks[self.number] = block

    def past(self, replaced, sizes):
        """What stands in for blocks, {block: patch}, with the attentions counted that it leaves out: SkipLayerGuidance goes on without a
        block. ``sizes``, {block: how many it has}, is filled by running such a block once beside the patch."""

        def counting(block, patch):
            def call(args, extra):
                before, given = self.number, dict(args)
                out = patch(args, extra)
                if self.number != before:
                    return out
                if block not in sizes:
                    copies = {key: part.clone() if torch.is_tensor(part) else part for key, part in given.items()}
                    self.blind = True
                    try:
                        extra["original_block"](copies)  # which may write into what it is given
                    finally:
                        self.blind = False
                    sizes[block] = self.number - before
                self.number = before + sizes[block]
                return out

            return call

        return {block: counting(block, patch) for block, patch in replaced.items()}


def count_calls(options, model, texts):
    """Let every evaluation under ``options``, transformer options of one's own, count its attentions, and tell all of ``texts`` how many
    they were."""

    sizes = {}

    def wrapper(executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs):
        if c_crossattn is None:
            return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)
        evaluation = _Evaluation(Places.of(model, x, c_crossattn), next((text.blocks for text in texts), {}))
        transformer_options = {**(transformer_options or {}), CALLS: evaluation}
        replaced = transformer_options.get("patches_replace", {})
        if replaced.get("dit"):
            blocks = evaluation.past(replaced["dit"], sizes)
            transformer_options["patches_replace"] = {**replaced, "dit": blocks}
        out = executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)
        for text in texts:
            text.counted(evaluation)
        return out

    add_wrapper_with_key(WrappersMP.APPLY_MODEL, CALLS, wrapper, options)


def override(options, act, texts=()):
    """Put ``act(call) -> output`` around every attention between text and picture of evaluations under ``options``, transformer options
    of one's own, which are changed. ``call``: a Call. ``texts``: who has read which attentions these are; without it they are told by
    their number of tokens, which is sure where the picture is a single one."""
    before = options.get(SLOT)

    def replace(func, q, k, v, heads, *args, **kwargs):
        kwargs = {**dict(zip(POSITIONAL, args, strict=False)), **kwargs}
        evaluation = (kwargs.get("transformer_options") or {}).get(CALLS)
        attend = func if before is None else lambda *a, **b: before(func, *a, **b)
        if evaluation is None:  # a ControlNet's own attention
            return attend(q, k, v, heads, **kwargs)
        evaluation.next(kwargs["transformer_options"])
        axis = 2 if kwargs.get("skip_reshape") else 1
        lengths = q.shape[axis], k.shape[axis]
        if texts:
            ours = any(evaluation.number in text.numbers for text in texts)
        else:
            ours = evaluation.places.between(*lengths)
        if not ours or evaluation.blind:
            return attend(q, k, v, heads, **kwargs)
        text, picture = evaluation.places.find(*lengths, kwargs["transformer_options"])
        return act(Call(evaluation.number, text, picture, func, attend, (q, k, v), heads, kwargs))

    options[SLOT] = replace


class Call:
    """One attention between text and picture. ``text``: the text's keys, ``picture``: the picture's queries, as slices of the tokens;
    ``tensors``: its queries, keys and values, whose ``attend`` asks other packs' overrides as well."""

    def __init__(self, number, text, picture, func, attend, qkv, heads, kwargs):
        self.number, self.text, self.picture = number, text, picture
        self.extra = kwargs.get("transformer_options") or {}
        rest = {key: value for key, value in kwargs.items() if key != "mask"}
        flat = not kwargs.get("skip_reshape")  # SD3's values come with heads although its queries do not
        q, k, v = (part.flatten(2) if flat and part.ndim == 4 else part for part in qkv)
        self.tensors = formula.Tensors(
            q,
            k,
            v,
            kwargs.get("mask"),
            lambda q, k, v, mask: attend(q, k, v, heads, mask=mask, **rest),
            bool(kwargs.get("skip_output_reshape")),
        )
        self._func, self._heads = func, heads
        self._plain = {key: value for key, value in rest.items() if key != "transformer_options"}

    def whole(self):
        """The attention as it is."""
        return self.tensors.attend(self.tensors.q, self.tensors.k, self.tensors.v, self.tensors.mask)

    def beside(self, rows, keys, values, mask=None):
        """The picture's attention to other keys and values (1 or rows, ...), flattened to (rows, tokens, channels); other packs' overrides
        are not asked a second time."""
        queries = self.tensors.take(self.tensors.q, rows, [self.picture])
        keys, values = (part.expand(queries.shape[0], *part.shape[1:]) for part in (keys, values))
        plain = {**self._plain, "skip_output_reshape": False}
        return self._func(queries, keys, values, self._heads, mask=mask, **plain)

    def prompt(self, rows):
        """The same to the prompt's own text."""
        keys, values = (self.tensors.take(part, rows, [self.text]) for part in (self.tensors.k, self.tensors.v))
        return self.beside(rows, keys, values, self.text_mask(rows))

    def text_mask(self, rows):
        """Which of the text's keys the picture's queries may see, or None."""
        mask = formula.masked(self.tensors.mask, rows, [self.picture])
        return None if mask is None else mask[..., self.text]

    def add(self, out, rows, addition):
        """Add (rows, tokens, channels) to the picture's part of an output, in place."""
        part = self.tensors.out(out, rows, self.picture)
        part += addition if out.ndim == 3 else addition.unflatten(2, (self._heads, -1)).transpose(1, 2)


class Texts:
    """Keys and values of a guard's own texts in all attentions, as the network makes them at the present noise level.

    They are read off a pass of its own over a latent of one token, without other packs' patches, which costs as much as the text has
    tokens; where a text's keys depend on the picture, over the whole latents. Of one sampling run.
    """

    def __init__(self, run, conditionings):
        """``conditionings``: name -> CONDITIONING."""
        self._run, self._conditionings = run, conditionings
        self.layout = known(run.guider.model_patcher)
        self._entries, self._made, self._level = {}, {}, None
        self.numbers = frozenset()  # of the attentions between text and picture; empty as long as nothing was read
        self.blocks = {}  # number -> the block of each attention
        self._reading = False  # whether the evaluation under way is one of ours

    def refresh(self):
        """Read them at the level of the evaluation under way, unless they are known for it."""
        run = self._run
        if self._made and (self.layout.steady or self._level == run.level):
            return
        self._level = run.level
        x = run.x[: run.batch] if self.layout.whole else self._one_token(run.x)
        for names in self._together():
            self._made.update(self._read(names, x, run.sigma[: x.shape[0]]))
        self.numbers = frozenset(next(iter(self._made.values())))

    def _together(self):
        """The texts that one pass can read, as its rows: those of one length, where that is not a row of the whole latents each. A pass
        of few tokens costs what the weights cost that it needs, which are much where they are offloaded."""
        alike = {}
        for name, conditioning in self._conditionings.items():
            alike.setdefault(name if self.layout.whole else conditioning[0][0].shape, []).append(name)
        return alike.values()

    def counted(self, evaluation):
        """Refuse an evaluation that had more attentions than a text alone, or fewer that cannot be told apart. A cache may give what it had
        in the place of all of them (EasyCache), or of those behind the first ones (WaveSpeed's). Raises RuntimeError."""
        last, whole = evaluation.number, len(self.blocks) - 1
        if self._reading:
            self.blocks = evaluation.blocks
        elif self.numbers and last not in (-1, whole) and not self._begins(evaluation.blocks.get(last), last):
            raise RuntimeError(
                f"Growth Inhibitor: the model ran {last + 1} attention layers, for the targets alone {whole + 1}, so the guard cannot tell "
                "which is which. Another pack's patch may add layers: remove it, or use Safe Latent Diffusion with it."
            )

    def _begins(self, block, last):
        """Whether the first attentions up to the one with the number ``last`` are those of a text alone, by the ``block`` it is in."""
        return block == self.blocks.get(last) and block[1] is not None

    def keys_and_values(self, name, call, rows):
        """(1 or rows, ...) each, of a text in the attention ``call``, on its device and in its type; and its mask, or None."""
        found = self._made[name][call.number]
        if found[0].shape[0] not in (1, rows.stop - rows.start):
            raise NotImplementedError(
                "Growth Inhibitor: on this model the targets' keys depend on every picture of the batch, which context windows along the "
                "batch take apart. Remove the context-window node, or sample fewer pictures at once."
            )
        keys, values, mask = found
        moved = *(part.to(call.tensors.k) for part in (keys, values)), mask if mask is None else mask.to(keys.device)
        if moved[0] is not keys:
            self._made[name][call.number] = moved
        return moved

    def _one_token(self, x):
        steps = patch(checks.network(self._run.guider.model_patcher))[-(x.ndim - 2) :]
        return x[(slice(0, 1), slice(None), *(slice(0, step) for step in steps))].clone()

    def _read(self, names, x, sigma):
        """{name: {attention's number: (keys, values)}} of one pass."""
        guider, made, options = self._run.guider, {name: {} for name in names}, {}
        for name in names:
            if name not in self._entries:
                entries = comfy.sampler_helpers.convert_cond(self._conditionings[name])
                self._entries[name] = comfy.samplers.encode_model_conds(
                    guider.inner_model.extra_conds, entries, x, x.device, "positive", latent_image=torch.zeros_like(x)
                )

        def read(call):
            each = call.extra[
                "cond_or_uncond"
            ]  # which of ``names`` the host put into this pass, in the order of its rows
            count = call.tensors.q.shape[0] // len(each)
            for place, number in enumerate(each):
                rows = slice(place * count, (place + 1) * count)
                parts = [
                    call.tensors.take(part, rows, [call.text]).clone() for part in (call.tensors.k, call.tensors.v)
                ]
                made[names[number]][call.number] = *parts, call.text_mask(rows)
            return call.whole()

        count_calls(options, guider.model_patcher, [self])
        override(options, read)
        self._reading = True
        try:
            with looking.no_picture():
                comfy.samplers.calc_cond_batch(
                    guider.inner_model,
                    [self._entries[name] for name in names],
                    x,
                    sigma,
                    {"transformer_options": options},
                )
        finally:
            self._reading = False
        return made


def carried(positive, conditioning):
    """A CONDITIONING with what the network needs of the prompt's first entry besides text."""
    options = {key: positive[0][key] for key in CARRIED if key in positive[0]}
    return [[tensor, {**options, **given}] for tensor, given in conditioning]
