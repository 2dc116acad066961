"""From rated pictures to a saved word: the whole of an inversion, as its node shows it."""

import json
from dataclasses import replace

import torch

from ..host.progress import Progress, glimpse
from ..training import host as training
from ..training.plot import loss_plot
from . import host as inversion
from . import host_token


def run(model, clip, vae, feedback, name, tokens, settings, contrast, start_text="", overwrite=False, node=None):
    """(the word as it stands in prompts, the losses' plot as IMAGE): trained on ``feedback``, saved as ``name``, shown under ``node``.

    ``tokens``: how many vectors; ``settings``: of the training, ``batch_size`` at most; ``contrast``: what pictures rated low count;
    ``start_text``: words to begin from. Raises ValueError or FileExistsError, naming the input, before anything long begins.
    """
    inversion.widths(clip)
    training.check(model, "Invert Feedback")
    path = host_token.path_for(name, overwrite)
    progress = Progress(settings.steps, node)
    progress.at(0, "encoding the rated pictures")
    latents = inversion.encode_pictures(model, vae, feedback)
    settings = replace(settings, batch_size=min(settings.batch_size, len(latents)))

    def show(done, result, preview):
        loss = f"loss {result.validation[-1][1]:.5g} (best {result.best:.5g} at step {result.best_step})"
        picture = glimpse(done, settings.steps, preview, model, vae)
        progress.at(done, f"step {done} of {settings.steps}, {loss}", picture)

    rewards = torch.as_tensor(feedback.rewards, dtype=torch.float32)
    empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    start = inversion.start_vectors(clip, tokens, start_text)
    result = inversion.invert(model, clip, empty, latents, rewards, settings, start, contrast, show)
    record = {
        "pictures": len(latents),
        "tokens": tokens,
        "steps": settings.steps,
        "steps_done": len(result.losses),
        "learning_rate": settings.learning_rate,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "contrast": contrast,
        "best_step": result.best_step,
    }
    host_token.save(path, clip, result.values, {"concept": feedback.concept, "settings": json.dumps(record)})
    return f"embedding:{name.strip()}", loss_plot(name.strip(), result)
