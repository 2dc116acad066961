"""Directions in transformers: on the picture's tokens of the positive rows, behind one block, in every family and on both hosts."""

import pytest
import torch

from tools.testing import dits, hosting, sampling
from tools.testing.sampling import close

pytestmark = pytest.mark.both_hosts
BLOCK = dits.MIDDLE


@pytest.fixture(scope="module")
def built(host):
    """Family -> its tiny MODEL, made once."""
    made = {}
    return lambda name: made[name] if name in made else made.setdefault(name, dits.build(name))


@pytest.fixture(params=dits.CONFIGS)
def family(request):
    return request.param


def a_direction(model, seed=1, block=f"double:{BLOCK}", scale=2.0, name="it"):
    channels = hosting.module("guards.host.dit").width(model)
    values = scale * torch.randn(channels, generator=torch.Generator().manual_seed(seed))
    return hosting.module("guards.directions.formula").Direction(name, values, "", 64, {}, block)


def steer(model, direction, strength=1.0, **options):
    return hosting.module("guards.directions.host").steer(model, direction, strength, **options)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_the_pictures_tokens_of_the_positive_rows_get_the_vector(built, family, cfg):
    model = built(family)
    direction = a_direction(model)
    out = dits.sample(family, steer(model, direction, -1.5), cfg=cfg, batch=2)
    with dits.ByHook(family, model, -1.5 * direction.values, dits.text(family, 1)) as reference:
        expected = dits.sample(family, reference.model, cfg=cfg, batch=2)
    assert torch.allclose(out, expected, atol=1e-4) and close(out, expected, 1e-5)
    assert not close(out, dits.sample(family, model, cfg=cfg, batch=2), 1e-2)


def test_off_is_the_model_itself_and_a_vector_of_zeros_changes_no_bit(built, family):
    model = built(family)
    direction, zeros = a_direction(model), a_direction(model, scale=0.0)
    assert (
        steer(model, direction, 0.0) is model
        and steer(model, direction, 1.0, start_percent=0.5, end_percent=0.5) is model
    )
    assert torch.equal(dits.sample(family, steer(model, zeros)), dits.sample(family, model))


def test_rows_go_by_role_in_split_batches_and_beside_a_concept(built, family, monkeypatch):
    model = built(family)
    guarded = steer(model, a_direction(model))
    whole = dits.sample(family, guarded, batch=2)
    with_concept = sampling.sld(guarded, dits.text(family, 3))
    beside = dits.sample(family, with_concept, batch=2)
    assert not close(beside, whole, 1e-3)
    with dits.ByHook(family, model, a_direction(model).values, dits.text(family, 1)) as reference:
        assert close(beside, dits.sample(family, sampling.sld(reference.model, dits.text(family, 3)), batch=2), 1e-4)
    monkeypatch.setattr(type(model), "get_free_memory", lambda *_: 0)
    assert close(dits.sample(family, guarded, batch=2), whole, 1e-5)
    assert close(dits.sample(family, with_concept, batch=2), beside, 1e-4)


def test_another_packs_patch_of_the_block_is_still_called(built, family):
    model = built(family)
    neighbour, calls = model.clone(), []

    def replace(args, extra):
        calls.append(1)
        return extra["original_block"](args)

    def listed(args):
        calls.append(1)
        return args

    if family in ("lumina", "zimage"):
        neighbour.set_model_double_block_patch(listed)
    else:
        neighbour.set_model_patch_replace(replace, "dit", "double_block", BLOCK)
    out = dits.sample(family, steer(neighbour, a_direction(model)))
    assert len(calls) >= 3 and close(out, dits.sample(family, steer(model, a_direction(model))), 1e-6)
    assert torch.equal(dits.sample(family, neighbour), dits.sample(family, model))


