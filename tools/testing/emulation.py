"""What graphics cards bring and a processor does not show: emulated on the CPU, for the length of a `with`.

``dynamic_vram``: the host's own ModelPatcherDynamic and casts run, only the C library under them (comfy-aimdo) is replaced by plain
memory. ``shared_buffers``: a partly loaded model of the legacy kind, whose weights arrive in two buffers that every layer uses in turn.
"""

import contextlib
from unittest import mock

import torch

DEVICE = torch.device("cpu", 0)  # not equal to torch.device("cpu"): another device in the host's eyes


class _Vbar:
    """Memory for weights on the card; ``generation`` changes when the card takes it back."""

    def __init__(self, size, index):
        self.generation, self.full = 0, False

    def prioritize(self, *_):
        pass

    def alloc(self, size):
        return self, bytearray(int(size) or 1), int(size)

    def loaded_size(self):
        return 0

    def free_memory(self, size):
        self.generation += 1
        return 0


class _HostBuffer:
    def __init__(self, *_, **__):
        self.size = 0

    def truncate(self, *_, **__):
        pass


def _fault(memory):
    vbar = memory[0]
    return None if vbar.full else vbar.generation.to_bytes(4, "little")


@contextlib.contextmanager
def dynamic_vram():
    """Within it, models that the host's loaders make stream their weights as on a default NVIDIA install."""
    import comfy.memory_management
    import comfy.model_management
    import comfy.model_patcher
    import comfy.ops
    import comfy_aimdo.host_buffer
    import comfy_aimdo.model_vbar
    import comfy_aimdo.torch
    from comfy.cli_args import args

    plain = comfy.ops.cast_bias_weight

    def cast(
        s,
        input=None,
        dtype=None,
        device=None,
        bias_dtype=None,
        offloadable=False,
        compute_dtype=None,
        want_requant=False,
    ):
        """The host's branch for streamed weights; it asks whether the device differs, which no two CPUs do."""
        if not hasattr(s, "_v"):
            return plain(s, input, dtype, device, bias_dtype, offloadable, compute_dtype, want_requant)
        dtype = dtype or input.dtype
        bias_dtype, device = bias_dtype or dtype, device or input.device
        comfy.ops.cast_modules_with_vbar([s], dtype, device, bias_dtype, False)
        weight, bias = comfy.ops.resolve_cast_module_with_vbar(
            s, dtype, device, bias_dtype, compute_dtype, want_requant
        )
        del s._prefetch
        return (weight, bias, (None, device, None)) if offloadable else (weight, bias)

    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (comfy_aimdo.model_vbar, "ModelVBAR", _Vbar),
            (comfy_aimdo.model_vbar, "vbar_fault", _fault),
            (comfy_aimdo.model_vbar, "vbar_unpin", lambda memory: None),
            (comfy_aimdo.model_vbar, "vbar_signature_compare", lambda a, b: a is not None and a == b),
            (comfy_aimdo.model_vbar, "vbars_analyze", lambda *_: 0),
            (comfy_aimdo.host_buffer, "HostBuffer", _HostBuffer),
            (
                comfy_aimdo.torch,
                "aimdo_to_tensor",
                lambda memory, device: torch.frombuffer(memory[1], dtype=torch.uint8),
            ),
            (comfy.model_management, "is_device_cpu", lambda device: False),
            (comfy.model_management, "get_torch_device", lambda: DEVICE),
            (comfy.model_management, "text_encoder_device", lambda: DEVICE),
            (comfy.memory_management, "aimdo_enabled", True),
            (comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcherDynamic),
            (comfy.ops, "cast_bias_weight", cast),
            (args, "disable_pinned_memory", True),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        try:
            yield
        finally:
            comfy.model_management.unload_all_models()


@contextlib.contextmanager
def shared_buffers(novram=False):
    """Within it, models of ``legacy`` are loaded in part (unless a whole load is asked for), the rest comes through shared buffers."""
    import comfy.model_management
    import comfy.ops

    plain, buffers, turn = comfy.ops.cast_bias_weight, [torch.empty(0), torch.empty(0)], [0]

    def cast(s, *args, offloadable=False, **kwargs):
        weight, bias = plain(s, *args, **kwargs)
        if s.comfy_cast_weights:
            turn[0] = 1 - turn[0]
            parts = [part for part in (weight, bias) if part is not None]
            if buffers[turn[0]].numel() < sum(part.numel() for part in parts) or buffers[turn[0]].dtype != weight.dtype:
                with torch.inference_mode(False):
                    buffers[turn[0]] = torch.empty(1 << 20, dtype=weight.dtype)
            placed = []
            for part in parts:
                place = buffers[turn[0]].as_strided(
                    part.shape, part.contiguous().stride(), sum(p.numel() for p in placed)
                )
                placed.append(place.copy_(part))
            weight, bias = placed if bias is not None else (*placed, None)
        return (weight, bias, None) if offloadable else (weight, bias)

    def free(device=None, torch_free_too=False):
        return (1, 1) if torch_free_too else 1

    state = comfy.model_management.VRAMState
    with (
        mock.patch.object(comfy.ops, "cast_bias_weight", cast),
        mock.patch.object(comfy.model_management, "is_device_cpu", lambda device: device != DEVICE),
        mock.patch.object(comfy.model_management, "vram_state", state.NO_VRAM if novram else state.NORMAL_VRAM),
        mock.patch.object(comfy.model_management, "get_free_memory", free),
        mock.patch.object(comfy.model_management, "minimum_inference_memory", lambda: 0),
    ):
        try:
            yield
        finally:
            comfy.model_management.free_memory(1e30, DEVICE)


def legacy(make):
    """A tiny model of ``make()`` as a loader node makes it where there is no dynamic VRAM: under inference mode."""
    import comfy.model_patcher

    with torch.inference_mode():
        return comfy.model_patcher.ModelPatcher(make().model, load_device=DEVICE, offload_device=torch.device("cpu"))


def legacy_clip(make):
    """The same for a CLIP of ``make()``: it takes its place on the card, and others have to make room."""
    import comfy.model_patcher

    with torch.inference_mode():
        clip = make()
        clip.patcher = comfy.model_patcher.ModelPatcher(
            clip.cond_stage_model, load_device=DEVICE, offload_device=torch.device("cpu")
        )
    return clip


def dynamic(make):
    """A tiny model of ``make(disable_dynamic=False)`` as a loader node makes it, and can make again: under inference mode, dynamic."""
    import comfy.memory_management
    import comfy.model_patcher

    def load(disable_dynamic=False):
        with (
            torch.inference_mode(not disable_dynamic),
            mock.patch.object(comfy.memory_management, "aimdo_enabled", False),
        ):
            plain = make()
        kind = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.ModelPatcherDynamic
        return kind(plain.model, load_device=DEVICE, offload_device=torch.device("cpu"))

    patcher = load()
    patcher.cached_patcher_init = (load, ())
    return patcher
