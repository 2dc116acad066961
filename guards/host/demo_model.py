"""The demo model in the host's own classes: UNetModel, SD1 tokenizer and CLIP text encoder, AutoencoderKL, all unchanged.

One safetensors file holds the three parts, half precision, under ``unet.``, ``text.`` and ``vae.``. Of the text
encoder's token table only the rows of the words it was trained on are stored (``token_ids`` names them); every other
word shares one row, the unknown word. How it was made: ``demo_model/`` and ``models/README.md``.
"""
import os

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import torch

FAMILY = "demo"
PATH = os.path.join(os.path.dirname(__file__), "..", "..", "models", "demo_model.safetensors")
CONTEXT = 96

UNET = dict(image_size=32, use_checkpoint=False, use_spatial_transformer=True, legacy=False, in_channels=16, out_channels=16,
            model_channels=64, num_res_blocks=[1, 1], channel_mult=[1, 2], transformer_depth=[1, 1],
            transformer_depth_output=[0, 1, 1, 1], transformer_depth_middle=1, context_dim=CONTEXT,
            use_linear_in_transformer=False, adm_in_channels=None)
TEXT = {"hidden_size": CONTEXT, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256}
PATCH = 4     # the autoencoder works on 4x4 blocks of pixels as channels (pixel unshuffle), then halves once more
VAE = dict(double_z=True, z_channels=16, resolution=16, in_channels=3 * PATCH ** 2, out_ch=3 * PATCH ** 2, ch=64, ch_mult=[1, 1],
           num_res_blocks=1, attn_resolutions=[], dropout=0.0)


class DemoLatent(comfy.latent_formats.LatentFormat):
    """16 channels at 1/8 of the picture's size; each has zero mean and unit variance by construction."""
    latent_channels = 16


class DemoModelConfig(comfy.supported_models_base.BASE):
    unet_config = UNET
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}
    latent_format = DemoLatent
    memory_usage_factor = 1.0


def to_patches(image):
    """Pixels (n, 3, h, w) in 0..1 to what the autoencoder reads: (n, 48, h/4, w/4) in -1..1."""
    return torch.nn.functional.pixel_unshuffle(image * 2 - 1, PATCH)


def from_patches(patches):
    """The way back, clamped to 0..1."""
    return torch.nn.functional.pixel_shuffle(patches, PATCH).add_(1).div_(2).clamp_(0, 1)


def build_unet(dtype=torch.float32):
    """The UNet inside the host's BaseModel (v-prediction, SD's noise schedule); weights are not initialised."""
    config = DemoModelConfig(UNET)
    config.set_inference_dtype(dtype, None)
    return comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType.V_PREDICTION)


def build_clip(embedding_directory=None):
    """The host's CLIP object around a narrow text encoder; weights are not initialised."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    return comfy.sd.CLIP(target, embedding_directory=embedding_directory, model_options={"clip_l_model_config": TEXT})
