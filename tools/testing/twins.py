"""Safe Latent Diffusion twice on the same random weights: diffusers' own pipeline, and the host under our guard.

The pipeline is diffusers' ``StableDiffusionPipelineSafe`` with its loop and its prompt encoding untouched: only the
text encoder (a random embedding for each text) and the VAE (none: latents are what we compare) are stand-ins. The host
gets the UNet's weights under its own names, and the pipeline's own noise levels, so that both integrate one schedule.
"""

import contextlib
import logging
import math
import types
import warnings
import zlib
from dataclasses import astuple, dataclass

import torch

from tools.testing import hosting

TOKENS = 77
CFG = 7.5
CONCEPT = "an image showing something unwanted"
PROMPTS = ("a red house by the sea", "a dog on a chair", "two green apples")
NEGATIVE = "blurry, low quality"
NUMBERS = (
    "sld_guidance_scale",
    "sld_warmup_steps",
    "sld_threshold",
    "sld_momentum_scale",
    "sld_mom_beta",
)  # of our Settings, in order
TOLERANCE = 1e-3
PRESETS = ("weak", "medium", "strong", "max")


@dataclass(frozen=True)
class Shape:
    """The free numbers of an SD1.5-like UNet; levels, blocks and the places of attention are SD1.5's."""

    channels: tuple
    context: int
    heads: int


NARROW = Shape((32, 64, 128, 128), 64, 2)
SD15 = Shape((320, 640, 1280, 1280), 768, 8)


def text(words, width):
    """The embedding (1, 77, width) that stands for a text: random, the same for the same words."""
    return torch.randn(1, TOKENS, width, generator=torch.Generator().manual_seed(zlib.crc32(words.encode())))


class Tokenizer:
    """Turns each text into its checksum, so that the encoder can tell texts apart."""

    model_max_length = TOKENS

    def __call__(self, texts, **_):
        texts = [texts] if isinstance(texts, str) else texts
        self.texts = {**getattr(self, "texts", {}), **{zlib.crc32(t.encode()): t for t in texts}}
        return types.SimpleNamespace(input_ids=torch.tensor([[zlib.crc32(t.encode())] * TOKENS for t in texts]))


class TextEncoder(torch.nn.Module):
    """Looks like a CLIPTextModel to the pipeline; gives each text its random embedding."""

    config, device = types.SimpleNamespace(), torch.device("cpu")

    def __init__(self, tokenizer, width):
        super().__init__()
        self.tokenizer, self.width = tokenizer, width

    def forward(self, ids, attention_mask=None):
        return (torch.cat([text(self.tokenizer.texts[int(row[0])], self.width) for row in ids]),)


def initialise(unet, seed=0):
    """Random weights that behave a little like trained ones: predictions of standard deviation 1 that two texts move by about 0.1.

    The residual branches are kept small, or the network would be chaotic: SLD has a threshold and, at `max`, a ramp of slope
    5000, and across these a wild network makes the pipeline disagree with itself when its noise changes in the last digit.
    """
    generator = torch.Generator().manual_seed(seed)
    gains = {
        "attn2.to_out.0.weight": 2 / 3,
        "attn1.to_out.0.weight": 1 / 3,
        "ff.net.2.weight": 1 / 3,
        "conv2.weight": 1 / 3,
        "proj_out.weight": 1 / 3,
        "conv_out.weight": 1.7,
    }  # 1.7: the SiLU before it has a second moment of 0.36
    with torch.no_grad():
        for name, p in unet.named_parameters():
            if p.ndim > 1:
                gain = next((g for end, g in gains.items() if name.endswith(end)), 1)
                p.normal_(0, gain * p[0].numel() ** -0.5, generator=generator)
            else:
                p.normal_(float(name.endswith("weight")), 0.1, generator=generator)


def diffusers_unet(shape, seed=0):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):  # the library's own initialisation takes as long as ours, for nothing
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=shape.channels,
            cross_attention_dim=shape.context,
            attention_head_dim=shape.heads,
        )
    unet = unet.to_empty(device="cpu").eval().requires_grad_(False)
    initialise(unet, seed)
    return unet


