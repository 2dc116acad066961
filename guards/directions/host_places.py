"""Where in a MODEL directions live: behind a UNet's middle block, or, in a transformer, behind one block of its stack."""

from ..host import checks, dit
from .formula import MIDDLE, block_number

SERVED = "SD1.x, SD2.x and SDXL; Flux, Chroma, SD3, Qwen-Image, Mage-Flow, Lumina2, Z-Image, Wan and HunyuanVideo"


def default(model) -> str:
    """The block behind which new directions of a MODEL are found: the middle one. Raises ValueError for models that have none, naming
    the guards that work there."""
    if checks.is_unet(model):
        return MIDDLE
    if dit.stack(model) is None:
        raise ValueError(
            f"{checks.model_name(model)} has no block where directions are known to work. These models have: {SERVED}. Safe Latent "
            "Diffusion, Prompt Intervention and Rewrite Prompt work with this model."
        )
    return f"double:{(len(dit.blocks(model)) - 1) // 2}"


def channels(model) -> int:
    """Channels of the block, where ``default`` names one."""
    default(model)
    if checks.is_unet(model):
        return checks.network(model).middle_block[-1].out_channels
    return dit.width(model)


def check(model, direction, name="direction"):
    """Refuse a direction of another block than this MODEL has, or of a kind that it cannot take. Raises ValueError."""
    usual, number = default(model), block_number(direction.block)
    mend = "Use one for this family, or find it with Discover Direction."
    if (number is None) != (usual == MIDDLE) or (number is not None and number >= len(dit.blocks(model))):
        here = usual if usual == MIDDLE else f"double:0 to double:{len(dit.blocks(model)) - 1}"
        raise ValueError(
            f"{name} ({direction.concept}) belongs to the block {direction.block}, this model ({checks.model_name(model)}) has {here}. "
            f"{mend}"
        )
    if number is not None and direction.values.ndim != 1:
        raise ValueError(
            f"{name} ({direction.concept}) has a value for each place {tuple(direction.values.shape)}; a transformer's tokens "
            f"all take the same one. {mend}"
        )


def after(options, model, block, change):
    """Let ``change(h, extra) -> h`` change what comes out of ``block``: (rows, channels, height, width) of a UNet, (rows, tokens,
    channels) of a transformer. ``options``: transformer options of one's own; ``extra``: those of the evaluation.

    In a UNet at the first output block, where every host shows the middle block's output with ControlNet's term, and first of its
    kind, so that it comes before FreeU and the like; in a transformer before ControlNet's term.
    """
    number = block_number(block)
    if number is not None:
        dit.after(options, model, number, change)
        return

    def patch(h, skip, extra):
        return (change(h, extra) if extra["block"] == ("output", 0) else h), skip

    patches = options["patches"] = {**options.get("patches", {})}
    patches["output_block_patch"] = [patch, *patches.get("output_block_patch", ())]
