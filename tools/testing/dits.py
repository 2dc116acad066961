"""Tiny transformers of the families that guards change inside, random weights, in the host's own classes."""

import torch

from . import hosting
from .models import CONTEXT, conditioning, patcher

DEPTH = 3  # blocks in which picture and text meet: the middle one is neither the first nor the last
MIDDLE = 1
POOLED = {"flux": 8, "sd3": 8}  # widths of the pooled outputs that a family needs
VIDEO = ("qwen", "wan")  # whose latents have frames

_ROPE = dict(axes_dim=[4, 6, 6], theta=10000)
CONFIGS = {  # name -> (class of comfy.supported_models, unet_config)
    "flux": (
        "Flux",
        dict(
            image_model="flux",
            in_channels=16,
            out_channels=16,
            vec_in_dim=8,
            context_in_dim=CONTEXT,
            hidden_size=32,
            mlp_ratio=2.0,
            num_heads=2,
            depth=DEPTH,
            depth_single_blocks=2,
            patch_size=2,
            qkv_bias=True,
            guidance_embed=False,
            txt_ids_dims=[],
            **_ROPE,
        ),
    ),
    "chroma": (
        "Chroma",
        dict(
            image_model="chroma",
            in_channels=64,
            out_channels=64,
            context_in_dim=CONTEXT,
            hidden_size=32,
            mlp_ratio=2.0,
            num_heads=2,
            depth=DEPTH,
            depth_single_blocks=2,
            patch_size=2,
            qkv_bias=True,
            in_dim=64,
            out_dim=32,
            hidden_dim=32,
            n_layers=1,
            txt_ids_dims=[],
            vec_in_dim=0,
            **_ROPE,
        ),
    ),
    "sd3": (
        "SD3",
        dict(
            in_channels=16,
            patch_size=2,
            out_channels=None,
            depth=DEPTH,
            input_size=None,
            adm_in_channels=8,
            context_embedder_config={
                "target": "torch.nn.Linear",
                "params": {"in_features": CONTEXT, "out_features": 64 * DEPTH},
            },
            num_patches=None,
            pos_embed_max_size=None,
            pos_embed_scaling_factor=None,
        ),
    ),
    "qwen": (
        "QwenImage",
        dict(
            image_model="qwen_image",
            in_channels=64,
            out_channels=16,
            num_layers=DEPTH,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=CONTEXT,
            axes_dims_rope=(4, 6, 6),
        ),
    ),
    "lumina": (
        "Lumina2",
        dict(
            image_model="lumina2",
            patch_size=2,
            in_channels=16,
            dim=32,
            cap_feat_dim=CONTEXT,
            n_layers=DEPTH,
            n_refiner_layers=1,
            qk_norm=True,
            n_heads=2,
            n_kv_heads=1,
            axes_dims=[4, 6, 6],
            axes_lens=[300, 64, 64],
            rope_theta=10000.0,
            ffn_dim_multiplier=1.0,
            multiple_of=16,
        ),
    ),
    "zimage": (
        "ZImage",
        dict(
            image_model="lumina2",
            patch_size=2,
            in_channels=16,
            dim=256,  # its modulation is as wide
            cap_feat_dim=CONTEXT,
            n_layers=DEPTH,
            n_refiner_layers=1,
            qk_norm=True,
            n_heads=16,
            n_kv_heads=16,
            axes_dims=[4, 6, 6],
            axes_lens=[300, 64, 64],
            rope_theta=256.0,
            ffn_dim_multiplier=1.0,
            multiple_of=16,
            z_image_modulation=True,
            time_scale=1000.0,
            pad_tokens_multiple=32,
        ),
    ),
    "wan": (
        "WAN21_T2V",
        dict(
            image_model="wan2.1",
            model_type="t2v",
            in_dim=16,
            out_dim=16,
            dim=36,
            ffn_dim=64,
            freq_dim=16,
            text_dim=CONTEXT,
            text_len=77,
            num_heads=2,
            num_layers=DEPTH,
        ),
    ),
}

