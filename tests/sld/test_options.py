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
