"""The demo model's twin among the transformers: the host's NextDiT (Lumina 2's class), unchanged, on the same autoencoder and texts.

Rectified flow on 12x12 latents in patches of 2; the text encoder of demo_model.safetensors, in pieces of ``TOKENS`` tokens instead of 77.
The file holds the network alone, half precision. How it was made: ``tools/demo_world/`` and ``models/README.md``.
"""

import os

import comfy.model_management
import comfy.supported_models
import safetensors.torch
import torch

from ..host import folders
from . import host

PATH = os.path.join(folders.SHIPPED, "demo_dit.safetensors")
TOKENS = 24  # the longest caption of the demo world has 22

DIT = dict(
    image_model="lumina2",
    patch_size=2,
    in_channels=host.CHANNELS,
    dim=192,
    cap_feat_dim=host.CONTEXT,
    n_layers=6,
    n_refiner_layers=1,
    qk_norm=True,
    n_heads=4,
    n_kv_heads=4,
    axes_dims=[16, 16, 16],
    axes_lens=[300, 64, 64],
    rope_theta=10000.0,
    ffn_dim_multiplier=2.6667,
    multiple_of=64,
    time_scale=1000.0,
)


class DemoDitConfig(comfy.supported_models.Lumina2):
    """What the host knows of it; guards tell it by its class, as they tell Lumina 2."""

    sampling_settings = {"multiplier": 1.0, "shift": 1.0}
    latent_format = host.DemoLatent
    memory_usage_factor = 1.0
    supported_inference_dtypes = [torch.bfloat16, torch.float32]
    trained_side = host.SIZE // host.BLOCK


def build(dtype=torch.float32):
    """The network inside the host's BaseModel (rectified flow); weights are not initialised."""
    config = DemoDitConfig(dict(DIT))
    config.set_inference_dtype(dtype, None)
    return config.get_model({}, "")


def load(path=PATH, shared=host.PATH):
    """(MODEL, CLIP, VAE) from the shipped files; the text encoder and the autoencoder are those of ``shared``, the UNet's file.
    Raises FileNotFoundError or ValueError, naming the mend."""
    with host.reading(shared):
        parts, ids = host.read(shared, "text", "vae")
        clip, vae = host.make_clip(parts["text"], ids, tokens=TOKENS), host.build_vae(parts["vae"])
    with host.reading(path):
        model = _network(path)
    model.cached_patcher_init = (_network, (path,))
    clip.patcher.cached_patcher_init = (_text, (shared,))
    return model, clip, vae


def fingerprint() -> str:
    """Changes when one of the files does."""
    return f"{folders.stamp(PATH)} {host.fingerprint()}"


def _network(path, disable_dynamic=False):
    types = DemoDitConfig.supported_inference_dtypes
    dtype = comfy.model_management.unet_dtype(model_params=5_000_000, supported_dtypes=types)
    weights = {key: value.float() for key, value in safetensors.torch.load_file(path).items()}
    return host.patcher(build(dtype), weights, disable_dynamic)


def _text(path, disable_dynamic=False):
    parts, ids = host.read(path, "text")
    return host.make_clip(parts["text"], ids, disable_dynamic, TOKENS).patcher
