"""Safe Latent Diffusion in the host against diffusers' own StableDiffusionPipelineSafe on the same random weights.

A narrow UNet of SD1.5's structure; the full size is `run.py exact`.
"""

import pytest

from tools.testing import hosting, twins

EVERY = [(preset, 20, batch) for preset in twins.PRESETS for batch in (1, 3)]
LONG = [
    ("medium", 50, 1),
    ("max", 50, 3),
]  # warm-up and momentum over more steps; all of them at full size: `run.py exact`


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 8, 16)


@pytest.fixture(scope="module")
def unguarded(pair):
    """The pipeline's latents without safety guidance, by steps and batch, made once."""
    known = {}

    def latents(steps, batch):
        if (steps, batch) not in known:
            known[steps, batch] = pair.published(None, steps, batch)
        return known[steps, batch]

    return latents


@pytest.mark.both_hosts
def test_the_presets_are_the_published_ones(host):
    assert {
        name: hosting.module("guards.sld.formula").PRESETS[name] for name in twins.PRESETS
    } == twins.published_presets()


@pytest.mark.parametrize(
    "preset, steps, batch", [*(pytest.param(*one, marks=pytest.mark.both_hosts) for one in EVERY), *LONG]
)
def test_a_guarded_picture_is_the_published_pipelines_picture(pair, unguarded, preset, steps, batch):
    settings = twins.published_presets()[preset]
    published = pair.published(settings, steps, batch)
    distance, effect = (
        twins.error(pair.hosted(settings, steps, batch), published),
        twins.error(unguarded(steps, batch), published),
    )
    assert distance <= twins.TOLERANCE
    assert distance <= effect / 50  # or the comparison would hold without the guard


@pytest.mark.both_hosts
@pytest.mark.parametrize("batch", [1, 3])
def test_without_the_guard_host_and_pipeline_agree(pair, unguarded, batch):
    assert twins.error(pair.hosted(None, 20, batch), unguarded(20, batch)) <= twins.TOLERANCE


def test_a_schedule_that_ends_without_noise_agrees_as_well(host):
    pair = twins.Twins(twins.NARROW, 8, 8, set_alpha_to_one=True)
    settings = twins.published_presets()["strong"]
    assert pair.sigmas(20)[-1] == 0
    assert twins.error(pair.hosted(settings, 20, 1), pair.published(settings, 20, 1)) <= twins.TOLERANCE
