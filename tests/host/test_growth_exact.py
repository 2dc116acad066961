"""Growth Inhibitor, mode paired, in the host against the published algorithm by hand, on the same random weights.

A narrow UNet of SD1.5's structure (16 cross-attention layers); the full size is `run.py exact`.
"""
import math

import hosting
import models
import pytest
import torch
from exact import growth, twins

PROMPT, STEPS = "a photo of a dog, on a chair", 20


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 16, 24)       # 384 positions at the first level: its self-attention stays the row's own


@pytest.fixture(scope="module")
def clip(host):
    return models.clip(twins.NARROW.context)


def adapter(module):
    """Random weights that infer scales of the usual size."""
    generator = torch.Generator().manual_seed(5)
    network = module.Adapter(16)
    with torch.inference_mode(False), torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.3 if p.ndim > 1 else 0.1))
        network.fc3.bias.fill_(-1.0)
    return network.eval().requires_grad_(False)


def hosted(pair, clip, text, targets, steps=STEPS, **options):
    """Final latents of the guarded picture by the host's ddim sampler, in the pipeline's scale."""
    guard = hosting.module("guards.host.growth_inhibitor").guard
    model, positive, _ = guard(pair.model, clip, text, targets, mode="paired", **options)
    sigmas = pair.sigmas(steps)
    noise = pair.noise(1) * (math.hypot(1, float(sigmas[0])) / float(sigmas[0]))
    return pair.model.model.process_latent_in(pair.sample(model, positive, noise, sigmas)) / math.hypot(1, float(sigmas[-1]))


@pytest.mark.parametrize("targets, inferred", [("van gogh", False), pytest.param("van gogh, weapon", True, marks=pytest.mark.both_hosts)])
def test_a_paired_picture_is_the_published_algorithms_picture(pair, clip, targets, inferred):
    network = adapter(hosting.module("guards.inhibitors")) if inferred else None
    negative = twins.text(twins.NEGATIVE, twins.NARROW.context)
    both, scales = growth.published(pair, clip, PROMPT, targets.replace(",", ""), -2.0, STEPS, negative, network)
    heard = []
    guarded = hosted(pair, clip, PROMPT, targets, scale=-2.0, adapter=network, report=heard.append)
    assert twins.error(guarded, both[1:]) <= twins.TOLERANCE
    assert twins.error(both[:1], both[1:]) > 50 * twins.error(guarded, both[1:])     # or a guard that does nothing would pass
    assert len(scales) == 2 + ("weapon" in targets)
    if inferred:
        assert heard and all(f"{scale:.3g}" in heard[0] for scale in scales.tolist())


def test_the_twin_is_the_picture_without_the_guard(pair, clip):
    negative = twins.text(twins.NEGATIVE, twins.NARROW.context)
    both, _ = growth.published(pair, clip, PROMPT, "weapon", -2.0, 6, negative)
    sigmas = pair.sigmas(6)
    noise = pair.noise(1) * (math.hypot(1, float(sigmas[0])) / float(sigmas[0]))
    plain = hosting.module("guards.host.inhibitor_text").prompt(clip, PROMPT)
    out = pair.model.model.process_latent_in(pair.sample(pair.model, plain, noise, sigmas)) / math.hypot(1, float(sigmas[-1]))
    assert twins.error(out, both[:1]) <= twins.TOLERANCE
