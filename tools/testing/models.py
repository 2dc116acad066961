"""Tiny models of the real families, random weights, in the host's own classes; and short ways to sample them."""

import torch

CONTEXT = 16


def _initialise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn(p.shape, generator=generator) * (1 / p[0].numel()) ** 0.5)
            else:
                p.fill_(1.0 if name.endswith("weight") or name.endswith("scale") else 0.0)


def patcher(model):
    import comfy.model_patcher

    _initialise(model)
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(model.eval(), load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


def unet_config(**changes):
    return {
        **dict(
            image_size=32,
            use_checkpoint=False,
            use_spatial_transformer=True,
            legacy=False,
            in_channels=4,
            out_channels=4,
            model_channels=32,
            num_res_blocks=[1, 1],
            channel_mult=[1, 2],
            transformer_depth=[1, 1],
            transformer_depth_output=[1, 1, 1, 1],
            transformer_depth_middle=1,
            context_dim=CONTEXT,
            use_linear_in_transformer=False,
            adm_in_channels=None,
        ),
        **changes,
    }


def sd1(model_type="EPS", dtype=torch.float32):
    """An SD1.x-like UNet of 1 M parameters; model_type V_PREDICTION makes it like SD2-v, FLOW a flow model."""
    import comfy.model_base
    import comfy.supported_models

    class Tiny(comfy.supported_models.SD15):
        unet_extra_config = {"num_heads": 2, "num_head_channels": -1}

    config = Tiny(unet_config())
    config.set_inference_dtype(dtype, None)
    model = patcher(comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType[model_type]))
    if dtype != torch.float32:
        model.model.diffusion_model.to(dtype)
    return model


def quantized():
    """The tiny SD1.x UNet with its linear layers in scaled fp8, loaded by the host as such files are; and the same numbers in float32."""
    import json

    import comfy.model_base

    plain, numbers = sd1(), {}
    state, format_name = plain.model.diffusion_model.state_dict(), json.dumps({"format": "float8_e4m3fn"}).encode()
    for name, part in plain.model.diffusion_model.named_modules():
        if isinstance(part, torch.nn.Linear):
            scale = part.weight.detach().abs().max() / 448
            small = (part.weight.detach() / scale).to(torch.float8_e4m3fn)
            numbers[part] = small.float() * scale
            state |= {f"{name}.weight": small, f"{name}.weight_scale": scale}
            state[f"{name}.comfy_quant"] = torch.tensor(list(format_name), dtype=torch.uint8)
    config = plain.model.model_config
    config.quant_config = {"mixed_ops": True}
    model = comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType.EPS)
    model.diffusion_model.load_state_dict(state)
    for part, value in numbers.items():
        part.weight.data = value
    cpu = torch.device("cpu")
    return type(plain)(model.eval(), load_device=cpu, offload_device=cpu), plain


def sd2(model_type="EPS"):
    """An SD2.x-like UNet; model_type V_PREDICTION for the 768-v models."""
    import comfy.model_base
    import comfy.supported_models

    class Tiny(comfy.supported_models.SD20):
        unet_extra_config = {**comfy.supported_models.SD20.unet_extra_config, "num_head_channels": 16}

    config = Tiny(unet_config(use_linear_in_transformer=True))
    config.set_inference_dtype(torch.float32, None)
    return patcher(comfy.model_base.BaseModel(config, model_type=comfy.model_base.ModelType[model_type]))


def sdxl(context=CONTEXT, pooled=1280):
    """An SDXL-like UNet: pooled output and size conditioning, no attention at the first level."""
    import comfy.supported_models

    class Tiny(comfy.supported_models.SDXL):
        unet_extra_config = {"num_heads": 2, "num_head_channels": -1}

    config = Tiny(
        unet_config(
            adm_in_channels=pooled + 6 * 256,
            num_classes="sequential",
            context_dim=context,
            use_linear_in_transformer=True,
            transformer_depth=[0, 1],
            transformer_depth_output=[1, 1, 0, 0],
        )
    )
    config.set_inference_dtype(torch.float32, None)
    return patcher(config.get_model({}, ""))


def flux():
    """A Flux-like flow model: a DiT with one double and one single block, 16 latent channels."""
    import comfy.supported_models

    config = comfy.supported_models.Flux(
        dict(
            image_model="flux",
            in_channels=16,
            out_channels=16,
            vec_in_dim=8,
            context_in_dim=CONTEXT,
            hidden_size=32,
            mlp_ratio=2.0,
            num_heads=2,
            depth=1,
            depth_single_blocks=1,
            axes_dim=[4, 6, 6],
            theta=10000,
            patch_size=2,
            qkv_bias=True,
            guidance_embed=False,
            txt_ids_dims=[],
        )
    )
    config.set_inference_dtype(torch.float32, None)
    return patcher(config.get_model({}, ""))


