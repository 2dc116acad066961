"""A whole discovery, as its node shows it: pictures are made, a vector is learnt from them, and it gets a name and a record."""

from dataclasses import dataclass, replace

from ..graph import text_behind
from ..host import checks
from ..host.progress import Progress, glimpse
from ..training import host as training
from ..training import loop
from ..training.plot import loss_plot, plot
from . import host_discovery, host_means, host_places

GRADIENT, MEANS = "gradient", "means"


@dataclass(frozen=True)
class Recipe:
    """The node's numbers and choices: how many pictures, how they are made, and how the vector is learnt from them."""

    images: int
    steps: int
    learning_rate: float
    batch_size: int
    seed: int
    sampler_name: str
    scheduler: str
    cfg: float
    sample_steps: int
    width: int
    height: int
    per_place: bool = True
    keep_weight: float = 10.0
    method: str = GRADIENT

    def as_published(self) -> "Recipe":
        """With the numbers of the paper's release."""
        return replace(self, images=1000, steps=2500, learning_rate=0.1, batch_size=8)


def run(
    model, target, base, negative, name, recipe, latents=None, start=None, vae=None, keep=None, graph=None, node=None
):
    """(Direction, the losses' plot as IMAGE), shown under ``node`` of the queued ``graph``, whose texts go into the record.

    ``target``, ``base``, ``negative``, ``keep``: CONDITIONINGs, each entry of ``keep`` a prompt that must stay; ``latents``: LATENT to
    learn from instead of pictures that are made; ``start``: a Direction to go on from; ``vae``: for previews. Raises ValueError naming
    the input, before anything long begins.
    """
    _check(model, target, base, negative, name, recipe, start, keep)
    prompts = [[entry] for entry in keep or ()]
    each = max(
        recipe.images // max(len(prompts), 1), min(recipe.images, recipe.batch_size)
    )  # for every prompt that is kept
    own = 0 if latents is not None else recipe.images
    studio = _Studio(model, negative, recipe, own + each * len(prompts), node)
    x0 = studio.make(target, own, recipe.seed) if latents is None else _latents(model, latents)
    if latents is not None and prompts:
        scale = training.latent_scale(model)
        studio.recipe = replace(recipe, width=x0.shape[-1] * scale, height=x0.shape[-2] * scale)
    firsts = (recipe.seed + recipe.images + i * each for i in range(len(prompts)))
    keeps = [(prompt, studio.make(prompt, each, first)) for prompt, first in zip(prompts, firsts)]
    settings = loop.Settings(recipe.steps, recipe.learning_rate, min(recipe.batch_size, len(x0)), recipe.seed)
    show = studio.shown(vae)
    if recipe.method == MEANS:
        result = host_means.discover(model, target, base, x0, settings, recipe.per_place, show)
    else:
        result = host_discovery.discover(
            model, base, negative, x0, settings, start, recipe.per_place, keeps, recipe.keep_weight, show
        )
    texts = {socket: text_behind(graph, node, socket) for socket in ("target", "base", "negative", "keep")}
    record = _record(recipe, texts, len(x0), settings.batch_size, made=latents is None, keeps=bool(keeps))
    block = start.block if start is not None else None
    direction = host_discovery.as_direction(model, result, name.strip(), x0, record, block)
    if recipe.method == MEANS:
        title = f"{direction.concept}: error {result.best:.2g}"
        return direction, plot(title, {"error of the mean": result.losses})
    return direction, loss_plot(direction.concept, result)


def _check(model, target, base, negative, name, recipe, start, keep):
    host_places.default(model)
    if not name.strip() or len(name) > 100:
        raise ValueError("name: give the direction a name of at most 100 characters, such as no-violence.")
    for socket, conditioning in (("target", target), ("base", base), ("negative", negative)):
        checks.conditioning(conditioning, socket)
    if recipe.method == GRADIENT:
        host_discovery.check_gradient(model)
        return
    for socket, value in (("keep", keep), ("start", start)):
        if value:
            raise ValueError(
                f"{socket} is connected, and method means trains nothing that could use it: disconnect {socket}, or choose method "
                "gradient."
            )


def _latents(model, latents):
    """A LATENT in the model's own scale. Raises ValueError for one that is not this model's."""
    samples = latents["samples"].float().cpu()
    if samples.ndim == 4 and model.model.latent_format.latent_dimensions == 3:
        samples = samples.unsqueeze(2)  # one frame, as the host's samplers take a picture
    checks.latents(model, samples, "latents")
    return model.model.process_latent_in(samples)


def _record(recipe, texts, count, batch_size, made, keeps):
    """What a Direction's file says of how it was found. ``count``: pictures learnt from; ``made``: whether they were made here."""
    record = {
        "prompts": texts,
        "images": count,
        "steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "batch_size": batch_size,
        "seed": recipe.seed,
        "method": recipe.method,
    }
    if keeps:
        record["keep_weight"] = recipe.keep_weight
    if made:
        record |= {
            "sampler": recipe.sampler_name,
            "scheduler": recipe.scheduler,
            "cfg": recipe.cfg,
            "sample_steps": recipe.sample_steps,
        }
    return record


class _Studio:
    """Makes the pictures, and shows how far everything has come. ``total``: how many pictures there will be."""

    def __init__(self, model, negative, recipe, total, node):
        self.model, self.negative, self.recipe, self.total, self.done = model, negative, recipe, total, 0
        self.progress = Progress(total + recipe.steps, node)

    def make(self, prompt, count, seed):
        """Latents (count, c, h, w) of a prompt, in the model's own scale."""
        recipe, before = self.recipe, self.done
        latents = training.make_images(
            self.model,
            prompt,
            self.negative,
            count,
            recipe.width,
            recipe.height,
            recipe.sampler_name,
            recipe.scheduler,
            recipe.sample_steps,
            recipe.cfg,
            seed,
            lambda done: self.progress.at(before + done, f"made {before + done} of {self.total} pictures"),
            recipe.batch_size,
        )
        self.done += count
        return latents

    def shown(self, vae):
        """What is shown after each step: the loss; now and then one noise with strengths 0, 0.5 and 1."""
        steps = self.recipe.steps

        def show(done, result, preview):
            if preview is None:
                text, picture = f"error of the mean {result.best:.2g}", None
            else:
                text = f"loss {result.validation[-1][1]:.5g} (best {result.best:.5g} at step {result.best_step})"
                picture = glimpse(done, steps, preview, self.model, vae)
            self.progress.at(self.total + done, f"step {done} of {steps}, {text}", picture)

        return show
