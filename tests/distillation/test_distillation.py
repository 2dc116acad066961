"""Safe self-distillation inside the host: loss and gradient as an independent computation has them, and a LoRA that the host applies."""

import pytest
import torch

from tools.testing import hosting, models, twins
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE

pytestmark = pytest.mark.both_hosts


def distil(model, steps=6, concepts=CONCEPT, start=None, on_step=lambda *_: None, keep=(), **changes):
    host_side, pure = hosting.module("guards.distillation.host"), hosting.module("guards.distillation.formula")
    settings = pure.Settings(
        **{**dict(steps=steps, learning_rate=1e-2, batch_size=2, rank=4, average=0.5, sample_steps=4), **changes}
    )
    with torch.inference_mode():
        return host_side.distil(model, concepts, NEGATIVE, (4, 8, 8), settings, start, on_step, keep)


def lora_of(result):
    return hosting.module("guards.distillation.host").to_lora(result.changes)


def test_loss_and_gradient_are_those_of_an_independent_computation(host):
    """diffusers' UNet with the changed weights written in, and autograd, on the same random weights."""
    pair = twins.Twins(twins.NARROW, 16, 16)
    host_side, pure, training, discovery = (
        hosting.module(f"guards.{name}")
        for name in ("distillation.host", "distillation.formula", "training.host", "training.loop")
    )
    generator = torch.Generator().manual_seed(4)
    x, time = torch.randn(2, 4, 16, 16, generator=generator), 400
    concept, empty = (twins.text(words, twins.NARROW.context) for words in ("a beer", ""))
    layers = host_side.parameters(pair.model)
    changes = {
        name: pure.Change(getattr(layer, key).shape, 4, generator, "cpu") for name, (layer, key) in layers.items()
    }
    for change in changes.values():
        with torch.no_grad():
            change.student[0].normal_(0, 0.05, generator=generator)

    from_diffusers = {
        ours.removesuffix(".weight").removesuffix(".bias"): theirs for theirs, ours in names(pair).items()
    }
    theirs = dict(pair.unet.named_parameters())
    kept = {}
    for name, change in changes.items():
        path, kind = name.rsplit(".", 1)
        other = f"{from_diffusers[path].rsplit('.', 1)[0]}.{kind}"
        kept[name] = theirs[other].detach().clone(), other
        with torch.no_grad():
            theirs[other].add_(change.value("student"))
        theirs[other].requires_grad_(True)
    scaled = x / (1 + float(pair.model.model.model_sampling.sigmas[time]) ** 2) ** 0.5
    try:
        with torch.no_grad():
            target = pair.unet(scaled, time, encoder_hidden_states=empty.expand(2, -1, -1)).sample
        loss = (
            (pair.unet(scaled, time, encoder_hidden_states=concept.expand(2, -1, -1)).sample - target).square().mean()
        )
        loss.backward()
        expected = {name: theirs[other].grad.clone() for name, (_, other) in kept.items()}
    finally:
        for value, other in kept.values():
            theirs[other].requires_grad_(False)
            with torch.no_grad():
                theirs[other].copy_(value)
            theirs[other].grad = None

    found = {}

    def train(denoise, device):
        sigma = pair.model.model.model_sampling.sigmas[time].expand(2)
        with host_side.changed(host_side.parameters(pair.model), changes, "student"):
            with torch.no_grad():
                target = denoise(x, sigma, "empty")
            found["loss"] = discovery.errors(denoise(x, sigma, "concept"), target, sigma, "eps").mean()
            found["loss"].backward()

    training.run(pair.model, {"empty": [[empty, {}]], "concept": [[concept, {}]]}, x, train)
    assert abs(float(found["loss"].detach()) / float(loss.detach()) - 1) <= 1e-4
    for name, change in changes.items():
        up_gradient = expected[name] @ change.student[1].detach().T if len(change.student) == 2 else expected[name]
        assert twins.error(change.student[0].grad, up_gradient) <= 1e-4, name


