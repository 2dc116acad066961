"""Local gates and their calibration without ComfyUI: numbers by hand."""

import pytest
import torch

from tools.testing import hosting


@pytest.fixture(scope="module")
def pure():
    return hosting.module("guards.local.formula")


@pytest.fixture(scope="module")
def calibration():
    return hosting.module("guards.local.calibration")


def test_agreement_is_the_cosine_and_the_coefficient_of_the_projection(pure):
    wanted = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]]])
    added = torch.tensor([[[[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]], [[[0.0, 0.0]] * 3]])
    cos, share = pure.agreement(wanted, added)
    assert torch.allclose(cos, torch.tensor([[[0.6, 0.0, -1.0]], [[0.0, 0.0, 0.0]]]))
    assert torch.allclose(share, torch.tensor([[[1.5, 0.0, -1.0]], [[0.0, 0.0, 0.0]]]))


def test_agreement_of_half_precision_is_computed_in_single(pure):
    wanted = torch.full((1, 1, 64), 300.0, dtype=torch.float16)  # its square is beyond half precision
    cos, share = pure.agreement(wanted, wanted[None])
    assert cos.item() == pytest.approx(1) and share.item() == pytest.approx(1)


def replace(pure, out, cos, share, evidence, targets, instead, strength=1.0):
    return pure.replaced(out, cos, share, evidence, 0.6, targets, instead, strength)


def test_a_found_targets_part_becomes_the_replacements_and_the_rest_keeps_its_bits(pure):
    out = torch.tensor([[[5.0, 1.0], [-0.0, torch.inf], [5.0, 1.0]]])
    targets, instead = torch.tensor([2.0, 0.0]).expand(1, 1, 3, 2), torch.tensor([0.0, 3.0]).expand(1, 1, 3, 2)
    cos = torch.tensor([[[0.9, 0.1, 0.45]]])  # the target whole, not, and halfway up the ramp from 0.3 to 0.6
    done = replace(pure, out, cos, torch.full_like(cos, 1.5), torch.ones(1, 1), targets, instead)
    assert done[0, 0].tolist() == [2.0, 5.5] and torch.allclose(done[0, 2], torch.tensor([3.5, 3.25]))
    assert torch.equal(done[0, 1].view(torch.int32), out[0, 1].view(torch.int32))


def test_every_picture_and_target_may_have_a_limit_of_its_own(pure):
    parts = torch.randn(3, 2, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    out, targets, instead = parts[0, 0], parts[1], parts[2]
    cos = torch.rand(2, 2, 5, generator=torch.Generator().manual_seed(1))
    limits = torch.tensor([[[0.3], [0.9]], [[0.6], [0.4]]])
    evidence, one_target = torch.ones(2, 2), (slice(None, 1), slice(1, None))
    for target in one_target:
        given = cos[target], cos[target], evidence[:, target]
        both = pure.replaced(out, *given, limits[target], targets[target], instead[target], 1.0)
        for picture in range(2):
            rows = slice(picture, picture + 1)
            own = [values[target, rows] for values in (cos, cos)]
            limit = float(limits[target][0, picture])
            alone = pure.replaced(
                out[rows], *own, evidence[rows, target], limit, targets[target, rows], instead[target, rows], 1.0
            )
            torch.testing.assert_close(both[rows], alone)


def test_without_evidence_or_strength_every_bit_stays(pure):
    out = torch.randn(2, 4, 8)
    targets, ones = torch.randn(1, 2, 4, 8), torch.ones(1, 2, 4)
    for evidence, strength in ((torch.zeros(2, 1), 1.0), (torch.ones(2, 1), 0.0)):
        assert torch.equal(replace(pure, out, ones, ones, evidence, targets, -targets, strength), out)
    found = replace(pure, out, ones, ones, torch.tensor([[0.0], [1.0]]), targets, -targets)
    assert torch.equal(found[0], out[0]) and not torch.equal(found[1], out[1])


def test_two_words_for_one_thing_take_it_out_once(pure):
    out, target = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[[2.0, 0.0]]]])
    twice = target.expand(2, 1, 1, 2)
    ones = torch.ones(2, 1, 1)
    assert replace(pure, out, ones, ones, torch.ones(1, 2), twice, torch.zeros_like(twice)).abs().max() == 0


