"""Discovering directions inside the host: the model comes out untouched, stop keeps the best, seeds repeat."""

import pytest
import torch

from tools.testing import dits, hosting, models
from tools.testing.models import NEGATIVE, OTHER, POSITIVE

pytestmark = pytest.mark.both_hosts


@pytest.fixture(scope="module")
def node(host):
    return hosting.node_classes()["GuardDiscoverDirection"]


def discover(node, model, steps=12, **changes):
    """The node as the host runs it: in inference mode."""
    arguments = dict(
        target=OTHER,
        base=POSITIVE,
        negative=NEGATIVE,
        name="it",
        images=6,
        steps=steps,
        learning_rate=0.1,
        batch_size=4,
        seed=0,
        sampler_name="euler",
        scheduler="normal",
        cfg=3.0,
        sample_steps=2,
        width=64,
        height=64,
    )
    kind = type("Node", (node,), {})
    kind.hidden = hosting.module("nodes.discovery").io.HiddenHolder(**{key: None for key in hidden_names()})
    with torch.inference_mode():
        return kind.execute(model, **{**arguments, **changes}).args


def hidden_names():
    import inspect

    names = list(inspect.signature(hosting.module("nodes.discovery").io.HiddenHolder.__init__).parameters)
    return [name for name in names if name != "self"]


def state(model):
    return {
        name: (value.clone(), value.requires_grad, value.device, value.is_inference(), value.data_ptr())
        for name, value in [*model.model.named_parameters(), *model.model.named_buffers()]
    }


def same(before, after):
    return before.keys() == after.keys() and all(
        torch.equal(before[name][0], after[name][0]) and before[name][1:] == after[name][1:] for name in before
    )


@pytest.mark.parametrize("inference", [False, True])
def test_the_model_comes_out_bit_identical(node, inference, host):
    """With weights as the host's loaders make them (inference tensors), and as other packs may."""
    if inference:
        with torch.inference_mode():
            model = models.sd1()
    else:
        model = models.sd1()
    assert next(model.model.parameters()).is_inference() == inference
    picture, before, objects = models.sample(model), state(model), list(model.model.parameters())
    direction, plot = discover(node, model)
    assert same(before, state(model)) and all(a is b for a, b in zip(objects, model.model.parameters(), strict=True))
    assert torch.equal(picture, models.sample(model))
    assert (
        direction.values.shape == (64, 4, 4) and direction.values.abs().max() > 0 and not direction.values.requires_grad
    )
    assert plot.shape == (1, 360, 640, 3) and plot.min() >= 0 and plot.max() <= 1
    steered = hosting.module("guards.directions.host").steer(model, direction, 1.0)
    assert not torch.equal(picture, models.sample(steered))