def names(pair):
    import comfy.utils

    table = comfy.utils.unet_to_diffusers(pair.model.model.model_config.unet_config)
    return {theirs: ours for theirs, ours in table.items() if "attn2" in theirs}


@pytest.mark.parametrize("rank", [0, 4])
def test_the_model_comes_out_as_it_was_and_the_lora_makes_the_guarded_one(tiny, rank):
    host_side = hosting.module("guards.distillation.host")
    before = {name: (value.clone(), value.requires_grad) for name, value in tiny.model.named_parameters()}
    objects, picture = list(tiny.model.parameters()), models.sample(tiny, CONCEPT)
    result, again = distil(tiny, rank=rank), distil(tiny, rank=rank)
    lora = lora_of(result)
    assert all(torch.equal(value, lora_of(again)[key]) for key, value in lora.items())
    assert all(
        torch.equal(value, before[name][0]) and value.requires_grad == before[name][1]
        for name, value in tiny.model.named_parameters()
    )
    assert all(a is b for a, b in zip(objects, tiny.model.parameters(), strict=True))
    assert torch.equal(picture, models.sample(tiny, CONCEPT))
    guarded = host_side.apply(tiny, lora)
    with torch.inference_mode(), host_side.changed(host_side.parameters(tiny), result.changes, "teacher"):
        expected = models.sample(tiny, CONCEPT)
    actual = models.sample(guarded, CONCEPT)
    assert (actual - expected).norm() / expected.norm() <= 1e-5 and not torch.equal(actual, picture)
    assert all("attn2" in key for key in lora)
    assert torch.equal(picture, models.sample(tiny, CONCEPT))  # and the patches do not leak


def test_the_concept_comes_to_mean_what_the_empty_prompt_means_and_an_earlier_run_goes_on(tiny):
    host_side = hosting.module("guards.distillation.host")

    def distance(model):
        """Of what one step makes of the concept and of the empty prompt."""
        with_it, without = (models.sample(model, prompt, steps=1, cfg=1.0) for prompt in (CONCEPT, NEGATIVE))
        return float((with_it - without).norm())

    lora = lora_of(distil(tiny, steps=40, learning_rate=4e-3, sample_steps=2))
    learnt = distance(host_side.apply(tiny, lora))
    assert learnt < 0.9 * distance(tiny)
    more = lora_of(distil(tiny, steps=1, learning_rate=1e-8, start=lora))
    assert abs(distance(host_side.apply(tiny, more)) - learnt) < 0.02 * learnt
    with pytest.raises(ValueError, match="start holds no change of this model's"):
        distil(tiny, start={"something.else": torch.zeros(1)})


def test_kept_prompts_stay_and_the_concept_still_goes(tiny):
    host_side = hosting.module("guards.distillation.host")

    def moved(**options):
        """How far the training moves what one step makes of the concept and of the other prompt."""
        guarded = host_side.apply(tiny, lora_of(distil(tiny, steps=20, learning_rate=4e-3, sample_steps=2, **options)))
        return [
            float(
                (
                    models.sample(guarded, prompt, steps=1, cfg=1.0) - models.sample(tiny, prompt, steps=1, cfg=1.0)
                ).norm()
            )
            for prompt in (CONCEPT, OTHER)
        ]

    (concept, other), (held_concept, held_other) = moved(), moved(keep=OTHER, keep_weight=4.0)
    assert held_other < 0.6 * other and held_other / held_concept < 0.8 * other / concept
    without, weightless = lora_of(distil(tiny)), lora_of(distil(tiny, keep=OTHER, keep_weight=0.0))
    assert all(torch.equal(value, weightless[key]) for key, value in without.items())


