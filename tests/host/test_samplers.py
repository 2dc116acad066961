"""Samplers that ask the model for other latents than the whole batch: smaller ones between steps, one picture, several versions."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, POSITIVE
from tools.testing.sampling import close, sld

pytestmark = pytest.mark.both_hosts
STEPS = 4


def direction(seed=3):
    values = torch.randn(64, generator=torch.Generator().manual_seed(seed))
    return hosting.module("guards.directions.formula").Direction(f"it {seed}", values, "sd1", 64, {})


def steer(model):
    return hosting.module("guards.directions.host").steer(model, direction(), 2.0)


def fair(model):
    shares = hosting.module("guards.directions.fairness").parse_shares("1:1", 2)
    return hosting.module("guards.directions.host").steer_fairly(model, [direction(1), direction(2)], shares, 2.0, 5)


def aligned(model):
    host_side, formula = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    return host_side.guard(model, formula.Aligned(1.0, opens=-3.0, open=-2.0), CONCEPT, NEGATIVE)


def inhibited(model, mode="single_pass"):
    """(MODEL, CONDITIONING)"""
    guard = hosting.module("guards.inhibitors.host").guard
    return guard(model, models.clip(), "a dog", "dog", -2.0, mode, variant="words")[:2]


GUARDS = {
    "sld": lambda model: (sld(model, preset="strong", warmup_steps=0, threshold=1.0), POSITIVE),
    "aligned": lambda model: (aligned(model), POSITIVE),
    "direction": lambda model: (steer(model), POSITIVE),
    "fair": lambda model: (fair(model), POSITIVE),
    "words": inhibited,
}


def euler(ask):
    """Euler's method; ``ask(model, x, sigma, arguments)``: how a pack gets its prediction (n, c, h, w)."""

    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for i in range(len(sigmas) - 1):
            denoised = ask(model, x, sigmas[i], extra_args)
            if callback is not None:
                callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
            x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
        return x

    return sample


def at(model, x, sigma, arguments):
    return model(x, sigma.expand(len(x)), **arguments)


def with_a_small_one(model, x, sigma, arguments):
    """As Euler Dy and SMEA do it: they look at a part of the latents, or at them enlarged, between steps."""
    at(model, x[..., ::2, ::2], sigma, arguments)
    denoised = at(model, x, sigma, arguments)
    at(model, x.repeat(1, 1, 2, 2), sigma, arguments)
    return denoised


def twice(model, x, sigma, arguments):
    """Two versions in one batch, as samplers with a guide do it; that of interest is the second."""
    return at(model, torch.cat([x.flip(-1), x]), sigma, arguments).chunk(2)[1]


def one_by_one(model, x, sigma, arguments):
    return torch.cat([at(model, row[None], sigma, arguments) for row in x])


def sampled(model, positive, sampler, cfg=5.0):
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, NEGATIVE)
    guider.set_cfg(cfg)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", STEPS)
    noise = models.noise(model, 2)
    torch.manual_seed(0)  # the host's LCM upscale draws from the global generator
    with torch.inference_mode():
        sampler = sampler if isinstance(sampler, comfy.samplers.KSAMPLER) else comfy.samplers.KSAMPLER(euler(sampler))
        return guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=0).clone()


@pytest.mark.parametrize("ask", [with_a_small_one, twice, one_by_one])
@pytest.mark.parametrize("kind", GUARDS)
def test_what_a_sampler_asks_for_besides_leaves_no_trace_in_the_picture(tiny, kind, ask):
    guarded, positive = GUARDS[kind](tiny)
    if (kind, ask) == ("fair", one_by_one):
        with pytest.raises(NotImplementedError, match="1 of 2 pictures.*Steer with Direction"):
            sampled(guarded, positive, ask)
        return
    expected, out = (sampled(guarded, positive, one) for one in (at, ask))
    # Pictures that are asked for one by one share a momentum, or a memory, and versions of one have no memory.
    inexact = {("sld", one_by_one): 0.1, ("aligned", one_by_one): 0.1, ("aligned", twice): 0.05}
    assert close(out, expected, inexact.get((kind, ask), 1e-4))
    assert not close(out, sampled(tiny, positive, at), 1e-3), "the guard does nothing here: a test of nothing"


@pytest.mark.parametrize("ask", [twice, one_by_one])
def test_twins_that_are_sampled_apart_are_refused(tiny, ask):
    guarded, positive = inhibited(tiny, "paired")
    with pytest.raises(NotImplementedError, match="whole batches.*single_pass"):
        sampled(guarded, positive, ask)


@pytest.mark.parametrize("kind", ["sld", "aligned", "direction", "words"])
def test_latents_that_grow_on_their_way_are_guarded(tiny, kind):
    """The host's SamplerLCMUpscale."""
    from comfy_extras import nodes_advanced_samplers

    sampler = nodes_advanced_samplers.SamplerLCMUpscale.execute(2.0, 2, "bilinear")[0]

    guarded, positive = GUARDS[kind](tiny)
    out, again = (sampled(guarded, positive, sampler, 2.0) for _ in range(2))
    assert out.shape[-1] == 16 and out.isfinite().all() and not close(out, sampled(tiny, positive, sampler, 2.0), 1e-3)
    assert torch.equal(out, again)


def test_a_pack_s_sampler_around_another_one_adds_the_same_noise_to_both_twins(tiny):
    """Detail Daemon and the like take a sampler, and call its function from inside of their own."""
    import comfy.samplers

    def around(model, x, sigmas, extra_args=None, callback=None, disable=None, wrapped=None):
        return wrapped.sampler_function(
            model, x, sigmas, extra_args=extra_args, callback=callback, disable=disable, **wrapped.extra_options
        )

    inner = comfy.samplers.sampler_object("euler_ancestral")
    guarded, positive = inhibited(tiny, "paired")
    expected = sampled(guarded, positive, inner)
    out = sampled(guarded, positive, comfy.samplers.KSAMPLER(around, {"wrapped": inner}))
    assert torch.equal(out, expected)
    assert "noise_sampler" not in inner.extra_options


@pytest.mark.parametrize("mark", ["context window", "AnimateDiff-Evolved"])
def test_sides_follow_windows_along_the_batch(tiny, mark):
    """Packs that cut the batch into windows say which pictures these are."""
    from types import SimpleNamespace

    host_side = hosting.module("guards.directions.host")
    window = {"context_window": SimpleNamespace(dim=0, index_list=[4, 5])}
    theirs = {"ad_params": {"sub_idxs": [4, 5], "full_length": 8}}
    extra = window if mark == "context window" else theirs
    assert host_side._images(8, 2, extra) == (4, 5)
    assert host_side._images(8, 16, extra) == (*range(8), *range(8))
    assert host_side._images(8, 8, {"ad_params": {"sub_idxs": None}}) == tuple(range(8))
    with pytest.raises(NotImplementedError, match="3 of 8 pictures"):
        host_side._images(8, 3, extra)
