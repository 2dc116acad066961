"""Discovering a latent direction (InterpretDiffusion) as a node."""

from comfy_api.latest import io

from ..guards.directions import host_discovery, host_run
from ..guards.directions.host_run import GRADIENT, MEANS, Recipe
from ..guards.host import checks

OWN, PAPER = "as set above", "paper (1,000 images, 2,500 steps of 8, rate 0.1)"


class GuardDiscoverDirection(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardDiscoverDirection",
            display_name="Discover Direction",
            category="guards/directions",
            description="Finds a direction on the loaded model by itself: makes pictures of the target, then trains one vector in the "
            "middle block until the base prompt explains them, or measures what the target changes there. The model is not changed. Stop "
            "keeps the best vector so far.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="SD1.x, SD2.x, SDXL or the demo model; or a transformer: Flux, Chroma, SD3, Qwen-Image, Lumina2, Z-Image, "
                    "Wan. Its weights stay as they are.",
                ),
                io.Conditioning.Input(
                    "target",
                    tooltip="The prompt whose pictures show the concept, encoded: a photo of a woman. For an "
                    "anti-concept: the base prompt itself.",
                ),
                io.Conditioning.Input(
                    "base", tooltip="The same prompt without the concept, encoded: a photo of a person."
                ),
                io.Conditioning.Input(
                    "negative",
                    tooltip="The negative prompt for making the pictures, encoded. Empty for a concept; for an "
                    "anti-concept, the concept that must stay away.",
                ),
                io.String.Input(
                    "name", default="my concept", tooltip="What the direction is called, such as female or no-violence."
                ),
                io.Int.Input(
                    "images",
                    default=64,
                    min=1,
                    max=10000,
                    tooltip="How many pictures to make and learn from. The paper makes 1,000.",
                ),
                io.Int.Input(
                    "steps", default=600, min=1, max=100000, tooltip="Training steps. The paper's release trains 2,500."
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.1,
                    min=0.00001,
                    max=10.0,
                    step=0.001,
                    tooltip="Of Adam. The paper uses 0.1.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=8,
                    min=1,
                    max=256,
                    tooltip="Pictures in a step, in training and when they are made. The paper uses 8. Fewer need less memory.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Of the pictures and of the training. The same seed finds the same direction.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=host_discovery.SAMPLERS,
                    default="euler",
                    tooltip="The sampler that makes the pictures.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=host_discovery.SCHEDULERS,
                    default="normal",
                    tooltip="The scheduler that makes the pictures.",
                ),
                io.Float.Input(
                    "cfg", default=7.5, min=0.0, max=100.0, step=0.1, tooltip="The guidance that makes the pictures."
                ),
                io.Int.Input(
                    "sample_steps",
                    default=30,
                    min=1,
                    max=1000,
                    tooltip="Sampling steps for each picture. The paper uses 30.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=16,
                    max=4096,
                    step=8,
                    tooltip="Of the pictures. Use the size that you will steer; other sizes are resampled.",
                ),
                io.Int.Input("height", default=512, min=16, max=4096, step=8, tooltip="Of the pictures."),
                io.Combo.Input(
                    "form",
                    options=["every place", "one for all places"],
                    default="every place",
                    optional=True,
                    tooltip="every place: the paper's vector, its own value at each place of the middle block. one for all "
                    "places: a value for each channel, which fits any picture size; transformers always have that.",
                ),
                io.Combo.Input(
                    "recipe",
                    options=[OWN, PAPER],
                    default=OWN,
                    optional=True,
                    tooltip="paper: images, steps, learning_rate and batch_size as in the paper's release, whatever is set "
                    "above.",
                ),
                io.Latent.Input(
                    "latents",
                    optional=True,
                    tooltip="Pictures to learn from instead of made ones, as from VAE Encode. They must show the concept.",
                ),
                io.Custom("GUARD_DIRECTION").Input(
                    "start", optional=True, tooltip="A direction to go on from, such as one whose training was stopped."
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Only for the preview, with models that the host has no quick preview for.",
                ),
                io.Conditioning.Input(
                    "keep",
                    optional=True,
                    tooltip="Prompts that must stay as they are, encoded; join several with Conditioning (Combine). "
                    "Ours, not the paper's.",
                ),
                io.Float.Input(
                    "keep_weight",
                    default=10.0,
                    min=0.0,
                    max=10000.0,
                    step=0.5,
                    optional=True,
                    tooltip="Counts when keep is connected: how hard it holds. More keeps other pictures better and takes less "
                    "of the concept away.",
                ),
                io.Combo.Input(
                    "method",
                    options=[GRADIENT, MEANS],
                    default=GRADIENT,
                    optional=True,
                    tooltip="gradient: trained, as in the paper. means: the mean difference that the target makes in the block, measured "
                    "on the pictures; needs no gradient, so less memory, and is the only way for Flux and Chroma.",
                ),
            ],
            outputs=[
                io.Custom("GUARD_DIRECTION").Output(display_name="direction"),
                io.Image.Output(display_name="loss_plot"),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        target,
        base,
        negative,
        name,
        images,
        steps,
        learning_rate,
        batch_size,
        seed,
        sampler_name,
        scheduler,
        cfg,
        sample_steps,
        width,
        height,
        form="every place",
        recipe=OWN,
        latents=None,
        start=None,
        vae=None,
        keep=None,
        keep_weight=10.0,
        method=GRADIENT,
    ):
        checks.inputs(cls, **locals())
        own = Recipe(
            images,
            steps,
            learning_rate,
            batch_size,
            seed,
            sampler_name,
            scheduler,
            cfg,
            sample_steps,
            width,
            height,
            form == "every place",
            keep_weight,
            method,
        )
        chosen = own.as_published() if recipe == PAPER else own
        graph, node = cls.hidden.prompt, cls.hidden.unique_id
        return io.NodeOutput(
            *host_run.run(model, target, base, negative, name, chosen, latents, start, vae, keep, graph, node)
        )


NODES = [GuardDiscoverDirection]
