"""What a prompt brings along besides its text must reach the safety concept too, or the guard would take it for meaning."""

import pytest
import torch

from tools.testing import models
from tools.testing.models import CONTEXT, OTHER, POSITIVE
from tools.testing.sampling import close, sld

GENTLE = dict(preset="weak", warmup_steps=0)  # what is left of rounding does not grow with its scale of 20


def wan():
    """A Wan 2.1 image-to-video model of two blocks: its picture comes with the conditioning."""
    import comfy.supported_models

    dims = dict(dim=48, ffn_dim=32, freq_dim=16, text_dim=CONTEXT, out_dim=16, num_heads=2, num_layers=2, text_len=8)
    config = comfy.supported_models.WAN21_I2V(dict(image_model="wan2.1", model_type="i2v", in_dim=36, **dims))
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(config.get_model({}, ""))


class Seen:
    """What CLIP Vision returns."""

    penultimate_hidden_states = torch.randn(1, 5, 1280, generator=torch.Generator().manual_seed(1))


def video(model, positive, negative):
    """Two steps of (1, 16, 2, 4, 4)."""
    import comfy.samplers

    start = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(5.0)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 2)
    with torch.inference_mode():
        euler = comfy.samplers.sampler_object("euler")
        return guider.sample(start, torch.zeros_like(start), euler, sigmas, disable_pbar=True, seed=0).clone()


def test_an_image_to_video_model_shows_the_concept_the_same_picture(host):
    model = wan()
    options = dict(
        clip_vision_output=Seen(),
        concat_latent_image=torch.ones(1, 16, 2, 4, 4),
        concat_mask=torch.zeros(1, 1, 2, 4, 4),
    )
    texts = [models.conditioning(seed, tokens=8) for seed in (1, 2, 3)]
    positive, negative = ([[t, {**o, **options}] for t, o in text] for text in texts[:2])
    plain = video(model, positive, negative)
    rows = models.Rows(sld(model, texts[0], **GENTLE))
    assert close(video(rows.model, positive, negative), plain)
    assert rows.calls == [(3, (1, 1, 0))] * 2, "one more row, not one more pass"
    assert not close(video(sld(model, texts[2], **GENTLE), positive, negative), plain, 1e-2)


@pytest.mark.both_hosts
def test_a_lora_that_hangs_on_the_prompt_hangs_on_the_concept(host):
    """Set CLIP Hooks, Cond Set Props: weights that change for one conditioning."""
    import comfy.hooks

    tiny = models.sd1()
    key = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    hook = comfy.hooks.WeightHook()
    hook.weights = {key: ("diff", (torch.randn(64, CONTEXT, generator=torch.Generator().manual_seed(0)),))}
    hook.need_weight_init = False
    hooks = comfy.hooks.HookGroup()
    hooks.add(hook)
    positive = [[t, {**o, "hooks": hooks}] for t, o in POSITIVE]
    plain = models.sample(tiny, positive)
    assert not close(plain, models.sample(tiny), 1e-2), "the LoRA does nothing here: a test of nothing"
    assert close(models.sample(sld(tiny, POSITIVE, **GENTLE), positive), plain)
    assert not close(models.sample(sld(tiny, OTHER, **GENTLE), positive), plain, 1e-2)


@pytest.mark.both_hosts
def test_a_prompt_that_has_ended_is_not_corrected(host):
    """The host's prediction for it is zero then: nothing to compare the concept with."""
    tiny = models.sd1()
    early = [[tensor, {**options, "start_percent": 0.0, "end_percent": 0.3}] for tensor, options in POSITIVE]
    rows = models.Rows(sld(tiny))
    models.sample(rows.model, early, steps=6)
    counts = [n for n, _ in rows.calls]
    assert counts[0] == 3 and counts[-1] == 1


@pytest.mark.both_hosts
def test_a_prompt_that_intervention_wakes_is_corrected(host):
    """Asleep it has an empty timestep range, and so would not count as one that is on."""
    from tools.testing import hosting

    tiny = models.sd1()
    late = [[tensor, {**options, "start_percent": 0.5, "end_percent": 1.0}] for tensor, options in OTHER]
    guarded, positive = hosting.module("guards.intervention.host").guard(sld(tiny), POSITIVE, late, 0.5)
    rows = models.Rows(guarded)
    models.sample(rows.model, positive, steps=4)
    assert [n for n, _ in rows.calls][:2] == [3, 3]


@pytest.mark.both_hosts
def test_what_a_controlnet_reads_of_the_prompt_it_reads_of_the_concept(tiny):
    """InstantID gives its ControlNet a face in the place of the text."""
    import comfy.controlnet

    class Reading(comfy.controlnet.ControlBase):
        def get_control(self, x, t, cond, batched_number, transformer_options):
            read = cond.get("crossattn_controlnet", cond["c_crossattn"]).sum((1, 2)).view(-1, 1, 1, 1)
            return {"input": [], "middle": [read * torch.ones(len(x), 64, 4, 4)], "output": []}

        def pre_run(self, model, percent_to_timestep_function):
            pass

    control = Reading()
    positive, negative = (
        [
            [t, {**o, "control": control, "control_apply_to_uncond": False, "cross_attn_controlnet": face}]
            for t, o in text
        ]
        for text, face in ((POSITIVE, torch.ones(1, 4, CONTEXT)), (OTHER, torch.zeros(1, 4, CONTEXT)))
    )
    rows = models.Rows(sld(tiny, POSITIVE, **GENTLE))
    assert close(models.sample(rows.model, positive, negative), models.sample(tiny, positive, negative))
    assert rows.calls == [(3, (1, 1, 0))] * 4


def test_noise_put_back_into_a_picture_may_start_from_none(host):
    """A flow model turned back, from level 0 on, by a sampler that does not divide by it."""
    import comfy.samplers

    def back(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for i in range(len(sigmas) - 1):
            denoised = model(x, sigmas[i].expand(len(x)), **extra_args)
            x = x + (x - denoised) / max(float(sigmas[i]), 0.1) * (sigmas[i + 1] - sigmas[i])
        return x

    model = models.sd1("FLOW")
    guider = comfy.samplers.CFGGuider(sld(model, OTHER))
    guider.set_conds(POSITIVE, models.NEGATIVE)
    guider.set_cfg(2.0)
    picture, sigmas = models.noise(model), torch.linspace(0, 0.9, 5)
    with torch.inference_mode():
        out = guider.sample(0 * picture, picture, comfy.samplers.KSAMPLER(back), sigmas, disable_pbar=True, seed=0)
    assert out.isfinite().all()


def test_a_run_that_ends_in_the_warm_up_is_told_of(tiny, caplog):
    for steps, told in ((2, True), (3, False)):
        caplog.clear()
        guarded, plain = (
            models.sample(model, steps=steps) for model in (sld(tiny, preset="medium", warmup_steps=2), tiny)
        )
        assert torch.equal(guarded, plain) == told
        assert ("fewer warmup_steps, or variant aligned" in caplog.text) == told