def test_the_same_seed_finds_the_same_direction_and_the_loss_falls(node, tiny):
    first, again, other = (discover(node, tiny, steps=20, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.values, again.values) and not torch.equal(first.values, other.values)
    assert first.info["best_step"] > 0 and first.info["steps_done"] == 20
    untrained = discover(node, tiny, steps=1, learning_rate=0.00001)[0]
    assert first.info["best_loss"] < 0.99 * untrained.info["best_loss"]


def test_the_form_for_every_place_size_and_going_on_from_a_direction(node, tiny):
    everywhere = discover(node, tiny, form="one for all places")[0]
    assert everywhere.values.shape == (64,)
    first = discover(node, tiny, steps=10)[0]
    more = discover(node, tiny, steps=1, start=first, learning_rate=0.00001)[0]
    assert torch.allclose(more.values, first.values, atol=1e-4)
    assert discover(node, tiny, steps=1, start=everywhere)[0].values.shape == (64, 4, 4)
    assert discover(node, tiny, steps=1, start=first, form="one for all places")[0].values.shape == (64,)
    assert discover(node, tiny, steps=1, width=96)[0].values.shape == (64, 4, 6)


def test_stop_keeps_the_best_so_far_and_before_training_ends_the_graph(node, tiny, monkeypatch):
    import comfy.model_management

    progress = hosting.module("guards.host.progress").Progress
    original = progress.at

    def stop_at(text):
        def at(self, value, said="", picture=None):
            if said.startswith(text):
                comfy.model_management.interrupt_current_processing()
            original(self, value, said, picture)

        monkeypatch.setattr(progress, "at", at)

    stop_at("step 25 of 1000")
    before = state(tiny)
    direction, _ = discover(node, tiny, steps=1000)
    assert direction.info["steps_done"] == 25 and same(before, state(tiny))
    stop_at("made 4 of 6")
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        discover(node, tiny)
    assert not comfy.model_management.processing_interrupted()


def test_given_latents_are_learnt_from_and_guards_on_the_model_do_not_disturb(node, tiny):
    latents = {"samples": models.noise(tiny, 5, seed=3)}
    plain = discover(node, tiny, latents=latents)[0]
    sld, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    guarded = sld.guard(tiny, pure.PRESETS["max"], models.CONCEPT)
    assert torch.equal(plain.values, discover(node, guarded, latents=latents)[0].values)
    assert plain.info["images"] == 5 and "cfg" not in plain.info and plain.trained_size == 64
    with pytest.raises(ValueError, match="latents has the shape .* 4 channels"):
        discover(node, tiny, latents={"samples": torch.zeros(1, 16, 8, 8)})
    with pytest.raises(ValueError, match="latents holds values that are no finite"):
        discover(node, tiny, latents={"samples": torch.full((1, 4, 8, 8), float("nan"))})


def test_prompts_to_keep_hold_the_direction_back(node, tiny):
    latents = {"samples": models.noise(tiny, 4, seed=3)}
    free, held, loose = (
        discover(node, tiny, steps=20, latents=latents, **changes)[0]
        for changes in (
            {},
            dict(keep=OTHER + NEGATIVE, keep_weight=1000.0),
            dict(keep=OTHER + NEGATIVE, keep_weight=0.0),
        )
    )
    assert held.values.norm() < 0.7 * free.values.norm()
    assert torch.allclose(loose.values, free.values, atol=1e-4)
    assert held.info["keep_weight"] == 1000 and "keep_weight" not in free.info


@pytest.mark.parametrize("family", ["sdxl", "v", "half"])
def test_other_unets_can_be_explored(node, family, host):
    model = {
        "sdxl": models.sdxl,
        "v": lambda: models.sd1("V_PREDICTION"),
        "half": lambda: models.sd1(dtype=torch.bfloat16),
    }[family]()
    conds = {}
    if family == "sdxl":
        conds = {
            name: models.conditioning(seed, pooled=1280) for seed, name in enumerate(("target", "base", "negative"))
        }
    direction = discover(node, model, steps=12, **conds)[0]
    assert direction.values.dtype == torch.float32 and direction.info["best_step"] > 0


def test_what_cannot_be_explored_is_refused_before_anything_is_made(node, tiny, host):
    with pytest.raises(ValueError, match="PixArt has no block where directions"):
        discover(node, dits.build("pixart"))
    for changes, message in (
        (dict(name=" "), "name: give"),
        (dict(steps=0), "steps is 0"),
        (dict(base=[]), "base is empty"),
        (dict(learning_rate=float("nan")), "learning_rate"),
        (dict(batch_size=0), "batch_size"),
        (dict(images=0), "images is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            discover(node, tiny, **changes)


def test_the_preview_shows_one_noise_at_three_strengths(tiny, node, monkeypatch):
    shown = []
    monkeypatch.setattr(
        hosting.module("guards.host.progress"), "pictures", lambda latents, *_: (shown.append(latents), [])[1]
    )
    discover(node, tiny, steps=50)
    latents = [one for one in shown if isinstance(one, torch.Tensor)]
    assert len(latents) == 2 and latents[0].shape == (3, 4, 8, 8)
    assert not torch.equal(latents[1][0], latents[1][2]) and torch.isfinite(latents[1]).all()


def test_the_record_names_the_prompts_behind_the_sockets():
    graph = {
        "1": {"inputs": {"text": "a photo of a woman", "clip": ["9", 1]}},
        "2": {"inputs": {"conditioning": ["1", 0]}},
        "3": {"inputs": {"target": ["2", 0], "base": ["4", 0], "negative": "x"}},
        "4": {"inputs": {"again": ["4", 0]}},
    }
    behind = hosting.module("guards.graph").text_behind
    assert behind(graph, "3", "target") == "a photo of a woman"
    assert (
        behind(graph, "3", "base")
        == behind(graph, "3", "negative")
        == behind(graph, "3", "nothing")
        == behind(None, None, "x")
        == ""
    )