def test_images_of_a_batch_get_their_own_sides(built, family):
    host_side, fairness = hosting.module("guards.directions.host"), hosting.module("guards.directions.fairness")
    model = built(family)
    sides, shares = [a_direction(model, seed, name=str(seed)) for seed in (1, 2)], fairness.parse_shares("1:1", 2)
    batch = dits.sample(family, host_side.steer_fairly(model, sides, shares, 1.0, 5), batch=4)
    alone = [dits.sample(family, steer(model, side), batch=4) for side in sides]
    for image, side in enumerate(fairness.assign(shares, 4, host_side.draw_name(sides, 5))):
        assert close(batch[image], alone[side][image], 1e-5)
    with pytest.raises(ValueError, match="b .2. belongs to the block double:0, a .1. to double:1"):
        host_side.steer_fairly(model, [sides[0], a_direction(model, 2, "double:0", name="2")], shares, 1.0, 5)


def test_a_direction_belongs_to_its_block_and_kind(built, host):
    model = built("qwen")
    outs = [dits.sample("qwen", steer(model, a_direction(model, block=f"double:{i}"))) for i in range(dits.DEPTH)]
    assert not close(outs[0], outs[1], 1e-3) and not close(outs[1], outs[2], 1e-3)
    with pytest.raises(
        ValueError, match="belongs to the block double:3, this model .Qwen-Image. has double:0 to double:2"
    ):
        steer(model, a_direction(model, block="double:3"))
    with pytest.raises(ValueError, match="belongs to the block middle, this model"):
        steer(model, a_direction(model, block="middle"))
    kind = hosting.module("guards.directions.formula").Direction
    with pytest.raises(ValueError, match="has a value for each place"):
        steer(model, kind("it", torch.ones(32, 4, 4), "", 64, {}, "double:1"))
    with pytest.raises(ValueError, match="found on flux models, this is Qwen-Image"):
        steer(model, kind("it", torch.ones(32), "flux", 64, {}, "double:1"))


def test_a_reference_pictures_tokens_are_left_alone(built):
    """Flux and Qwen-Image put them behind the picture's own, and old hosts do not say how many they are; Z-Image before."""
    import inspect

    import comfy.ldm.flux.model

    told = "reference_image_num_tokens" in inspect.getsource(comfy.ldm.flux.model)
    places = {}
    for name in ("flux", "qwen", "zimage"):
        seen = places[name] = []
        model, change = built(name).clone(), lambda h, extra, seen=seen: (seen.append(h.shape[1]), h)[1]
        hosting.module("guards.host.dit").after(model.model_options["transformer_options"], model, BLOCK, change)
        positive = [
            [tensor, {**options, "reference_latents": [dits.noise(name, height=12)]}]
            for tensor, options in dits.text(name, 1)
        ]
        dits.sample(name, model, cfg=1.0, steps=1, positive=positive)
    own = [16] if told else [16 + 24]
    assert places == {"flux": own, "qwen": own, "zimage": [16]}


def test_a_compiled_model_is_steered(built, family):
    import copy

    model = built(family).clone()
    plain = dits.sample(family, steer(model, a_direction(model)), steps=2)
    network = copy.copy(model.model.diffusion_model)
    model.add_object_patch("diffusion_model", torch.compile(network, backend="eager"))
    assert close(dits.sample(family, steer(model, a_direction(model)), steps=2), plain, 1e-5)


def test_every_frame_of_a_video_is_steered_and_windows_over_it_are_followed(built):
    model = built("wan")
    start, still = dits.noise("wan", frames=4), []
    guarded = steer(model, a_direction(model))

    for change in (lambda one: one, dits.windowed):
        out, plain = (dits.sample("wan", change(one), steps=1, start=start) for one in (guarded, model))
        with dits.ByHook("wan", model, a_direction(model).values, dits.text("wan", 1)) as reference:
            assert close(out, dits.sample("wan", change(reference.model), steps=1, start=start), 1e-5)
        still += [(out - plain).abs().amax((0, 1, 3, 4)).min().item()]
    assert min(still) > 1e-2
