"""Directions in the real host: on the rows of the positive prompt alone, whatever samples them."""

import pytest
import torch

from tools.testing import dits, hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import beside, close, guider, sld, windows

pytestmark = pytest.mark.both_hosts
CHANNELS, SIZE = 64, 4


def a_direction(seed=1, scale=0.5, shape=(CHANNELS, SIZE, SIZE), name="it", family="sd1"):
    values = scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return hosting.module("guards.directions.formula").Direction(name, values, family, 64)


def steer(model, direction=None, strength=1.0, start=0.0, end=1.0):
    return hosting.module("guards.directions.host").steer(model, direction or a_direction(), strength, start, end)


class ByText:
    """The model with the direction added another way: by a forward hook, to the rows that carry the positive prompt's text."""

    def __init__(self, model, values, text=POSITIVE):
        from comfy.patcher_extension import WrappersMP

        self.values, self.text, self.rows = values, text[0][0], None
        self.model, self.steered = model.clone(), 0
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "by text", self._look)

    def _look(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs):
        self.rows = [torch.equal(row[:77], self.text[0].to(row)) for row in c_crossattn]
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    def _add(self, module, inputs, output):
        self.steered += sum(self.rows)
        return output + torch.tensor(self.rows).view(-1, 1, 1, 1) * self.values

    def __enter__(self):
        self.handle = self.model.model.diffusion_model.middle_block[-1].register_forward_hook(self._add)
        return self

    def __exit__(self, *_):
        self.handle.remove()


@pytest.mark.parametrize("kind", ["cfg", "dual", "nested", "perp", "basic"])
def test_every_guider_is_steered_on_the_positive_rows_alone(tiny, kind):
    direction = a_direction()
    out = models.guided(guider(kind, steer(tiny, direction)), batch=2)
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.guided(guider(kind, reference.model), batch=2), 1e-5)
    assert reference.steered == 4 * 2


@pytest.mark.parametrize("cfg", [1.0, 7.0])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_sampler_node_is_steered_with_and_without_guidance(tiny, cfg, batch):
    direction = a_direction()
    out = models.sample(steer(tiny, direction), cfg=cfg, batch=batch)
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(reference.model, cfg=cfg, batch=batch), 1e-5)
    assert not close(out, models.sample(tiny, cfg=cfg, batch=batch))


@pytest.mark.parametrize("name", ["PAG", "SAG", "NAG", "RescaleCFG", "APG"])
def test_nested_and_rescaled_guidance_sees_the_steered_prompt(tiny, name):
    direction = a_direction()
    out = models.sample(beside(name, steer(tiny, direction)))
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(beside(name, reference.model)), 1e-4)


def test_the_direction_comes_before_the_patches_of_others_on_the_same_block(tiny):
    direction = a_direction()
    out = models.sample(steer(beside("FreeU", tiny), direction))
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(beside("FreeU", reference.model)), 1e-5)


def test_the_direction_is_added_beside_the_controlnets_term(tiny):
    direction = a_direction()
    positive = [[t, {**o, "control": models.control(), "control_apply_to_uncond": True}] for t, o in POSITIVE]
    out = models.sample(steer(tiny, direction), positive)
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(reference.model, positive), 1e-5)
    assert not close(out, models.sample(steer(tiny, direction)))


def test_beside_safe_latent_diffusion_the_concepts_row_is_not_steered(tiny):
    direction = a_direction()
    with ByText(tiny, direction.values) as reference:
        expected = models.sample(sld(reference.model))
    assert close(models.sample(sld(steer(tiny, direction))), expected, 1e-4)
    assert close(models.sample(steer(sld(tiny), direction)), expected, 1e-4)


def test_beside_prompt_intervention_whichever_prompt_drives_the_step_is_steered(tiny):
    intervention = hosting.module("guards.intervention.host")
    direction = a_direction()
    model, positive = intervention.guard(steer(tiny, direction), POSITIVE, OTHER, 0.5)
    out = models.sample(model, positive)
    with ByText(tiny, direction.values) as first, ByText(tiny, direction.values, OTHER) as second:
        model, positive = intervention.guard(first.model, POSITIVE, OTHER, 0.5)
        second.model = model.clone()
        from comfy.patcher_extension import WrappersMP

        second.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "by text too", second._look)
        expected = models.sample(second.model, positive)
    assert close(out, expected, 1e-5)
    assert (first.steered, second.steered) == (2, 2)


