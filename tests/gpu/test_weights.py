"""Partly loaded models, small number types and attention without backward: a training learns the right thing, or refuses by name."""

import contextlib
import functools
import logging

import pytest
import torch

from tools.testing import emulation, hosting, models
from tools.testing.models import CONCEPT, NEGATIVE

from .trainings import adapt, close, discover, distil, invert, picture, stopped_and_failed

KINDS = ["sld", "intervention", "direction", "inhibitor single_pass", "inhibitor paired"]
TRAININGS = {"distil": distil, "discover": discover, "invert": invert}


@pytest.fixture
def plain(host):
    return models.sd1()


@pytest.fixture
def clip(host):
    return models.clip()


@pytest.fixture(scope="module")
def learnt(host):
    """What a training learns on the whole model in float32, made once: ``learnt(train)``."""

    @functools.cache
    def known(train):
        with torch.inference_mode():
            return train(models.sd1(), models.clip())

    return known


@pytest.fixture(scope="module")
def expected(host):
    """The picture that a guard makes on the whole model in float32, made once: ``expected(kind)``."""
    return functools.cache(lambda kind: picture(kind, models.sd1(), models.clip()))


# Of a training's outcome. Adam makes a whole step of a rounding in a gradient near zero, and some processors round by where a tensor
# lies in memory: 0.0045 was seen. Gradients that are wrong are off by far more than this.
SAME = 1e-2


def cosine(a, b):
    a, b = (torch.cat([t.flatten().float() for t in (one[name] for name in sorted(a))]) for one in (a, b))
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def test_sampling_a_partly_loaded_model_is_right_and_its_gradients_are_not(plain):
    """What the emulation is for: without care a training on it goes wrong without a word."""
    rail, training = hosting.module("guards.host.rail"), hosting.module("guards.training.host")
    expected = models.sample(plain)
    with emulation.shared_buffers():
        model = emulation.legacy(models.sd1)
        assert close(models.sample(model), expected)
        assert model.model.model_lowvram and rail and training


@pytest.mark.parametrize("train", [*TRAININGS.values(), adapt])
def test_a_training_on_a_partly_loaded_model_learns_what_it_learns_on_a_whole_one(learnt, clip, train):
    expected = learnt(train)
    with emulation.shared_buffers(), torch.inference_mode():
        model = emulation.legacy(models.sd1)
        before = models.sample(model)
        actual = train(model, clip)
        assert all(close(actual[name], value, SAME) for name, value in expected.items())
        assert torch.equal(models.sample(model), before), "the user's model was changed"


@pytest.mark.parametrize("train", [*TRAININGS.values(), adapt])
def test_a_training_may_be_what_loads_the_model_first(learnt, clip, train):
    expected = learnt(train)
    with emulation.shared_buffers(), torch.inference_mode():
        actual = train(emulation.legacy(models.sd1), clip)
    assert all(close(actual[name], value, SAME) for name, value in expected.items())


def test_a_text_encoder_on_the_same_tight_card_does_not_push_the_model_out(plain, clip):
    """ComfyUI makes room for whatever is loaded, and loads an encoder whenever it encodes; what it unloads loses its LoRAs."""
    apply = hosting.module("guards.distillation.host").apply
    with torch.inference_mode():
        lora = distil(plain)
        expected = invert(apply(plain, lora), clip)[""]
    with emulation.shared_buffers(), torch.inference_mode():
        model, encoder = apply(emulation.legacy(models.sd1), lora), emulation.legacy_clip(models.clip)
        before = models.sample(model)
        assert close(invert(model, encoder)[""], expected, 1e-4)
        assert torch.equal(models.sample(model), before)


@pytest.mark.parametrize("train", TRAININGS.values())
def test_a_training_whose_model_is_unloaded_keeps_what_was_learnt_and_the_model_as_it_was(plain, clip, train, caplog):
    """Another pack frees memory in mid-training; the model has a LoRA, which the host takes out when it unloads."""
    import comfy.model_management

    host_side = hosting.module("guards.distillation.host")

    def unload(done, *_):
        if done == 2:
            comfy.model_management.free_memory(1e30, emulation.DEVICE)

    with torch.inference_mode():
        lora = distil(plain)
    with emulation.shared_buffers(), torch.inference_mode(), caplog.at_level(logging.WARNING):
        model = emulation.legacy(models.sd1)
        bare, guarded = models.sample(model), models.sample(host_side.apply(model, lora))
        train(host_side.apply(model, lora), clip, on_step=unload)
        assert "ran out" in caplog.text
        assert torch.equal(models.sample(model), bare)
        assert torch.equal(models.sample(host_side.apply(model, lora)), guarded)


