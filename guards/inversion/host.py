"""Feedback inversion in the host: the vectors of a new word are trained through the loaded text encoder and the loaded UNet."""

import comfy.model_management
import comfy.samplers
import torch

from ..host import checks
from ..training import host as training
from ..training import loop
from . import formula as inversion

MARK = "*"  # stands for one vector while a template is tokenized; a single token of CLIP's vocabulary
ENCODERS = ("l", "g", "h")  # CLIP-L (SD1.x, SDXL), CLIP-G (SDXL), CLIP-H (SD2.x)


def widths(clip):
    """Encoder -> width of its token vectors. Raises ValueError for text encoders that are no CLIP."""
    keys = [key for key in clip.tokenize("") if key in ENCODERS]
    if not keys or len(keys) != len(clip.tokenize("")):
        raise ValueError(
            "clip is not the text encoder of an SD1.x, SD2.x or SDXL model: learnt words work with CLIP text encoders only. "
            "Use such a model, or Safe Latent Diffusion with the concept in plain words."
        )
    return {
        key: getattr(clip.cond_stage_model, f"clip_{key}").transformer.get_input_embeddings().weight.shape[1]
        for key in keys
    }


def tokens_with(clip, vectors, template="{token}"):
    """The template's tokens with vectors in place of ``{token}``. ``vectors``: encoder -> (n, width)."""
    count = len(next(iter(vectors.values())))
    if template.count("{token}") != 1 or MARK in template:
        raise ValueError(f"template is {template!r}: it must hold {{token}} once, and no {MARK}.")
    mark = {key: clip.tokenize(MARK)[key][0][1][0] for key in vectors}
    tokens = clip.tokenize(template.replace("{token}", f" {' '.join([MARK] * count)} "))
    placed = {}
    for key, chunks in tokens.items():
        if sum(entry[0] == mark[key] for chunk in chunks for entry in chunk) != count:
            raise ValueError(f"template is {template[:80]!r}: {{token}} must stand apart from other letters and signs.")
        rows = iter(vectors[key])
        placed[key] = [
            [(next(rows), *entry[1:]) if entry[0] == mark[key] else entry for entry in chunk] for chunk in chunks
        ]
    return placed


def encode(clip, vectors, template="{token}"):
    """CONDITIONING of the template with gradients to ``vectors``.

    The host's CLIP layers add in place, which autograd refuses for tensors it has saved: so it saves copies, but for the weights
    themselves. (Weights cast for a layer are copied as well: they may lie in a buffer that the next layer uses.)
    """
    weights = {value.untyped_storage().data_ptr() for value in clip.cond_stage_model.parameters()}

    def keep(tensor):
        return tensor if tensor.untyped_storage().data_ptr() in weights else tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        return clip.encode_from_tokens_scheduled(tokens_with(clip, vectors, template))


def start_vectors(clip, count, text=""):
    """(count, sum of widths) to begin with: the vectors of ``text``'s words, or the mean of the vocabulary."""
    parts = []
    for key in widths(clip):
        encoder = getattr(clip.cond_stage_model, f"clip_{key}")
        table = encoder.transformer.get_input_embeddings().weight.detach()
        special = set(encoder.special_tokens.values())
        ids = [
            entry[0]
            for entry in clip.tokenize(text)[key][0]
            if entry[0] not in special and not torch.is_tensor(entry[0])
        ]
        rows = (
            table[torch.tensor(ids, device=table.device)].float().cpu()
            if ids
            else table.float().mean(0, keepdim=True).cpu()
        )
        parts.append(rows[torch.arange(count) % len(rows)])
    return training.ordinary(torch.cat(parts, 1))


def split(sizes, values):
    """One tensor (n, sum of widths) as encoder -> (n, width). ``sizes``: what ``widths`` says of the CLIP."""
    return dict(zip(sizes, values.split(list(sizes.values()), 1), strict=True))


def invert(
    model,
    clip,
    empty,
    latents,
    rewards,
    settings,
    start,
    contrast_weight=0.0,
    on_step=lambda done, result, preview: None,
) -> loop.Result:
    """Train a word's vectors on rated pictures. Returns a loop.Result whose values are (n, sum of widths).

    ``latents``: (n, c, h, w) in the model's own scale; ``rewards``: (n,) in 0..1; ``empty``: CONDITIONING of the empty prompt; ``start``:
    vectors to begin with. ``on_step(done, result, preview)`` may raise the host's interruption: the best so far is then the result;
    ``preview()`` samples three noises with the word: latents (3, c, h, w). Model and CLIP come out as they were.
    """
    checks.conditioning(empty, "empty prompt")
    shown, missing = inversion.weights(rewards)
    sizes, result = widths(clip), None

    def train(denoise, device):
        sampling, kind = model.get_model_object("model_sampling"), training.prediction(model)
        sigmas, pictures = sampling.sigmas.to(device), training.ordinary(latents)

        def error(values, x0, noise, times, word=True):
            x0, noise, sigma = x0.to(device), noise.to(device), sigmas[times.to(device)]
            text = encode(clip, split(sizes, values)) if word else None
            x = loop.add_noise(x0, noise, sigma, kind == "flow")
            return loop.errors(denoise(x, sigma, conditioning=text), x0, sigma, kind)

        def watch(done, latest):
            nonlocal result
            result = latest
            comfy.model_management.throw_exception_if_processing_interrupted()
            on_step(
                done,
                latest,
                lambda: _preview(denoise, clip, sampling, latest.values.to(device), latents, settings.seed),
            )

        task = loop.Task(loop.Examples(pictures, len(sigmas), settings.seed, shown), error)
        counters = []
        if contrast_weight and float(missing.sum()):
            examples = loop.Examples(pictures, len(sigmas), settings.seed + 1, missing)
            counters = [
                inversion.counter_task(examples, error, lambda *parts: error(*parts, word=False), contrast_weight)
            ]
        loop.fit_vector(task, counters, start, settings, device, watch, training.is_half(model))

    training.check(model, "Invert Feedback", clip)
    with (
        training.stoppable("Invert Feedback", lambda: result is not None),
        training.trainable(model) as model,
        training.trainable_clip(clip) as clip,
    ):
        training.run(model, {"positive": empty}, latents[: settings.batch_size], train, [clip.patcher])
    assert result is not None  # else the run ended with an error, which has been raised
    return result


def _preview(denoise, clip, sampling, values, latents, seed, steps=12, cfg=5.0):
    """Latents (3, c, h, w) that the word draws: plain Euler steps."""
    with torch.no_grad():
        text = encode(clip, split(widths(clip), values))
        sigmas = comfy.samplers.simple_scheduler(sampling, steps).to(values)
        noise = torch.randn(3, *latents.shape[1:], generator=torch.Generator().manual_seed(seed)).to(values)

        def guided(x, sigma):
            without = denoise(x, sigma)
            return without + cfg * (denoise(x, sigma, conditioning=text) - without)

        return training.euler(sampling, sigmas, noise, guided).cpu()


def encode_pictures(model, vae, feedback, batch=8):
    """The feedback's pictures as latents (n, c, h, w) in the model's own scale; all take the size of the first."""
    height, width = feedback.picture(0).shape[:2]
    rows = []
    for at in range(0, len(feedback), batch):
        comfy.model_management.throw_exception_if_processing_interrupted()
        rows.append(
            vae.encode(feedback.images(range(at, min(at + batch, len(feedback))), (width, height))).float().cpu()
        )
    latents = model.model.process_latent_in(torch.cat(rows))
    checks.latents(model, latents, "feedback's pictures, encoded with vae,")
    return latents
