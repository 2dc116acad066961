"""The UNet's attention layers: which there are, and patches that live for one sampling run and share their blocks with others."""

from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention

from . import checks, edits


def blocks(unet):
    """[(key, transformer block)] in the order of execution; the key is the host's: (input | middle | output, number, index)."""
    found = []
    for name, levels in (("input", unet.input_blocks), ("middle", [unet.middle_block]), ("output", unet.output_blocks)):
        for number, level in enumerate(levels):
            for layer in level:
                if isinstance(layer, SpatialTransformer):
                    found += [
                        ((name, number, i), block)
                        for i, block in enumerate(layer.transformer_blocks)
                        if block.attn2 is not None
                    ]
    return found


def plain(q, k, v, extra):
    """What the host itself does in a block without a replacement. q, k, v: (b, positions, heads * width) -> (b, positions, ...)."""
    return optimized_attention(
        q, k, v, extra["n_heads"], attn_precision=extra["attn_precision"], transformer_options=extra
    )


def also(q, k, v, extra):
    """One more attention beside the block's own, (b, positions, heads * width) as ``plain``'s: other packs' overrides are not asked a
    second time."""
    return optimized_attention(q, k, v, extra["n_heads"], attn_precision=extra["attn_precision"])


class Texts:
    """Texts of a guard's own in all cross-attentions of one sampling run, (1 or n, T, c) each: keys and values are made once for each card
    and type, and go with the run. A text of 77 tokens takes 26 MB in SDXL at two bytes a number, 6 MB in SD1.5.

    The host's multi-GPU split has a copy of the model on every card: the layers that are asked are those of the card that asks. Where
    the host patches weights for some conditionings only (its hooks), nothing is kept, since another evaluation has other weights. What a
    closed-form edit has changed (edits.py) is left out.
    """

    def __init__(self, guider):
        self._guider, self._layers, self._made = guider, {}, {}
        self._before = edits.Before(guider)

    def keys_and_values(self, layer, context, queries):
        """(1, T, heads * width) each, of the cross-attention number ``layer``, on the device and in the type of ``queries``."""
        patcher = self._guider.model_options.get("multigpu_clones", {}).get(queries.device, self._guider.model_patcher)
        key = (layer, id(context), queries.device, queries.dtype)
        if patcher.current_hooks is None and key in self._made:
            return self._made[key][:2]
        if id(patcher) not in self._layers:
            self._layers[id(patcher)] = [block.attn2 for _, block in blocks(checks.network(patcher))]
        attention = self._layers[id(patcher)][layer]
        moved = self._moved(context, queries)
        made = self._before.unedited(attention, moved, (attention.to_k(moved), attention.to_v(moved)))
        made = *made, context  # the context stays, and so does its id
        if patcher.current_hooks is None:
            self._made[key] = made
        return made[:2]

    def attend(self, layer, queries, context, extra, weights=None):
        """A layer's attention (b, positions, heads * width) to a text, its values multiplied by ``weights`` (b, T, 1)."""
        keys, values = self.keys_and_values(layer, context, queries)
        values = values if weights is None else values * weights
        count = queries.shape[0]
        return also(queries, keys.expand(count, -1, -1), values.expand(count, -1, -1), extra)

    def attend_all(self, layer, queries, contexts, extra):
        """A layer's attention (n, b, positions, heads * width) to each of n texts, ``contexts`` (n, T, c), in one call."""
        keys, values = self.keys_and_values(layer, contexts, queries)
        every = queries.reshape(1, -1, queries.shape[-1]).expand(len(keys), -1, -1)
        return also(every, keys, values, extra).unflatten(1, queries.shape[:2])

    def _moved(self, context, queries):
        key = (id(context), queries.device, queries.dtype)
        if key not in self._made:
            self._made[key] = context.to(queries), context
        return self._made[key][0]


def probabilities(q, k, heads):
    """Attention maps (b, heads, positions, tokens), float32. Costs memory: for one-off looks only."""
    q, k = (t.float().unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k))
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)


def wrap_cross(options, unet, make, only=None):
    """Put ``make(layer number)(q, k, v, extra, inner)`` around every cross-attention of a run, or around those numbered in ``only``.

    ``options``: the run's own transformer options, which are changed. ``inner`` is what was there: another pack's
    replacement or the host's attention.
    """
    replaced = dict(options.get("patches_replace", {}))
    layers = dict(replaced.get("attn2", {}))
    for number, (key, _) in enumerate(blocks(unet)):
        if only is not None and number not in only:
            continue
        inner = layers.get(key, layers.get(key[:2], plain))
        layers[key] = _around(make(number), inner)
    options["patches_replace"] = {**replaced, "attn2": layers}


def _around(outer, inner):
    return lambda q, k, v, extra: outer(q, k, v, extra, inner)


def reads_as_before(run):
    """Whether a run has texts of guards that are to be read without what an edit has changed in the weights (edits.py)."""
    patcher = run.guider.model_patcher
    return bool(run.added and edits.of(run.guider.model_options) and checks.is_unet(patcher))


def read_as_before(run, options):
    """Have the rows that guards have added read so, by ``options``, the run's own transformer options."""
    if reads_as_before(run):
        network, before = checks.network(run.guider.model_patcher), edits.Before(run.guider)
        layers = [block.attn2 for _, block in blocks(network)]
        wrap_cross(options, network, lambda layer: before.around(run, layers[layer]))


def add_first(options, name, patch):
    """Let ``patch(hidden, context, value, extra)`` change what an attention's queries, keys and values are made of.

    ``name``: attn1_patch for self-attention, attn2_patch for the one to the text.

    Before other packs' patches: they may cut the picture into tiles or append rows and positions of their own.
    """
    patches = dict(options.get("patches", {}))
    options["patches"] = {**patches, name: [patch, *patches.get(name, ())]}