def test_it_takes_the_memory_of_one_pass_and_the_change(host):
    from tools.measuring.bench import peak_memory

    host_side, training = hosting.module("guards.distillation.host"), hosting.module("guards.training.host")
    pair = twins.Twins(twins.NARROW, 16, 16)
    concept, empty, other = ([[twins.text(words, twins.NARROW.context), {}]] for words in ("a beer", "", "a dog"))

    def one_pass(*_):
        def train(denoise, device):
            denoise(
                torch.randn(1, 4, 16, 16).requires_grad_(True), torch.tensor([3.0]), "concept"
            ).square().mean().backward()

        training.run(pair.model, {"concept": concept}, torch.zeros(1, 4, 16, 16), train)

    def training_run(keep):
        settings = hosting.module("guards.distillation.formula").Settings(steps=2, rank=4, sample_steps=2)
        with torch.inference_mode():
            return host_side.distil(pair.model, concept, empty, (4, 16, 16), settings, keep=keep)

    change = sum(part.nbytes for change in training_run(()).changes.values() for part in change.student)
    weights = sum(value.nbytes for value in pair.model.model.diffusion_model.parameters())
    allowed = (
        peak_memory(one_pass) + 5 * change + 0.1 * weights
    )  # the change, its gradient, the optimiser's two, the teacher
    for keep in ((), other):
        assert peak_memory(lambda *_: training_run(keep)) <= allowed  # noqa: B023


def test_several_concepts_in_both_readings_of_the_roles(tiny):
    readme, code = (lora_of(distil(tiny, concepts=CONCEPT + OTHER, roles=roles)) for roles in ("readme", "code"))
    assert any(not torch.equal(readme[key], code[key]) for key in readme)
    roles = hosting.module("guards.distillation.formula").roles
    assert [roles("readme", step, 2) for step in (0, 1, 2)] == [
        ("concept 0", "all"),
        ("concept 1", "all"),
        ("concept 0", "all"),
    ]
    assert roles("code", 1, 2) == ("all", "concept 1") and roles("code", 5, 1) == roles("readme", 5, 1) == (
        "concept 0",
        "concept 0",
    )


def test_stop_keeps_what_has_been_learnt_and_nothing_else_changes(tiny):
    import comfy.model_management

    picture = models.sample(tiny)

    def stop(done, result, preview):
        if done == 3:
            assert preview().shape == (3, 4, 8, 8)
            comfy.model_management.interrupt_current_processing()

    result = distil(tiny, steps=500, on_step=stop)
    assert 3 <= len(result.losses) <= 4 and torch.equal(picture, models.sample(tiny))

    def at_once(done, result, preview):
        comfy.model_management.interrupt_current_processing()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        distil(tiny, on_step=at_once)


def test_the_teacher_follows_the_student_and_the_steps_are_drawn_as_published():
    import random

    pure = hosting.module("guards.distillation.formula")
    change = pure.Change(torch.Size([3, 5]), 2, torch.Generator().manual_seed(0), "cpu")
    assert torch.equal(change.value("student"), torch.zeros(3, 5)) and change.value("teacher").shape == (3, 5)
    with torch.no_grad():
        change.student[0] += 1
    change.follow(0.9)
    assert torch.allclose(change.teacher[0], torch.full((3, 2), 0.1))
    draw = random.Random(0)
    uniform, middle = ([pure.stop_step(kind, 50, draw) for _ in range(4000)] for kind in pure.TIMES)
    assert set(uniform) == set(range(50)) and abs(sum(uniform) / 4000 - 24.5) < 1
    assert sum(15 <= step < 35 for step in middle) > 0.6 * 4000 > sum(15 <= step < 35 for step in uniform)


def test_models_without_cross_attention_blocks_are_refused_by_name(host):
    with pytest.raises(ValueError, match="Flux has no UNet with cross-attention.*Safe Latent Diffusion"):
        hosting.module("guards.distillation.host").parameters(models.flux())
    with pytest.raises(ValueError, match="concept is empty"):
        distil(models.sd1(), concepts=[])


def test_sdxl_can_be_distilled(host):
    model = models.sdxl()
    pooled = [models.conditioning(seed, pooled=1280) for seed in (1, 2)]
    host_side, pure = hosting.module("guards.distillation.host"), hosting.module("guards.distillation.formula")
    settings = pure.Settings(3, 1e-2, 1, 4, 0.5, 4)
    with torch.inference_mode():
        result = host_side.distil(model, pooled[0], pooled[1], (4, 8, 8), settings)
    assert len(result.losses) == 3 and POSITIVE is not None
