"""Directions and fair shares as pure arithmetic, and their files, sound and hostile."""

import json
import os
import pickle
import struct
from collections import Counter
from fractions import Fraction

import pytest
import torch

from tools.testing import hosting

directions, files, fairness, loop = (
    hosting.module(f"guards.{name}")
    for name in ("directions.formula", "directions.files", "directions.fairness", "training.loop")
)
OFFICIAL = 1280 * 8 * 8


def a_direction(name="it", shape=(4, 2, 2), family="sd1", seed=0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return directions.Direction(name, values, family, 512, {"prompts": {"target": "a photo of ünïcode"}, "steps": 3})


def test_a_sum_of_directions_is_the_weighted_sum_and_says_what_it_is_made_of():
    a, b, everywhere = a_direction("a"), a_direction("b", seed=1), a_direction("c", shape=(4,), seed=2)
    total = directions.combine(a, b, 0.5, -2)
    assert torch.allclose(total.values, 0.5 * a.values - 2 * b.values)
    assert total.concept == "0.5 a - 2 b" and [part["weight"] for part in total.info["sum"]] == [0.5, -2]
    assert torch.allclose(directions.combine(a, everywhere).values, a.values + everywhere.values[:, None, None])
    assert directions.combine(everywhere, everywhere).values.shape == (4,)


def test_directions_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="of sd1 models.*of sdxl models"):
        directions.combine(a_direction(), a_direction(family="sdxl"))
    for shape in ((5, 2, 2), (4, 3, 2), (5,)):
        with pytest.raises(ValueError, match="only directions of one size"):
            directions.combine(a_direction(), a_direction(shape=shape))


def test_resampling_is_the_identity_at_the_trained_size_and_keeps_a_constant():
    values = a_direction(shape=(3, 8, 8)).values
    assert torch.equal(directions.fitted(values, 8, 8)[0], values)
    for size in ((4, 4), (8, 12), (16, 5)):
        assert torch.allclose(directions.fitted(torch.ones(3, 8, 8), *size), torch.ones(1, 3, *size), atol=1e-6)
    assert directions.fitted(values[:, 0, 0], 5, 6).shape == (1, 3, 1, 1)


@pytest.mark.parametrize(
    "text, shares",
    [
        ("", ["1/3"] * 3),
        ("2:1:1", ["1/2", "1/4", "1/4"]),
        ("0.7, 0.2, 0.1", ["7/10", "1/5", "1/10"]),
        ("50% 30% 20%", ["1/2", "3/10", "1/5"]),
        ("1;0;0", ["1", "0", "0"]),
    ],
)
def test_shares_are_read_in_the_usual_ways(text, shares):
    assert fairness.parse_shares(text, 3) == [Fraction(share) for share in shares]


@pytest.mark.parametrize(
    "text, message",
    [
        ("1:1", "2 numbers.*3 directions"),
        ("a b c", "numbers of at most four decimals"),
        ("1 -1 1", "numbers of at most four"),
        ("0 0 0", "above 0"),
        ("nan 1 1", "numbers of at"),
        ("0.123456 1 1", "four decimals"),
        ("1e999999999 1 1", "numbers of at"),
    ],
)
def test_shares_that_mean_nothing_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        fairness.parse_shares(text, 3)


@pytest.mark.parametrize("text, sides", [("", 2), ("", 3), ("85:15", 2), ("5:3:2", 3), ("1:0", 2), ("1:2:3:4", 4)])
def test_wherever_the_number_of_images_allows_it_the_counts_are_exact(text, sides):
    shares = fairness.parse_shares(text, sides)
    for seed in range(20):
        drawn = fairness.assign(shares, 120, seed)
        for n in range(1, 121):
            if all((n * share).denominator == 1 for share in shares):
                assert Counter(drawn[:n]) == Counter({i: n * share for i, share in enumerate(shares) if share})
            assert all(abs(drawn[:n].count(i) - n * share) <= 2 for i, share in enumerate(shares))


def test_every_image_gets_every_side_with_its_probability_and_seeds_repeat():
    shares = fairness.parse_shares("7:3", 2)
    drawn = [fairness.assign(shares, 6, seed) for seed in range(3000)]
    for image in range(6):
        assert abs(sum(d[image] for d in drawn) / 3000 - 0.3) < 0.03
    assert fairness.assign(shares, 6, 11) == fairness.assign(shares, 60, 11)[:6]


def test_two_attributes_with_one_seed_are_drawn_independently():
    equal = fairness.parse_shares("", 2)
    pairs = Counter()
    for seed in range(400):
        pairs.update(
            zip(fairness.assign(equal, 8, f"{seed}|a|b"), fairness.assign(equal, 8, f"{seed}|c|d"), strict=True)
        )
    assert all(abs(count / 3200 - 0.25) < 0.04 for count in pairs.values()) and len(pairs) == 4