def host_model(unet, shape):
    """The host's MODEL on the very tensors of a diffusers UNet, by the host's own table of names: one copy serves both."""
    import comfy.model_base
    import comfy.model_detection
    import comfy.model_patcher
    import comfy.supported_models
    import comfy.utils

    class Narrow(comfy.supported_models.SD15):
        unet_extra_config = {"num_heads": shape.heads, "num_head_channels": -1}

    state = unet.state_dict()
    if shape == SD15:  # the only one that the host recognises
        config = comfy.model_detection.model_config_from_diffusers_unet(state)
    else:
        config = Narrow(
            dict(
                image_size=32,
                use_checkpoint=False,
                use_spatial_transformer=True,
                legacy=False,
                adm_in_channels=None,
                in_channels=4,
                out_channels=4,
                model_channels=shape.channels[0],
                channel_mult=[c // shape.channels[0] for c in shape.channels],
                num_res_blocks=[2, 2, 2, 2],
                transformer_depth=[1] * 6 + [0] * 2,
                transformer_depth_middle=1,
                transformer_depth_output=[1] * 9 + [0] * 3,
                context_dim=shape.context,
                use_linear_in_transformer=False,
            )
        )
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(config)
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    model.diffusion_model.load_state_dict({names[name]: weight for name, weight in state.items()}, assign=True)
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(model.eval(), load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


def pipeline(unet, shape, set_alpha_to_one):
    """diffusers' Safe pipeline, as SD1.x configures it, on latents alone."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    from diffusers import DDIMScheduler, StableDiffusionPipelineSafe

    class OnLatents(StableDiffusionPipelineSafe):
        def decode_latents(self, latents):
            return latents

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        set_alpha_to_one=set_alpha_to_one,
    )
    tokenizer = Tokenizer()
    pipe = OnLatents(
        vae=None,
        text_encoder=TextEncoder(tokenizer, shape.context),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.safety_concept = CONCEPT
    return pipe


class Twins:
    """One random UNet in diffusers' pipeline and in the host, and the same sampling run through both."""

    def __init__(self, shape, height, width, set_alpha_to_one=False, seed=0):
        self.shape, self.size = shape, (height, width)
        self.unet = diffusers_unet(shape, seed)
        self.pipe = pipeline(self.unet, shape, set_alpha_to_one)
        self.model = host_model(self.unet, shape)

    def noise(self, batch, seed=0):
        return torch.randn(batch, 4, *self.size, generator=torch.Generator().manual_seed(seed))

    def published(self, settings, steps, batch, seed=0, callback=None):
        """Final latents of the pipeline; ``settings`` None: plain classifier-free guidance."""
        numbers = dict(zip(NUMBERS, astuple(settings))) if settings else {"sld_guidance_scale": 0}
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.filterwarnings("ignore", message="Safety checker disabled")  # said of every unguarded run
            return self.pipe(
                list(PROMPTS[:batch]),
                *(8 * n for n in self.size),
                steps,
                CFG,
                [NEGATIVE] * batch,
                output_type="latent",
                latents=self.noise(batch, seed),
                callback=callback,
                **numbers,
            ).images

    def hosted(self, settings, steps, batch, seed=0, model=None):
        """Final latents of the host's `ddim` sampler with CFGGuider, in the pipeline's scale; ``model``: under another guard."""
        model = model or self.model
        if settings:
            model = hosting.module("guards.sld.host").guard(model, settings, self.conditioning(CONCEPT))
        sigmas = self.sigmas(steps)
        first, last = float(sigmas[0]), float(sigmas[-1])
        # The pipeline's latents have variance 1 at every noise level, the host's 1 + sigma^2.
        noise = self.noise(batch, seed) * (math.hypot(1, first) / first)
        out = self.sample(model, self.conditioning(*PROMPTS[:batch]), noise, sigmas)
        return self.model.model.process_latent_in(out) / math.hypot(1, last)

    def sample(self, model, positive, noise, sigmas, cfg=CFG, callback=None, third=None):
        """SamplerCustomAdvanced's own call in the host; ``third``: a further prompt, as DualCFGGuider mixes it in."""
        import comfy.samplers

        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, self.conditioning(NEGATIVE))
        guider.set_cfg(cfg)
        if third:
            from comfy_extras.nodes_custom_sampler import DualCFGGuider

            guider = DualCFGGuider.execute(model, positive, third, self.conditioning(NEGATIVE), cfg, cfg, "regular")[0]
        with torch.inference_mode():
            return guider.sample(
                noise,
                torch.zeros_like(noise),
                comfy.samplers.sampler_object("ddim"),
                sigmas,
                callback=callback,
                disable_pbar=True,
                seed=0,
            ).clone()

    def sigmas(self, steps):
        """The noise levels that the pipeline's scheduler goes through, as the host counts them: sigma^2 = (1 - a) / a."""
        scheduler = self.pipe.scheduler
        scheduler.set_timesteps(steps)
        alphas = torch.cat(
            [scheduler.alphas_cumprod[scheduler.timesteps], scheduler.final_alpha_cumprod.view(1)]
        ).double()
        return ((1 - alphas) / alphas).sqrt().float()

    def conditioning(self, *words):
        return [[torch.cat([text(w, self.shape.context) for w in words]), {"pooled_output": None}]]


@contextlib.contextmanager
def after_middle_block(unet, values):
    """Within it diffusers' UNet adds ``values`` (C, H, W) after its middle block, to the conditional half: the second of the batch."""

    def add(module, inputs, output):
        without, prompt = output.chunk(2)
        return torch.cat([without, prompt + values])

    handle = unet.mid_block.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def published_presets():
    """The four presets with diffusers' numbers, as our settings."""
    from diffusers.pipelines.deprecated.stable_diffusion_safe import SafetyConfig

    kind = hosting.module("guards.sld.formula").Settings
    return {name: kind(*(getattr(SafetyConfig, name.upper())[n] for n in NUMBERS)) for name in PRESETS}


def error(actual, expected):
    """The relative distance of two tensors."""
    return float((actual - expected).norm() / expected.norm())
