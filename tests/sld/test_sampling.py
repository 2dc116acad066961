"""Safe Latent Diffusion in the real host: against a plain loop, under every guider, sampler and neighbour."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, guider, sld

pytestmark = pytest.mark.both_hosts


def by_hand(model, settings, cfg, steps, positive=POSITIVE, negative=NEGATIVE, concept=CONCEPT, batch=1):
    """The published loop over the bare model with plain Euler steps; nothing of the pack but numbers."""
    import comfy.samplers

    base = model.model
    sampling = base.model_sampling
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", steps)
    x = sampling.noise_scaling(sigmas[0], models.noise(model, batch), torch.zeros(()), True)
    momentum = torch.zeros_like(x)
    with torch.no_grad():
        for i in range(steps):
            sigma = sigmas[i]
            three = (concept, negative, positive)  # in the host's batch order, so that rounding agrees too
            text = torch.cat([c[0][0].expand(batch, -1, -1) for c in three])
            pooled = [c[0][1]["pooled_output"] for c in three]
            y = {} if pooled[0] is None else {"y": torch.cat([t.expand(batch, -1) for t in pooled])}
            x3 = torch.cat([x] * 3)
            s, u, p = ((x3 - base.apply_model(x3, sigma.expand(3 * batch), c_crossattn=text, **y)) / sigma).chunk(3)
            mu = torch.where(
                p - s >= settings.threshold,
                torch.zeros_like(p),
                torch.clamp((p - s).abs() * settings.guidance_scale, max=1),
            )
            gamma = mu * (s - u) + settings.momentum_scale * momentum
            momentum = settings.momentum_beta * momentum + (1 - settings.momentum_beta) * gamma
            g = p - u - (gamma if i >= settings.warmup_steps else 0)
            x = x + (sigmas[i + 1] - sigma) * (u + cfg * g)
        return base.process_latent_out(sampling.inverse_noise_scaling(sigmas[-1], x))


@pytest.mark.parametrize("kind", ["EPS", "V_PREDICTION", "FLOW"])
@pytest.mark.parametrize("preset", ["weak", "medium", "strong", "max"])
def test_every_preset_equals_the_published_loop_on_eps_v_and_flow_models(host, kind, preset):
    import comfy.model_management

    model = models.sd1(kind)
    with torch.no_grad():  # a calmer network: with these, 20 steps do not blow rounding up
        model.model.diffusion_model.out[2].weight.mul_(0.3)
    settings = hosting.module("guards.sld.formula").PRESETS[preset]
    comfy.model_management.load_models_gpu([model])
    expected = by_hand(model, settings, 7.0, 20, batch=2)
    actual = models.sample(sld(model, preset=preset), cfg=7.0, steps=20, batch=2)
    assert close(actual, expected, 1e-3)
    assert not close(actual, models.sample(model, cfg=7.0, steps=20, batch=2))


def test_a_flux_like_model_is_guarded_as_the_loop_says(host):
    import comfy.model_management

    model = models.flux()
    text = [models.conditioning(seed, tokens=8, pooled=8) for seed in (1, 2, 3)]
    comfy.model_management.load_models_gpu([model])
    settings = hosting.module("guards.sld.formula").PRESETS["max"]
    expected = by_hand(model, settings, 4.0, 6, *text)
    assert close(models.sample(sld(model, text[2]), text[0], text[1], cfg=4.0, steps=6), expected)


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_models_with_pooled_output_are_guarded(host, family):
    model = getattr(models, family)()
    width = {"sdxl": 1280, "sd3": 8}[family]
    positive, negative, concept = (models.conditioning(seed, pooled=width) for seed in (1, 2, 3))
    plain = models.sample(model, positive, negative)
    guarded = models.sample(sld(model, concept), positive, negative)
    assert torch.isfinite(guarded).all() and not torch.equal(plain, guarded)
    with pytest.raises(ValueError, match="safety_concept has no pooled output"):
        models.sample(sld(model, models.conditioning(3)), positive, negative)


def test_strength_zero_is_the_same_model_object(tiny):
    assert sld(tiny, guidance_scale=0) is tiny


def test_the_third_prediction_rides_in_the_same_batch(tiny):
    rows = models.Rows(sld(tiny))
    models.sample(rows.model, batch=3)
    assert [calls for calls, _ in rows.calls] == [9] * 4
    assert all(list(slots) == [1, 1, 0] for _, slots in rows.calls), (
        "to strangers the concept's row is one more unconditional one"
    )


def test_warm_up_without_momentum_costs_no_row(tiny):
    rows = models.Rows(sld(tiny, preset="weak", warmup_steps=2))
    models.sample(rows.model)
    assert [n for n, _ in rows.calls] == [2, 2, 3, 3]


def test_two_guards_in_a_row_are_two_concepts_and_their_order_does_not_matter(tiny):
    one, other = models.sample(sld(tiny, CONCEPT)), models.sample(sld(tiny, OTHER))
    both, swapped = models.sample(sld(sld(tiny, CONCEPT), OTHER)), models.sample(sld(sld(tiny, OTHER), CONCEPT))
    assert close(both, swapped, 1e-5)
    assert not close(both, one) and not close(both, other)
    rows = models.Rows(sld(sld(tiny, CONCEPT), OTHER))
    models.sample(rows.model)
    assert [n for n, _ in rows.calls] == [4] * 4


def test_no_state_survives_a_run_and_clones_do_not_leak(tiny):
    guarded = sld(tiny, preset="medium", warmup_steps=0)
    plain = models.sample(tiny)
    first = models.sample(guarded)
    assert torch.equal(first, models.sample(guarded))
    assert torch.equal(plain, models.sample(tiny))
    assert "concept_guards" not in tiny.model_options["transformer_options"]


def test_an_interrupted_run_leaves_everything_clean(tiny):
    import comfy.model_management

    guarded = sld(tiny, preset="strong", warmup_steps=0)
    expected = models.sample(guarded)

    def stop(step, x0, x, total):
        if step == 1:
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        models.sample(guarded, callback=stop)
    assert torch.equal(expected, models.sample(guarded))


def sampler_names():
    return [
        "euler",
        "euler_cfg_pp",
        "euler_ancestral",
        "heun",
        "heunpp2",
        "dpm_2",
        "dpm_2_ancestral",
        "lms",
        "dpm_fast",
        "dpm_adaptive",
        "dpmpp_2s_ancestral",
        "dpmpp_sde",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "dpmpp_3m_sde",
        "ddpm",
        "lcm",
        "ipndm",
        "deis",
        "res_multistep",
        "gradient_estimation",
        "er_sde",
        "seeds_2",
        "seeds_3",
        "sa_solver",
        "sa_solver_pece",
        "ddim",
        "uni_pc",
        "uni_pc_bh2",
    ]


@pytest.mark.parametrize("sampler", sampler_names())
def test_every_sampler_guards_repeats_and_commits_once_per_step(tiny, sampler, monkeypatch):
    import comfy.samplers

    assert sampler in comfy.samplers.KSampler.SAMPLERS
    commits, callbacks = [], []
    guard = hosting.module("guards.sld.host").SafeLatentDiffusion
    original = guard.commit
    monkeypatch.setattr(
        guard, "commit", lambda self, state: (commits.append(bool(state.candidates)), original(self, state))
    )
    guarded = sld(tiny, preset="strong", warmup_steps=0)
    part = 0.3 if sampler == "dpm_adaptive" else 1.0  # for the whole way it takes hundreds of steps
    how = dict(sampler=sampler, steps=4, denoise=part)
    first = models.sample(guarded, **how, callback=lambda *a: callbacks.append(a[0]))
    assert torch.isfinite(first).all()
    assert len(commits) == len(callbacks) and all(commits)
    assert torch.equal(first, models.sample(guarded, **how))
    assert not torch.equal(first, models.sample(tiny, **how))


def test_the_other_samplers_of_this_host_run_under_the_guard(tiny):
    import comfy.samplers

    guarded = sld(tiny)
    others = [name for name in comfy.samplers.KSampler.SAMPLERS if name not in sampler_names()]
    assert others
    for name in others:
        assert torch.isfinite(models.sample(guarded, sampler=name, steps=3)).all(), name


@pytest.mark.parametrize("kind", ["cfg", "dual", "perpneg"])
def test_every_guider_is_corrected_by_its_own_scale_in_one_batch(tiny, kind):
    """One step, so that the correction can be read off: x' - x = (sigma_1 - sigma_0) * (-cfg * gamma)."""
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(tiny.get_model_object("model_sampling"), "normal", 2)[:2]
    rows = models.Rows(sld(tiny))
    low = models.guided(guider(kind, sld(tiny), 2.0), sigmas=sigmas) - models.guided(
        guider(kind, tiny, 2.0), sigmas=sigmas
    )
    high = models.guided(guider(kind, rows.model, 6.0), sigmas=sigmas) - models.guided(
        guider(kind, tiny, 6.0), sigmas=sigmas
    )
    assert low.abs().max() > 0 and close(high, 3 * low, 1e-3)
    assert len(rows.calls) == 1 and rows.calls[0][0] == {"cfg": 3, "dual": 4, "perpneg": 4}[kind]