def test_areas_and_split_batches_are_steered_by_role(tiny, monkeypatch):
    direction = a_direction()
    left = [[POSITIVE[0][0], {**POSITIVE[0][1], "area": (8, 4, 0, 0), "strength": 1.0, "set_area_to_bounds": False}]]
    whole = models.sample(steer(tiny, direction), left + POSITIVE)
    monkeypatch.setattr(type(tiny), "get_free_memory", lambda *_: 0)
    assert close(whole, models.sample(steer(tiny, direction), left + POSITIVE), 1e-4)
    out = models.sample(steer(tiny, direction))
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(reference.model), 1e-5)


def test_steers_add_up_in_any_order_to_one_combined_direction(tiny):
    a, b = a_direction(1, name="a"), a_direction(2, name="b")
    combine = hosting.module("guards.directions.formula").combine
    one = models.sample(steer(tiny, combine(a, b, 0.7, -0.4)))
    assert close(one, models.sample(steer(steer(tiny, a, 0.7), b, -0.4)), 1e-5)
    assert close(one, models.sample(steer(steer(tiny, b, -0.4), a, 0.7)), 1e-5)


def test_strength_zero_and_an_empty_range_are_the_same_model_object(tiny):
    assert steer(tiny, strength=0) is tiny
    assert steer(tiny, start=0.4, end=0.4) is tiny


@pytest.mark.parametrize(
    "start, end, steered", [(0.0, 1.0, 4), (0.0, 0.4, 2), (0.5, 1.0, 2), (0.35, 0.6, 0), (0.7, 0.9, 0)]
)
def test_the_range_counts_in_the_hosts_percents_of_the_schedule(tiny, start, end, steered, monkeypatch):
    """Four steps of `normal` stand at 0, 0.33, 0.67 and 1 of the schedule. A range between two of them steers none."""
    kind = hosting.module("guards.directions.host").Steer
    original, seen = kind.steer, []
    monkeypatch.setattr(kind, "steer", lambda self, *a: seen.append(original(self, *a)) or seen[-1])
    guarded = models.sample(steer(tiny, start=start, end=end))
    assert sum(addition is not None for addition in seen) == steered
    assert torch.equal(guarded, models.sample(tiny)) == (steered == 0)


def test_the_range_is_that_of_another_node_s_noise_levels_from_the_first_run_on(host):
    """ModelSamplingContinuousEDM's are in the model only once a run has begun."""
    from comfy_extras import nodes_model_advanced

    node = nodes_model_advanced.ModelSamplingContinuousEDM()
    model = node.patch(steer(models.sd1(), end=0.5), "v_prediction", 120.0, 0.002)[0]
    first, again = (models.sample(model, steps=6) for _ in range(2))
    assert torch.equal(first, again)


def test_a_range_the_wrong_way_round_is_refused_by_name(tiny):
    with pytest.raises(ValueError, match="start_percent is 0.8 and end_percent 0.2.*Swap"):
        steer(tiny, start=0.8, end=0.2)


def test_image_to_image_is_steered_as_the_hook_says(tiny):
    direction, latent = a_direction(), models.noise(tiny, seed=9)
    out = models.sample(steer(tiny, direction), latent=latent, denoise=0.5)
    with ByText(tiny, direction.values) as reference:
        assert close(out, models.sample(reference.model, latent=latent, denoise=0.5), 1e-5)


def test_no_call_is_added_and_the_direction_is_moved_once_a_run(tiny, monkeypatch):
    module = hosting.module("guards.directions.host")
    original, moves = module.fitted, []
    monkeypatch.setattr(module, "fitted", lambda *a: moves.append(a) or original(*a))
    rows = models.Rows(steer(tiny))
    models.sample(rows.model, steps=6)
    assert [n for n, _ in rows.calls] == [2] * 6
    assert len(moves) == 1


