"""Discovering a latent direction (InterpretDiffusion) as a node."""

from comfy_api.latest import io

from ..guards.directions import host_discovery, host_means, host_places
from ..guards.directions.formula import Direction
from ..guards.graph import text_behind
from ..guards.host import checks
from ..guards.host.progress import Progress, glimpse
from ..guards.training import host as training
from ..guards.training import loop
from ..guards.training.plot import plot

OWN, PAPER = "as set above", "paper (1,000 images, 2,500 steps of 8, rate 0.1)"
GRADIENT, MEANS = "gradient", "means"


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
        if recipe == PAPER:
            images, steps, learning_rate, batch_size = 1000, 2500, 0.1, 8
        host_places.default(model)
        if not name.strip() or len(name) > 100:
            raise ValueError("name: give the direction a name of at most 100 characters, such as no-violence.")
        for socket, conditioning in (("target", target), ("base", base), ("negative", negative)):
            checks.conditioning(conditioning, socket)
        if method == MEANS:
            cls._refuse_training(keep=keep, start=start)
        else:
            host_discovery.check_gradient(model)
        given, held = latents is not None, [[entry] for entry in keep or ()]
        each = max(images // max(len(held), 1), min(images, batch_size))  # pictures for every prompt that is kept
        pictures_due = (0 if given else images) + each * len(held)
        progress = Progress(pictures_due + steps, cls.hidden.unique_id)

        def make(prompt, against, count, first, before):
            return training.make_images(
                model,
                prompt,
                against,
                count,
                width,
                height,
                sampler_name,
                scheduler,
                sample_steps,
                cfg,
                first,
                lambda done: progress.at(before + done, f"made {before + done} of {pictures_due} pictures"),
                batch_size,
            )

        if latents is not None:
            samples = latents["samples"].float().cpu()
            if samples.ndim == 4 and model.model.latent_format.latent_dimensions == 3:
                samples = samples.unsqueeze(2)  # one frame, as the host's samplers take a picture
            checks.latents(model, samples, "latents")
            x0 = model.model.process_latent_in(samples)
        else:
            x0 = make(target, negative, images, seed, 0)
        if given and held:
            width, height = (side * training.latent_scale(model) for side in (x0.shape[-1], x0.shape[-2]))
        kept = [
            (entry, make(entry, negative, each, seed + images + i * each, pictures_due - each * (len(held) - i)))
            for i, entry in enumerate(held)
        ]
        settings = loop.Settings(steps, learning_rate, min(batch_size, len(x0)), seed)
        watch = cls._watch(progress, pictures_due, steps, model, vae)
        if method == MEANS:
            result = host_means.discover(model, target, base, x0, settings, form == "every place", watch)
        else:
            result = host_discovery.discover(
                model, base, negative, x0, settings, start, form == "every place", kept, keep_weight, watch
            )
        made = {
            "prompts": {
                socket: text_behind(cls.hidden.prompt, cls.hidden.unique_id, socket)
                for socket in ("target", "base", "negative", "keep")
            },
            "images": len(x0),
            "steps": steps,
            "learning_rate": learning_rate,
            "batch_size": settings.batch_size,
            "seed": seed,
            "method": method,
        }
        if held:
            made["keep_weight"] = keep_weight
        if not given:
            made |= {"sampler": sampler_name, "scheduler": scheduler, "cfg": cfg, "sample_steps": sample_steps}
        block = start.block if start is not None else None
        direction: Direction = host_discovery.as_direction(model, result, name.strip(), x0, made, block)
        if method == MEANS:
            title, lines = f"{direction.concept}: error {result.best:.2g}", {"error of the mean": result.losses}
        else:
            title = f"{direction.concept}: best {result.best:.5g} at step {result.best_step}"
            lines = {"training": result.losses, "fixed examples": result.validation}
        return io.NodeOutput(direction, plot(title, lines))

    @staticmethod
    def _refuse_training(**given):
        """Inputs that only a training can take. Raises ValueError."""
        for name, value in given.items():
            if value:
                raise ValueError(
                    f"{name} is connected, and method means trains nothing that could use it: disconnect {name}, or choose method gradient."
                )

    @staticmethod
    def _watch(progress, before, steps, model, vae):
        """What is shown after each step: the loss; now and then one noise with strengths 0, 0.5 and 1."""

        def show(done, result, preview):
            if preview is None:
                progress.at(before + done, f"step {done} of {steps}, error of the mean {result.best:.2g}")
                return
            loss = f"loss {result.validation[-1][1]:.5g} (best {result.best:.5g} at step {result.best_step})"
            progress.at(before + done, f"step {done} of {steps}, {loss}", glimpse(done, steps, preview, model, vae))

        return show


NODES = [GuardDiscoverDirection]