def test_cfg_one_evaluates_the_negative_it_needs(tiny):
    rows = models.Rows(sld(tiny))
    guarded = models.sample(rows.model, cfg=1.0)
    assert [n for n, _ in rows.calls] == [3] * 4
    assert not torch.equal(guarded, models.sample(tiny, cfg=1.0))
    settings = hosting.module("guards.sld.formula").PRESETS["max"]
    assert close(guarded, by_hand(tiny, settings, 1.0, 4))


def test_a_guider_without_negative_is_refused_or_takes_the_unconditional_input(tiny):
    with pytest.raises(ValueError, match="unconditional"):
        models.guided(guider("basic", sld(tiny)))
    out = models.guided(guider("basic", sld(tiny, unconditional=NEGATIVE)))
    assert close(out, models.sample(sld(tiny), cfg=1.0), 1e-5)


def test_the_concept_as_negative_prompt_is_refused_because_the_guard_would_do_nothing(tiny):
    with pytest.raises(ValueError, match="same text"):
        models.sample(sld(tiny, NEGATIVE))


def test_a_concept_of_another_text_encoder_is_refused_by_name(tiny):
    with pytest.raises(ValueError, match="safety_concept was encoded 24 wide"):
        models.sample(sld(tiny, models.conditioning(3, width=24)))
    with pytest.raises(ValueError, match="safety_concept is 5005 tokens long"):
        models.sample(sld(tiny, models.conditioning(3, tokens=65 * 77)))
    with pytest.raises(ValueError, match="safety_concept is empty"):
        sld(tiny, [])