def test_other_picture_sizes_resample_the_direction_and_its_own_size_does_not(tiny, host):
    import comfy.sample

    fitted = hosting.module("guards.directions.formula").fitted
    direction = a_direction()
    assert torch.equal(fitted(direction.values, SIZE, SIZE)[0], direction.values)

    def wide(model):
        x = torch.randn(1, 4, 16, 24, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            return comfy.sample.sample(
                model, x, 2, 7.0, "euler", "normal", POSITIVE, NEGATIVE, torch.zeros_like(x), disable_pbar=True, seed=0
            )

    assert not close(wide(steer(tiny, direction)), wide(tiny))
    everywhere = a_direction(shape=(CHANNELS,))
    out = wide(steer(tiny, everywhere))
    with ByText(tiny, everywhere.values.view(1, -1, 1, 1)) as reference:
        assert close(out, wide(reference.model), 1e-5)


def test_what_cannot_be_steered_is_refused_by_its_name(tiny, host):
    with pytest.raises(ValueError, match="PixArt has no block where directions.*Safe Latent Diffusion"):
        steer(dits.build("pixart"))
    with pytest.raises(ValueError, match=r"direction \(it\) has 32 channels.* has 64"):
        steer(tiny, a_direction(shape=(32, 4, 4), family=""))
    with pytest.raises(ValueError, match="found on sdxl models, this is Stable Diffusion 1"):
        steer(tiny, a_direction(family="sdxl"))


def test_sdxl_and_half_precision_weights_are_steered(host):
    model = models.sdxl()
    positive, negative = (models.conditioning(seed, pooled=1280) for seed in (1, 2))
    sdxl = a_direction(family="sdxl")
    with ByText(model, sdxl.values, positive) as reference:
        expected = models.sample(reference.model, positive, negative)
    assert close(models.sample(steer(model, sdxl), positive, negative), expected, 1e-5)
    half, single = models.sd1(dtype=torch.bfloat16), models.sd1()
    direction = a_direction(scale=2.0)
    changes = [models.sample(steer(m, direction), steps=2) - models.sample(m, steps=2) for m in (half, single)]
    assert close(*changes, 0.2)


def test_an_interrupted_run_leaves_nothing_behind(tiny):
    import comfy.model_management

    guarded = steer(tiny)
    expected, plain = models.sample(guarded), models.sample(tiny)

    def stop(step, x0, x, total):
        comfy.model_management.interrupt_current_processing()
        comfy.model_management.throw_exception_if_processing_interrupted()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        models.sample(guarded, callback=stop)
    assert torch.equal(expected, models.sample(guarded)) and torch.equal(plain, models.sample(tiny))
    assert "output_block_patch" not in guarded.model_options["transformer_options"].get("patches", {})


def test_a_fair_batch_gives_every_image_its_own_side(tiny):
    host_side, fairness = hosting.module("guards.directions.host"), hosting.module("guards.directions.fairness")
    sides = [a_direction(seed, name=str(seed)) for seed in (1, 2, 3)]
    shares = fairness.parse_shares("2:1:1", 3)
    batch = models.sample(host_side.steer_fairly(tiny, sides, shares, 1.0, 5), batch=8)
    drawn = fairness.assign(shares, 8, host_side.draw_name(sides, 5))
    assert sorted(drawn) == [0, 0, 0, 0, 1, 1, 2, 2]
    alone = [models.sample(steer(tiny, side), batch=8) for side in sides]
    for image, side in enumerate(drawn):
        assert close(batch[image], alone[side][image], 1e-5)


def test_the_fair_node_lists_what_every_image_got(host):
    node = hosting.node_classes()["GuardFairSteer"]
    model = models.sd1()
    a, b = a_direction(1, name="female"), a_direction(2, name="male")
    guarded, text = node.execute(model, a, b, seed=3, images=6).args
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == list("123456")
    assert sorted(line.split()[1] for line in lines) == ["female"] * 3 + ["male"] * 3
    assert node.execute(model, a, b, seed=3, images=64).args[1].startswith(text)
    assert not torch.equal(models.sample(guarded, batch=2), models.sample(model, batch=2))
    assert node.execute(model, a, b, strength=0.0).args[0] is model
    with pytest.raises(ValueError, match="shares holds 3 numbers.*2 directions"):
        node.execute(model, a, b, shares="1:1:1")


def test_steering_leaves_conditioning_and_the_concept_untouched(tiny):
    before = [POSITIVE[0][0].clone(), CONCEPT[0][0].clone()]
    models.sample(steer(tiny))
    assert torch.equal(before[0], POSITIVE[0][0]) and torch.equal(before[1], CONCEPT[0][0])


def test_sides_go_on_from_one_context_window_to_the_next(tiny):
    host_side = hosting.module("guards.directions.host")
    shares = hosting.module("guards.directions.fairness").parse_shares("3:1", 2)
    fair = host_side.steer_fairly(tiny, [a_direction(1), a_direction(2)], shares, 2.0, 5)
    whole = models.sample(fair, batch=8)
    assert close(models.sample(windows(fair), batch=8), whole)
