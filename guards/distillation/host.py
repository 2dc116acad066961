"""Safe self-distillation in the host: the loaded model is its own teacher; what it learns comes out as a LoRA."""

import contextlib
import random
from dataclasses import dataclass, field

import comfy.model_management
import comfy.samplers
import torch

from .. import seeds
from ..host import checks
from ..host.progress import Progress, glimpse
from ..training import host as training
from ..training import loop, plot
from . import formula as distillation

PART = "attn2"
PICTURES = 4  # of every prompt that is kept: made once, by the model as it was


@dataclass
class Result:
    """What has been learnt so far, and what the plot shows."""

    changes: dict
    losses: list[tuple[int, float]] = field(default_factory=list)


def parameters(model):
    """Name in the UNet -> (layer, weight or bias) of every cross-attention parameter. Raises ValueError for models without such blocks."""
    if not checks.is_unet(model):
        raise ValueError(
            f"{checks.model_name(model)} has no UNet with cross-attention blocks, which Distil Away a Concept trains (SD1.x, "
            "SD2.x and SDXL have them). Safe Latent Diffusion, Prompt Intervention and Rewrite Prompt work with this model."
        )
    found = {}
    for name, part in checks.network(model).named_modules():
        if PART in name.split("."):
            found |= {f"{name}.{key}": (part, key) for key, value in part._parameters.items() if value is not None}
    return found


def latent_shape(model, width, height):
    """(c, h, w) of a picture's latent."""
    return (
        model.model.latent_format.latent_channels,
        height // training.latent_scale(model),
        width // training.latent_scale(model),
    )


@contextlib.contextmanager
def changed(layers, changes, of):
    """Within it the layers compute with their parameters plus the student's or the teacher's change.

    The change is computed beside the weights, in float32: fp8 knows no sum, bf16 would swallow a small change, and nothing is copied.
    """
    hooks = []
    try:
        for name, (layer, key) in layers.items():
            hooks.append(layer.register_forward_hook(_beside(changes[name], of, key)))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _beside(change, of, key):
    """A forward hook of a linear layer that adds what a change of its weight or bias adds to its output."""

    def add(layer, inputs, output):
        parts = getattr(change, of)
        if key == "bias":
            addition = parts[0]
        else:
            addition = inputs[0].float()
            for part in reversed(parts):
                addition = torch.nn.functional.linear(addition, part)
        return output + addition.to(output.dtype)

    return add


def joined(concepts):
    """One CONDITIONING entry of all the concepts' tokens, as the host's Conditioning (Concat) joins them."""
    first, options = concepts[0]
    return [[torch.cat([tensor for tensor, _ in concepts], 1), options]]


def run(model, concept, empty, settings, width, height, start=None, vae=None, keep=None, node=None):
    """(the guarded MODEL, its LORA_MODEL, the losses' plot as IMAGE): one distillation as the node ``node`` shows it.

    ``concept``, ``empty``, ``keep``: CONDITIONINGs; ``width``, ``height``: of the pictures, in pixels; ``vae``: for previews. Raises
    what ``distil`` raises.
    """
    progress = Progress(settings.steps, node)

    def show(done, result, preview):
        text = f"step {done} of {settings.steps}"
        if result.losses:
            text += f", loss {plot.moving_mean(result.losses[-20:])[-1][1]:.5g}"
        progress.at(done, text, glimpse(done, settings.steps, preview, model, vae))

    shape = latent_shape(model, width, height)
    result = distil(model, concept, empty, shape, settings, start, show, keep or ())
    lora, losses = to_lora(result.changes), result.losses
    curves = {"training": losses, "mean of 20": plot.moving_mean(losses)}
    return apply(model, lora), lora, plot.plot(f"{len(losses)} steps", curves)


def distil(
    model, concepts, empty, shape, settings, start=None, on_step=lambda done, result, preview: None, keep=()
) -> Result:
    """Train the change of the cross-attention parameters. Returns a Result; the model comes out as it was.

    ``concepts``: CONDITIONING, each entry one concept. ``shape``: (c, h, w) of a latent. ``start``: a LORA_MODEL of an earlier run to go on
    from. ``keep``: CONDITIONING, each entry a prompt for which the student is held to what the model predicted before (ours); with it the
    empty prompt is held as well. ``on_step(done, result, preview)`` may raise the host's interruption: what has been learnt so far is then
    the result. Raises ValueError for models, prompts and starts that do not fit, and for a gradient that is no finite number.
    """
    checks.conditioning(concepts, "concept")
    checks.conditioning(empty, "empty")
    if keep:
        checks.conditioning(keep, "keep")
    parameters(model)
    training.check(model, "Distil Away a Concept")
    prompts = {"empty": empty, "all": joined(concepts)} | {f"concept {i}": [entry] for i, entry in enumerate(concepts)}
    held = [f"keep {i}" for i in range(len(keep))]
    prompts |= {role: [entry] for role, entry in zip(held, keep, strict=True)}
    result = None

    with (
        training.stoppable("Distil Away a Concept", lambda: result is not None and bool(result.losses)),
        training.trainable(model) as model,
    ):

        def train(denoise, device):
            nonlocal result
            run = _Training(model, shape, settings, start, denoise, device)
            result = run.result
            on_step(0, result, run.preview)
            for step in range(1, settings.steps + 1):
                run.step(step, len(concepts), held)
                on_step(step, result, run.preview)

        training.run(model, prompts, torch.zeros(settings.batch_size, *shape), train)
    assert result is not None  # else the run ended with an error, which has been raised
    return result


