"""Growth Inhibitor, mode paired, in the host against the published algorithm by hand, on the same random weights.

A narrow UNet of SD1.5's structure (16 cross-attention layers); the full size is `run.py exact`.
"""

import pytest

from tools.testing import growth, hosting, models, twins

STEPS = 20


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 16, 24)  # 384 positions at the first level: its self-attention stays the row's own


@pytest.fixture(scope="module")
def clip(host):
    return models.clip(twins.NARROW.context)


@pytest.mark.parametrize(
    "targets, inferred",
    [(growth.TARGETS[0], False), pytest.param(growth.TARGETS[1], True, marks=pytest.mark.both_hosts)],
)
def test_a_paired_picture_is_the_published_algorithms_picture(pair, clip, targets, inferred):
    heard = []
    both, guarded, scales = growth.compare(pair, clip, targets, STEPS, inferred, heard.append)
    assert twins.error(guarded, both[1:]) <= twins.TOLERANCE
    assert twins.error(both[:1], both[1:]) > 50 * twins.error(
        guarded, both[1:]
    )  # or a guard that does nothing would pass
    assert len(scales) == 2 + ("weapon" in targets)
    if inferred:
        assert heard and all(f"{scale:.3g}" in heard[0] for scale in scales.tolist())


def test_the_twin_is_the_picture_without_the_guard(pair, clip):
    negative = twins.text(twins.NEGATIVE, twins.NARROW.context)
    both, _ = growth.published(pair, clip, growth.PROMPT, "weapon", -2.0, 6, negative)
    plain = hosting.module("guards.inhibitors.host_text").prompt(clip, growth.PROMPT)
    assert twins.error(growth.in_host(pair, pair.model, plain, 6), both[:1]) <= twins.TOLERANCE
