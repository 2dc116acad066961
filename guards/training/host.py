"""Training inside the host: gradients through a loaded model that comes out untouched.

Where the host streams weights (dynamic VRAM, its default on NVIDIA; partly loaded models elsewhere), autograd would save buffers that
the next layer overwrites. So a training has the whole model on the device: a second one, loaded anew, where the user's is dynamic.
"""

import contextlib
import logging
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from .. import looking, seeds
from ..host import compiled, rail

# Times the host's estimate for sampling, which knows nothing of what backward keeps (SD1.5 in fp16, 512: 0.7 GiB a picture).
TRAINING_MEMORY = 6


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
                    if old is None or not _frozen(old):
                        continue
                    new = torch.empty(0, dtype=old.dtype, device=old.device)
                    new.set_(old.untyped_storage(), old.storage_offset(), old.size(), old.stride())
                    new = torch.nn.Parameter(new, requires_grad=False) if table is part._parameters else new
                    replaced.append((table, name, old, new))
                    table[name] = new
        yield
    finally:
        for table, name, old, new in reversed(replaced):
            # Unless the host has put another weight there or moved it: the old one would be a LoRA's, or lie on the card.
            if table[name] is new and new.data_ptr() == old.data_ptr():
                table[name] = old


def _frozen(tensor):
    """Whether autograd would refuse a tensor, or collect gradients for it: it was made or moved in inference mode, or is being trained."""
    if tensor.is_inference() or tensor.requires_grad:
        return True
    try:
        tensor._version  # noqa: B018 - inference tensors that were moved outside inference mode have none
    except RuntimeError:
        return True
    return False


def check(model, node, clip=None):
    """Refuse, before anything long begins, a model (and text encoder) through which nothing can be learnt.

    Raises ValueError naming ``node``, the input and the mend.
    """
    inputs = [("model", model, "Load Diffusion Model")]
    if clip is not None:
        inputs.append(("clip", clip.patcher, "Load CLIP"))
    for name, patcher, loader in inputs:
        if any(type(value).__name__ == "QuantizedTensor" for value in _weights(patcher.model)):
            raise ValueError(
                f"{node}: the weights of this {name} are quantized (scaled FP8, NVFP4, INT8), and nothing can be learnt through "
                "them. Load the same model in fp16, bf16 or plain fp8 for the training; what it learns fits the quantized one as well."
            )
        if _is_dynamic(patcher) and patcher.cached_patcher_init is None:
            raise ValueError(
                f"{node}: the loader of this {name} gives no way to load it a second time, which training needs under ComfyUI's "
                f"dynamic VRAM. Use ComfyUI's own Load Checkpoint or {loader}, or start ComfyUI with --disable-dynamic-vram."
            )


def _weights(module):
    return (value for part in module.modules() for value in part._parameters.values() if value is not None)


def _is_dynamic(patcher):
    """Whether the host streams this model's weights (0.16.3 and later know ``is_dynamic``)."""
    return getattr(patcher, "is_dynamic", lambda: False)()


@contextlib.contextmanager
def trainable(model):
    """A patcher of ``model``, with its LoRAs and options, whose weights stay in place while autograd works; ordinary mode within.

    A model under dynamic VRAM is loaded a second time, and let go afterwards; every other is shared, and comes out as it was.
    """
    with gradients():
        patcher = model.clone(disable_dynamic=True) if _is_dynamic(model) else model
        try:
            yield patcher
        finally:
            if patcher is not model:
                _unload(patcher)


def _unload(patcher):
    unload = getattr(comfy.model_management, "unload_model_and_clones", None)  # older hosts collect it by themselves
    if unload is not None:
        unload(patcher)


@contextlib.contextmanager
def trainable_clip(clip):
    """The same for a CLIP, whose patcher is then for ``run`` to load ``beside`` the model.

    Encoding with it loads nothing: the host would make room for it at every step, and take the model off the card to get it.
    """
    dynamic = _is_dynamic(clip.patcher)
    with gradients():
        ours = clip.clone(disable_dynamic=True) if dynamic else clip.clone()
        ours.cond_stage_model = ours.patcher.model
        ours.load_model = lambda tokens=None: ours.patcher
        try:
            yield ours
        finally:
            if dynamic:
                _unload(ours.patcher)


def is_half(model):
    """Whether the model computes in fp16, whose smallest number is 6e-8: gradients need scaling there."""
    return model.model.get_dtype_inference() == torch.float16