STRANGERS = {  # transformers without a stack of blocks that guards know
    "pixart": (
        "PixArtAlpha",
        dict(
            image_model="pixart_alpha",
            input_size=64,
            hidden_size=48,
            depth=2,
            num_heads=2,
            caption_channels=CONTEXT,
            model_max_length=20,
        ),
    )
}


def build(name, **changes):
    """A MODEL of a family in CONFIGS or STRANGERS, float32 on the CPU; ``changes``: of its shape."""
    kind, config = (CONFIGS | STRANGERS)[name]
    return made(kind, config | changes)


def made(kind, config):
    """A MODEL of a class of comfy.supported_models, float32 on the CPU."""
    import comfy.supported_models

    chosen = getattr(comfy.supported_models, kind)(dict(config))
    chosen.set_inference_dtype(torch.float32, None)
    return patcher(chosen.get_model({}, ""))


def text(name, seed, tokens=20):
    """A random CONDITIONING for a family."""
    return conditioning(seed, tokens, pooled=POOLED.get(name))


def noise(name, batch=1, height=8, width=8, frames=3, seed=0):
    """Noise of a family's latents: (batch, 16, height, width), with frames for those that make videos (one for Qwen-Image)."""
    between = {"qwen": (1,), "wan": (frames,)}.get(name, ())
    return torch.randn(batch, 16, *between, height, width, generator=torch.Generator().manual_seed(seed))


def sample(name, model, steps=3, cfg=4.0, batch=1, positive=None, negative=None, start=None, **options):
    """KSampler's own call on a family's latents, from seeded noise."""
    import comfy.sample

    start = noise(name, batch) if start is None else start
    positive, negative = positive or text(name, 1), negative or text(name, 2)
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            start,
            steps,
            cfg,
            "euler",
            "simple",
            positive,
            negative,
            torch.zeros_like(start),
            disable_pbar=True,
            seed=0,
            **options,
        ).clone()


class ByHook:
    """The model with a vector added behind a block another way: by a forward hook on its module, to the rows that carry the prompt's text.
    ``seen``: what the hook found there, the picture's tokens of all rows."""

    OUT = {
        "flux": 0,
        "chroma": 0,
        "sd3": 1,
        "qwen": 1,
    }  # which of a block's outputs is the picture; the others have one

    def __init__(self, name, model, values, prompt, block=MIDDLE):
        from comfy.patcher_extension import WrappersMP

        self.name, self.values, self.text, self.seen = name, values, prompt[0][0][0], []
        self.module = hosting.module("guards.host.dit").blocks(model)[block]
        self.model = model.clone()
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "by hook", self._look)

    def _look(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs):
        self.rows = [torch.equal(row, self.text.to(row)) for row in c_crossattn]
        count = c_crossattn.shape[1]
        self.own = slice(None)
        if self.name == "lumina":  # one sequence, the text first
            self.own = slice(count, None)
        elif self.name == "zimage":  # both padded to multiples of 32
            before = -(-count // 32) * 32
            self.own = slice(before, before + (x.shape[-2] // 2) * (x.shape[-1] // 2))
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    def _add(self, module, inputs, output):
        place = self.OUT.get(self.name)
        tokens = (output if place is None else output[place]).clone()
        self.seen.append(tokens[:, self.own].clone())
        tokens[self.rows, self.own] += self.values
        return tokens if place is None else tuple(tokens if i == place else one for i, one in enumerate(output))

    def __enter__(self):
        self.handle = self.module.register_forward_hook(self._add)
        return self

    def __exit__(self, *_):
        self.handle.remove()


def windowed(model):
    """A clone whose frames are sampled in windows of two, one after the other."""
    from comfy import context_windows

    model = model.clone()
    model.model_options["context_handler"] = context_windows.IndexListContextHandler(
        context_schedule=context_windows.get_matching_context_schedule(
            context_windows.ContextSchedules.STATIC_STANDARD
        ),
        fuse_method=context_windows.get_matching_fuse_method(context_windows.ContextFuseMethods.FLAT),
        context_length=2,
        context_overlap=0,
        dim=2,
    )
    return model
