"""The demo model in the host's own classes, unchanged: UNetModel, the SD1 tokenizer and CLIP text encoder, VAE, ModelPatcher.

`host_dit` has its twin, a transformer.

One safetensors file holds the three parts, half precision, under ``unet.``, ``text.`` and ``vae.``. Of the text
encoder's token table only the rows of the words it was trained on are stored (``token_ids`` names them); every other
word shares one row, the unknown word. How it was made: ``tools/demo_world/`` and ``models/README.md``.
"""

import contextlib
import functools
import os
from typing import Any, cast

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import folder_paths
import safetensors
import safetensors.torch
import torch

from ..host import folders
from .vae import BLOCK, CHANNELS, DemoVAE

FAMILY = "demo"
PATH = os.path.join(folders.SHIPPED, "demo_model.safetensors")
CONTEXT = 96
SIZE = 96  # the width and height in pixels that it was trained on

UNET = dict(
    image_size=32,
    use_checkpoint=False,
    use_spatial_transformer=True,
    legacy=False,
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    model_channels=64,
    num_res_blocks=[1, 1],
    channel_mult=[1, 3],
    transformer_depth=[1, 1],
    transformer_depth_output=[0, 1, 1, 1],
    transformer_depth_middle=1,
    context_dim=CONTEXT,
    use_linear_in_transformer=False,
    adm_in_channels=None,
)
TEXT = {"hidden_size": CONTEXT, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256}


class DemoLatent(comfy.latent_formats.LatentFormat):
    """24 channels at 1/8 of the picture's size; each has zero mean and unit variance by construction."""

    latent_channels = CHANNELS


class DemoModelConfig(comfy.supported_models_base.BASE):
    """What the host knows of a family of models; its name is how guards tell the demo model."""

    unet_config = UNET
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}
    latent_format = DemoLatent
    memory_usage_factor = 1.0
    trained_side = SIZE // BLOCK  # of the latents; guards that try the model out ask for it


def build_unet(dtype=torch.float32):
    """The UNet inside the host's BaseModel (v-prediction, SD's noise schedule); weights are not initialised."""
    config = DemoModelConfig(UNET)
    config.set_inference_dtype(dtype, None)
    return comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType.V_PREDICTION)


def build_clip(embedding_directory=None, disable_dynamic=False, tokens=77):
    """The host's CLIP object around a narrow text encoder; weights are not initialised. ``disable_dynamic``: without dynamic VRAM;
    ``tokens``: of each piece of a text."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    tokenizer = functools.partial(
        comfy.sd1_clip.SDTokenizer, embedding_size=CONTEXT
    )  # the width that embedding: files must have
    return comfy.sd.CLIP(
        target,
        embedding_directory=embedding_directory,
        model_options={"clip_l_model_config": TEXT | {"max_position_embeddings": tokens}},
        tokenizer_data={"clip_l_tokenizer_class": tokenizer, "clip_l_max_length": tokens},
        **(
            {"disable_dynamic": True} if disable_dynamic else {}
        ),  # unknown to older hosts, which have no dynamic VRAM either
    )


def build_vae(weights):
    """The host's VAE object around our small autoencoder."""
    # The host's lightest kind, as a shell; any network may stand in it.
    vae = cast(Any, comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32))
    network = DemoVAE().to(vae.vae_dtype).eval()
    network.load_state_dict(weights)
    vae.first_stage_model = network
    vae.patcher = comfy.model_patcher.ModelPatcher(
        network, load_device=vae.device, offload_device=comfy.model_management.vae_offload_device()
    )
    vae.downscale_ratio = vae.upscale_ratio = BLOCK
    vae.latent_channels, vae.size = CHANNELS, None
    vae.memory_used_encode = vae.memory_used_decode = lambda shape, dtype: 4 * 64 * 256 * shape[2] * shape[3]
    return vae


def fingerprint(path: str = PATH) -> str:
    """Changes when the file does."""
    return folders.stamp(path)


def load(path=PATH):
    """(MODEL, CLIP, VAE) from the shipped file. Raises FileNotFoundError or ValueError, naming the mend."""
    with reading(path):
        parts, ids = read(path, "unet", "text", "vae")
        model, clip, vae = _unet(parts["unet"]), make_clip(parts["text"], ids), build_vae(parts["vae"])
    # How the host makes a second one whose weights it does not stream: trainings and some nodes of others need it.
    model.cached_patcher_init = (_load_unet, (path,))
    clip.patcher.cached_patcher_init = (_load_text, (path,))
    return model, clip, vae


@contextlib.contextmanager
def reading(path):
    """Turn what goes wrong with a shipped file into an error that names the mend. Raises FileNotFoundError or ValueError."""
    mend = f"Install the pack again (or restore models/{os.path.basename(path)} from it)."
    if not os.path.exists(path):
        raise FileNotFoundError(f"The demo model is missing: {os.path.normpath(path)}. {mend}")
    try:
        yield
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"The demo model's file is damaged: {os.path.normpath(path)} ({_first_line(error)}). {mend}"
        ) from error


def read(path, *names):
    """({part: state dict}, token ids) of the file; ``names``: of the parts that are wanted."""
    with safetensors.safe_open(path, "pt") as file:
        keys = file.keys()
        parts = {
            name: {key[len(name) + 1 :]: file.get_tensor(key).float() for key in keys if key.startswith(name + ".")}
            for name in names
        }
        return parts, file.get_tensor("token_ids")


def _load_unet(path, disable_dynamic=False):
    return _unet(read(path, "unet")[0]["unet"], disable_dynamic)


def _load_text(path, disable_dynamic=False):
    parts, ids = read(path, "text")
    return make_clip(parts["text"], ids, disable_dynamic).patcher


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _unet(weights, disable_dynamic=False):
    dtype = comfy.model_management.unet_dtype(model_params=8_000_000, supported_dtypes=[torch.float16, torch.float32])
    return patcher(build_unet(dtype), weights, disable_dynamic)


def patcher(model, weights, disable_dynamic=False):
    """The MODEL of a network inside the host's BaseModel, and its weights."""
    model.diffusion_model.load_state_dict(weights)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    plain = comfy.model_patcher.ModelPatcher
    kind = plain if disable_dynamic else getattr(comfy.model_patcher, "CoreModelPatcher", plain)
    return kind(model.to(offload_device), load_device=load_device, offload_device=offload_device)


def make_clip(weights, ids, disable_dynamic=False, tokens=77):
    """The CLIP of a text encoder's weights and the token ids of its table's rows; ``tokens``: of each piece of a text."""
    clip = build_clip(folder_paths.get_folder_paths("embeddings"), disable_dynamic, tokens)
    text = clip.cond_stage_model.clip_l.transformer
    table = weights.pop("table")
    ids = ids.long()
    rows = table[ids == -1].repeat(text.text_model.embeddings.token_embedding.weight.shape[0], 1)
    rows[ids[ids >= 0]] = table[ids >= 0]
    # The encoder is causal: its first tokens need not know of the rest.
    positions = weights["embeddings.position_embedding.weight"][:tokens]
    weights = {**weights, "embeddings.token_embedding.weight": rows, "embeddings.position_embedding.weight": positions}
    text.text_model.load_state_dict(weights)
    text.text_projection.load_state_dict({"weight": torch.eye(CONTEXT)})
    return clip