@pytest.mark.parametrize(
    "counts, ratio", [([5, 5], 0), ([10, 0], 1), ([3, 1], 0.5), ([85, 15], 0.7), ([2, 2, 2], 0), ([6, 0, 0], 1)]
)
def test_the_deviation_ratio_is_zero_when_balanced_and_one_when_one_sided(counts, ratio):
    assert fairness.deviation_ratio(counts) == pytest.approx(ratio)


@pytest.mark.parametrize("counts", [[], [4], [0, 0], [3, -1]])
def test_a_deviation_ratio_of_nothing_is_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        fairness.deviation_ratio(counts)


# -- files ---------------------------------------------------------------------------------------------------------------


def test_a_direction_survives_its_file(tmp_path):
    path = tmp_path / "it.safetensors"
    for direction in (a_direction("no violence"), a_direction("é/..", shape=(4,))):
        path.write_bytes(files.content(direction))
        again = files.load(str(path))
        assert torch.equal(again.values, direction.values)
        assert (again.concept, again.family, again.trained_size, again.info) == (
            direction.concept,
            "sd1",
            512,
            direction.info,
        )
    assert files.load(str(path), " É/.. ").concept == "é/.."
    with pytest.raises(ValueError, match="concept: 'x' is not in it.safetensors, which holds: é/..."):
        files.load(str(path), "x")


def official(folder, columns=3, names=None, weights=None):
    path = os.path.join(folder, "unet.pth")
    matrix = torch.arange(OFFICIAL * columns, dtype=torch.float32).reshape(OFFICIAL, columns)
    torch.save({"controlnet.fc1.weight": matrix} if weights is None else weights, path)
    if names is not None:
        with open(os.path.join(folder, "concept_dict.json"), "w", encoding="utf-8") as file:
            file.write(names if isinstance(names, str) else json.dumps(names))
    return path, matrix


def test_the_official_layout_loads_by_the_names_of_its_dictionary(tmp_path):
    path, matrix = official(tmp_path, names={"female": 2, "male": 0})
    direction = files.load(path, "female")
    assert direction.values.shape == (1280, 8, 8) and (direction.family, direction.trained_size) == ("sd1", 512)
    assert torch.equal(direction.values.flatten(), matrix[:, 2])  # row by row, as the authors reshape it
    assert files.load(path).concept == "female" and torch.equal(files.load(path, "MALE").values.flatten(), matrix[:, 0])


@pytest.mark.parametrize(
    "names, message",
    [
        (None, "needs its concept_dict.json"),
        ("{", "is no JSON"),
        ("[1]", "must map names to columns"),
        ({}, "must map names"),
        ({"male": "0"}, "must map names"),
        ({"female": True}, "must map names"),
        ({"female": 3}, "says that 'female' is column 3.*only 3"),
        ({"male": 0}, "'female' is not in concept_dict.json beside unet.pth, which holds: male"),
    ],
)
def test_a_dictionary_that_does_not_fit_is_refused(tmp_path, names, message):
    path, _ = official(tmp_path, names=names)
    with pytest.raises(ValueError, match=message):
        files.load(path, "female")


class Danger:
    def __reduce__(self):
        return os.mkdir, (os.environ["CONCEPT_GUARDS_TEST_DANGER"],)


def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPT_GUARDS_TEST_DANGER", str(tmp_path / "executed"))
    torch.save({"controlnet.fc1.weight": Danger()}, tmp_path / "unet.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Danger()))
    for name in ("unet.pth", "raw.pth"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as plain weights.*nothing in it was executed"):
            files.load(str(tmp_path / name))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "weights, found",
    [
        ({}, "no such key"),
        ({"controlnet.fc1.weight": torch.zeros(5, 2)}, r"of shape \(5, 2\)"),
        ([1], "no such key"),
        ({"controlnet.fc1.weight": torch.zeros(OFFICIAL)}, "of shape"),
    ],
)
def test_other_checkpoints_are_refused_by_what_they_hold(tmp_path, weights, found):
    path, _ = official(tmp_path, names={"a": 0}, weights=weights)
    with pytest.raises(ValueError, match=found):
        files.load(path)


def header(tmp_path, body, length=None):
    path = tmp_path / "hostile.safetensors"
    text = body.encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * 64)
    return str(path)


@pytest.mark.parametrize(
    "body, length",
    [
        ("{}", 10 << 30),
        ("{}", 2**63),
        ("{", None),
        ("", None),
        ("[]", None),
        ('{"direction.a":{"dtype":"F32","shape":[99999999],"data_offsets":[0,64]}}', None),
    ],
)
def test_damaged_and_hostile_headers_are_refused(tmp_path, body, length):
    with pytest.raises(ValueError, match="file: hostile.safetensors"):
        files.load(header(tmp_path, body, length))


