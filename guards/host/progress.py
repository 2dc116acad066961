"""What a long node shows while it works: its bar, a line of text, a picture now and then; and that it heeds the stop button."""

import logging
import sys

import comfy.model_management
import comfy.utils
import latent_preview
import numpy as np
import torch
from PIL import Image

from .. import looking

PREVIEWS = 8


def running_server():
    """The running server; None where the host is used without one. It is not imported: who runs a server has it."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def under_node(node):
    """A function of a text that the front end shows under ``node`` while the graph runs; without a server it does nothing."""

    def show(text):
        if node is None:
            return
        send = getattr(running_server(), "send_progress_text", None)  # without a server nobody looks
        if send is not None:
            send(text, node)

    return show


def executing():
    """The id of the node that runs now, for `under_node`; None outside a graph."""
    context = getattr(sys.modules.get("comfy_execution.utils"), "get_executing_context", lambda: None)()
    return getattr(context, "node_id", None)


class Progress:
    """``at(3)`` moves the bar to 3 of ``total``. Raises the host's interruption when the user has pressed stop."""

    def __init__(self, total, node_id=None):
        self.total, self.say = total, under_node(node_id)
        self.bar = comfy.utils.ProgressBar(total)

    def at(self, value, text="", picture=None):
        """``text``: one line shown on the node. ``picture``: a PIL image, shown as a preview."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.bar.update_absolute(
            value, self.total, ("JPEG", picture, max(picture.size)) if picture is not None else None
        )
        if text:
            self.say(text)


class Bar:
    """Progress whose total is known when it is first called, with (done, total)."""

    def __init__(self):
        self._progress = None

    def __call__(self, done, total):
        self._progress = self._progress or Progress(total)
        self._progress.at(done)


def pictures(latents, latent_format, device, vae=None):
    """Latents (n, c, h, w), in the model's own scale, as quick PIL pictures: by the host's previewer, else by ``vae``; else none."""
    previewer = latent_preview.get_previewer(device, latent_format)
    if previewer is not None:
        latents = latents.to(device)  # the host's decoders lie there
        return [previewer.decode_latent_to_preview_image("JPEG", latent[None])[1] for latent in latents]
    if vae is None or not _fits(vae, latents):
        return []
    decoded = vae.decode(latent_format.process_out(latents)).float().clamp(0, 1).cpu().numpy()
    return [Image.fromarray((image * 255).astype(np.uint8)) for image in decoded]


def _fits(vae, latents):
    """Whether the VAE decodes these without ComfyUI unloading another model, such as the one in training, to make room."""
    management, needed = comfy.model_management, vae.memory_used_decode(latents.shape, vae.vae_dtype)
    if management.is_device_cpu(vae.patcher.load_device):
        return True
    weights = vae.patcher.model_size() - vae.patcher.loaded_size()
    room = max(management.minimum_inference_memory(), needed + management.extra_reserved_memory())
    return management.get_free_memory(vae.patcher.load_device) > 1.1 * weights + room


def glimpse(done, steps, preview, model, vae=None):
    """A strip of what ``preview()`` samples (latents), some eight times in a training of ``steps``; None at the other steps, and where a
    policy watches: no guard stands before what is being learnt."""
    if looking.is_watched():
        return None
    if not done or done % max(steps // PREVIEWS, 25):
        return None
    try:
        with torch.no_grad():
            latents = preview()
        with torch.inference_mode():  # as nodes run: what is loaded here is for them too
            return strip(pictures(latents, model.model.latent_format, model.load_device, vae))
    except comfy.model_management.InterruptProcessingException:
        raise
    except Exception as error:  # a preview is no reason to lose a training
        logging.warning("No preview: %s", error)
        return None


def strip(images):
    """PIL pictures side by side; None if there are none."""
    if not images:
        return None
    joined = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    at = 0
    for image in images:
        joined.paste(image, (at, 0))
        at += image.width
    return joined
