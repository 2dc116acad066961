"""What tests of several rooms sample with: the guard of SLD, every guider of the host, and the host's own neighbours."""

import torch

from . import hosting
from .models import CONCEPT, NEGATIVE, OTHER, POSITIVE

# node module, class, arguments
GUIDANCE = {
    "RescaleCFG": ("nodes_model_advanced", "RescaleCFG", dict(multiplier=0.7)),
    "PAG": ("nodes_pag", "PerturbedAttentionGuidance", dict(scale=3.0)),
    "SAG": ("nodes_sag", "SelfAttentionGuidance", dict(scale=0.5, blur_sigma=2.0)),
    "APG": ("nodes_apg", "APG", dict(eta=0.5, norm_threshold=5.0, momentum=0.0)),
    "TCFG": ("nodes_tcfg", "TCFG", {}),
    "Mahiro": ("nodes_mahiro", "Mahiro", {}),
    "CFGZeroStar": ("nodes_cfg", "CFGZeroStar", {}),
    "RenormCFG": ("nodes_lumina2", "RenormCFG", dict(cfg_trunc=100.0, renorm_cfg=1.0)),
}
NETWORK = {
    "NAG": ("nodes_nag", "NAGuidance", dict(nag_scale=5.0, nag_alpha=0.5, nag_tau=1.5)),
    "FreeU": ("nodes_freelunch", "FreeU_V2", dict(b1=1.3, b2=1.4, s1=0.9, s2=0.2)),
    "HyperTile": ("nodes_hypertile", "HyperTile", dict(tile_size=32, swap_size=2, max_depth=0, scale_depth=False)),
    "ToMe": ("nodes_tomesd", "TomePatchModel", dict(ratio=0.3)),
    "EasyCache": (
        "nodes_easycache",
        "EasyCacheNode",
        dict(reuse_threshold=0.5, start_percent=0.0, end_percent=1.0, verbose=False),
    ),
    "LazyCache": (
        "nodes_easycache",
        "LazyCacheNode",
        dict(reuse_threshold=0.5, start_percent=0.0, end_percent=1.0, verbose=False),
    ),
}


def beside(name, model):
    """The model with a neighbour's patch, as its node would return it."""
    import importlib

    module, cls, arguments = (GUIDANCE | NETWORK)[name]
    node = getattr(importlib.import_module("comfy_extras." + module), cls)
    result = node.execute(model=model, **arguments) if hasattr(node, "execute") else node().patch(model, **arguments)
    return result[0]


def sld(model, concept=CONCEPT, preset="max", unconditional=None, **changes):
    from dataclasses import replace

    host_side, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    return host_side.guard(model, replace(pure.PRESETS[preset], **changes), concept, unconditional)


def close(a, b, tolerance=1e-4):
    return (a - b).norm() / b.norm() < tolerance


def guider(kind, model, cfg=5.0):
    import comfy.samplers
    from comfy_extras import nodes_custom_sampler, nodes_perpneg

    if kind == "dual":
        g = nodes_custom_sampler.Guider_DualCFG(model)
        g.set_conds(POSITIVE, OTHER, NEGATIVE)
        g.set_cfg(cfg, 3.0)
    elif kind == "perpneg":
        g = nodes_perpneg.Guider_PerpNeg(model)
        g.set_conds(POSITIVE, OTHER, NEGATIVE)
        g.set_cfg(cfg, 1.0)
    elif kind == "basic":
        g = nodes_custom_sampler.Guider_Basic(model)
        g.set_conds(POSITIVE)
    else:
        g = comfy.samplers.CFGGuider(model)
        g.set_conds(POSITIVE, NEGATIVE)
        g.set_cfg(cfg)
    return g


def of(kind, model, *scales, **conds):
    """One of the host's guiders, with any scales."""
    made = guider(kind, model)
    made.set_conds(**conds)
    made.set_cfg(*scales)
    return made


def windows(model, length=2):
    """The model with the host's context windows along the batch, as its nodes for video models set them."""
    from comfy import context_windows

    model = model.clone()
    model.model_options["context_handler"] = context_windows.IndexListContextHandler(
        context_schedule=context_windows.get_matching_context_schedule(
            context_windows.ContextSchedules.STATIC_STANDARD
        ),
        fuse_method=context_windows.get_matching_fuse_method(context_windows.ContextFuseMethods.FLAT),
        context_length=length,
        context_overlap=0,
        dim=0,
    )
    return model


def couple(model, texts, own=False):
    """Attention Couple: the positive rows look at several texts, each in its own columns of the picture; ``own``: the prompt's is the first
    of them. Other rows are left as they are."""
    count = len(texts) + own

    def before(q, context, value, extra):
        numbers, qs, contexts = extra["cond_or_uncond"], [], []
        for number, rows, text in zip(numbers, q.chunk(len(numbers)), context.chunk(len(numbers)), strict=True):
            here = [text] if number or own else []
            here += [] if number else [one.repeat(len(rows), 1, 1) for one in texts]
            qs.append(rows.repeat(len(here), 1, 1))
            contexts += here
        return torch.cat(qs), torch.cat(contexts), torch.cat(contexts)

    def after(out, extra):
        numbers, made = extra["cond_or_uncond"], []
        side = int(out.shape[1] ** 0.5)
        each = out.shape[0] // sum(1 if number else count for number in numbers)
        column = (torch.arange(side) * count // side).repeat(side)  # which text each place looks at
        masks = torch.nn.functional.one_hot(column, count).T.to(out)[:, None, :, None]
        for number in numbers:
            rows, out = out.split([each * (1 if number else count), out.shape[0] - each * (1 if number else count)])
            made.append(rows if number else (rows.unflatten(0, (count, each)) * masks).sum(0))
        return torch.cat(made)

    model = model.clone()
    model.set_model_attn2_patch(before)
    model.set_model_attn2_output_patch(after)
    return model