def sd3():
    """An SD3-like flow model: an MMDiT of two blocks, 16 latent channels."""
    import comfy.supported_models

    config = comfy.supported_models.SD3(
        dict(
            in_channels=16,
            patch_size=2,
            out_channels=None,
            depth=2,
            input_size=None,
            adm_in_channels=8,
            context_embedder_config={
                "target": "torch.nn.Linear",
                "params": {"in_features": CONTEXT, "out_features": 128},
            },
            num_patches=None,
            pos_embed_max_size=None,
            pos_embed_scaling_factor=None,
        )
    )
    config.set_inference_dtype(torch.float32, None)
    return patcher(config.get_model({}, ""))


def conditioning(seed, tokens=77, width=CONTEXT, pooled=None, batch=1, **options):
    """A random CONDITIONING. ``pooled``: the width of its pooled output."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(batch, tokens, width, generator=generator)
    extra = None if pooled is None else torch.randn(1, pooled, generator=generator)
    return [[text, {"pooled_output": extra, **options}]]


POSITIVE, NEGATIVE, CONCEPT, OTHER = (conditioning(seed) for seed in (1, 2, 3, 4))


def noise(model, batch=1, size=None, seed=0):
    """Of the size that a model says it was trained on, else 8."""
    size = size or getattr(type(model.model.model_config), "trained_side", 8)
    channels = model.get_model_object("latent_format").latent_channels
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed))


def sample(
    model,
    positive=POSITIVE,
    negative=NEGATIVE,
    steps=4,
    cfg=7.0,
    sampler="euler",
    scheduler="normal",
    batch=1,
    seed=0,
    latent=None,
    **options,
):
    """KSampler's own call, from seeded noise: latents (batch, c, 8, 8), of the demo model (batch, 24, 12, 12)."""
    import comfy.sample

    start = noise(model, batch, seed=seed)
    latent = torch.zeros_like(start) if latent is None else latent
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            start,
            steps,
            cfg,
            sampler,
            scheduler,
            positive,
            negative,
            latent,
            disable_pbar=True,
            seed=seed,
            **options,
        ).clone()


def guided(guider, sampler="euler", scheduler="normal", steps=4, batch=1, seed=0, sigmas=None):
    """SamplerCustomAdvanced's own call with a guider."""
    import comfy.samplers

    model = guider.model_patcher
    if sigmas is None:
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), scheduler, steps)
    start = noise(model, batch, seed=seed)
    with torch.inference_mode():
        kind = comfy.samplers.sampler_object(sampler)
        return guider.sample(start, torch.zeros_like(start), kind, sigmas, disable_pbar=True, seed=seed).clone()


def control():
    """A ControlNet of the host's own base class: adds a constant to the middle block of the rows it is called for."""
    import comfy.controlnet

    class Control(comfy.controlnet.ControlBase):
        def get_control(self, x, t, cond, batched_number, transformer_options):
            return {"input": [], "middle": [torch.ones(x.shape[0], 64, 4, 4)], "output": []}

        def pre_run(self, model, percent_to_timestep_function):
            pass

    return Control()


class Rows:
    """Counts what reaches the model: ``calls`` holds (rows, cond_or_uncond) of every forward pass."""

    def __init__(self, model):
        from comfy.patcher_extension import WrappersMP

        self.calls = []
        self.model = model.clone()
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "rows", self._count)

    def _count(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs):
        self.calls.append((x.shape[0], tuple(transformer_options["cond_or_uncond"])))
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    @property
    def total(self):
        return sum(rows for rows, _ in self.calls)


def clip(width=CONTEXT, sdxl=False, directory=None, sd2=False, longest=77):
    """A tiny CLIP with the host's own tokenizer, random weights; ``sdxl``: two encoders that share the width, or (l, g) wide each;
    ``sd2``: CLIP-H; ``longest``: positions of the first encoder, 248 for LongCLIP."""
    import functools

    import comfy.sd
    import comfy.sd1_clip
    import comfy.sdxl_clip
    import comfy.supported_models_base
    from comfy.text_encoders import sd2_clip

    kinds, widths, data = (comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel), {"l": width}, {}
    if sdxl:
        kinds = comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel
        widths = dict(zip("lg", width if isinstance(width, tuple) else (width // 2, width // 2), strict=True))
    elif sd2:
        kinds, widths = (sd2_clip.SD2Tokenizer, sd2_clip.SD2ClipModel), {"h": width}
    else:
        data = {"clip_l_tokenizer_class": functools.partial(comfy.sd1_clip.SDTokenizer, embedding_size=width)}
    options = {
        f"clip_{key}_model_config": {
            "hidden_size": wide,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        for key, wide in widths.items()
    }
    if longest != 77:
        options["clip_l_model_config"]["max_position_embeddings"] = data["clip_l_max_length"] = longest
    target = comfy.supported_models_base.ClipTarget(*kinds)
    made = comfy.sd.CLIP(target, embedding_directory=directory, model_options=options, tokenizer_data=data)
    _initialise(made.cond_stage_model)
    return made


class Pooled:
    """A CLIP whose pooled vector has the model's width, and says nothing."""

    def __init__(self, clip, width):
        self._clip, self._width = clip, width

    def __getattr__(self, name):
        return getattr(self._clip, name)

    def encode_from_tokens_scheduled(self, tokens):
        return [[self._clip.encode_from_tokens(tokens), {"pooled_output": torch.zeros(1, self._width)}]]