def test_start_and_end_step_of_the_advanced_sampler_count_executed_steps(tiny):
    """Warm-up 2 of a run of steps 3 to 6: guided from the third executed step on, as img2img in the authors' pipeline."""
    rows = models.Rows(sld(tiny, preset="weak", warmup_steps=2, guidance_scale=1000, threshold=1.0))
    models.sample(rows.model, steps=8, start_step=3, last_step=7)
    assert [n for n, _ in rows.calls] == [2, 2, 3, 3]


def test_image_to_image_inpainting_areas_and_masks(tiny):
    guarded = sld(tiny)
    latent = models.noise(tiny, seed=9)
    assert not torch.equal(
        models.sample(guarded, latent=latent, denoise=0.5), models.sample(tiny, latent=latent, denoise=0.5)
    )
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    painted = models.sample(guarded, latent=latent, noise_mask=mask)
    plain = models.sample(tiny, latent=latent, noise_mask=mask)
    assert close(painted[..., 4:], latent[..., 4:], 1e-3) and not close(painted[..., :4], plain[..., :4])
    left = [[POSITIVE[0][0], {**POSITIVE[0][1], "area": (8, 4, 0, 0), "strength": 1.0, "set_area_to_bounds": False}]]
    for positive in (
        left + OTHER,
        [[POSITIVE[0][0], {**POSITIVE[0][1], "mask": mask[0], "mask_strength": 1.0}]] + OTHER,
    ):
        assert torch.isfinite(models.sample(guarded, positive)).all()


