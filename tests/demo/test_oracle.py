"""The oracle on freshly drawn pictures: it must be right before anything is measured by it."""

import pytest
import torch

from tools.demo_model import broken, draw
from tools.testing import hosting

module = hosting.module("guards.demo.oracle")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small pictures gain nothing from threads, which on a busy machine mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def oracle():
    return module.load()


@pytest.fixture(scope="module")
def clean():
    generator = torch.Generator().manual_seed(777)
    spec = broken.evenly(600, generator)
    return draw.draw(spec, scale=1), broken.truth(spec)


def one(shape, colour="red", texture="plain", second=None, background="white"):
    """A picture with one object in the middle, or with two side by side: (shape, colour) pairs."""
    two = second is not None
    spec = dict(
        shape=draw.SHAPES.index(shape),
        colour=draw.COLOURS.index(colour),
        texture=draw.TEXTURES.index(texture),
        background=draw.BACKGROUNDS.index(background),
        shape2=draw.SHAPES.index(second[0]) if two else -1,
        colour2=draw.COLOURS.index(second[1]) if two else 0,
    )
    spec = {k: torch.tensor([v]) for k, v in spec.items()}
    spec["geometry"] = draw.geometry(1, torch.tensor([two]), torch.Generator().manual_seed(3))
    return draw.draw(spec)


def test_labels_are_those_of_the_drawings():
    assert module.SHAPES == draw.SHAPES and module.COLOURS == draw.COLOURS and module.SIZE == draw.SIZE
    assert module.BACKGROUNDS == draw.BACKGROUNDS and module.TEXTURES == draw.TEXTURES
    assert (module.NONE, module.ABSENT) == (broken.NONE, broken.ABSENT)


def test_sees_clean_drawings(oracle, clean):
    images, truth = clean
    seen = oracle.see(images)
    for head, found in (
        ("slots", seen.slots),
        ("colours", seen.colours),
        ("texture", seen.texture),
        ("background", seen.background),
    ):
        judged = truth[head] >= 0
        assert (found == truth[head])[judged].float().mean() >= 0.99, head
    assert (seen.slots == truth["slots"]).all(1).float().mean() >= 0.99
    star = (truth["slots"] == module.SHAPES.index("star")).any(1)
    assert (seen.contains("star") == star).float().mean() >= 0.99
    assert torch.equal(oracle.contains(images, "star"), seen.contains("star"))


def test_calls_broken_pictures_none(oracle):
    images, truth = broken.sample(256, torch.Generator().manual_seed(778), scale=1)
    seen = oracle.see(images)
    real, said = truth["slots"] == broken.NONE, seen.slots == module.NONE
    assert (said & real).sum() / real.sum() >= 0.91
    assert (said & real).sum() / said.sum() >= 0.97
    missing = truth["slots"] == broken.ABSENT
    assert (seen.slots == module.ABSENT)[missing].float().mean() >= 0.99


def test_describes_in_words(oracle):
    assert oracle.describe(one("ring", "green", "striped")) == ["striped green ring"]
    assert module.describe(one("star", "red", second=("circle", "blue"))) == ["red star + blue circle"]
    assert oracle.describe(torch.full((1, 3, 64, 64), 0.97)) == ["empty"]
    star, moon = one("star", "red"), one("square", "red")
    assert oracle.describe((star + moon) / 2) == ["unclear"]


def test_other_sizes_are_resized(oracle):
    big = torch.nn.functional.interpolate(one("heart", "purple", background="pink"), scale_factor=4)
    assert oracle.describe(big) == ["purple heart"]
    assert oracle.contains(big, "heart").tolist() == [True] and oracle.contains(big, "moon").tolist() == [False]


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(3, 64, 64),
        torch.zeros(1, 64, 64, 3),
        torch.zeros(0, 3, 64, 64),
        [[0.0]],
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        torch.full((1, 3, 64, 64), float("nan")),
        torch.full((1, 3, 64, 64), 255.0),
    ],
)
def test_refuses_what_is_no_picture(oracle, bad):
    with pytest.raises(ValueError, match="^images: "):
        oracle.see(bad)


def test_refuses_an_unknown_shape_and_a_wrong_file(oracle, tmp_path):
    with pytest.raises(ValueError, match="^shape: "):
        oracle.contains(one("star"), "sphere")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="x.safetensors"):
        module.load(tmp_path / "x.safetensors")
