"""Training inside the host: gradients through a loaded model that comes out untouched."""

import contextlib

import comfy.model_management
import comfy.model_sampling
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import torch

from ..host import rail


@contextlib.contextmanager
def gradients():
    """Within it autograd works although the host runs nodes in inference mode."""
    in_training = getattr(comfy.model_management, "in_training", None)
    with torch.inference_mode(False), torch.enable_grad():
        if in_training is None:  # older hosts
            yield
            return
        comfy.model_management.in_training = True  # switches off in-place shortcuts of some models
        try:
            yield
        finally:
            comfy.model_management.in_training = in_training


@contextlib.contextmanager
def ordinary_weights(module):
    """Within it no parameter or buffer of ``module`` is an inference tensor, which autograd refuses, and none asks for gradients.

    Nothing is copied: each is replaced by an ordinary tensor on the same memory, and put back afterwards.
    """
    replaced = []
    try:
        for part in module.modules():
            for table in (part._parameters, part._buffers):
                for name, old in table.items():
                    if old is None or not (old.is_inference() or old.requires_grad):
                        continue
                    new = torch.empty(0, dtype=old.dtype, device=old.device)
                    new.set_(old.untyped_storage(), old.storage_offset(), old.size(), old.stride())
                    replaced.append((table, name, old))
                    table[name] = torch.nn.Parameter(new, requires_grad=False) if table is part._parameters else new
        yield
    finally:
        for table, name, old in reversed(replaced):
            table[name] = old


def ordinary(value):
    """A copy of a (nested) value whose tensors are no inference tensors."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: ordinary(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [ordinary(entry) for entry in value]
    return value


@contextlib.contextmanager
def stoppable(node, enough):
    """Stop ends the training and not the graph, once ``enough()``; a gradient that is no number is an error of ``node`` with its mend."""
    try:
        yield
    except comfy.model_management.InterruptProcessingException:
        if not enough():
            raise
    except FloatingPointError as error:
        raise ValueError(f"{node} stopped: {error}. Lower learning_rate, or use a model in fp32 or bf16.") from error


def euler(sampling, sigmas, noise, predict):
    """Latents after plain Euler steps (DDIM) from pure ``noise`` down ``sigmas``; ``predict(x, sigma (n,))`` gives what is denoised."""
    x = sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise), True)
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        denoised = predict(x, sigma.expand(len(x)))
        x = denoised + (x - denoised) * (following / sigma)
    return x


class _Loop(comfy.samplers.Sampler):
    """In the host's eyes a sampler: so the host loads the model and prepares the conditionings as for any run."""

    def __init__(self, train):
        self.train = train

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        options = extra_args["model_options"]

        def denoise(x, sigma, role="positive", patches=None, conditioning=None):
            roles = (role,) if isinstance(role, str) else role
            entries = guider.conds[roles[0]]
            if conditioning is not None:  # made in this very step
                entries = comfy.sampler_helpers.convert_cond(conditioning)
                entries = comfy.samplers.encode_model_conds(
                    guider.inner_model.extra_conds, entries, x, x.device, "positive"
                )
            transformer = dict(options["transformer_options"])
            present = transformer.get("patches", {})
            transformer["patches"] = {
                **present,
                **{name: [*new, *present.get(name, [])] for name, new in (patches or {}).items()},
            }
            out = comfy.samplers.calc_cond_batch(
                guider.inner_model,
                [entries, *(guider.conds[other] for other in roles[1:])],
                x,
                sigma,
                {**options, "transformer_options": transformer},
            )
            return out[0] if isinstance(role, str) else out

        with ordinary_weights(guider.inner_model):
            self.train(denoise, noise.device)
        return noise


def run(model, conditionings, latents, train):
    """Call ``train(denoise, device)`` with the model loaded.

    ``denoise(x, sigma, role="positive", patches=None, conditioning=None)`` is the model's denoised prediction (n, c, h, w) for latents
    at noise levels ``sigma`` (n,), with gradients; ``role`` names one of ``conditionings``, a dict of CONDITIONINGs, unless another
    ``conditioning`` is given; a tuple of roles gives a list of predictions from one batch; ``patches`` (name -> functions, as in
    transformer_options) hold for this call. ``latents``: a tensor of the shape that ``denoise`` will be called with. Guards on the model
    are left out. The model comes out as it was, however this ends.
    """
    patcher = model.clone()
    patcher.model_options.get("transformer_options", {}).pop(rail.KEY, None)
    with gradients():
        guider = comfy.samplers.CFGGuider(patcher)
        guider.inner_set_conds({role: ordinary(conditioning) for role, conditioning in conditionings.items()})
        guider.set_cfg(1.0)
        shape = torch.zeros(latents.shape)
        guider.sample(shape, torch.zeros_like(shape), _Loop(train), torch.ones(2), disable_pbar=True, seed=0)


def make_images(
    model, positive, negative, count, width, height, sampler, scheduler, steps, cfg, seed, on_images, chunk=8
):
    """Latents (count, c, height / 8, width / 8) on the CPU in the model's own scale, sampled by the host. Each picture's noise depends
    on its own seed. ``on_images(done)`` is called after every batch and may raise to stop."""
    base, factor = model.model, latent_scale(model)
    shape = (base.latent_format.latent_channels, height // factor, width // factor)
    latents = []
    for at in range(0, count, chunk):
        noise = torch.stack(
            [
                torch.randn(shape, generator=torch.Generator().manual_seed(seed + i))
                for i in range(at, min(at + chunk, count))
            ]
        )
        sampled = comfy.sample.sample(
            model,
            noise,
            steps,
            cfg,
            sampler,
            scheduler,
            positive,
            negative,
            torch.zeros_like(noise),
            disable_pbar=True,
            seed=seed + at,
        )
        latents.append(base.process_latent_in(sampled.float().cpu()))
        on_images(min(at + chunk, count))
    return torch.cat(latents)


def latent_scale(model):
    """Pixels to a latent's place."""
    return getattr(model.model.latent_format, "spacial_downscale_ratio", 8)


def prediction(model):
    """What a model predicts, in the words of ``training.loop``: eps, v or flow."""
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.CONST):
        return "flow"
    return "v" if isinstance(sampling, comfy.model_sampling.V_PREDICTION) else "eps"
