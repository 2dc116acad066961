"""The UNet's attention layers: which there are, and patches that live for one sampling run and share their blocks with others."""

from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention


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
    """One more attention beside the block's own: other packs' overrides are not asked a second time."""
    return optimized_attention(q, k, v, extra["n_heads"], attn_precision=extra["attn_precision"])


def text(block, queries, context, weights, extra):
    """A block's attention to a text (1, T, c) of its own, its values multiplied by ``weights``."""
    context = context.to(queries)
    keys, values = block.attn2.to_k(context), block.attn2.to_v(context) * weights
    count = queries.shape[0]
    return also(queries, keys.expand(count, -1, -1), values.expand(count, -1, -1), extra)


def probabilities(q, k, heads):
    """Attention maps (b, heads, positions, tokens), float32. Costs memory: for one-off looks only."""
    q, k = (t.float().unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k))
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)


def wrap_cross(options, unet, make):
    """Put ``make(layer number, block)(q, k, v, extra, inner)`` around every cross-attention of a run.

    ``options``: the run's own transformer options, which are changed. ``inner`` is what was there: another pack's
    replacement or the host's attention.
    """
    replaced = dict(options.get("patches_replace", {}))
    layers = dict(replaced.get("attn2", {}))
    for number, (key, block) in enumerate(blocks(unet)):
        inner = layers.get(key, layers.get(key[:2], plain))
        layers[key] = _around(make(number, block), inner)
    options["patches_replace"] = {**replaced, "attn2": layers}


def _around(outer, inner):
    return lambda q, k, v, extra: outer(q, k, v, extra, inner)


def add_self(options, patch):
    """Let ``patch(hidden, context, value, extra)`` change what self-attention's queries, keys and values are made of.

    Before other packs' patches: they may cut the picture into tiles or append rows and positions of their own.
    """
    patches = dict(options.get("patches", {}))
    options["patches"] = {**patches, "attn1_patch": [patch, *patches.get("attn1_patch", ())]}
