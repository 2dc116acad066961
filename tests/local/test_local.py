"""The local gate in the real host: where it acts and where it does not, rows, batches, areas, what it refuses."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.sampling import close, windows

SCENE = "a bomb and a pizza on a white background"


@pytest.fixture(scope="module")
def gi(host):
    return hosting.module("guards.inhibitors.host")


@pytest.fixture(scope="module")
def local(host):
    return hosting.module("guards.local.host")


def guarded(gi, model, clip, targets, replacement="", scale=-1.0, text=SCENE):
    return gi.guard(model, clip, text, targets, scale, "single_pass", variant="local", replacement=replacement)


def encoded(clip, text):
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def see(demo, model, texts, steps=12):
    """What the oracle sees in a picture of each text, and the latents."""
    _, clip, vae = demo
    positive = [[torch.cat([encoded(clip, text)[0][0] for text in texts]), {}]]
    latents = models.sample(model, positive, encoded(clip, ""), steps=steps, cfg=3.0, batch=len(texts), seed=5)
    with torch.inference_mode():
        return hosting.module("guards.demo.oracle").load().see(vae.decode(latents).movedim(-1, 1)), latents


# ---- the demo model -------------------------------------------------------------------------------------------------


def test_in_a_scene_the_target_is_replaced_and_its_neighbour_stays(gi, demo):
    """Beside it in the batch: a word that means the target, and a prompt without it, whose pictures keep every bit."""
    model, clip, _ = demo
    texts = [SCENE] * 4 + ["a zorp"] * 3 + ["a cat and a guitar"] * 3
    patched, _, said = guarded(gi, model, clip, "bomb", "balloon")
    (before, plain), (after, latents) = (see(demo, one, texts, steps=20) for one in (model, patched))
    assert said == "bomb -> balloon"
    assert before.contains("bomb")[:7].all() and not before.contains("balloon").any()
    assert not after.contains("bomb").any()
    assert after.contains("balloon")[:4].sum() >= 3 and after.contains("balloon")[4:7].any()
    assert after.contains("pizza")[:4].sum() >= before.contains("pizza")[:4].sum() - 1 >= 2
    assert torch.equal(latents[7:], plain[7:])


def test_two_targets_in_one_picture_both_go(gi, demo):
    model, clip, _ = demo
    patched, _, said = guarded(gi, model, clip, "bomb, pizza", "bomb -> balloon\npizza -> cake")
    before, after = (see(demo, one, [SCENE] * 6)[0] for one in (model, patched))
    assert said == "bomb -> balloon; pizza -> cake"
    for target, instead in (("bomb", "balloon"), ("pizza", "cake")):
        assert before.contains(target).sum() >= 5 and not before.contains(instead).any()
        assert not after.contains(target).any() and after.contains(instead).sum() >= 3


def test_a_definite_thing_unlike_all_targets_is_chosen_where_none_is_named(gi, local, demo):
    model, clip, _ = demo
    for targets in ("bomb", "cat, apple", "party"):
        _, _, said = guarded(gi, model, clip, targets)
        chosen = {part.split(" -> ")[1] for part in said.split("; ")}
        assert len(chosen) == 1 and not chosen & {*targets.split(", "), "thing"}
    made = local.calibrated.calibrate(model, clip)
    alike = local.calibrated.likeness(model, clip, made, ["party"])[0]
    assert made.nouns[int(alike.argmax())] == "balloon"  # which its pictures show beside the beer


@pytest.mark.both_hosts
def test_the_model_is_tried_out_once_for_its_weights_and_leaves_no_trace(host, demo):
    calibrated, (model, clip, _) = hosting.module("guards.local.host_calibration"), demo
    counted, negative = models.Rows(model), encoded(demo[1], "")
    before = models.sample(model, encoded(clip, SCENE), negative, steps=2)
    calibrated._made.clear()
    made = calibrated.calibrate(counted.model, clip)
    rows = counted.total
    assert made.layer == 4 and made.acting == {1, 2, 3, 4} and made.margin > 0.12
    assert rows == 36 and calibrated.calibrate(counted.model.clone(), clip) is made and counted.total == rows
    assert torch.equal(models.sample(model, encoded(clip, SCENE), negative, steps=2), before)


def test_a_lora_on_the_model_has_it_tried_out_anew(host, demo):
    calibrated, (model, _, _) = hosting.module("guards.local.host_calibration"), demo
    key = next(name for name in model.model_state_dict() if name.endswith("attn2.to_k.weight"))
    shape = model.model_state_dict()[key].shape
    found = {calibrated.fingerprint(model), calibrated.fingerprint(model.clone())}
    for value, strength in ((0.1, 1.0), (0.2, 1.0), (0.1, 0.5)):
        patched = model.clone()
        patched.add_patches({key: ("diff", (torch.full(shape, value),))}, strength)
        found.add(calibrated.fingerprint(patched))
    assert len(found) == 4


# ---- any model, with a calibration by hand --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(host, clip):
    """A prompt that names the target."""
    return encoded(clip, "a weapon")


def by_hand(local, model, clip, low=0.01, targets=("weapon",), strength=1.0, layer=1, acting=(1, 2)):
    """A guard that finds its targets wherever a prompt leans towards them (``low`` 0.01), or nowhere (2)."""
    made = local.calibration.Calibration(
        layer, local.formula.Limits(low, low + 0.1), 1.0, frozenset(acting), 3, (), (), (), torch.zeros(1, 1, 1)
    )
    texts, _ = local.calibrated.prompts(clip, [*targets, *["milk"] * len(targets), "thing", ""])
    return local.rail.attach(model, local.LocalGate(texts, tuple(targets), made, strength))


@pytest.mark.both_hosts
@pytest.mark.parametrize("sampler, steps", [("euler", 12), ("heun", 4), ("dpmpp_sde", 4)])
def test_runs_act_repeat_and_leave_nothing_behind(local, tiny, clip, named, sampler, steps):
    patched, options = by_hand(local, tiny, clip), dict(sampler=sampler, steps=steps, batch=2)
    plain, out = (models.sample(one, named, **options) for one in (tiny, patched))
    assert out.isfinite().all() and not torch.allclose(out, plain, rtol=1e-3)
    assert torch.equal(out, models.sample(patched, named, **options))
    assert torch.equal(plain, models.sample(tiny, named, **options))


@pytest.mark.both_hosts
@pytest.mark.parametrize("steps", [4, 12])
def test_where_nothing_is_found_the_picture_is_the_unguarded_one_bit_for_bit(local, tiny, clip, steps):
    nothing = by_hand(local, tiny, clip, low=2.0, targets=("weapon", "blood"))
    assert torch.equal(models.sample(nothing, steps=steps), models.sample(tiny, steps=steps))


def test_until_something_is_found_only_the_seed_layer_is_computed(local, tiny, clip, monkeypatch):
    asked, attend = [], local.attention.Texts.attend_all
    monkeypatch.setattr(
        local.attention.Texts,
        "attend_all",
        lambda self, layer, *rest: asked.append(layer) or attend(self, layer, *rest),
    )
    models.sample(by_hand(local, tiny, clip, low=2.0), steps=12)
    assert asked == [1] * 11  # not in the first step, which sees pure noise
    asked.clear()
    models.sample(by_hand(local, tiny, clip), steps=12)
    assert asked == [1] + [1, 2] * 10
    asked.clear()
    models.sample(by_hand(local, tiny, clip), steps=4)
    assert asked == [1, 2] * 4


def test_no_rows_are_added(local, tiny, clip):
    counted = models.Rows(tiny)
    models.sample(by_hand(local, counted.model, clip), steps=12)
    assert counted.total == 24


def test_inside_the_network_nothing_waits_for_the_card(local, tiny, clip, monkeypatch):
    from torch.utils._python_dispatch import TorchDispatchMode

    class NoWaiting(TorchDispatchMode):
        def __torch_dispatch__(self, call, types, args=(), kwargs=None):
            assert not any(name in str(call) for name in ("_local_scalar_dense", "nonzero", "masked_select")), call
            return call(*args, **(kwargs or {}))

    gated = local.LocalGate._gated

    def watched(*arguments):
        with NoWaiting():
            return gated(*arguments)

    monkeypatch.setattr(local.LocalGate, "_gated", watched)
    assert models.sample(by_hand(local, tiny, clip), steps=12).isfinite().all()


@pytest.mark.both_hosts
def test_sdxl_is_guarded(local, host):
    model, clip = models.sdxl(), models.clip(sdxl=True)
    pooled = {"pooled_output": torch.zeros(1, 1280)}
    positive, negative = ([[encoded(clip, text)[0][0], pooled]] for text in ("a weapon", ""))
    plain = models.sample(model, positive, negative)
    out = models.sample(by_hand(local, model, clip, layer=0, acting=(0,)), positive, negative)
    assert out.isfinite().all() and not torch.equal(out, plain)


def test_areas_and_masks_are_guarded_each_by_itself(local, tiny, clip, named):
    def part(text, **options):
        return [[encoded(clip, text)[0][0], {"strength": 1.0, "set_area_to_bounds": False, **options}]]

    areas = [*part("a weapon", area=(8, 4, 0, 0)), *part("a dog", area=(8, 4, 0, 4))]
    masked = part("a weapon", mask=torch.ones(1, 8, 8).tril(), mask_strength=1.0)
    for positive in (areas, masked):
        plain, out = (models.sample(one, positive) for one in (tiny, by_hand(local, tiny, clip)))
        assert out.isfinite().all() and not torch.allclose(out, plain, rtol=1e-3)


def test_context_windows_are_followed(local, tiny, clip, named):
    patched = by_hand(local, tiny, clip)
    assert close(models.sample(windows(patched), named, batch=4), models.sample(patched, named, batch=4))


def test_half_precision_is_guarded(local, clip, named):
    model = models.sd1(dtype=torch.float16)
    assert models.sample(by_hand(local, model, clip), named, steps=2).isfinite().all()


def test_an_interrupted_run_leaves_nothing_behind(local, tiny, clip, named):
    patched = by_hand(local, tiny, clip)
    expected = models.sample(patched, named)

    def stop(step, *_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        models.sample(patched, named, callback=stop)
    assert torch.equal(models.sample(patched, named), expected)


# ---- refusals and off -----------------------------------------------------------------------------------------------


def test_scale_0_is_off(gi, tiny, clip):
    patched, _, said = guarded(gi, tiny, clip, "weapon", scale=0.0)
    assert patched is tiny and "off" in said


def test_a_model_that_tells_nothing_apart_is_refused(gi, local, tiny, clip, monkeypatch):
    def none(*_):
        raise local.calibration.Unsuited("no layer tells things apart")

    monkeypatch.setattr(local.calibrated, "calibrate", none)
    with pytest.raises(
        ValueError, match="cannot serve this model and these targets: no layer .* Choose variant aligned"
    ):
        guarded(gi, tiny, clip, "weapon")


def test_what_local_cannot_mean_is_refused(gi, demo):
    model, clip, _ = demo
    with pytest.raises(ValueError, match="scale is 1: variant local takes targets out"):
        guarded(gi, model, clip, "bomb", scale=1.0)
    with pytest.raises(ValueError, match="adapter: variant local decides by itself"):
        gi.guard(model, clip, SCENE, "bomb", -1.0, "single_pass", object(), variant="local")


def test_a_clip_of_another_model_is_refused(local, tiny):
    with pytest.raises(ValueError, match="The targets were encoded 32 wide, the sampler's prompt 16 wide"):
        models.sample(by_hand(local, tiny, models.clip(32)))
