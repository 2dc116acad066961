"""Transformers (DiTs): their stacks of blocks, and how a guard gets behind one of them.

The families differ in what they call. Flux, Chroma, SD3, Qwen-Image and Wan ask for a replacement of each block, Lumina2 and Z-Image call
the patches of a list after each one. Nothing is assumed of other families: a network that is not in STACKS has no stack.
"""

from typing import NamedTuple

from . import checks


class Stack(NamedTuple):
    """Where a network keeps the blocks in which the picture's tokens can be told from the text's."""

    blocks: str  # attribute of the network
    listed: bool = False  # whether only the list patch "double_block" is called behind them


STACKS = {  # the host's network class -> its stack, which its subclasses have too
    "Flux": Stack("double_blocks"),
    "Chroma": Stack("double_blocks"),
    "OpenAISignatureMMDITWrapper": Stack("joint_blocks"),
    "QwenImageTransformer2DModel": Stack("transformer_blocks"),
    "MageFlowTransformer2DModel": Stack("transformer_blocks"),
    "NextDiT": Stack("layers", listed=True),
    "HunyuanVideo": Stack("double_blocks"),
    "WanModel": Stack("blocks"),
    **dict.fromkeys(
        ("HumoWanModel", "WanModel_S2V", "AnimateWanModel", "SCAILWanModel", "WanDancerModel")
    ),  # not tried
    "CausalWanModel": None,  # its sampler goes round the patches, frame by frame
}


def stack(model) -> Stack | None:
    """A MODEL's stack; None where it has none that is known."""
    kind = checks.kind(model, STACKS)
    return STACKS[kind] if kind else None


def _known(model) -> Stack:
    found = stack(model)
    if found is None:
        raise ValueError(f"{checks.model_name(model)} has no stack of blocks that is known.")
    return found


def blocks(model):
    """The blocks of a MODEL's stack, in the order of execution. Raises ValueError where there is none."""
    return getattr(checks.network(model), _known(model).blocks)


def width(model) -> int:
    """Channels of the tokens in a MODEL's stack."""
    network = checks.network(model)
    return next(getattr(network, name) for name in ("hidden_size", "inner_dim", "dim") if hasattr(network, name))


def after(options, model, index, change):
    """Let ``change(tokens, extra) -> tokens`` change the picture's tokens, (rows, tokens, channels), behind block ``index``.

    ``options``: transformer options of one's own, which are changed; ``extra``: those of the evaluation. Tokens of reference pictures
    and of the text are left out. What the host or another pack does there before comes first, ControlNet's term after it.
    """
    network = checks.network(model)

    def changed(args, tokens):
        own = picture(network, args, tokens.shape[1])
        if own == slice(0, tokens.shape[1]):
            return change(tokens, args["transformer_options"])
        mine = tokens[:, own]
        made = change(mine, args["transformer_options"])
        if made is mine:
            return tokens
        tokens = tokens.clone()
        tokens[:, own] = made
        return tokens

    if _known(model).listed:

        def patch(args):
            return {**args, "img": changed(args, args["img"])} if args["block_index"] == index else args

        options["patches"] = {**options.get("patches", {})}
        options["patches"]["double_block"] = [patch, *options["patches"].get("double_block", ())]
        return
    key, replaced = ("double_block", index), {**options.get("patches_replace", {})}
    inner = replaced.get("dit", {}).get(key)

    def replace(args, extra):
        out = extra["original_block"](args) if inner is None else inner(args, extra)
        return {**out, "img": changed(args, out["img"])}

    options["patches_replace"] = {**replaced, "dit": {**replaced.get("dit", {}), key: replace}}


def picture(network, args, count) -> slice:
    """Which of the ``count`` tokens of the picture's stream are the picture's own; the others are those of reference pictures.

    ``args``: what the host gives a patch of a block. Old hosts do not say how many the reference pictures of Flux and Qwen-Image have;
    there these count as the picture's.
    """
    extra = args["transformer_options"]
    if "grid_sizes" in extra:  # Wan puts a reference picture before the video, and others behind it
        frames, height, wide = extra["grid_sizes"]
        own, before = frames * height * wide, 0
        if getattr(network, "ref_conv", None) is not None:
            before = max(count - own, 0)
        return slice(before, before + own)
    if "x" in args and hasattr(network, "pad_tokens_multiple"):  # Lumina2 and Z-Image have them before the picture
        own = (args["x"].shape[-2] // network.patch_size) * (args["x"].shape[-1] // network.patch_size)
        padded = (
            own
            if not network.pad_tokens_multiple
            else -(-own // network.pad_tokens_multiple) * network.pad_tokens_multiple
        )
        return slice(count - padded, count - padded + own)
    return slice(0, count - sum(extra.get("reference_image_num_tokens", ())))
