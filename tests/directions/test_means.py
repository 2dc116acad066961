"""Discovering directions in transformers by gradient, and everywhere as a difference of means."""

import pytest
import torch

from tools.testing import dits, hosting, models
from tools.testing.sampling import close

pytestmark = pytest.mark.both_hosts
ARGUMENTS = dict(
    name="it",
    images=4,
    steps=6,
    learning_rate=0.1,
    batch_size=2,
    seed=0,
    sampler_name="euler",
    scheduler="simple",
    cfg=3.0,
    sample_steps=2,
    width=64,
    height=64,
)


def discover(model, name=None, **changes):
    """The node as the host runs it. ``name``: the family in dits.CONFIGS; None is an SD1.x UNet."""
    text = (lambda seed: dits.text(name, seed)) if name else models.conditioning
    conditionings = dict(target=text(3), base=text(1), negative=text(2))
    out = hosting.run_node("GuardDiscoverDirection", model=model, **{**ARGUMENTS, **conditionings, **changes})
    return getattr(out, "args", None) or out.result


@pytest.mark.parametrize("name", ["sd3", "qwen", "lumina", "zimage", "wan"])
def test_a_direction_is_trained_in_a_transformer_that_comes_out_as_it_was(host, name):
    model = dits.build(name)
    before = {key: value.clone() for key, value in model.model.state_dict().items()}
    picture = dits.sample(name, model)
    direction, plot = discover(model, name, steps=12)
    assert all(torch.equal(before[key], value) for key, value in model.model.state_dict().items())
    assert torch.equal(picture, dits.sample(name, model))
    assert direction.block == "double:1" and direction.values.shape == (hosting.module("guards.host.dit").width(model),)
    assert direction.info["best_step"] > 0 and direction.info["method"] == "gradient" and plot.shape == (1, 360, 640, 3)
    assert direction.family == hosting.module("guards.host.checks").family(model) != ""
    steered = hosting.module("guards.directions.host").steer(model, direction, 1.0)
    assert not close(dits.sample(name, steered), picture, 1e-3)


@pytest.mark.parametrize("name", ["flux", "chroma"])
def test_where_the_host_has_no_backward_pass_the_gradient_is_refused_and_means_is_named(host, name):
    model = dits.build(name)
    with pytest.raises(
        ValueError, match="method is gradient, and ComfyUI's (Flux|Chroma) has no backward.*choose method means"
    ):
        discover(model, name)
    discovery = hosting.module("guards.directions.host_discovery")
    allowed, discovery.NO_BACKWARD = discovery.NO_BACKWARD, set()
    try:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):  # else the refusal may go
            discover(model, name)
    finally:
        discovery.NO_BACKWARD = allowed


@pytest.mark.parametrize("name", dits.CONFIGS)
def test_means_is_the_mean_difference_that_the_prompts_make_behind_the_block(host, name):
    """Against a forward hook on the block, at the same noisy latents."""
    model = dits.build(name)
    picture = dits.sample(name, model)
    with dits.ByHook(name, model, 0.0, dits.text(name, 1)) as reading:
        latents = {"samples": dits.noise(name, 2, seed=5)}
        direction, _ = discover(reading.model, name, method="means", steps=3, latents=latents)
    seen = [tokens.double().mean(1) for tokens in reading.seen]
    differences = torch.cat([target - base for target, base in zip(seen[::2], seen[1::2], strict=True)])
    assert len(differences) == 6 and torch.allclose(direction.values.double(), differences.mean(0), atol=1e-5)
    error = (differences.std(0, correction=0).norm() / 6**0.5 / differences.mean(0).norm()).item()
    assert abs(direction.info["best_loss"] - error) < 1e-4 and direction.block == "double:1"
    assert torch.equal(picture, dits.sample(name, model))


def test_means_serves_unets_place_by_place_and_as_one_value_for_all(tiny):
    whole = discover(tiny, method="means")[0]
    one = discover(tiny, method="means", form="one for all places")[0]
    assert whole.values.shape == (64, 4, 4) and whole.block == "middle" and whole.values.abs().max() > 0
    assert torch.allclose(whole.values.mean((1, 2)), one.values, atol=1e-5)
    assert torch.equal(whole.values, discover(tiny, method="means")[0].values)
    assert not torch.equal(whole.values, discover(tiny, method="means", seed=1)[0].values)


def test_what_means_cannot_use_is_refused_by_name(tiny):
    for changes, message in (
        (dict(keep=models.OTHER), "keep is connected, and method means trains nothing"),
        (dict(start=discover(tiny, method="means")[0]), "start is connected"),
        (dict(base=models.conditioning(3)), "target and base are the same prompt.*negative strength"),
    ):
        with pytest.raises(ValueError, match=message):
            discover(tiny, method="means", **changes)


def test_stop_keeps_the_mean_so_far(tiny, monkeypatch):
    import comfy.model_management

    progress = hosting.module("guards.host.progress").Progress
    original = progress.at

    def at(self, value, said="", picture=None):
        if said.startswith("step 3 of 1000"):
            comfy.model_management.interrupt_current_processing()
        original(self, value, said, picture)

    monkeypatch.setattr(progress, "at", at)
    direction, _ = discover(tiny, method="means", steps=1000)
    assert direction.info["steps_done"] in (3, 4)
    assert not comfy.model_management.processing_interrupted()


def test_the_block_goes_into_the_file_and_comes_out_again(tmp_path):
    formula, files = hosting.module("guards.directions.formula"), hosting.module("guards.directions.files")
    direction = formula.Direction("it", torch.randn(8), "flux", 1024, {"method": "means"}, "double:9")
    path = tmp_path / "it.safetensors"
    path.write_bytes(files.content(direction))
    again = files.load(str(path))
    assert again.block == "double:9" and torch.equal(again.values, direction.values)
    assert formula.combine(again, direction).block == "double:9"
    with pytest.raises(ValueError, match="belongs to the block double:9, b .it. to middle"):
        formula.combine(again, formula.Direction("it", torch.randn(8), "flux"))
    path.write_bytes(files.content(formula.Direction("it", torch.randn(8), "flux", 0, {}, "single:3")))
    with pytest.raises(ValueError, match="'single:3' is no block that can be steered: middle and double"):
        files.load(str(path))
