"""Safe Latent Diffusion as a node."""

from comfy_api.latest import io

from ..guards.host import checks
from ..guards.sld import formula as sld
from ..guards.sld import host as safe_latent_diffusion


class GuardSafeLatentDiffusion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        custom = "Counts when preset is custom. "
        return io.Schema(
            node_id="GuardSafeLatentDiffusion",
            display_name="Safe Latent Diffusion (SLD)",
            category="guards",
            description="Steers every denoising step away from a safety concept. Works with every model that uses CFG; costs one more row "
            "in the batch. Two of these in a row guard against two concepts.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Any model sampled with CFG: SD1.x, SD2.x, SDXL, SD3, Flux and others."
                ),
                io.Conditioning.Input(
                    "safety_concept",
                    tooltip="What must not appear, encoded with this model's CLIP (Forbidden Concepts "
                    "-> CLIP Text Encode).",
                ),
                io.Combo.Input(
                    "preset",
                    options=[*sld.PRESETS, "custom"],
                    default="medium",
                    tooltip="The published strengths, tuned for 50 steps. custom: the five numbers below.",
                ),
                io.Float.Input(
                    "guidance_scale",
                    default=1000.0,
                    min=0.0,
                    max=100000.0,
                    step=1.0,
                    tooltip=custom + "How soon the correction reaches full strength (s_S). 0 switches the guard off.",
                ),
                io.Int.Input(
                    "warmup_steps",
                    default=10,
                    min=0,
                    max=10000,
                    tooltip=custom
                    + "Executed steps before the correction sets in. The first steps fix the layout: fewer guard "
                    "better.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.01,
                    min=-10.0,
                    max=10.0,
                    step=0.001,
                    tooltip=custom
                    + "Corrects only where prompt and concept predictions differ by less than this (lambda).",
                ),
                io.Float.Input(
                    "momentum_scale",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip=custom + "How much of the earlier steps' correction is added (s_m).",
                ),
                io.Float.Input(
                    "momentum_beta",
                    default=0.4,
                    min=0.0,
                    max=0.999,
                    step=0.01,
                    tooltip=custom + "How slowly the momentum forgets (beta_m).",
                ),
                io.Conditioning.Input(
                    "unconditional",
                    optional=True,
                    tooltip="An empty prompt, encoded. Always connect it for variant aligned, which then guards whatever the sampler's "
                    "slots hold; published needs it only with guiders that have no negative prompt (BasicGuider).",
                ),
                io.Combo.Input(
                    "variant",
                    options=["published", "aligned"],
                    default="published",
                    optional=True,
                    tooltip="published: the paper's formula. aligned: ours; looks at what comes out and pushes where it agrees with the "
                    "concept, so it also works when the prompt is the concept, from every slot and in few steps, and leaves other "
                    "prompts alone. It has no warm-up.",
                ),
                io.Float.Input(
                    "strength",
                    default=2.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    optional=True,
                    tooltip="Counts when variant is aligned and preset is custom. How hard to push: 1 takes the concept's "
                    "direction out, more pushes away from it. 0 switches the guard off.",
                ),
                io.Combo.Input(
                    "gating",
                    options=["off", "auto", "watchful"],
                    default="off",
                    optional=True,
                    tooltip="Counts when variant is aligned and the sampler makes more than 8 steps. off: the concept is evaluated in "
                    "every step. auto: only in three of the first steps, unless a picture of the batch is about it; other prompts then "
                    "cost nearly nothing. watchful: auto, and it looks again in every fourth step.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model,
        safety_concept,
        preset,
        guidance_scale,
        warmup_steps,
        threshold,
        momentum_scale,
        momentum_beta,
        unconditional=None,
        variant="published",
        strength=2.0,
        gating="off",
    ):
        checks.inputs(cls, **locals())
        if variant == "aligned":
            settings = sld.ALIGNED[preset] if preset != "custom" else sld.Aligned(strength)
        elif preset == "custom":
            settings = sld.Settings(guidance_scale, warmup_steps, threshold, momentum_scale, momentum_beta)
        else:
            settings = sld.PRESETS[preset]
        return io.NodeOutput(safe_latent_diffusion.guard(model, settings, safety_concept, unconditional, gating))


NODES = [GuardSafeLatentDiffusion]
