"""Safe self-distillation in the host: the loaded model is its own teacher; what it learns comes out as a LoRA."""

import contextlib
import random
from dataclasses import dataclass, field

import comfy.model_management
import comfy.samplers
import torch

from ..host import checks
from ..training import host as training
from ..training import loop as discovery
from . import formula as distillation

PART = "attn2"
PICTURES = 4  # of every prompt that is kept: made once, by the model as it was


@dataclass
class Result:
    """What has been learnt so far, and what the plot shows."""

    changes: dict
    losses: list[tuple[int, float]] = field(default_factory=list)


def parameters(model):
    """Name in the UNet -> (table, key) of every cross-attention parameter. Raises ValueError for models without such blocks."""
    if not checks.is_unet(model):
        raise ValueError(
            f"{checks.model_name(model)} has no UNet with cross-attention blocks, which Distil Away a Concept trains (SD1.x, "
            "SD2.x and SDXL have them). Safe Latent Diffusion, Prompt Intervention and Rewrite Prompt work with this model."
        )
    found = {}
    for name, part in model.model.diffusion_model.named_modules():
        if PART in name.split("."):
            found |= {
                f"{name}.{key}": (part._parameters, key) for key, value in part._parameters.items() if value is not None
            }
    return found


def latent_shape(model, width, height):
    """(c, h, w) of a picture's latent."""
    return (
        model.model.latent_format.latent_channels,
        height // training.latent_scale(model),
        width // training.latent_scale(model),
    )


@contextlib.contextmanager
def changed(tables, changes, of):
    """Within it the parameters are their own plus the student's or the teacher's change."""
    kept = {name: table[key] for name, (table, key) in tables.items()}
    try:
        for name, (table, key) in tables.items():
            table[key] = kept[name] + changes[name].value(of).to(kept[name])
        yield
    finally:
        for name, (table, key) in tables.items():
            table[key] = kept[name]


def joined(concepts):
    """One CONDITIONING entry of all the concepts' tokens, as the host's Conditioning (Concat) joins them."""
    first, options = concepts[0]
    return [[torch.cat([tensor for tensor, _ in concepts], 1), options]]


def distil(model, concepts, empty, shape, settings, start=None, on_step=lambda done, result, preview: None, keep=()):
    """Train the change of the cross-attention parameters. Returns a Result; the model comes out as it was.

    ``concepts``: CONDITIONING, each entry one concept. ``shape``: (c, h, w) of a latent. ``start``: a LORA_MODEL of an earlier run to go on
    from. ``keep``: CONDITIONING, each entry a prompt for which the student is held to what the model predicted before (ours); with it the
    empty prompt is held as well. ``on_step(done, result, preview)`` may raise the host's interruption: what has been learnt so far is then
    the result.
    """
    checks.conditioning(concepts, "concept")
    checks.conditioning(empty, "empty")
    if keep:
        checks.conditioning(keep, "keep")
    parameters(model)
    prompts = {"empty": empty, "all": joined(concepts)} | {f"concept {i}": [entry] for i, entry in enumerate(concepts)}
    held = [f"keep {i}" for i in range(len(keep))]
    prompts |= {role: [entry] for role, entry in zip(held, keep, strict=True)}
    result = None

    def train(denoise, device):
        nonlocal result
        tables = parameters(model)
        sampling, kind = model.get_model_object("model_sampling"), training.prediction(model)
        sigmas = comfy.samplers.calculate_sigmas(sampling, "ddim_uniform", settings.sample_steps).to(device)
        generator, keeping = (torch.Generator().manual_seed(settings.seed + i) for i in range(2))
        draw = random.Random(settings.seed)
        earlier = from_lora(start, tables) if start is not None else {}
        changes = {
            name: distillation.Change(table[key].shape, settings.rank, generator, table[key].device, earlier.get(name))
            for name, (table, key) in tables.items()
        }
        result, pictures = Result(changes), {}
        trained = [part for change in changes.values() for part in change.student]
        optimiser = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=1e-4)

        @torch.no_grad()
        def sample(role, count, seed_noise):
            """``count`` guided steps from pure noise: plain DDIM, which is Euler in noise levels."""

            def guided(x, sigma):
                comfy.model_management.throw_exception_if_processing_interrupted()
                prompted, without = denoise(x, sigma, (role, "empty"))
                return without + settings.guidance * (prompted - without)

            return training.euler(sampling, sigmas[: count + 1], seed_noise.to(device), guided)

        def preview():
            noise = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
            with changed(tables, changes, "teacher"):
                return sample("concept 0", settings.sample_steps, noise).cpu()

        def hold(role, level):
            """The gradient of keeping one prompt's prediction where it was; a graph of its own, so that it takes no more memory."""
            if role not in pictures:
                noise = torch.randn(max(settings.batch_size, PICTURES), *shape, generator=keeping)
                pictures[role] = sample(role, settings.sample_steps, noise)
            chosen = torch.randperm(len(pictures[role]), generator=keeping)[: settings.batch_size]
            noise = torch.randn(settings.batch_size, *shape, generator=keeping).to(device)
            x = discovery.noised(pictures[role][chosen.to(device)], noise, level, kind == "flow")
            with torch.no_grad():
                target = denoise(x, level, role)
            with changed(tables, changes, "student"):
                (settings.keep_weight * discovery.errors(denoise(x, level, role), target, level, kind)).sum().backward()

        on_step(0, result, preview)
        for step in range(1, settings.steps + 1):
            sampled, learnt = distillation.roles(settings.roles, step - 1, len(concepts))
            stop = distillation.stop_step(settings.times, settings.sample_steps, draw)
            with changed(tables, changes, "teacher"):
                x = sample(sampled, stop, torch.randn(settings.batch_size, *shape, generator=generator))
            level = sigmas[stop].expand(len(x))
            with changed(tables, changes, "student"):
                with torch.no_grad():
                    target = denoise(x, level, "empty")
                losses = discovery.errors(denoise(x, level, learnt), target, level, kind)
                optimiser.zero_grad(set_to_none=True)
                losses.sum().backward()
            if held and settings.keep_weight:
                hold([*held, "empty"][(step - 1) % (len(held) + 1)], level)
            for part in trained:
                part.grad /= len(losses)
            if not bool(torch.nn.utils.clip_grad_norm_(trained, 1.0).isfinite()):
                raise FloatingPointError(f"the gradient is no finite number at step {step}")
            optimiser.step()
            for change in changes.values():
                change.follow(settings.average)
            result.losses.append((step, losses.detach().mean().item()))
            on_step(step, result, preview)

    with training.stoppable("Distil Away a Concept", lambda: result is not None and bool(result.losses)):
        training.run(model, prompts, torch.zeros(settings.batch_size, *shape), train)
    return result


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


def from_lora(lora, tables):
    """The parts of each parameter's change in a LORA_MODEL that ``to_lora`` made. Raises ValueError if it is another kind of file."""
    found = {}
    for name in tables:
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
