"""What a detector found, drawn on the pictures: boxes, a frame in the verdict's colour, the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .detectors import Found, as_bytes

FLAGGED, CLEAR, INK = (220, 50, 40), (40, 150, 70), (255, 255, 255)


def draw(pictures: Tensor, found: Found, flagged: Sequence[bool]) -> Tensor:
    """Pictures (n, h, w, 3) of 0..1, float32 on the CPU, with a red frame where flagged and a green one elsewhere."""
    drawn = []
    for array, score, boxes, bad in zip(as_bytes(pictures), found.scores.tolist(), found.boxes, flagged, strict=True):
        picture = Image.fromarray(array)
        pen, (width, height) = ImageDraw.Draw(picture), picture.size
        thick = max(1, min(width, height) // 100)
        letters = ImageFont.load_default(max(8, min(width, height) // 24))
        for box in boxes:
            corner = (box.left * width, box.top * height)
            pen.rectangle((*corner, box.right * width, box.bottom * height), outline=FLAGGED, width=thick)
            _label(pen, corner, f"{box.name.replace('_', ' ').lower()} {box.score:.2f}", letters, FLAGGED)
        colour = FLAGGED if bad else CLEAR
        pen.rectangle((0, 0, width - 1, height - 1), outline=colour, width=2 * thick)
        _label(pen, (2 * thick, 2 * thick), f"{score:.2f}", letters, colour)
        drawn.append(torch.from_numpy(np.asarray(picture).copy()))
    return torch.stack(drawn).float() / 255


def _label(pen, corner, text, letters, colour):
    pen.rectangle(pen.textbbox(corner, text, letters), fill=colour)
    pen.text(corner, text, INK, letters)
