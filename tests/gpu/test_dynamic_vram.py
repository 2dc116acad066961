"""Under dynamic VRAM, the host's default on NVIDIA: guards sample as ever, trainings learn as ever, the user's model stays as it was."""

import pytest
import torch

from tools.testing import emulation, hosting, models

from .trainings import adapt, close, discover, distil, invert, picture, stopped_and_failed


@pytest.fixture
def plain(host):
    """A model with whole weights, made before dynamic VRAM is on: what it gives is right."""
    return models.sd1()


@pytest.fixture
def clip(host):
    return models.clip()


@pytest.fixture
def streamed(plain, clip):
    with emulation.dynamic_vram():
        yield lambda: emulation.dynamic(models.sd1)


@pytest.mark.parametrize("kind", ["sld", "intervention", "direction", "inhibitor single_pass", "inhibitor paired"])
def test_a_guard_makes_the_picture_that_it_makes_on_whole_weights(plain, clip, streamed, kind):
    dynamic = streamed()
    assert dynamic.is_dynamic() and not plain.is_dynamic()
    expected, actual = (picture(kind, model, clip) for model in (plain, dynamic))
    assert close(actual, expected)
    assert not close(actual, models.sample(dynamic), 1e-3), "the guard does nothing here: a test of nothing"


@pytest.mark.parametrize("train", [distil, discover, invert, adapt])
def test_a_training_after_sampling_learns_what_it_learns_on_whole_weights(plain, clip, streamed, train):
    with torch.inference_mode():
        expected = train(plain, clip)
        dynamic = streamed()
        before = models.sample(dynamic)
        actual = train(dynamic, clip)
        assert actual.keys() == expected.keys()
        assert all(close(actual[name], value, 1e-4) for name, value in expected.items())
    assert torch.equal(models.sample(dynamic), before), "the user's model was changed"


@pytest.mark.parametrize("train", [distil, discover, invert])
def test_stop_and_errors_leave_the_users_model_as_it_was(clip, streamed, train):
    with torch.inference_mode():
        stopped_and_failed(train, streamed(), clip)


def test_going_on_from_a_lora_leaves_the_users_model_alone(streamed):
    with torch.inference_mode():
        dynamic = streamed()
        first = distil(dynamic)
        before = models.sample(dynamic)
        distil(dynamic, start=first)
    assert torch.equal(models.sample(dynamic), before)


def test_a_training_learns_under_the_models_own_lora(plain, streamed):
    """The second model that the host loads has the LoRAs of the first."""
    with torch.inference_mode():
        lora = distil(plain)
        host_side = hosting.module("guards.distillation.host")
        expected = discover(host_side.apply(plain, lora))[""]
        assert close(discover(host_side.apply(streamed(), lora))[""], expected, 1e-4)
        assert not close(discover(streamed())[""], expected, 1e-2), "the LoRA does nothing here: a test of nothing"


@pytest.mark.parametrize("node", ["Distil", "Discover", "Invert"])
def test_a_model_that_cannot_be_loaded_again_is_refused_before_the_first_step(clip, streamed, node):
    model = streamed()
    model.cached_patcher_init = None
    with torch.inference_mode(), pytest.raises(ValueError, match=rf"{node}.*--disable-dynamic-vram"):
        {"Distil": distil, "Discover": discover, "Invert": invert}[node](model, clip)


def test_the_demo_model_loads_samples_and_trains(streamed):
    demo = hosting.module("guards.demo.host")
    with torch.inference_mode():
        model, clip, vae = demo.load()
        assert model.is_dynamic() and clip.patcher.is_dynamic()
        text = clip.encode_from_tokens_scheduled(clip.tokenize("a beer"))
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        made = models.sample(model, text, empty)
        assert vae.decode(made).shape == (1, 96, 96, 3)
        host_side, loop = hosting.module("guards.inversion.host"), hosting.module("guards.training.loop")
        pictures, rewards = (
            torch.randn(2, 24, 12, 12, generator=torch.Generator().manual_seed(1)),
            torch.tensor([1.0, 0.0]),
        )
        start = host_side.start_vectors(clip, 1)
        result = host_side.invert(model, clip, empty, pictures, rewards, loop.Settings(2, 0.01, 1), start)
        assert result.losses and not torch.equal(result.values, start)
        assert torch.equal(models.sample(model, text, empty), made)
