"""Compiled models: what torch.compile has baked in does not see a run's own block patches.

The host's TorchCompileModel drops every check on transformer options (``skip_torch_compile_dict``), so a model that ran unguarded once
would go on unguarded, without a word. While a guard patches blocks, the model therefore runs as it is written.
"""

import contextlib

import torch
from comfy.patcher_extension import WrappersMP

COMPILE_KEY = "torch.compile"  # of the host's comfy_api.torch_helpers


def is_compiled(patcher):
    """Whether a MODEL, or a part of it, is compiled by the host's node, by an object patch or in place."""
    options = patcher.model_options.get("transformer_options", {}).get("wrappers", {})
    if any(COMPILE_KEY in wrappers.get(WrappersMP.APPLY_MODEL, {}) for wrappers in (patcher.wrappers, options)):
        return True
    patched = patcher.object_patches.values()
    return any(
        type(part).__name__ == "OptimizedModule" or getattr(part, "_compiled_call_impl", None) is not None
        for part in (*patched, *patcher.model.modules())
    )


@contextlib.contextmanager
def uncompiled(patcher):
    """Within it a compiled MODEL runs uncompiled; others are left alone. Raises ValueError where this torch cannot do that."""
    if not is_compiled(patcher):
        yield
        return
    set_stance = getattr(torch.compiler, "set_stance", None)
    if set_stance is None:
        raise ValueError(
            "Concept Guards: this guard changes the inside of the model, which torch.compile would not see, and this version of torch "
            "(older than 2.6) cannot run a compiled model uncompiled. Remove the torch.compile node from this MODEL, or use Safe Latent "
            "Diffusion or Prompt Intervention, which work with it."
        )
    with set_stance("force_eager"):
        yield
