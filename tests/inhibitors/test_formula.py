"""Growth inhibitors as mathematics: alignment, values, scales. The toy cases are the ones worked out from the authors' code."""

import pytest
import torch

from tools.testing import hosting

gi = hosting.module("guards.inhibitors.formula")


def needleman_wunsch(x, y, length):
    """The official alignment, by hand: gap 0, match 1, mismatch -1; backwards insertions first."""
    score = torch.zeros(len(x) + 1, len(y) + 1)
    for i in range(len(x)):
        for j in range(len(y)):
            score[i + 1, j + 1] = max(score[i, j] + (1 if x[i] == y[j] else -1), score[i + 1, j], score[i, j + 1])
    mapper, alpha, erase = torch.arange(length), torch.ones(length), torch.zeros(length, dtype=torch.long)
    i, j, k = len(x), len(y), len(y) - len(x) + 1
    while j:
        if score[i, j] == score[i, j - 1]:
            j, k = j - 1, k - 1
            mapper[j], alpha[j], erase[j] = -1, 0, k
        elif i and score[i, j] == score[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapper[j] = i
    return mapper, alpha, erase


def test_the_toy_case_of_the_published_code_comes_out():
    # <start> a photo of a dog <end>, with "van gogh" appended
    found = gi.align(6, 6, 2, 77)
    assert found.inserted.tolist() == [6, 7]
    assert found.erase[6:8].tolist() == [1, 2] and int(found.erase.sum()) == 3
    assert found.mapper[:10].tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
        -1,
        -1,
        6,
        9,
    ]  # the end token maps to the old one, padding to itself
    assert found.alpha.sum() == 75


@pytest.mark.parametrize(
    "words, targets",
    [
        ("a photo of a dog", "van gogh"),
        ("a dog", "dog"),
        ("dog dog", "dog dog"),
        ("", "weapon"),
        ("weapon a weapon", "a weapon"),
        ("x y z", "z x y z w"),
    ],
)
def test_appended_tokens_align_as_in_needleman_and_wunsch(words, targets):
    row0 = ["<start>", *words.split(), "<end>"]
    row1 = [*row0[:-1], *targets.split(), "<end>"]
    found, at = gi.align(len(row0) - 1, len(row0) - 1, len(targets.split()), 20), needleman_wunsch(row0, row1, 20)
    assert torch.equal(found.mapper, at[0]) and torch.equal(found.alpha, at[1]) and torch.equal(found.erase, at[2])


def test_a_trimmed_prompts_end_token_maps_to_the_old_one():
    found = gi.align(74, 76, 2, 77)
    assert found.mapper[[73, 74, 75, 76]].tolist() == [73, -1, -1, 76]


def test_targets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        gi.align(75, 75, 3, 77)


def test_injecting_takes_the_targets_own_encoding_at_the_inserted_positions():
    row, target = torch.randn(2, 77, 4), torch.randn(1, 77, 4)
    found = gi.inject(row, target, gi.align(6, 6, 2, 77))
    assert torch.equal(found[:, 6:8], target[:, 1:3].expand(2, -1, -1))
    assert (
        torch.equal(found[:, 8], row[:, 6])
        and torch.equal(found[:, :6], row[:, :6])
        and torch.equal(found[:, 9:], row[:, 9:])
    )


def test_moved_values_give_the_published_maps_product():
    alignment, maps, values = gi.align(6, 6, 2, 77), torch.rand(3, 5, 77).softmax(-1), torch.randn(3, 77, 4)
    expected = (maps[..., alignment.mapper] * alignment.alpha) @ values
    assert torch.allclose(maps @ gi.fold(values, alignment), expected, atol=1e-6)
    twice = torch.cat([values, values], 1)  # the host repeats a shorter text
    assert torch.allclose(torch.cat([maps, maps], -1) / 2 @ gi.fold(twice, alignment), expected, atol=1e-6)
    more = torch.cat([values, torch.ones(3, 3, 4)], 1)  # tokens that another pack appended
    assert torch.equal(gi.fold(more, alignment)[:, 77:], more[:, 77:])
    other = torch.cat([values, torch.randn(3, 77, 4)], 1)  # another text that stands behind
    moved = gi.fold(other, gi.longer(alignment, 77))
    assert torch.allclose(maps @ moved[:, :77], expected, atol=1e-6) and torch.equal(moved[:, 77:], other[:, 77:])


def test_windows_are_the_published_ones():
    assert [gi.windows(n) for n in (20, 40, 50)] == [(16, 8), (32, 16), (40, 20)]
    assert gi.windows(10, 1.0, 0.0) == (11, 0)


