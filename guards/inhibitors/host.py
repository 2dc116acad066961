"""The Growth Inhibitor for a MODEL: targets and prompt are encoded and checked, and one of the two algorithms goes onto the rail."""

import torch

from ..host import attention, checks, rail
from ..local import calibration
from ..local import host as local
from . import formula as inhibitors
from . import host_text as inhibitor_text
from .host_look import scales_text
from .host_paired import TAG, Paired
from .host_single_pass import SinglePass


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
    replacement="",
    tick=None,
):
    """(MODEL, CONDITIONING, text of the scales). Scale 0 without an adapter is off: the model itself and the plain prompt.

    Variant local takes ``replacement`` and calls ``tick(done, total)`` where it has to calibrate the model.
    """
    if not checks.is_unet(model):
        raise NotImplementedError(
            f"Growth Inhibitor works on the UNets of SD1.x, SD2.x and SDXL; this is {checks.model_name(model)}. "
            "Use Safe Latent Diffusion, Prompt Intervention or Rewrite Prompt with it."
        )
    names = inhibitors.split_targets(targets)
    conditioning = inhibitor_text.prompt(clip, text)
    target = inhibitor_text.target(clip, names)
    if mode == "single_pass" and variant == "local":
        guarded, said = _local(model, clip, names, scale, adapter, replacement, tick)
        return guarded, conditioning, said
    if adapter is None and scale == 0:
        return model, conditioning, "off (scale 0)"
    layers = len(attention.blocks(checks.network(model)))
    if adapter is not None:  # refused now, and not when sampling
        checks.same_family(
            model,
            adapter.family,
            "adapter was trained",
            "its scales would mean nothing here. Load an adapter of this model's family, train one with Train Scale Adapter, or use a "
            "fixed scale.",
        )
        adapter.scales(torch.zeros(1, 1, layers), torch.zeros(1, 1, layers))
    if mode == "paired":
        row, alignment = inhibitor_text.appended(clip, text, " ".join(names), target.count)
        source = row[0][0] if reading == "code" else conditioning[0][0]
        tag = {"text": conditioning[0][0], "alignment": alignment}
        tag["context"] = inhibitors.inject(source, target.context, alignment)
        conditioning = [[tensor, {**options, TAG: tag}] for tensor, options in conditioning]
        inhibitor = Paired(target, scale, adapter, cross_end, self_end, report)
    else:
        inhibitor = SinglePass(target, scale, adapter, cross_end, variant, report)
    said = (
        scales_text(target, torch.full((1, target.count), float(scale)))
        if adapter is None
        else "inferred by the adapter in the first step of every run: see the text under the node and the log"
    )
    if adapter is None and isinstance(inhibitor, SinglePass) and inhibitor.aligned:
        said += " (at most; how much of it, the first step shows: see the text under the node and the log)"
    return rail.attach(model, inhibitor), conditioning, said


def _local(model, clip, names, scale, adapter, replacement, tick):
    """(MODEL, text of what stands in for what) of variant local."""
    if adapter is not None:
        raise ValueError("adapter: variant local decides by itself. Disconnect the adapter, or choose variant aligned.")
    if scale > 0:
        raise ValueError(
            f"scale is {scale:g}: variant local takes targets out. Give a number below 0 (-1 and below replace them whole), 0 for off, or "
            "choose another variant."
        )
    try:
        guarded, stands_in = local.guard(model, clip, names, replacement, min(-scale, 1.0), tick)
    except calibration.Unsuited as error:
        raise ValueError(
            f"Growth Inhibitor: variant local cannot serve this model and these targets: {error}. Choose variant aligned, or name a "
            "replacement."
        ) from error
    if scale == 0:
        return guarded, "off (scale 0)"
    return guarded, "; ".join(f"{target} -> {instead}" for target, instead in stands_in.items())
