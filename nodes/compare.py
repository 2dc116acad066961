"""A model with and without its guards, side by side, as a node."""

import comfy.samplers
from comfy_api.latest import io, ui

from ..guards.host import checks
from ..guards.inhibitors import heat
from ..guards.judging import comparing, host_compare

GAIN = 2.0  # a difference of half the range is the change map's brightest colour


class GuardCompare(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardCompare",
            display_name="Compare",
            category="guards/measuring",
            is_output_node=True,
            description="Samples the same noise without and with guards, shows both pictures under one slider, and says how much changed "
            "and what it cost.",
            inputs=[
                io.Model.Input("model", tooltip="The model without guards."),
                io.Model.Input("guarded", tooltip="The same model, as it comes out of the guards."),
                io.Conditioning.Input("positive", tooltip="The encoded prompt, for both sides."),
                io.Conditioning.Input("negative", tooltip="The encoded negative prompt, for both sides."),
                io.Latent.Input(
                    "latent", tooltip="An empty latent, or one to start from; a batch gives as many pairs."
                ),
                io.Vae.Input("vae", tooltip="Decodes the pictures of both sides."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Seed of the noise, the same on both sides.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Sampling steps of each side."),
                io.Float.Input(
                    "cfg",
                    default=8.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How much the prompt counts, on both sides.",
                ),
                io.Combo.Input(
                    "sampler", options=comfy.samplers.KSampler.SAMPLERS, tooltip="The sampler of both sides."
                ),
                io.Combo.Input(
                    "scheduler", options=comfy.samplers.KSampler.SCHEDULERS, tooltip="The scheduler of both sides."
                ),
                io.Conditioning.Input(
                    "guarded_positive",
                    optional=True,
                    tooltip="The guarded side's own conditioning, for guards that give one out (Prompt Intervention, Growth Inhibitor) or "
                    "for a rewritten prompt. Without it, positive.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="off"),
                io.Image.Output(display_name="on"),
                io.Image.Output(display_name="change_map"),
                io.Float.Output(display_name="changed"),
                io.String.Output(display_name="report"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        guarded,
        positive,
        negative,
        latent,
        vae,
        seed,
        steps,
        cfg,
        sampler,
        scheduler,
        guarded_positive=None,
    ):
        checks.inputs(cls, **locals())
        for name, value in (("positive", positive), ("negative", negative), ("guarded_positive", guarded_positive)):
            if value is not None:
                checks.conditioning(value, name)
        settings = host_compare.Settings(negative, latent, vae, seed, steps, cfg, sampler, scheduler)
        other = positive if guarded_positive is None else guarded_positive
        off, on = host_compare.both(model, guarded, positive, other, settings)
        found = comparing.change(off.pictures, on.pictures)
        report = f"{comparing.report(found)}\n{off.cost('off:')}; {on.cost('on:')}"
        if guarded is model and guarded_positive is None:
            report = f"Both sides are the same model, without a guard between them (or one of strength 0).\n{report}"
        shown = {
            side: ui.PreviewImage(one.pictures, cls=cls).as_dict()["images"]
            for side, one in (("guards_off", off), ("guards_on", on))
        }
        picture = heat.overlay((found.map * GAIN).clamp(0, 1), off.pictures.float().cpu())
        changed = float(found.changed.mean())
        return io.NodeOutput(off.pictures, on.pictures, picture, changed, report, ui={**shown, "text": (report,)})


NODES = [GuardCompare]