@pytest.mark.parametrize("train", TRAININGS.values())
def test_a_host_that_may_not_load_the_whole_model_refuses_to_train(clip, train):
    with emulation.shared_buffers(novram=True), torch.inference_mode():
        model = emulation.legacy(models.sd1)
        before = models.sample(model)
        with pytest.raises(ValueError, match="without --novram"):
            train(model, clip)
        assert torch.equal(models.sample(model), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_guard_on_a_partly_loaded_model_makes_the_same_picture(expected, clip, kind):
    wanted = expected(kind)
    with emulation.shared_buffers():
        assert close(picture(kind, emulation.legacy(models.sd1), clip), wanted)


def fp8():
    """Weights in fp8, computed in float32, as the host's --fp8_e4m3fn-unet has them."""
    model = models.sd1()
    model.model.manual_cast_dtype = torch.float32
    for part in model.model.diffusion_model.modules():
        if hasattr(part, "comfy_cast_weights"):
            part.comfy_cast_weights = True
            for value in (part.weight, part.bias):
                if value is not None and value.ndim > 1:
                    value.data = value.data.to(torch.float8_e4m3fn)
    return model


def rounded():
    """The same numbers in float32."""
    model = models.sd1()
    for part in model.model.diffusion_model.modules():
        if hasattr(part, "comfy_cast_weights") and part.weight is not None and part.weight.ndim > 1:
            part.weight.data = part.weight.data.to(torch.float8_e4m3fn).float()
    return model


@pytest.mark.parametrize("train", [*TRAININGS.values(), adapt])
def test_a_training_on_fp8_weights_learns_what_their_numbers_teach(clip, host, train):
    with torch.inference_mode():
        model = fp8()
        before = {name: value.view(torch.uint8).clone() for name, value in model.model.named_parameters()}
        expected, actual = train(rounded(), clip), train(model, clip)
    assert all(close(actual[name], value, 1e-4) for name, value in expected.items())
    assert all(torch.equal(value.view(torch.uint8), before[name]) for name, value in model.model.named_parameters())


@pytest.mark.parametrize("train", [*TRAININGS.values(), adapt])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_training_in_half_precision_goes_the_same_way(learnt, clip, train, dtype):
    expected = learnt(train)
    with torch.inference_mode():
        actual = train(models.sd1(dtype=dtype), clip)
    assert all(bool(torch.isfinite(value).all()) for value in actual.values())
    assert cosine(actual, expected) > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_a_guard_on_fp8_weights_makes_the_picture_of_their_numbers(clip, host, kind):
    assert close(picture(kind, fp8(), clip), picture(kind, rounded(), clip), 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.15), (torch.float16, 0.03)])
def test_a_guard_in_half_precision_makes_nearly_the_same_picture(plain, expected, clip, kind, dtype, tolerance):
    assert close(picture(kind, models.sd1(dtype=dtype), clip), expected(kind), tolerance)
    assert not close(models.sample(plain), expected(kind), 1e-3), "the guard does nothing here: a test of nothing"


def test_quantized_weights_are_guarded_and_refused_before_the_first_step_of_a_training(clip, host):
    model, numbers = models.quantized()
    before = models.sample(model)
    assert any(type(value).__name__ == "QuantizedTensor" for value in model.model.parameters())
    for kind in KINDS:
        assert close(picture(kind, model, clip), picture(kind, numbers, clip), 1e-3), kind
    with torch.inference_mode():
        adapter, expected = adapt(model, clip), adapt(numbers, clip)
        assert all(close(value, expected[name], 1e-2) for name, value in adapter.items())
        for train in TRAININGS.values():
            with pytest.raises(ValueError, match="(?s)quantized.*fp16, bf16 or plain fp8"):
                train(model, clip)
    assert torch.equal(models.sample(model), before)


@pytest.mark.parametrize("train", TRAININGS.values())
def test_training_goes_round_an_attention_without_backward(learnt, plain, clip, train, monkeypatch):
    import comfy.ldm.modules.attention as attention

    class Sage(torch.autograd.Function):
        @staticmethod
        def forward(ctx, q, k, v, heads):
            return attention.attention_pytorch(q, k, v, heads)

        @staticmethod
        def backward(ctx, grad):
            raise AssertionError("no backward")

    @attention.wrap_attn
    def sage(q, k, v, heads, *_, **__):
        return Sage.apply(q, k, v, heads)

    expected = learnt(train)
    with torch.inference_mode():
        monkeypatch.setattr(attention, "optimized_attention", sage)
        actual = train(plain, clip)
    assert all(close(actual[name], value) for name, value in expected.items())


@pytest.mark.parametrize("train", TRAININGS.values())
def test_stop_and_errors_leave_a_partly_loaded_model_as_it_was(clip, train):
    with emulation.shared_buffers(), torch.inference_mode():
        model = emulation.legacy(models.sd1)
        stopped_and_failed(train, model, clip)


def test_out_of_memory_keeps_what_was_learnt_and_says_so(plain, caplog):
    host_side, loop = (hosting.module(f"guards.{name}") for name in ("directions.host_discovery", "training.loop"))
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def step(done, result, preview):
        if done == 6:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        result = host_side.discover(plain, CONCEPT, NEGATIVE, latents, loop.Settings(12, 0.1, 2), on_step=step)
    assert len(result.losses) == 6 and "batch_size" in caplog.text


def test_out_of_memory_at_the_start_names_the_mend(plain):
    training = hosting.module("guards.training.host")
    with pytest.raises(RuntimeError, match="Distil.*batch_size"), training.stoppable("Distil", lambda: False):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_preview_that_fails_does_not_end_the_training(plain, caplog):
    progress = hosting.module("guards.host.progress")

    def preview():
        raise RuntimeError("Expected all tensors to be on the same device")

    with caplog.at_level(logging.WARNING):
        assert progress.glimpse(25, 100, preview, plain) is None
    assert "same device" in caplog.text


def test_a_vae_is_not_loaded_for_a_preview_where_the_model_in_training_would_have_to_make_room(host):
    demo, progress = hosting.module("guards.demo.host"), hosting.module("guards.host.progress")
    vae, latents = demo.load()[2], torch.zeros(1, 24, 12, 12)
    shown = (latents, demo.DemoLatent(), torch.device("cpu"), vae)
    with torch.inference_mode():
        assert len(progress.pictures(*shown)) == 1
    vae.patcher.load_device = emulation.DEVICE
    with emulation.shared_buffers(), torch.inference_mode():
        assert progress.pictures(*shown) == []


def test_stop_during_a_preview_still_stops(plain):
    import comfy.model_management

    def preview():
        raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException), contextlib.suppress(RuntimeError):
        hosting.module("guards.host.progress").glimpse(25, 100, preview, plain)
