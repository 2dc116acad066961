"""The guards and the short trainings that every emulation runs."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE


def close(a, b, tolerance=1e-5):
    return (a - b).norm() <= tolerance * b.norm()


def picture(kind, model, clip):
    """Latents that the model makes under a guard of this kind."""
    positive = POSITIVE
    if kind == "sld":
        pure = hosting.module("guards.sld.formula")
        model = hosting.module("guards.sld.host").guard(model, pure.PRESETS["max"], CONCEPT)
    elif kind == "intervention":
        model, positive = hosting.module("guards.intervention.host").guard(model, POSITIVE, OTHER, 0.5)
    elif kind == "direction":
        pure = hosting.module("guards.directions.formula")
        values = torch.randn(64, 2, 2, generator=torch.Generator().manual_seed(3))
        model = hosting.module("guards.directions.host").steer(model, pure.Direction("it", values, "sd1", 64, {}), 2.0)
    else:
        guard = hosting.module("guards.inhibitors.host").guard
        model, positive, *_ = guard(model, clip, "a dog", "dog", -2.0, kind.split()[1], variant="words")
    return models.sample(model, positive)


def nothing(*_):
    """After each step."""


def distil(model, clip=None, start=None, on_step=nothing):
    host_side, pure = hosting.module("guards.distillation.host"), hosting.module("guards.distillation.formula")
    settings = pure.Settings(3, 1e-2, 2, 4, average=0.5, sample_steps=3)
    return host_side.to_lora(host_side.distil(model, CONCEPT, NEGATIVE, (4, 8, 8), settings, start, on_step).changes)


def discover(model, clip=None, on_step=nothing):
    host_side, loop = hosting.module("guards.directions.host_discovery"), hosting.module("guards.training.loop")
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    settings = loop.Settings(12, 0.1, 2)
    return {"": host_side.discover(model, POSITIVE, NEGATIVE, latents, settings, on_step=on_step).values}


def invert(model, clip, on_step=nothing):
    host_side, loop = hosting.module("guards.inversion.host"), hosting.module("guards.training.loop")
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    rewards = torch.tensor([1.0, 0.9, 0.1, 0.0])
    start = host_side.start_vectors(clip, 1)
    settings = loop.Settings(12, 0.01, 2)
    result = host_side.invert(model, clip, NEGATIVE, latents, rewards, settings, start, on_step=on_step)
    return {"": result.values}


def adapt(model, clip, on_step=nothing):
    """What Train Adapter makes of labels that are known."""
    host_side = hosting.module("guards.inhibitors.host_training")
    settings = dict(images=1, size=64, epochs=20, cfg=3.0)
    lines = "a dog | -1.5\na cat | 0\nthe dog | -2"
    adapter, *_ = host_side.train(model, clip, None, lines, "dog", "labels", tick=on_step, **settings)
    return adapter.state_dict()


def stopped_and_failed(train, model, clip):
    """Stop keeps what was learnt, an error comes out as it is; the model samples the same after both."""
    import comfy.model_management

    def ending(error):
        def step(done, *_):
            if done == 2:
                raise error

        return step

    before = models.sample(model)
    assert train(model, clip, on_step=ending(comfy.model_management.InterruptProcessingException()))
    assert torch.equal(models.sample(model), before)
    with pytest.raises(ZeroDivisionError):
        train(model, clip, on_step=ending(ZeroDivisionError()))
    assert torch.equal(models.sample(model), before)