def ordinary(value: Any) -> Any:
    """A copy of a (nested) value whose tensors are no inference tensors."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: ordinary(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [ordinary(entry) for entry in value]
    return value


OUT_OF_MEMORY = "the memory of the graphics card ran out. Take a smaller batch_size or smaller pictures, and close what else uses it."


class Unloaded(RuntimeError):
    """The host took weights off the card in the middle of a training."""


@contextlib.contextmanager
def stoppable(node, enough):
    """Stop and a lack of memory end the training and not the graph, once ``enough()``.

    Else both are errors, as is a gradient that is no number: of ``node``, with the mend.
    """
    try:
        yield
    except comfy.model_management.InterruptProcessingException:
        if not enough():
            raise
    except FloatingPointError as error:
        raise ValueError(f"{node} stopped: {error}. Lower learning_rate, or use a model in fp32 or bf16.") from error
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        if not enough():
            raise RuntimeError(f"{node}: {OUT_OF_MEMORY}") from error
        logging.warning("%s: %s What was learnt until then is kept.", node, OUT_OF_MEMORY)


def _is_out_of_memory(error):
    if isinstance(error, Unloaded):
        return True
    is_oom = getattr(comfy.model_management, "is_oom", None)  # older hosts know the class only
    return is_oom(error) if is_oom else isinstance(error, comfy.model_management.OOM_EXCEPTION)


def euler(sampling, sigmas, noise, predict):
    """Latents after plain Euler steps (DDIM) from pure ``noise`` down ``sigmas``; ``predict(x, sigma (n,))`` gives what is denoised."""
    x = sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise), True)
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        denoised = predict(x, sigma.expand(len(x)))
        x = denoised + (x - denoised) * (following / sigma)
    return x


class _Loop(comfy.samplers.Sampler):
    """In the host's eyes a sampler: so the host loads the model and prepares the conditionings as for any run."""

    def __init__(self, train, beside):
        self.train, self.beside = train, beside

    def sample(
        self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        options = extra_args["model_options"]
        loaded = [guider.inner_model, *self.beside]
        if any(getattr(model, "model_lowvram", False) for model in loaded):
            raise ValueError(
                "Training needs the whole model on the graphics card, and ComfyUI was told to keep a part of it elsewhere. Start it "
                "without --novram and --lowvram, or use a smaller model."
            )

        placed = _places(loaded)

        def denoise(x, sigma, role="positive", patches=None, conditioning=None):
            if _places(loaded) != placed:
                raise Unloaded("ComfyUI unloaded the model in the middle of a training")
            roles = (role,) if isinstance(role, str) else role
            entries = guider.conds[roles[0]]
            if conditioning is not None:  # made in this very step
                entries = comfy.sampler_helpers.convert_cond(conditioning)
                entries = comfy.samplers.encode_model_conds(
                    guider.inner_model.extra_conds, entries, x, x.device, "positive"
                )
            transformer = dict(options["transformer_options"])
            if patches is not None:
                patches(transformer)
            out = comfy.samplers.calc_cond_batch(
                guider.inner_model,
                [entries, *(guider.conds[other] for other in roles[1:])],
                x,
                sigma,
                {**options, "transformer_options": transformer},
            )
            return out[0] if isinstance(role, str) else out

        with contextlib.ExitStack() as stack:
            for model in loaded:
                stack.enter_context(ordinary_weights(model))
            self.train(denoise, noise.device)
        return noise


def _places(models):
    """What changes when the host moves weights of these models or takes their LoRAs out."""
    return [
        (getattr(model, "device", None), getattr(model, "model_lowvram", None), model.current_weight_patches_uuid)
        for model in models
    ]


def _load_whole(executor, model, noise_shape, *args, **kwargs):
    """PREPARE_SAMPLING: no part of the model stays behind, and other models make room for what backward keeps.

    In inference mode, as nodes load: weights that come from there and are moved outside are neither kind, and fail in the next run.
    """
    kwargs["force_full_load"] = True
    with torch.inference_mode():
        return executor(model, [noise_shape[0] * TRAINING_MEMORY, *noise_shape[1:]], *args, **kwargs)


def _with_backward(function, *args, **kwargs):
    """Attention during a training: SageAttention and its like have no backward."""
    return attention_pytorch(*args, **kwargs)


def run(model, conditionings, latents, train, beside=()):
    """Call ``train(denoise, device)`` with the model (of ``trainable``) loaded whole, and the patchers ``beside`` with it.

    ``denoise(x, sigma, role="positive", patches=None, conditioning=None)`` is the model's denoised prediction (n, c, h, w) for latents
    at noise levels ``sigma`` (n,), with gradients; ``role`` names one of ``conditionings``, a dict of CONDITIONINGs, unless another
    ``conditioning`` is given; a tuple of roles gives a list of predictions from one batch; ``patches(options)`` may put
    its own, for this call, into a shallow copy of the transformer options. ``latents``: a tensor of the shape that ``denoise`` will be
    called with. Guards on the model are left out. The model comes out as it was, however this ends.
    """
    patcher = model.clone()
    options = patcher.model_options.setdefault("transformer_options", {})
    rail.detach(patcher)
    options["optimized_attention_override"] = _with_backward
    add_wrapper_with_key(
        WrappersMP.PREPARE_SAMPLING, rail.KEY, _load_whole, patcher.model_options, is_model_options=True
    )
    if beside:
        patcher.set_additional_models(rail.KEY, list(beside))
    with gradients():
        guider = comfy.samplers.CFGGuider(patcher)
        guider.inner_set_conds({role: ordinary(conditioning) for role, conditioning in conditionings.items()})
        guider.set_cfg(1.0)
        shape = torch.zeros(latents.shape)
        with compiled.uncompiled(patcher), looking.no_picture():
            guider.sample(
                shape,
                torch.zeros_like(shape),
                _Loop(train, [other.model for other in beside]),
                torch.ones(2),
                disable_pbar=True,
                seed=0,
            )


def make_images(
    model, positive, negative, count, width, height, sampler, scheduler, steps, cfg, seed, on_images, chunk=8
):
    """Latents (count, c, height / 8, width / 8) on the CPU in the model's own scale, sampled by the host; (count, c, 1, ...), one frame,
    of models that make videos. Each picture's noise depends on its own seed. ``on_images(done)`` is called after every batch and may raise
    to stop."""
    base, factor = model.model, latent_scale(model)
    frames = (1,) if base.latent_format.latent_dimensions == 3 else ()
    shape = (base.latent_format.latent_channels, *frames, height // factor, width // factor)
    latents = []
    for at in range(0, count, chunk):
        noise = torch.stack(
            [torch.randn(shape, generator=seeds.generator(seed + i)) for i in range(at, min(at + chunk, count))]
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
            seed=seeds.wrap(seed + at),
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
