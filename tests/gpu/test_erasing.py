"""Erase Concept where weights are streamed, loaded in part, small or quantized: the same edit, or one as near as they allow."""

import pytest
import torch

from tools.testing import emulation, hosting, models

from .test_weights import fp8, rounded
from .trainings import close


@pytest.fixture
def clip(host):
    return models.clip()


def erased(model, clip):
    """(the edited MODEL, the edit's tensors)"""
    erasing = hosting.module("guards.erasing.host")
    settings = erasing.Settings("gun -> banana", templates="{}\na {}", keep="a dog\na tree")
    with torch.inference_mode():
        return erasing.apply(model, erasing.erase(model, clip, settings), 1.0)


def same(actual, expected, tolerance):
    return actual.keys() == expected.keys() and all(
        close(value, expected[name], tolerance) for name, value in actual.items()
    )


def test_streamed_weights_are_edited_as_whole_ones_before_and_after_sampling(clip):
    plain = models.sd1()
    edited, expected = erased(plain, clip)
    picture = models.sample(edited)
    assert not close(models.sample(plain), picture, 1e-3), "the edit does nothing here: a test of nothing"
    with emulation.dynamic_vram():
        dynamic = emulation.dynamic(models.sd1)
        assert dynamic.is_dynamic()
        before = models.sample(dynamic)
        streamed, lora = erased(dynamic, clip)
        assert same(lora, expected, 1e-5)
        assert close(models.sample(streamed), picture, 1e-4)
        twice, more = erased(streamed, clip)  # the weights now carry a patch while they are streamed
        assert same(more, erased(edited, clip)[1], 1e-4) and len(twice.patches) == len(streamed.patches)
        assert torch.equal(models.sample(dynamic), before), "the user's model was changed"


def test_partly_loaded_weights_are_edited_as_whole_ones(clip):
    edited, expected = erased(models.sd1(), clip)
    picture = models.sample(edited)
    with emulation.shared_buffers():
        model = emulation.legacy(models.sd1)
        before = models.sample(model)
        part, lora = erased(model, clip)
        assert same(lora, expected, 1e-5)
        assert close(models.sample(part), picture, 1e-4)
        assert torch.equal(models.sample(model), before)


def test_fp8_and_quantized_weights_are_edited_by_their_numbers(clip):
    _, expected = erased(rounded(), clip)
    small = fp8()
    before = models.sample(small)
    edited, lora = erased(small, clip)
    assert same(lora, expected, 1e-5)
    assert not close(models.sample(edited), before, 1e-3) and torch.equal(models.sample(small), before)
    quantized, numbers = models.quantized()
    before = models.sample(quantized)
    edited, lora = erased(quantized, clip)
    plain, expected = erased(numbers, clip)
    assert same(lora, expected, 1e-3)
    assert close(models.sample(edited), models.sample(plain), 0.1)  # the sum is rounded to fp8 once more
    assert torch.equal(models.sample(quantized), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_edited_nearly_alike(clip, dtype):
    _, expected = erased(models.sd1(), clip)
    _, lora = erased(models.sd1(dtype=dtype), clip)
    assert same(lora, expected, 0.02)