def test_targets_are_split_at_commas_and_lines_only():
    assert gi.split_targets(" van  gogh style, weapon,,\n blood ") == ["van gogh style", "weapon", "blood"]
    with pytest.raises(ValueError, match="targets is empty"):
        gi.split_targets(" , \n")


def test_words_are_found_by_their_tokens():
    assert gi.find([5, 7, 8, 7, 8, 9], [7, 8]) == [1, 3]
    assert gi.find([5, 7], [7, 8]) == [] and gi.find([5], []) == []


# ---- adapter --------------------------------------------------------------------------------------------------------


def state(inputs):
    generator = torch.Generator().manual_seed(inputs)
    return {
        name: torch.randn([inputs if n is None else n for n in shape], generator=generator) * 0.1
        for name, shape in gi.SHAPES.items()
    }


def by_hand(weights, x):
    h = torch.relu(weights["fc1.weight"] @ x + weights["fc1.bias"])
    return weights["fc3.weight"] @ torch.relu(weights["fc2.weight"] @ h + weights["fc2.bias"]) + weights["fc3.bias"]


@pytest.mark.parametrize("inputs, used", [(16, slice(0, 16)), (5, slice(5, 10))])
def test_official_state_dicts_load_and_take_the_official_layers(inputs, used):
    adapter, means = gi.load_adapter(state(inputs)), torch.rand(2, 3, 16)
    scales = adapter.scales(means)
    assert scales.shape == (2, 3)
    assert torch.allclose(scales[1, 2], by_hand(state(inputs), means[1, 2, used])[0], atol=1e-6)


def test_an_adapter_of_twice_the_layers_sees_the_prompts_shares_as_well():
    adapter, means, shares = gi.load_adapter(state(12)), torch.rand(1, 3, 6), torch.rand(1, 3, 6)
    expected = by_hand(state(12), torch.cat([means[0, 1], shares[0, 1]]))
    assert torch.allclose(adapter.scales(means, shares)[0, 1], expected[0], atol=1e-6)


def test_a_target_is_contained_as_far_as_its_direction_is():
    target, other = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    other -= (other * target).sum((1, 2), keepdim=True) / target.square().sum((1, 2), keepdim=True) * target
    assert torch.allclose(gi.contained(0.7 * target + 3 * other, target), torch.full((2,), 0.7), atol=1e-5)
    assert gi.contained(other, torch.zeros_like(target)).tolist() == [0, 0]


def test_the_gate_follows_the_median_layer():
    shares = torch.tensor([[[1.0, 0.9, 0.1], [0.0, 0.1, 9.0]], [[0.7, 0.675, 0.6], [0.6, 0.75, 0.8]]])
    assert torch.allclose(gi.gate(shares), torch.tensor([[1.0, 0.0], [0.5, 1.0]]), atol=1e-5)


def test_an_adapter_of_another_family_is_refused():
    with pytest.raises(ValueError, match="16 cross-attention layers, this one has 6"):
        gi.load_adapter(state(16)).scales(torch.rand(1, 2, 6))


@pytest.mark.parametrize(
    "broken, message",
    [
        (lambda s: s.pop("fc2.bias"), "no tensor fc2.bias"),
        (lambda s: s.update({"fc3.weight": torch.zeros(2, 32)}), "fc3.weight has the shape"),
        (lambda s: s["fc1.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_a_broken_adapter_says_what_is_wrong(broken, message):
    weights = state(16)
    broken(weights)
    with pytest.raises(ValueError, match=message):
        gi.load_adapter(weights)


def test_bisection_finds_each_pictures_weakest_scale():
    truth = torch.tensor([0.0, -0.3, -1.7, -9.0])  # 0: never there; -9: never gone
    calls = []

    def found(scales):
        calls.append(scales)
        return (scales > truth) & (truth < 0)

    labels = gi.weakest(lambda s: found(s) | ((s == 0) & (truth < 0)), 4, -4.0, 6)
    assert labels[0] == 0 and labels[3] == -4 and len(calls) == 8
    assert (labels[1:3] <= truth[1:3]).all() and (labels[1:3] > truth[1:3] - 4 / 64 - 1e-6).all()


def test_training_learns_scales_that_cover_the_asked_share():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(200, 6, generator=generator) * torch.tensor([1, 0.01, 0.1, 1, 1, 1]) + 0.3
    labels = -1 - 3 * (inputs[:, 1] - 0.3) / 0.01 * torch.rand(200, generator=generator)
    adapter, losses = gi.fit(inputs, labels, epochs=400, cover=0.9)
    covered = (
        (adapter.scales(inputs[:, None])[:, 0] <= labels).float().mean()
    )  # raw inputs: the normalisation is in the weights
    assert 0.84 < covered < 0.96 and losses[-1] < losses[0] / 3
