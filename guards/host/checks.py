"""What guards ask of their inputs, and the words they refuse with."""

import math
from collections.abc import Container
from typing import NamedTuple

import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.model_base
from comfy_api.latest import io


class Family(NamedTuple):
    """How the pack's own files name a family of models, and how people do."""

    short: str
    name: str


FAMILIES = {  # the host's class -> family
    "SD15": Family("sd1", "Stable Diffusion 1.x"),
    "SD20": Family("sd2", "Stable Diffusion 2.x"),
    "SD21UnclipL": Family("sd2", "Stable Diffusion 2.x unCLIP"),
    "SD21UnclipH": Family("sd2", "Stable Diffusion 2.x unCLIP"),
    "SDXL": Family("sdxl", "SDXL"),
    "SDXLRefiner": Family("sdxl-refiner", "SDXL refiner"),
    "DemoModelConfig": Family("demo", "demo"),
    "DemoDitConfig": Family("demo-dit", "demo transformer"),
    "SD3": Family("sd3", "Stable Diffusion 3"),
    "Flux": Family("flux", "Flux"),
    "Flux2": Family("flux2", "Flux 2"),
    "LongCatImage": Family("longcat-image", "LongCat-Image"),
    "Chroma": Family("chroma", "Chroma"),
    "ChromaRadiance": Family("chroma-radiance", "Chroma Radiance"),
    "QwenImage": Family("qwen-image", "Qwen-Image"),
    "Lumina2": Family("lumina2", "Lumina 2"),
    "ZImage": Family("z-image", "Z-Image"),
    "ZImagePixelSpace": Family("z-image-pixel", "Z-Image in pixel space"),
    "WAN21_T2V": Family("wan", "Wan"),
    "MageFlow": Family("mage-flow", "Mage-Flow"),
    "HunyuanVideo": Family("hunyuan-video", "HunyuanVideo"),
    "HunyuanImage21": Family("hunyuan-image", "HunyuanImage 2.1"),
    "AuraFlow": Family("auraflow", "AuraFlow"),
    "CosmosT2IPredict2": Family("cosmos-predict2", "Cosmos Predict2"),
    "Krea2": Family("krea2", "Krea 2"),
    "Kandinsky5": Family("kandinsky5", "Kandinsky 5"),
    "Omnigen2": Family("omnigen2", "OmniGen2"),
    "LTXV": Family("ltx-video", "LTX-Video"),
}


def inputs(node: type[io.ComfyNode], /, **values) -> None:
    """Refuse numbers and choices that the node's own schema does not allow: NaN passes the host's check, and a link or a script can
    bring anything. ``values``: input id -> value; ``checks.inputs(cls, **locals())`` at the top of ``execute`` gives all of them. Other
    kinds of inputs, and optional ones that are None, are passed over. Raises ValueError naming the input.
    """
    for one in node.define_schema().inputs:
        value = values.get(one.id)
        if one.id not in values or (value is None and one.optional):
            continue
        if isinstance(one, io.Combo.Input) and value not in one.options:
            raise ValueError(f"{one.id} is {str(value)[:100]!r}: choose one of {', '.join(map(str, one.options))}.")
        if isinstance(one, io.Int.Input | io.Float.Input):
            _number(one.id, value, one.min, one.max, isinstance(one, io.Int.Input))


def _number(name: str, value: object, low: float, high: float, whole: bool) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{name} is {value}: give a finite number.")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}: give a number from {_short(low)} to {_short(high)}.")
    if whole and value != int(value):
        raise ValueError(f"{name} is {value}: give a whole number.")


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _family(base):
    kinds = (kind.__name__ for kind in type(base.model_config).__mro__)
    return next((FAMILIES[kind] for kind in kinds if kind in FAMILIES), None)


def model_name(model) -> str:
    """A plain name for a MODEL's family, for messages."""
    found = _family(model.model)
    return found.name if found else type(model.model).__name__


def family(model) -> str:
    """A MODEL's family as the pack's files name it (sd1, sd2, sdxl, demo); "" for a stranger."""
    found = _family(model.model)
    return found.short if found else ""


def same_family(model, written: str, what: str, mend: str) -> None:
    """Refuse a file whose ``written`` family (short, or the host's class as early files have it) is not the MODEL's. Where either is not
    known nothing is said. ``what`` begins the message, ``mend`` ends it. Raises ValueError."""
    short = FAMILIES[written].short if written in FAMILIES else written
    if short and family(model) and short != family(model):
        raise ValueError(f"{what} on {short} models, this is {model_name(model)}: {mend}")


def percents(start_percent: float, end_percent: float) -> None:
    """Refuse a range that is the wrong way round, with ValueError."""
    if start_percent > end_percent:
        raise ValueError(
            f"start_percent is {start_percent} and end_percent {end_percent}: the range ends before it starts. Swap them."
        )


