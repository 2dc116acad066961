"""What the model itself makes of a few texts: one evaluation each, near pure noise, where the prompt decides what will be drawn.

How far a text's prediction lies from the empty text's, measured by how far the concept's does, tells whether the model has anything
definite in mind; how far it lies from the concept's, whether it is another thing.
"""

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
    patcher = model.clone()
    rail.detach(patcher)
    sampling, form = model.get_model_object("model_sampling"), model.model.latent_format
    side = SIDES.get(type(checks.network(model)).__name__, SIDE)
    side = getattr(type(model.model.model_config), "trained_side", side)
    shape = (form.latent_channels, *([1] if getattr(form, "latent_dimensions", 2) == 3 else []), side, side)
    noise = torch.randn(PICTURES, *shape, generator=torch.Generator().manual_seed(0))
    sigmas = torch.tensor([float(sampling.percent_to_sigma(PERCENT)), 0.0])
    guider = comfy.samplers.CFGGuider(patcher)
    guider.inner_set_conds({str(number): conditioning for number, conditioning in enumerate(conditionings)})
    guider.set_cfg(1.0)
    sampler = _Look(len(conditionings), tick)
    with compiled.uncompiled(patcher), looking.no_picture():
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=0)
    return sampler.seen


class _Look(comfy.samplers.Sampler):
    """In the host's eyes a sampler, so that it loads the model, in whole or in part, and prepares the conditionings as for any run."""

    def __init__(self, count: int, tick) -> None:
        self.count, self.tick, self.seen = count, tick, []

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        inner = guider.inner_model
        x = inner.model_sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise))
        for number in range(self.count):
            each = []
            for one in x.split(1):  # some networks mask the texts of one picture alone
                out = comfy.samplers.calc_cond_batch(
                    inner, [guider.conds[str(number)]], one, sigmas[:1], extra_args["model_options"]
                )
                each.append(out[0].float().cpu())
            self.seen.append(torch.cat(each))
            self.tick()
        return noise