class _Training:
    """One distillation under way: the changes of student and teacher, the optimiser, the draws."""

    def __init__(self, model, shape, settings, start, denoise, device):
        self.shape, self.settings, self.denoise, self.device = shape, settings, denoise, device
        self.layers = parameters(model)
        self.sampling, self.kind = model.get_model_object("model_sampling"), training.prediction(model)
        self.sigmas = comfy.samplers.calculate_sigmas(self.sampling, "ddim_uniform", settings.sample_steps).to(device)
        self.generator, self.keeping = (seeds.generator(settings.seed + i) for i in range(2))
        self.draw = random.Random(settings.seed)
        earlier = from_lora(start, self.layers) if start is not None else {}
        self.changes = {
            name: distillation.Change(
                getattr(layer, key).shape, settings.rank, self.generator, device, earlier.get(name)
            )
            for name, (layer, key) in self.layers.items()
        }
        self.result, self.pictures = Result(self.changes), {}
        self.trained = [part for change in self.changes.values() for part in change.student]
        self.optimiser = torch.optim.AdamW(self.trained, settings.learning_rate, weight_decay=1e-4)
        self.scale = loop.LossScale(training.is_half(model))

    def changed(self, of):
        return changed(self.layers, self.changes, of)

    @torch.no_grad()
    def sample(self, role, count, noise):
        """Latents after ``count`` guided steps from pure ``noise`` (n, c, h, w): plain DDIM, which is Euler in noise levels."""

        def guided(x, sigma):
            comfy.model_management.throw_exception_if_processing_interrupted()
            prompted, without = self.denoise(x, sigma, (role, "empty"))
            return without + self.settings.guidance * (prompted - without)

        return training.euler(self.sampling, self.sigmas[: count + 1], noise.to(self.device), guided)

    def preview(self):
        """Latents (3, c, h, w) that the teacher makes of the first concept."""
        noise = torch.randn(3, *self.shape, generator=torch.Generator().manual_seed(1))
        with self.changed("teacher"):
            return self.sample("concept 0", self.settings.sample_steps, noise).cpu()

    def errors(self, x, level, role, target):
        return loop.errors(self.denoise(x, level, role), target, level, self.kind)

    def hold(self, role, level):
        """The gradient of keeping one prompt's prediction where it was; a graph of its own, so that it takes no more memory."""
        count = self.settings.batch_size
        if role not in self.pictures:
            noise = torch.randn(max(count, PICTURES), *self.shape, generator=self.keeping)
            self.pictures[role] = self.sample(role, self.settings.sample_steps, noise)
        chosen = torch.randperm(len(self.pictures[role]), generator=self.keeping)[:count]
        noise = torch.randn(count, *self.shape, generator=self.keeping).to(self.device)
        x = loop.add_noise(self.pictures[role][chosen.to(self.device)], noise, level, self.kind == "flow")
        with torch.no_grad():
            target = self.denoise(x, level, role)
        with self.changed("student"):
            self.scale.backward(self.settings.keep_weight * self.errors(x, level, role, target))

    def step(self, step, concepts, held):
        """One step of the optimiser. ``concepts``: how many there are; ``held``: roles of prompts that must stay."""
        settings = self.settings
        sampled, learnt = distillation.roles(settings.roles, step - 1, concepts)
        stop = distillation.stop_step(settings.times, settings.sample_steps, self.draw)
        with self.changed("teacher"):
            noise = torch.randn(settings.batch_size, *self.shape, generator=self.generator)
            x = self.sample(sampled, stop, noise)
        level = self.sigmas[stop].expand(len(x))
        with self.changed("student"):
            with torch.no_grad():
                target = self.denoise(x, level, "empty")
            losses = self.errors(x, level, learnt, target)
            self.optimiser.zero_grad(set_to_none=True)
            self.scale.backward(losses)
        if held and settings.keep_weight:
            self.hold([*held, "empty"][(step - 1) % (len(held) + 1)], level)
        if self.scale.finish(self.trained, len(losses), step):
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimiser.step()
            for change in self.changes.values():
                change.follow(settings.average)
        self.result.losses.append((step, losses.detach().mean().item()))


def to_lora(changes):
    """The teacher's changes as a LORA_MODEL, in keys that the host's own LoRA loaders know: thin pairs, or full differences."""
    tensors = {}
    for name, change in changes.items():
        path, kind = name.rsplit(".", 1)
        parts = [part.detach().cpu().contiguous() for part in change.teacher]
        if len(parts) == 2:
            tensors[f"diffusion_model.{path}.lora_B.weight"], tensors[f"diffusion_model.{path}.lora_A.weight"] = parts
        else:
            tensors[f"diffusion_model.{path}.{'diff_b' if kind == 'bias' else 'diff'}"] = parts[0]
    return tensors


def from_lora(lora, layers):
    """The parts of each parameter's change in a LORA_MODEL that ``to_lora`` made. Raises ValueError if it is another kind of file."""
    found = {}
    for name in layers:
        path, kind = name.rsplit(".", 1)
        pair = [lora.get(f"diffusion_model.{path}.lora_{side}.weight") for side in "BA"]
        full = lora.get(f"diffusion_model.{path}.{'diff_b' if kind == 'bias' else 'diff'}")
        if full is not None:
            found[name] = [training.ordinary(full)]
        elif kind == "weight" and None not in pair:
            found[name] = training.ordinary(pair)
    if not found:
        raise ValueError(
            "start holds no change of this model's cross-attention: connect the lora output of Distil Away a Concept, made "
            "with the same model family, or leave start empty."
        )
    return found


def apply(model, lora):
    """A clone of the MODEL with the changes as weight patches, as the host's LoRA loader would make it."""
    import comfy.sd

    return comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)[0]