def conditioning(value: list, name: str) -> list:
    """The CONDITIONING itself. Raises ValueError for what is no usable one, naming the socket."""
    if not value or any(len(entry) < 2 or entry[0] is None for entry in value):
        raise ValueError(f"{name} is empty: connect a CLIP Text Encode node (or another source of CONDITIONING).")
    return value


def latents(model, value, name):
    """Refuse latents (n, c, h, w), of a video model (n, c, t, h, w), that are not this model's, or hold values that are no numbers."""
    channels, dimensions = model.model.latent_format.latent_channels, model.model.latent_format.latent_dimensions
    if value.ndim != 2 + dimensions or value.shape[1] != channels:
        raise ValueError(
            f"{name} has the shape {tuple(value.shape)}, this model's latents have {channels} channels: encode the pictures "
            "with the VAE that belongs to this model."
        )
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name} holds values that are no finite numbers: make or encode the pictures again.")


def same_encoder(base, given, name, like):
    """Refuse a conditioning made for another model.

    ``given``: CONDITIONING of the socket ``name``; ``like``: the sampler's own positive entries (dicts with cross_attn).
    """
    tokens = max((entry["cross_attn"].shape[1] for entry in like if entry.get("cross_attn") is not None), default=0)
    width = next((entry["cross_attn"].shape[-1] for entry in like if entry.get("cross_attn") is not None), None)
    for tensor, options in given:
        if width is not None and tensor.shape[-1] != width:
            raise ValueError(
                f"{name} was encoded {tensor.shape[-1]} wide, the sampler's prompt {width} wide: they come from "
                f"different text encoders. Encode {name} with the CLIP that belongs to this model."
            )
        if tensor.shape[1] > max(4 * tokens, 8 * 77):
            raise ValueError(
                f"{name} is {tensor.shape[1]} tokens long, the sampler's prompt {tokens}: so long a text blurs "
                f"into nothing and cannot share "
                f"a batch with the prompt. Name the few concepts that matter in {name}, or use several guards in a row."
            )
        pooled = any(entry.get("pooled_output") is not None for entry in like)
        if pooled and needs_pooled(base) and options.get("pooled_output") is None:
            family = _family(base)
            raise ValueError(
                f"{name} has no pooled output, which {family.name if family else 'this model'} "
                f"needs. Encode {name} with CLIP Text Encode and the CLIP that belongs to this model."
            )


def targets(run, width: int) -> None:
    """Refuse a run without a positive prompt, and targets that another text encoder has encoded, ``width`` wide. Raises ValueError."""
    positive = run.guider.conds.get("positive")
    if not positive:
        raise ValueError(
            "Growth Inhibitor and Concept Guard need a guider with a positive conditioning: use KSampler, or SamplerCustomAdvanced with "
            "CFGGuider, DualCFGGuider, PerpNegGuider or BasicGuider."
        )
    prompt = next((entry["cross_attn"].shape[-1] for entry in positive if entry.get("cross_attn") is not None), None)
    if prompt is not None and prompt != width:
        raise ValueError(
            f"The targets were encoded {width} wide, the sampler's prompt {prompt} wide: they come "
            "from different text encoders. Connect the CLIP that belongs to this model to the node of the guard."
        )


def whole_latents(guards, corrected: bool) -> None:
    """Refuse context windows where a guard of a run needs whole latents; ``corrected``: one that corrects the prediction is on. Raises
    NotImplementedError."""
    if any(guard.twin for guard in guards):
        raise NotImplementedError(
            "Concept Guards: Growth Inhibitor's mode 'paired' works on whole batches and cannot follow context windows (long videos), nor "
            "packs that sample the pictures of a batch apart. Remove the context-window node, or choose mode 'single_pass'."
        )
    if corrected:
        raise NotImplementedError(
            "Concept Guards: this guard corrects whole latents and cannot follow context windows (long videos). Remove the "
            "context-window node, or use Prompt Intervention or Rewrite Prompt, which work there."
        )


def needs_pooled(base) -> bool:
    """Whether a model makes something of the text encoder's pooled output (SDXL, Flux, SD3 and the like)."""
    return type(base).encode_adm is not comfy.model_base.BaseModel.encode_adm


def network(model):
    """A MODEL's diffusion model as it is written, also where torch.compile was put over it."""
    found = model.model.diffusion_model
    return getattr(found, "_orig_mod", found)


def kind(model, kinds: Container[str]) -> str | None:
    """The class of a MODEL's network, or else the nearest that it is made from, that ``kinds`` names; None where it names none."""
    return next((one.__name__ for one in type(network(model)).__mro__ if one.__name__ in kinds), None)


def is_unet(model) -> bool:
    """Whether a MODEL has the UNet with a middle block that SD1.x, SD2.x and SDXL share."""
    return isinstance(network(model), comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel)


def sampling(model):
    """What a MODEL's predictions mean, and its noise levels: other pictures come of the same weights under another."""
    found = model.get_model_object("model_sampling")
    kinds = tuple(kind.__name__ for kind in type(found).__mro__)
    return kinds, float(found.sigma_min), float(found.sigma_max)
