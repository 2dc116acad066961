"""Compare: its two sides are two plain runs, and neither knows of the other."""

import pytest
import torch

from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts
SETTINGS = dict(seed=7, steps=4, cfg=3.0, sampler="dpmpp_2m", scheduler="karras")


@pytest.fixture(scope="module")
def scene(demo):
    """What both sides share, and the model under a guard."""
    model, clip, vae = demo
    sld, formula = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    with torch.inference_mode():
        words = {
            text: [[clip.encode_from_tokens(clip.tokenize(text)), {}]] for text in ("a beer on the beach", "", "beer")
        }
    guarded = sld.guard(model, formula.ALIGNED["strong"], words["beer"])
    shared = dict(
        positive=words["a beer on the beach"],
        negative=words[""],
        latent={"samples": torch.zeros(2, 4, 12, 12)},
        vae=vae,
    )
    return model, guarded, shared


def plain(model, shared, positive=None, **changes):
    """What KSampler and VAEDecode make of the same inputs."""
    import nodes

    given = {**SETTINGS, **changes}
    with torch.inference_mode():
        latent = nodes.common_ksampler(
            model,
            given["seed"],
            given["steps"],
            given["cfg"],
            given["sampler"],
            given["scheduler"],
            shared["positive"] if positive is None else positive,
            shared["negative"],
            shared["latent"],
        )[0]
        return nodes.VAEDecode().decode(shared["vae"], latent)[0]


def compare(model, guarded, shared, **changes):
    return hosting.run_node("GuardCompare", model=model, guarded=guarded, **{**shared, **SETTINGS, **changes}).args


def test_each_side_is_bit_for_bit_what_its_own_sampler_makes(scene):
    model, guarded, shared = scene
    off, on, change_map, changed, report = compare(model, guarded, shared)
    assert torch.equal(off, plain(model, shared)) and torch.equal(on, plain(guarded, shared))
    assert change_map.shape == off.shape and 0 <= float(change_map.min()) and float(change_map.max()) <= 1
    assert changed == pytest.approx((off - on).abs().mean().item(), abs=1e-6) and changed > 0
    assert report.splitlines()[-1].startswith("off: 16 rows") and "on: 24 rows" in report


def test_the_guards_may_stand_on_either_side(scene):
    model, guarded, shared = scene
    one, other = compare(model, guarded, shared), compare(guarded, model, shared)
    assert torch.equal(one[0], other[1]) and torch.equal(one[1], other[0])


def test_the_same_model_twice_changes_nothing_and_says_so(scene):
    model, _, shared = scene
    off, on, _, changed, report = compare(model, model, shared)
    assert torch.equal(off, on) and changed == 0
    assert "the same model, without a guard" in report and "2 of them identical" in report


def test_the_guarded_side_can_have_a_prompt_of_its_own(scene):
    model, _, shared = scene
    off, on, *_ = compare(model, model, shared, guarded_positive=shared["negative"])
    assert torch.equal(off, plain(model, shared))
    assert torch.equal(on, plain(model, shared, positive=shared["negative"]))


def test_an_empty_conditioning_is_refused_by_name(scene):
    model, guarded, shared = scene
    with pytest.raises(ValueError, match="guarded_positive is empty"):
        compare(model, guarded, shared, guarded_positive=[])


def test_an_interruption_on_either_side_leaves_nothing_behind(scene, monkeypatch):
    import comfy.model_management as management
    from comfy.patcher_extension import WrappersMP

    model, guarded, shared = scene
    before = plain(model, shared), plain(guarded, shared)
    for last in (2, 6):  # steps of the one side, and of the other
        calls = []

        def stop(executor, *arguments, last=last, calls=calls, **named):
            calls.append(1)
            if len(calls) == last:
                raise management.InterruptProcessingException
            return executor(*arguments, **named)

        stopped = [one.clone() for one in (model, guarded)]
        for one in stopped:
            one.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "stop", stop)
        with pytest.raises(management.InterruptProcessingException):
            compare(*stopped, shared)
        assert len(calls) == last
    assert torch.equal(plain(model, shared), before[0]) and torch.equal(plain(guarded, shared), before[1])
    assert not any("compare" in str(key) for key in model.wrappers.get(WrappersMP.APPLY_MODEL, {}))


def test_both_runs_share_one_progress_bar(scene, monkeypatch):
    import comfy.utils

    model, guarded, shared = scene
    seen = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, *_, **__: seen.append((value, total)))
    compare(model, guarded, shared)
    assert (
        seen == sorted(seen) and seen[-1] == (8, 8) and {total for _, total in seen} == {8}
    )  # some fall out: too many a second


def test_both_sides_are_previewed(scene, monkeypatch):
    import comfy.utils
    import latent_preview

    class Previewer:
        def decode_latent_to_preview_image(self, kind, latent):
            return kind, latent.shape

    model, guarded, shared = scene
    seen = []
    monkeypatch.setattr(latent_preview, "get_previewer", lambda *_: Previewer())
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, _, preview, **__: seen.append((value, preview)))
    compare(model, guarded, shared)
    assert {value > SETTINGS["steps"] for value, _ in seen} == {False, True}
    assert {kind for _, (kind, _) in seen} == {"JPEG"} and {shape[0] for _, (_, shape) in seen} == {2}


def test_it_costs_what_its_two_runs_cost(scene):
    model, guarded, shared = scene
    rows = [models.Rows(one) for one in (model, guarded)]
    compare(rows[0].model, rows[1].model, shared)
    assert [one.total for one in rows] == [16, 24]