def test_no_more_than_twice_the_targets_part_is_taken_out(pure):
    out, target = torch.tensor([[[9.0]]]), torch.tensor([[[[1.0]]]])
    ones = torch.ones(1, 1, 1)
    assert replace(pure, out, ones, ones * 9, torch.ones(1, 1), target, torch.zeros(1, 1, 1, 1)).item() == 7.0


# ---- calibration ----------------------------------------------------------------------------------------------------


def test_words_that_a_text_encoder_reads_alike_are_not_used_twice(calibration):
    unknown, apple, cat = torch.randn(3, 4, 8)
    assert calibration.known(torch.stack([unknown, apple, apple, cat]), unknown[None]) == [1, 3]
    assert calibration.known(torch.randn(9, 4, 8), unknown[None], count=4) == [0, 1, 2, 3]


def test_every_thing_stands_in_four_scenes_twice_on_either_side(calibration):
    pairs = calibration.scenes(6)
    assert len(set(pairs)) == 12 and all(one != other for one, other in pairs)
    for thing in range(6):
        assert sum(pair[0] == thing for pair in pairs) == sum(pair[1] == thing for pair in pairs) == 2


def test_the_seed_layer_is_the_one_that_tells_things_apart(calibration):
    pairs = calibration.scenes(6)
    tops = torch.full((3, 12, 6), 0.4)
    for scene, things in enumerate(pairs):
        tops[0, scene, list(things)] = 0.45  # hardly
        tops[1, scene, list(things)] = 0.8
    tops[2] = 0.9  # sees everything everywhere
    tops[1, 0, pairs[0][0]] = 0.1  # one thing failed in one scene: no reason to leave the layer
    there, without = calibration.margins(tops, pairs)
    layer, limits, margin = calibration.seed(there, without)
    assert (layer, margin) == (1, pytest.approx(0.4))
    assert limits.low == pytest.approx(0.6) and limits.high == pytest.approx(0.68)
    with pytest.raises(calibration.Unsuited, match="tells things apart"):
        calibration.seed(there[[0, 2]], without[[0, 2]])


def test_the_coarser_half_of_the_levels_acts_and_whatever_is_as_coarse_as_the_seed_layer(calibration):
    small, sd1 = [64, 16, 16, 16, 64, 64], [4096, 1024, 256, 64, 256, 1024, 4096]
    assert calibration.coarse(small, 3) == {1, 2, 3} and calibration.coarse(small, 0) == set(range(6))
    assert calibration.coarse(sd1, 3) == {2, 3, 4} and calibration.coarse(sd1, 5) == {1, 2, 3, 4, 5}


def test_the_clearest_well_drawn_thing_that_is_unlike_every_target_stands_in(calibration):
    alike = torch.tensor([[0.9, 0.1, 0.2, 0.0], [0.0, 0.3, -0.1, 0.1]])
    drawn = (0.9, 0.8, 0.8, 0.5)  # the last one stands out most, but is badly drawn
    assert calibration.choose(alike, drawn, (0.6, 0.3, 0.4, 0.5)) == 2
    with pytest.raises(calibration.Unsuited, match="like a target"):
        calibration.choose(torch.tensor([[0.9, -0.8]]), (0.5, 0.5), (0.5, 0.5))


# ---- what the user writes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        (" a glass\nof milk ", {"beer": "a glass of milk", "Wine": "a glass of milk"}),
        ("beer -> milk", {"beer": "milk"}),
        ("wine => tea\nBEER → milk # note", {"Wine": "tea", "beer": "milk"}),
    ],
)
def test_replacements_are_one_for_all_or_a_line_each(text, expected):
    assert hosting.module("guards.local.replacements").read(text, ["beer", "Wine"]) == expected


@pytest.mark.parametrize(
    "text, fault",
    [
        ("gin -> milk", "replacement, line 1: 'gin' is none of the targets .beer, Wine."),
        ("beer -> milk\nwine ->", "line 2: nothing stands right of the arrow"),
        ("beer -> milk\ntea", "line 2 .'tea'. has no arrow"),
    ],
)
def test_replacements_that_cannot_be_meant_are_refused_by_line(text, fault):
    with pytest.raises(ValueError, match=fault):
        hosting.module("guards.local.replacements").read(text, ["beer", "Wine"])
