"""Where a concept lives in a picture: the model looks at the picture with some noise on it, and its cross-attention is read.

No sampling run is needed, so it works for every picture, sampler and scheduler: the picture's latents get the noise of a few
levels, as if a run had come by there, and the model is asked once at each. Maps are added up as they come; none is kept.
"""

import comfy.samplers
import torch

from ..host import attention, checks
from . import formula as inhibitors
from . import heat
from . import host_text as inhibitor_text


class _Look(comfy.samplers.Sampler):
    """Asks the model once at every noise level."""

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        sampling = model_wrap.inner_model.model_sampling
        for number, sigma in enumerate(sigmas):
            x = sampling.noise_scaling(sigma, noise, latent_image, False)
            model_wrap(x, sigma.expand(x.shape[0]), **extra_args)
            if callback is not None:
                callback(number, x, x, len(sigmas))
        return latent_image


class _Reader:
    """Adds up what every layer shows of each concept.

    A concept named in the prompt: the attention to its words, by one more fused attention with values that count. Another one:
    how far the prompt's attention points, pixel by pixel, where attention to the concept's own text would.
    """

    def __init__(self, concepts, empty, texts: attention.Texts, size, layers):
        self.concepts, self.empty, self.texts, self.size, self.layers = concepts, empty, texts, size, layers
        self.sums: list[torch.Tensor | None] = [None] * len(concepts)

    def layer(self, number):
        return lambda q, k, v, extra, inner: self._read(number, q, k, v, extra, inner)

    def _read(self, layer, q, k, v, extra, inner):
        out = inner(q, k, v, extra)
        height, width = extra["activations_shape"][-2:]
        fine = height * width >= self.size[0] * self.size[1]
        if self.layers == "all" or (self.layers == "fine") == fine:
            for number, (context, columns) in enumerate(self.concepts):
                share = (
                    self._named(q, k, columns, extra)
                    if context is None
                    else self._implied(layer, q, k, v, context, extra)
                )
                share, total = heat.resize(share.view(-1, height, width), *self.size), self.sums[number]
                self.sums[number] = share if total is None else total + share
        return out

    def _named(self, q, k, columns, extra):
        counting = torch.zeros(1, k.shape[1], extra["n_heads"], extra["dim_head"], device=q.device, dtype=q.dtype)
        counting[:, columns, :, 0] = 1
        share = attention.also(q, k, counting.flatten(2).expand(q.shape[0], -1, -1), extra)
        return share.unflatten(-1, (extra["n_heads"], -1))[..., 0].float().mean(-1)

    def _implied(self, layer, q, k, v, context, extra):
        nothing = self.texts.attend(layer, q, self.empty, extra).float()
        prompt, target = (
            attention.also(q, k, v, extra).float() - nothing,
            self.texts.attend(layer, q, context, extra).float() - nothing,
        )
        return (prompt * target).sum(-1) / target.square().sum((1, 2), keepdim=True)[..., 0].clamp(min=1e-12)


def maps(
    model, clip, text, concepts, samples, levels=5, start_percent=0.3, end_percent=0.9, layers="all", seed=0, tick=None
):
    """(concepts * n, h, w) in 0..1, concept by concept, for latents (n, c, h, w).

    A concept whose words are in ``text`` is looked up there (all its occurrences); another one, as far as the prompt implies it.
    ``start_percent``, ``end_percent``: the noise levels as shares of a run, 0 all noise, 1 none. ``tick(done, total)`` is called after
    every level.
    """
    if not checks.is_unet(model):
        raise NotImplementedError(
            f"Concept Map reads the UNets of SD1.x, SD2.x and SDXL; this is {checks.model_name(model)}. How much of a concept a prompt "
            "holds there, Growth Inhibitor's form aligned says under its node; whether a picture shows it, Score does."
        )
    if start_percent > end_percent:
        raise ValueError(
            f"start_percent is {start_percent}, end_percent {end_percent}: the start must not come after the end."
        )
    if samples.ndim != 4:
        raise ValueError(f"latent is {samples.ndim}-dimensional: Concept Map works on pictures, not on video.")
    checks.latents(model, samples, "latent")
    readings = []  # of each concept: (context, None) or (None, its columns in the prompt)
    for name in inhibitors.split_targets(concepts, "concept"):
        columns = inhibitor_text.positions(clip, text, name)
        readings.append((None, columns) if columns else (inhibitor_text.target(clip, [name]).context, None))
    looking = model.clone()
    guider = comfy.samplers.CFGGuider(looking)
    empty = inhibitor_text.prompt(clip, "")[0][0]
    reader = _Reader(readings, empty, attention.Texts(guider), samples.shape[-2:], layers)
    attention.wrap_cross(looking.model_options["transformer_options"], checks.network(model), reader.layer)
    conditioning = inhibitor_text.prompt(clip, text)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(1.0)
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.tensor(
        [
            float(sampling.percent_to_sigma(p))
            for p in torch.linspace(start_percent, end_percent, levels).clamp(0.0, 0.999).tolist()
        ]
    )
    sigmas = sigmas.clamp(max=float(sampling.sigma_max))
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(seed))
    guider.sample(
        noise,
        samples,
        _Look(),
        sigmas,
        disable_pbar=True,
        seed=seed,
        callback=lambda number, x0, x, total: tick(number + 1, total) if tick is not None else None,
    )
    sums = [total for total in reader.sums if total is not None]
    if not sums:
        raise ValueError(f"No layer of this model is '{layers}': choose layers 'all'.")
    return heat.normalise(torch.cat(sums).cpu())
