"""Which of a model's weights read its text, how the text comes to them, and what they are: the base with the user's own LoRAs.

UNets     attn2.to_k, attn2.to_v of every block, on the text encoder's vectors
Wan       cross_attn.k, cross_attn.v of every block, on what text_embedding makes of them
MMDiTs    text and picture share their attention; the one matrix by which the text enters is edited
"""

from collections.abc import Callable
from dataclasses import dataclass

import comfy.lora
import comfy.model_management
import comfy.model_patcher
import torch
from torch.nn import functional

from ..host import checks

GROUND = "diffusion_model."
MMDITS = {  # the host's class -> the matrix by which the text enters, what stands before it
    "MMDiT": ("context_embedder", "context_processor"),
    "Flux": ("txt_in", "txt_norm"),
    "Chroma": ("txt_in", None),
    "QwenImageTransformer2DModel": ("txt_in", "txt_norm"),
    "NextDiT": ("cap_embedder.1", "cap_embedder.0"),
}


@dataclass(frozen=True)
class Places:
    """``keys``: the weights' full names in the model; ``joint``: whether it is one matrix of an MMDiT; ``read``: what a text's vectors
    (n, ``encoded``: the encoder's width), float32 on the CPU, are when they come to these weights (n, ``width``)."""

    keys: tuple[str, ...]
    width: int
    encoded: int | None
    joint: bool
    read: Callable[[torch.Tensor], torch.Tensor]


def find(model, keys: bool) -> Places:
    """Of a MODEL; ``keys``: also those that say where a text is heeded. Raises ValueError, with the way out, for other models."""
    kind = checks.kind(model, MMDITS)
    mmdit = MMDITS[kind] if kind else None
    if mmdit and not hasattr(checks.network(model), mmdit[0].split(".")[0]):  # AuraFlow's is called MMDiT, too
        mmdit = None
    wan = checks.kind(model, ("WanModel",))
    if checks.is_unet(model):
        found = _cross(model, "attn2", ("to_k", "to_v") if keys else ("to_v",))
    elif wan:
        found = _cross(model, "cross_attn", ("k", "v") if keys else ("v",))
    elif mmdit:
        found = [f"{GROUND}{mmdit[0]}.weight"]
    else:
        found = []
    widths = {shape(model, key)[1] for key in found}
    if len(widths) != 1:
        raise ValueError(
            f"Erase Concept: {checks.model_name(model)} has no weights that read a text by itself (SD1.x, SD2.x, SDXL, Wan, SD3, Flux, "
            "Chroma, Qwen-Image, Lumina 2 and Z-Image have). Safe Latent Diffusion, Prompt Intervention and Rewrite Prompt work with it."
        )
    width = widths.pop()
    if wan:
        encoded = shape(model, f"{GROUND}text_embedding.0.weight")[1]
        return Places(tuple(found), width, encoded, False, _wan(model))
    return Places(tuple(found), width, width, bool(mmdit), _normed(model, mmdit[1] if mmdit else None))


def entrance(model, keys: bool) -> Places:
    """Where the text encoder's own vectors come in, of any model; ``encoded`` None where nothing of a model says how wide they are."""
    try:
        found = find(model, keys)
    except ValueError:  # no weights that could be edited, but a text all the same
        return Places((), 0, None, False, lambda vectors: vectors)
    return Places((), found.encoded or 0, found.encoded, False, lambda vectors: vectors)


def _cross(model, attention: str, layers: tuple[str, ...]) -> list[str]:
    """The weights of every cross-attention of a network, layer by layer."""
    parts = (name.split(".") for name, _ in checks.network(model).named_modules())
    return [
        f"{GROUND}{'.'.join(path)}.weight"
        for path in parts
        if len(path) > 1 and path[-2] == attention and path[-1] in layers
    ]


def shape(model, key: str) -> torch.Size:
    """Of a weight (out, in). Raises ValueError for weights of a loader of another pack, which are stored in a form of their own."""
    layer = checks.network(model).get_submodule(key[len(GROUND) : -len(".weight")])
    found = layer.weight.shape
    said = getattr(layer, "out_features", found[0]), getattr(layer, "in_features", found[-1])
    if len(found) != 2 or tuple(found) != said:
        raise ValueError(
            f"Erase Concept: {key} is stored in a form that only its own loader can read (GGUF, or another pack's). Load the model "
            "with ComfyUI's own loaders, in fp32, fp16, bf16, fp8 or scaled fp8; or use Safe Latent Diffusion, which works with all."
        )
    return found


def weight(patcher, key: str) -> torch.Tensor:
    """A weight as it works in this MODEL, in float32, where it lies: the file's, with the MODEL's own LoRAs and merges.

    Not what ``state_dict`` says: there the LoRAs of another clone may be in it, whichever was loaded last.
    """
    value, _, convert = comfy.model_patcher.get_key_weight(patcher.model, key)
    if key in patcher.backup:
        value = patcher.backup[key].weight
    if key in patcher.hook_backup:
        value = patcher.hook_backup[key][0]
    stored = value, convert or (lambda stored, **_: stored)
    value = stored[1](value.detach())
    value = comfy.model_management.cast_to_device(value, value.device, torch.float32, copy=True)
    patches = patcher.patches.get(key)
    if patches:
        value = comfy.lora.calculate_weight(patches, value, key, original_weights={key: [stored]})
    return value


def _wan(model) -> Callable[[torch.Tensor], torch.Tensor]:
    """Wan's text_embedding: two layers with GELU between."""
    names = [f"{GROUND}text_embedding.{number}" for number in (0, 2)]

    def read(vectors: torch.Tensor) -> torch.Tensor:
        (first, bias), (second, other) = (
            (weight(model, f"{name}.weight"), weight(model, f"{name}.bias")) for name in names
        )
        out = [
            functional.linear(
                functional.gelu(functional.linear(part.to(first), first, bias), approximate="tanh"), second, other
            )
            for part in vectors.split(1024)
        ]
        return torch.cat(out).cpu()

    return read


def _normed(model, name: str | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """What stands before an MMDiT's matrix: nothing, or RMSNorm. Raises ValueError for anything else."""
    network = checks.network(model)
    present = name and (network.get_submodule(name) if "." in name else getattr(network, name, None))
    if not present:
        return lambda vectors: vectors
    if "RMSNorm" not in type(present).__name__:
        raise ValueError(
            f"Erase Concept: this {checks.model_name(model)} changes its text ({name}) before it enters, which no closed form takes into "
            "account. Safe Latent Diffusion, Prompt Intervention and Rewrite Prompt work with it."
        )
    scale = weight(model, f"{GROUND}{name}.weight").cpu() if present.weight is not None else None
    eps = present.eps
    return lambda vectors: functional.rms_norm(vectors, vectors.shape[-1:], scale, eps)