def test_a_masked_concept_guards_only_inside_its_mask(tiny):
    import comfy.samplers

    mask = torch.zeros(1, 8, 8)
    mask[..., :4] = 1
    concept = [
        [CONCEPT[0][0], {"pooled_output": None, "mask": mask, "mask_strength": 1.0, "set_area_to_bounds": False}]
    ]
    sigmas = comfy.samplers.calculate_sigmas(tiny.get_model_object("model_sampling"), "normal", 2)[:2]
    change = models.guided(guider("cfg", sld(tiny, concept)), sigmas=sigmas) - models.guided(
        guider("cfg", tiny), sigmas=sigmas
    )
    assert change[..., :4].abs().max() > 0 and change[..., 4:].abs().max() == 0


def test_a_concept_outside_its_timestep_range_does_nothing_and_costs_nothing(tiny):
    concept = [[CONCEPT[0][0], {"pooled_output": None, "start_percent": 0.0, "end_percent": 0.5}]]
    rows = models.Rows(sld(tiny, concept))
    guarded = models.sample(rows.model)
    assert [n for n, _ in rows.calls] == [3, 3, 2, 2]
    assert torch.isfinite(guarded).all() and not torch.equal(guarded, models.sample(tiny))


def test_little_memory_splits_the_batch_and_changes_nothing(tiny, monkeypatch):
    whole = models.sample(sld(tiny))
    rows = models.Rows(sld(tiny))
    monkeypatch.setattr(type(rows.model), "get_free_memory", lambda self, device: 1.0)
    split = models.sample(rows.model)
    assert [n for n, _ in rows.calls] == [1] * 12
    assert close(split, whole, 1e-5)


def test_half_precision_weights_stay_close_to_single(host):
    single = models.sample(sld(models.sd1(), preset="medium", warmup_steps=0))
    half = models.sample(sld(models.sd1(dtype=torch.bfloat16), preset="medium", warmup_steps=0))
    plain = models.sample(models.sd1(dtype=torch.bfloat16))
    assert torch.isfinite(half).all() and half.dtype == torch.float32
    assert (half - single).norm() < 0.5 * (half - plain).norm() + 0.2 * single.norm()


def aligned(model, concept=CONCEPT, strength=2.0):
    host_side, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    return host_side.guard(model, pure.Aligned(strength), concept)


def test_the_aligned_variant_guards_where_the_prompt_is_the_concept_and_leaves_an_opposite_prompt_alone(tiny):
    """The published scale is zero where prompt and concept agree; ours is fullest there."""
    assert close(models.sample(sld(tiny, POSITIVE, momentum_scale=0.0)), models.sample(tiny), 1e-5)
    nothing = models.sample(tiny, NEGATIVE, NEGATIVE, cfg=1.0, steps=12)  # a picture with nothing of the prompt in it
    taken_out, plain = models.sample(aligned(tiny, POSITIVE, strength=1.0), steps=12), models.sample(tiny, steps=12)
    assert (taken_out - nothing).norm() < 0.5 * (plain - nothing).norm()
    away = [[2 * NEGATIVE[0][0] - POSITIVE[0][0], {"pooled_output": None}]]
    assert close(models.sample(aligned(tiny, away)), models.sample(tiny), 0.2)
    assert aligned(tiny, strength=0) is tiny


def test_the_aligned_variant_keeps_its_memory_per_run_and_per_picture(tiny):
    guarded = aligned(tiny, POSITIVE)
    first = models.sample(guarded, batch=2)
    assert torch.equal(first, models.sample(guarded, batch=2))
    alone = models.sample(guarded, latent=None, batch=1)
    assert close(first[:1], alone, 1e-4)
