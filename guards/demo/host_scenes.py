"""The demo world's model in the host's own classes; ``host.py`` has the text encoder and the file format, which it shares.

Until it is proven the shapes' model of ``host.py`` is the one that the nodes load.
"""

from __future__ import annotations

import os

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models_base
import safetensors
import safetensors.torch
import torch

from . import host
from .scene_vae import BLOCK, CHANNELS, SceneVAE

SIZE = 96  # the width and height in pixels that it was trained on
UNET = {**host.UNET, "in_channels": CHANNELS, "out_channels": CHANNELS, "channel_mult": [1, 3]}


class SceneLatent(comfy.latent_formats.LatentFormat):
    """24 channels at 1/8 of the picture's size; each has zero mean and unit variance by construction."""

    latent_channels = CHANNELS


class SceneModelConfig(comfy.supported_models_base.BASE):
    unet_config = UNET
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}
    latent_format = SceneLatent
    memory_usage_factor = 1.0
    trained_side = 12  # of the latents; guards that try the model out ask for it


def build_unet(dtype: torch.dtype = torch.float32) -> comfy.model_base.BaseModel:
    """The UNet inside the host's BaseModel (v-prediction, SD's noise schedule); weights are not initialised."""
    config = SceneModelConfig(UNET)
    config.set_inference_dtype(dtype, None)
    return comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType.V_PREDICTION)


def build_vae(weights: dict[str, torch.Tensor]) -> comfy.sd.VAE:
    """The host's VAE object around the autoencoder."""
    shell = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)  # the host's lightest kind
    network = SceneVAE().to(shell.vae_dtype).eval()
    network.load_state_dict(weights)
    shell.first_stage_model = network  # pyright: ignore[reportAttributeAccessIssue]
    shell.patcher = comfy.model_patcher.ModelPatcher(
        network, load_device=shell.device, offload_device=comfy.model_management.vae_offload_device()
    )
    shell.downscale_ratio = shell.upscale_ratio = BLOCK
    shell.latent_channels, shell.size = CHANNELS, None
    shell.memory_used_encode = shell.memory_used_decode = lambda shape, dtype: 4 * 64 * 256 * shape[2] * shape[3]
    return shell


def load(path: str) -> tuple:
    """(MODEL, CLIP, VAE) from a file of ``tools/demo_world/export.py``. Raises ValueError where it is damaged."""
    try:
        weights = safetensors.torch.load_file(path)
        parts = {
            part: {key[len(part) + 1 :]: value.float() for key, value in weights.items() if key.startswith(part + ".")}
            for part in ("unet", "text", "vae")
        }
        return _unet(parts["unet"]), host._clip(parts["text"], weights["token_ids"]), build_vae(parts["vae"])
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{os.path.basename(path)} is damaged ({host._first_line(error)}): export it again."
        ) from error


def _unet(weights: dict[str, torch.Tensor]) -> comfy.model_patcher.ModelPatcher:
    management = comfy.model_management
    model = build_unet(management.unet_dtype(model_params=8_000_000, supported_dtypes=[torch.float16, torch.float32]))
    model.diffusion_model.load_state_dict(weights)
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(model.to(offload_device), load_device=load_device, offload_device=offload_device)
