"""What the model itself makes of a few texts: one evaluation each, near pure noise, where the prompt decides what will be drawn.

How far a text's prediction lies from the empty text's, measured by how far the concept's does, tells whether the model has anything
definite in mind; how far it lies from the concept's, whether it is another thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import comfy.samplers
import torch

from .. import looking
from ..host import checks, compiled, rail

PICTURES = 2  # noises a text is looked at with
SIDE = 32  # of the latents looked at: a quarter of a megapixel's side; the demo model says its own ...
SIDES = {"PixArtMS": 64}  # ... and smaller ones have no positions here (the host's class -> side)
PERCENT = 0.1  # of the schedule: the noise level
CLEAR, AWAY = 0.7, 0.6  # from which on a text is definite, and another thing than the concept


@dataclass(frozen=True)
class Seen:
    """``clear``: distance from no text, ``away``: from the concept; both 1 for as much as lies between the concept and no text."""

    clear: float
    away: float

    @property
    def is_definite(self) -> bool:
        return self.clear >= CLEAR

    @property
    def is_other(self) -> bool:
        return self.away >= AWAY


def look(model, clip, concept: str, others: list[str], tick) -> dict[str, Seen]:
    """What the model makes of each of ``others`` beside ``concept``. ``tick()`` is called after each text, and may raise to stop."""
    texts = list(dict.fromkeys(["", concept, *others]))
    predictions = predict(model, [clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in texts], tick)
    seen = dict(zip(texts, predictions, strict=True))
    own = (seen[concept] - seen[""]).norm().clamp(min=1e-12)
    return {
        text: Seen(float((seen[text] - seen[""]).norm() / own), float((seen[text] - seen[concept]).norm() / own))
        for text in others
    }


def predict(model, conditionings, tick) -> list[torch.Tensor]:
    """The denoised prediction (PICTURES, c, h, w) for each CONDITIONING, float32 on the CPU. Guards on the model are left out."""
    sampling, seen = model.get_model_object("model_sampling"), []
    noise = torch.randn(PICTURES, *shape(model), generator=torch.Generator().manual_seed(0))
    sigmas = torch.tensor([float(sampling.percent_to_sigma(PERCENT)), 0.0])

    def look(guider, noise, sigmas, options):
        inner = guider.inner_model
        x = inner.model_sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise))
        for number in range(len(conditionings)):
            each = []
            for one in x.split(1):  # some networks mask the texts of one picture alone
                out = comfy.samplers.calc_cond_batch(inner, [guider.conds[str(number)]], one, sigmas[:1], options)
                each.append(out[0].float().cpu())
            seen.append(torch.cat(each))
            tick()

    prepared(model, conditionings, noise, sigmas, look)
    return seen


def shape(model) -> tuple[int, ...]:
    """Of one picture's latents that are looked at, (c, h, w) or (c, 1, h, w)."""
    form, side = model.model.latent_format, SIDES.get(type(checks.network(model)).__name__, SIDE)
    side = getattr(type(model.model.model_config), "trained_side", side)
    return form.latent_channels, *([1] if getattr(form, "latent_dimensions", 2) == 3 else []), side, side


def prepared(model, conditionings, noise, sigmas, use: Callable) -> None:
    """Have the host load a MODEL, in whole or in part, and prepare CONDITIONINGs as for any run, without guards; then
    ``use(guider, noise, sigmas, model options)``, where ``guider.conds`` has them by their numbers: "0", "1" ..."""
    patcher = model.clone()
    rail.detach(patcher)
    guider = comfy.samplers.CFGGuider(patcher)
    guider.inner_set_conds({str(number): conditioning for number, conditioning in enumerate(conditionings)})
    guider.set_cfg(1.0)
    with compiled.uncompiled(patcher), looking.no_picture():
        guider.sample(noise, torch.zeros_like(noise), _Using(use), sigmas, disable_pbar=True, seed=0)


class _Using(comfy.samplers.Sampler):
    """In the host's eyes a sampler."""

    def __init__(self, use: Callable) -> None:
        self.use = use

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        self.use(guider, noise, sigmas, extra_args["model_options"])
        return noise