@pytest.mark.parametrize(
    "tensors, metadata, message",
    [
        ({"weight": torch.zeros(4)}, {}, "holds no direction"),
        ({"direction.a": torch.zeros(4)}, {}, "format of it.safetensors is None"),
        (
            {"direction.a": torch.zeros(4)},
            {"format": "concept-guards.direction/1", "block": "down"},
            "'down' is no block that can be steered",
        ),
        (
            {"direction.a": torch.zeros(4, 2)},
            {"format": "concept-guards.direction/1"},
            r"shape must be .* not \(4, 2\)",
        ),
        (
            {"direction.a": torch.full((4,), float("nan"))},
            {"format": "concept-guards.direction/1"},
            "no finite numbers",
        ),
        (
            {"direction.a": torch.zeros(4, dtype=torch.int32)},
            {"format": "concept-guards.direction/1"},
            "no finite numbers",
        ),
        ({"direction.a": torch.zeros(0)}, {"format": "concept-guards.direction/1"}, "shape must be"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, tensors, metadata, message):
    import safetensors.torch

    path = str(tmp_path / "it.safetensors")
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=message):
        files.load(path)


def test_metadata_that_is_no_json_does_no_harm(tmp_path):
    import safetensors.torch

    path = str(tmp_path / "it.safetensors")
    for info in ("{", "[]", "[" * 100_000):
        safetensors.torch.save_file(
            {"direction.a": torch.zeros(4)}, path, {"format": files.FORMAT, "info": info, "trained_size": "x"}
        )
        loaded = files.load(path)
        assert loaded.info == {} and loaded.trained_size == 0


def test_a_missing_file_is_named(tmp_path):
    for name in ("no.safetensors", "no.pth"):
        with pytest.raises(ValueError, match=f"file: {name} cannot be read"):
            files.load(str(tmp_path / name))


# -- discovery -----------------------------------------------------------------------------------------------------------


def test_each_picture_is_drawn_once_an_epoch_and_the_seed_repeats():
    images = torch.arange(10.0).view(10, 1, 1, 1)
    examples = loop.Examples(images, 1000, 4)
    seen = torch.cat([examples.draw(4)[0].flatten() for _ in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    again = loop.Examples(images, 1000, 4)
    assert torch.equal(torch.cat([again.draw(4)[0].flatten() for _ in range(5)]), seen)
    assert all(0 <= t < 1000 for t in examples.fixed(16)[2].tolist())


@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
def test_the_error_is_that_of_the_models_own_prediction(kind):
    g = torch.Generator().manual_seed(0)
    x0, noise, sigma = (
        torch.randn(3, 2, 4, 4, generator=g),
        torch.randn(3, 2, 4, 4, generator=g),
        torch.tensor([0.1, 0.5, 0.9]),
    )
    s = sigma.view(-1, 1, 1, 1)
    x = loop.add_noise(x0, noise, sigma, kind == "flow")
    guess = torch.randn(3, 2, 4, 4, generator=g)  # a network's output of that kind
    if kind == "eps":
        denoised, target = x - s * guess, noise
    elif kind == "v":
        root = (1 + s**2).sqrt()
        denoised, target = x / root**2 - guess * s / root, noise / root - x0 * s / root
    else:
        denoised, target = x - s * guess, noise - x0
    expected = (guess - target).square().flatten(1).mean(1)
    assert torch.allclose(loop.errors(denoised, x0, sigma, kind), expected, rtol=1e-4)


def test_training_keeps_the_best_vector_and_stops_where_it_is_told():
    goal = torch.tensor([1.0, -2.0, 0.5])

    def error(values, x0, noise, times):
        return (values - goal).square().sum().expand(len(x0))

    examples = loop.Examples(torch.zeros(8, 1, 1, 1), 10, 0)
    settings = loop.Settings(200, 0.1, 4, 0)
    task = loop.Task(examples, error)
    result = loop.fit_vector(task, [], torch.zeros(3), settings, "cpu", lambda done, result: None)
    assert torch.allclose(result.values, goal, atol=0.02) and result.best < 1e-3 and len(result.losses) == 200

    kept = {}

    def stop(done, latest):
        kept["result"] = latest
        if done == 57:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit_vector(task, [], torch.zeros(3), settings, "cpu", stop)
    assert kept["result"].best_step == 50 and 0 < kept["result"].best < goal.square().sum()
    with pytest.raises(FloatingPointError, match="step 1"):
        wild = loop.Task(examples, lambda v, *_: (v * float("nan")).sum().expand(4))
        loop.fit_vector(wild, [], torch.ones(3), settings, "cpu", lambda *_: None)


def test_what_must_stay_holds_the_vector_back_by_its_weight():
    goal, home = torch.tensor([1.0, -2.0]), torch.tensor([-1.0, -2.0])

    def towards(place):
        return lambda values, x0, *_: (values - place).square().sum().expand(len(x0))

    examples = [loop.Examples(torch.zeros(8, 1, 1, 1), 10, seed) for seed in range(3)]
    keeps = [loop.Task(one, towards(home), 3.0) for one in examples[1:]]
    result = loop.fit_vector(
        loop.Task(examples[0], towards(goal)),
        keeps,
        torch.zeros(2),
        loop.Settings(300, 0.05, 4),
        "cpu",
        lambda *_: None,
    )
    assert torch.allclose(result.values, (goal + 3 * home) / 4, atol=0.02)
