"""Meter: counts what a run costs, and changes nothing."""

import pytest
import torch

from tools.testing import hosting

pytestmark = pytest.mark.both_hosts


@pytest.fixture(scope="module")
def scene(demo):
    """The model, the same under a guard, and what to sample."""
    model, clip, _ = demo
    sld, formula = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    with torch.inference_mode():
        words = {text: [[clip.encode_from_tokens(clip.tokenize(text)), {}]] for text in ("a beer", "", "beer")}
    return model, sld.guard(model, formula.ALIGNED["strong"], words["beer"]), words


def sample(model, words):
    import nodes

    with torch.inference_mode():
        latent = {"samples": torch.zeros(2, 4, 12, 12)}
        given = (7, 4, 3.0, "euler", "normal", words["a beer"], words[""], latent)
        return nodes.common_ksampler(model, *given)[0]["samples"]


def read(model) -> dict:
    return hosting.run_node("GuardMeterReading", model=model, images=torch.zeros(1, 8, 8, 3)).ui


def test_it_counts_rows_seconds_and_memory_from_one_reading_to_the_next(scene):
    model, guarded, words = scene
    for one, rows in ((model, 16), (guarded, 24)):
        metered = hosting.run_node("GuardMeter", model=one).args[0]
        assert torch.equal(sample(metered, words), sample(one, words)), "and changes nothing"
        found = read(metered)
        assert found["rows"] == (rows,) and 0 < found["seconds"][0] < 60 and found["memory"][0] > 1_000_000
        assert read(metered)["rows"] == (0,), "it begins anew"
        sample(metered, words), sample(metered, words)
        assert read(metered)["rows"] == (2 * rows,), "a refiner counts as well"


def test_the_peak_is_of_this_run(scene):
    """Memory that was given back before the run does not count, where the system can tell."""
    model, _, words = scene
    meter = hosting.module("guards.judging.host_meter")
    if not meter.CLEAR.exists():
        pytest.skip("only Linux forgets a process's peak")
    metered = meter.attach(model)
    much = torch.ones(300_000_000 // 4)
    high = meter._peak()
    del much
    sample(metered, words)
    assert read(metered)["memory"][0] < high - 100_000_000


def test_a_model_without_a_meter_is_refused_by_name(scene):
    with pytest.raises(ValueError, match="model: no meter is on it; connect the MODEL that Meter gives out"):
        read(scene[0])
