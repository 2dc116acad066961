"""Concept maps as a node."""

from comfy_api.latest import io

from ..guards.host import checks, progress
from ..guards.inhibitors import heat
from ..guards.inhibitors import host_map as concept_map


class GuardConceptMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardConceptMap",
            display_name="Concept Map",
            category="guards",
            description="Shows where in a finished picture the model sees a concept, from its cross-attention. Works with every sampler: "
            "give it the latent that came out. For SD1.x, SD2.x and SDXL.",
            inputs=[
                io.Model.Input("model", tooltip="A UNet model (SD1.x, SD2.x, SDXL), with or without guards."),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the model."),
                io.String.Input(
                    "text", multiline=True, default="", tooltip="The prompt that the picture was made with."
                ),
                io.String.Input(
                    "concept",
                    default="",
                    tooltip="What to look for; several, separated by commas, give one map each. Words "
                    "of the prompt are looked up there, others by themselves.",
                ),
                io.Latent.Input("latent", tooltip="The sampler's output (or an encoded picture)."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The decoded picture, to lay the map over. Else the map stands alone.",
                ),
                io.Int.Input(
                    "levels",
                    default=5,
                    min=1,
                    max=100,
                    tooltip="How many noise levels are looked at: one evaluation of the "
                    "model each, without negative prompt.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The first noise level, as a share of a sampling run: 0 is all noise.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=0.9,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The last noise level; 1 is no noise.",
                ),
                io.Combo.Input(
                    "layers",
                    options=["all", "fine", "coarse"],
                    default="all",
                    tooltip="Which attention layers count: all, those at the latent's full size, or the smaller ones.",
                ),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, tooltip="Seed of the noise."),
            ],
            outputs=[io.Image.Output(display_name="heat_map"), io.Mask.Output(display_name="mask")],
        )

    @classmethod
    def execute(cls, model, clip, text, concept, latent, levels, start_percent, end_percent, layers, seed, image=None):
        checks.inputs(cls, **locals())
        found = concept_map.maps(
            model,
            clip,
            text,
            concept,
            latent["samples"],
            levels,
            start_percent,
            end_percent,
            layers,
            seed,
            tick=progress.Bar(),
        )
        if image is None:
            mask = heat.resize(found, 8 * found.shape[-2], 8 * found.shape[-1])
            return io.NodeOutput(heat.colours(mask), mask)
        mask = heat.resize(found, image.shape[1], image.shape[2])
        pictures = image[..., :3].cpu().repeat(-(-mask.shape[0] // image.shape[0]), 1, 1, 1)[: mask.shape[0]]
        return io.NodeOutput(heat.overlay(mask, pictures), mask)


NODES = [GuardConceptMap]
