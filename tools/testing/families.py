"""Every class of transformers in the host's list that can be built tiny, and which guards say that they know it."""

import functools
import re
from pathlib import Path

import torch

from .dits import CONFIGS, STRANGERS, made
from .models import CONTEXT, conditioning

_FLUX, _CHROMA, _SD3, _QWEN, _ZIMAGE, _WAN = (
    CONFIGS[name][1] for name in ("flux", "chroma", "sd3", "qwen", "zimage", "wan")
)
LIKE = {  # classes whose network is that of one of ALL, with other channels or another way to be conditioned -> which one
    "FluxInpaint": "flux",
    "WAN21_FunControl2V": "WAN21_I2V",
    "WAN21_FlowRVS": "wan",
    "WAN22_Camera": "WAN21_Camera",
    "HunyuanVideoI2V": "HunyuanVideo",
    "HunyuanVideoSkyreelsI2V": "HunyuanVideo",
    "HunyuanImage21Refiner": "HunyuanVideo",
    "HunyuanVideo15": "HunyuanVideo",
    "HunyuanVideo15_SR_Distilled": "HunyuanVideo",
    "CosmosI2VPredict2": "CosmosT2IPredict2",
    "Kandinsky5Image": "Kandinsky5",
}
_HUNYUAN = dict(
    image_model="hunyuan_video",
    in_channels=16,
    out_channels=16,
    vec_in_dim=8,
    context_in_dim=CONTEXT,
    hidden_size=32,
    mlp_ratio=2.0,
    num_heads=2,
    depth=2,
    depth_single_blocks=1,
    axes_dim=[4, 6, 6],
    theta=256,
    patch_size=[1, 2, 2],
    qkv_bias=True,
    guidance_embed=False,
    byt5=False,
    meanflow=False,
    use_cond_type_embedding=False,
    vision_in_dim=None,
    meanflow_sum=False,
)
MORE = {  # name -> (class of comfy.supported_models, unet_config)
    "FluxSchnell": ("FluxSchnell", _FLUX),
    "Flux2": (
        "Flux2",
        {
            **_FLUX,
            "image_model": "flux2",
            "in_channels": 128,
            "out_channels": 128,
            "patch_size": 1,
            "vec_in_dim": None,
            "qkv_bias": False,
            "global_modulation": True,
            "mlp_silu_act": True,
            "ops_bias": False,
            "txt_ids_dims": [2],
            "default_ref_method": "index",
        },
    ),
    "LongCatImage": ("LongCatImage", {**_FLUX, "vec_in_dim": None, "txt_ids_dims": [1, 2]}),
    "ChromaRadiance": (
        "ChromaRadiance",
        {
            **_CHROMA,
            "image_model": "chroma_radiance",
            "in_channels": 3,
            "out_channels": 3,
            "patch_size": 4,
            "nerf_hidden_size": 8,
            "nerf_mlp_ratio": 2,
            "nerf_depth": 1,
            "nerf_max_freqs": 2,
            "nerf_tile_size": 0,
            "nerf_final_head_type": "conv",
            "nerf_embedder_dtype": torch.float32,
            "use_x0": False,
            "use_sequential_txt_ids": False,
        },
    ),
    "SD3.5 medium": ("SD3", {**_SD3, "qk_norm": "rms", "x_block_self_attn_layers": [0, 1]}),
    "MageFlow": (
        "MageFlow",
        {
            **{k: v for k, v in _QWEN.items() if k != "out_channels"},
            "image_model": "mage_flow",
            "in_channels": 128,
            "out_channels": 128,
        },
    ),
    "ZImagePixelSpace": (
        "ZImagePixelSpace",
        {
            **_ZIMAGE,
            "image_model": "zimage_pixel",
            "in_channels": 3,
            "decoder_hidden_size": 16,
            "decoder_num_res_blocks": 1,
            "decoder_max_freqs": 2,
        },
    ),
    "WAN21_I2V": ("WAN21_I2V", {**_WAN, "model_type": "i2v", "in_dim": 36}),
    "WAN21_Vace": ("WAN21_Vace", {**_WAN, "model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}),
    "WAN21_Camera": ("WAN21_Camera", {**_WAN, "model_type": "camera", "in_dim": 32}),
    "WAN22_T2V": ("WAN22_T2V", {**_WAN, "in_dim": 48, "out_dim": 48}),
    "HunyuanVideo": ("HunyuanVideo", _HUNYUAN),
    "HunyuanImage21": (
        "HunyuanImage21",
        {
            **_HUNYUAN,
            "vec_in_dim": None,
            "patch_size": [1, 1],
            "axes_dim": [8, 8],
            "in_channels": 64,
            "out_channels": 64,
        },
    ),
    "AuraFlow": (
        "AuraFlow",
        dict(cond_seq_dim=CONTEXT, max_seq=64, n_double_layers=2, n_layers=3, dim=64, n_heads=2, global_conddim=64),
    ),
    "CosmosT2IPredict2": (
        "CosmosT2IPredict2",
        dict(
            image_model="cosmos_predict2",
            max_img_h=240,
            max_img_w=240,
            max_frames=128,
            in_channels=16,
            out_channels=16,
            patch_spatial=2,
            patch_temporal=1,
            model_channels=64,
            concat_padding_mask=True,
            crossattn_emb_channels=CONTEXT,
            pos_emb_cls="rope3d",
            pos_emb_learnable=True,
            num_blocks=2,
            num_heads=2,
            use_adaln_lora=True,
            adaln_lora_dim=8,
            rope_enable_fps_modulation=False,
        ),
    ),
}
OTHERS = {  # without a stack of blocks that guards know
    "Krea2": (
        "Krea2",
        dict(
            image_model="krea2",
            features=64,
            tdim=16,
            txtdim=CONTEXT,
            heads=2,
            kvheads=1,
            multiplier=2,
            layers=2,
            channels=16,
            txtlayers=1,
            txtheads=2,
            txtkvheads=2,
        ),
    ),
    "Kandinsky5": (
        "Kandinsky5",
        dict(
            image_model="kandinsky5",
            in_text_dim=CONTEXT,
            in_text_dim2=8,
            time_dim=16,
            model_dim=32,
            ff_dim=64,
            num_text_blocks=1,
            num_visual_blocks=2,
            axes_dims=(4, 6, 6),
        ),
    ),
    "OmniGen2": (
        "Omnigen2",
        dict(
            image_model="omnigen2",
            in_channels=16,
            hidden_size=32,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=16,
            axes_dim_rope=(4, 6, 6),
            axes_lens=(300, 64, 64),
            text_feat_dim=CONTEXT,
        ),
    ),
    "LTXV": (
        "LTXV",
        dict(
            image_model="ltxv",
            cross_attention_dim=32,
            attention_head_dim=16,
            num_attention_heads=2,
            caption_channels=CONTEXT,
            num_layers=2,
        ),
    ),
}
ALL = {**CONFIGS, **STRANGERS, **MORE, **OTHERS}


def build(name):
    """A MODEL of a family in ALL, float32 on the CPU."""
    return made(*ALL[name])


def anima():
    """A tiny Anima: Cosmos Predict2's network, with a small one before it that makes vectors of a text's own at the places of other
    tokens."""
    from comfy.ldm.anima import model as host_side

    small = dict(source_dim=CONTEXT, target_dim=CONTEXT, model_dim=CONTEXT, num_layers=1, num_heads=2)
    whole, host_side.LLMAdapter = host_side.LLMAdapter, functools.partial(host_side.LLMAdapter, **small)
    try:
        return made("Anima", {**MORE["CosmosT2IPredict2"][1], "image_model": "anima"})
    finally:
        host_side.LLMAdapter = whole


def noise(model, seed=0):
    """Noise of the model's own latents: one row of 8 x 8, with two frames where it makes videos; of 64 x 64 for PixArt."""
    kind, format_ = type(model.model).__name__, model.get_model_object("latent_format")
    size, frames = (
        64 if kind == "PixArt" else 8,
        (1 if kind == "Krea2" else 2,) if format_.latent_dimensions == 3 else (),
    )
    return torch.randn(1, format_.latent_channels, *frames, size, size, generator=torch.Generator().manual_seed(seed))


def asked(model, conditioning):
    """A CONDITIONING with what this model cannot do without, besides."""
    if type(model.model).__name__ not in ("Omnigen2", "LTXV"):
        return conditioning
    mask = torch.ones(1, conditioning[0][0].shape[1], dtype=torch.long)
    return [[vectors, {**options, "attention_mask": mask}] for vectors, options in conditioning]


def sample(model, steps=2, start=None, cfg=3.0, positive=None, negative=None):
    """KSampler's own call."""
    import comfy.sample

    start = noise(model) if start is None else start
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            start,
            steps,
            cfg,
            "euler",
            "simple",
            asked(model, positive or text(1)),
            asked(model, negative or text(2)),
            torch.zeros_like(start),
            disable_pbar=True,
            seed=0,
        ).clone()


def text(seed, tokens=20):
    """A random CONDITIONING with all that any of the families asks for."""
    return conditioning(seed, tokens, pooled=8)


def networks():
    """Class of comfy.supported_models -> names of the network that it builds and of its base classes, from the source of the host."""
    import comfy.model_base
    import comfy.supported_models

    bases = _classes(comfy.model_base, r"unet_model=comfy\.([\w.]+)")
    found = {}
    for kind, base in _classes(comfy.supported_models, r"return model_base\.(\w+)\(|out = model_base\.(\w+)\(").items():
        path = bases.get(base or "")
        found[kind] = (
            {one.__name__ for one in functools.reduce(getattr, path.split("."), comfy).__mro__} if path else set()
        )
    return found


def _classes(module, pattern):
    """Name of each class in a module's source -> what ``pattern`` finds in it, or else in its first base class there."""
    parts = re.split(
        r"^class (\w+)\(?([\w.]*)[^:]*:$", Path(module.__file__).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    found = {}
    for name, base, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        given = re.search(pattern, body)
        found[name] = next(filter(None, given.groups())) if given else found.get(base)
    return found
