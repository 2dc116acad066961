"""The demo model's oracle: a small classifier (a CNN) that says what a picture shows, for tests, demos and tables of figures.

A picture has three slots: one big object in the ``centre``, or small ones on the ``left`` and on the ``right``. A slot
holds one of the eight shapes, ``none`` (something is there, but it is no clear shape) or ``absent``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files import MODELS

SIZE = 64
SLOTS = ["left", "centre", "right"]
SHAPES = ["circle", "square", "triangle", "star", "heart", "ring", "cross", "moon"]
CLASSES = [*SHAPES, "none", "absent"]
NONE, ABSENT = CLASSES.index("none"), CLASSES.index("absent")
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange"]
BACKGROUNDS = ["white", "black", "gray", "pink"]
TEXTURES = ["plain", "striped", "dotted"]
NAMES = (*SHAPES, *TEXTURES[1:])  # what may be asked for by name

FORMAT = "concept-guards.oracle/1"
PATH = os.fspath(MODELS / "demo_oracle.safetensors")
SURE = 0.6  # "decent confidence": what contains() asks for
HEADS = [len(SLOTS) * len(CLASSES), len(SLOTS) * len(COLOURS), len(TEXTURES), len(BACKGROUNDS)]


@dataclass
class Seen:
    """What the oracle sees in n pictures: indices into the lists above, and how sure it is (0..1) of each."""

    slots: Tensor  # (n, 3) into CLASSES; left, centre, right
    colours: Tensor  # (n, 3) into COLOURS; means nothing where absent
    texture: Tensor  # (n,) into TEXTURES, of the centre object
    background: Tensor  # (n,) into BACKGROUNDS
    slots_confidence: Tensor
    colours_confidence: Tensor
    texture_confidence: Tensor
    background_confidence: Tensor
    probabilities: Tensor  # (n, 3, 10): every class of every slot

    def __len__(self) -> int:
        return len(self.slots)

    def contains(self, shape: str, confidence: float = SURE) -> Tensor:
        """(n,) bool: does any slot show this shape, with at least this confidence (0 to 1)? Raises ValueError for no shape."""
        if shape not in SHAPES:
            raise ValueError(f"shape: {shape!r} is none of {', '.join(SHAPES)}")
        return ((self.slots == SHAPES.index(shape)) & (self.slots_confidence >= confidence)).any(1)

    def shows(self, name: str) -> Tensor:
        """(n,) bool: does the picture show this one of NAMES?"""
        return self.texture == TEXTURES.index(name) if name in TEXTURES else self.contains(name)

    def likelihood(self, name: str) -> Tensor:
        """(n,): how sure the oracle is, 0..1, that the picture shows this one of NAMES."""
        if name in TEXTURES:
            return self.texture_confidence * (self.texture == TEXTURES.index(name))
        return self.probabilities[:, :, SHAPES.index(name)].amax(1)

    def broken(self) -> Tensor:
        """(n,) bool: does any slot hold something that is no clear shape, or does the picture hold nothing at all?"""
        return (self.slots == NONE).any(1) | (self.slots == ABSENT).all(1)

    def describe(self) -> list[str]:
        """``"striped green ring"``, ``"red star + blue circle"``, ``"red star + unclear"``, ``"unclear"``, ``"empty"``"""
        lines = []
        for row in range(len(self)):
            parts = []
            for slot, kind in enumerate(self.slots[row].tolist()):
                if kind == ABSENT:
                    continue
                if kind == NONE or self.slots_confidence[row, slot] < 0.5:
                    parts.append("unclear")
                    continue
                words = [COLOURS[self.colours[row, slot]], SHAPES[kind]]
                if slot == 1 and self.texture[row] > 0:
                    words.insert(0, TEXTURES[self.texture[row]])
                parts.append(" ".join(words))
            lines.append(" + ".join(parts) or "empty")
        return lines


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(x)))


def _down(a: int, b: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, kernel, 2, kernel // 2, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Oracle(nn.Module):
    """0.3 M parameters. Call ``see``, ``contains`` or ``describe`` with (n, 3, height, width) pictures in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _down(3, 24, 5),
            _Residual(24),
            _down(24, 64, 3),
            _Residual(64),
            _down(64, 96, 3),
            _Residual(96),
            nn.Conv2d(96, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.hidden = nn.Linear(16 * (SIZE // 8) ** 2, 96)
        self.heads = nn.Linear(96, sum(HEADS))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of (n, 3, 64, 64) in 0..1: slots (n, 3, 10), colours (n, 3, 6), texture (n, 3), background (n, 4)."""
        x = F.relu(self.hidden(self.body(images * 2 - 1).flatten(1)))
        slots, colours, texture, background = self.heads(x).split(HEADS, 1)
        return slots.unflatten(1, (len(SLOTS), -1)), colours.unflatten(1, (len(SLOTS), -1)), texture, background

    @torch.no_grad()
    def see(self, images: Tensor) -> Seen:
        """What (n, 3, height, width) pictures in 0..1 show. Raises ValueError for others, as ``prepare``."""
        images = prepare(images).to(self.hidden.weight)
        parts = [[head.float().softmax(-1) for head in self(chunk)] for chunk in images.split(128)]
        slots, colours, texture, background = (torch.cat(part) for part in zip(*parts))
        (cs, s), (cc, c), (ct, t), (cb, b) = (p.max(-1) for p in (slots, colours, texture, background))
        return Seen(s, c, t, b, cs, cc, ct, cb, slots)

    def contains(self, images: Tensor, shape: str, confidence: float = SURE) -> Tensor:
        """(n,) bool: which pictures show this shape. Raises ValueError for another shape or other pictures."""
        return self.see(images).contains(shape, confidence)

    def describe(self, images: Tensor) -> list[str]:
        """Each picture in a few words, as ``Seen.describe``. Raises ValueError as ``prepare``."""
        return self.see(images).describe()


def prepare(images: Tensor) -> Tensor:
    """Pictures (n, 3, height, width) in 0..1, as (n, 3, 64, 64) float32. Raises ValueError for others, NaN included."""
    if not isinstance(images, Tensor):
        raise ValueError(f"images: a tensor (n, 3, height, width) is needed, not {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        hint = "; the host's pictures need .movedim(-1, 1)" if images.ndim == 4 and images.shape[-1] == 3 else ""
        raise ValueError(f"images: a tensor (n, 3, height, width) is needed, not {tuple(images.shape)}{hint}")
    if not images.is_floating_point():
        raise ValueError(f"images: floats in 0..1 are needed, not {images.dtype}")
    if not bool(((images >= -0.01) & (images <= 1.01)).all()):  # refuses NaN, too
        raise ValueError("images: the values must be finite and in 0..1")
    images = images.float()
    return images if images.shape[2:] == (SIZE, SIZE) else F.interpolate(images, (SIZE, SIZE), mode="area")


def load(path: str | os.PathLike | None = None) -> Oracle:
    """The trained classifier, float32 on the CPU, to evaluate with. Raises ValueError for a file that is missing or broken."""
    from safetensors import safe_open

    path = PATH if path is None else os.fspath(path)
    try:
        with safe_open(path, "pt") as file:
            found = (file.metadata() or {}).get("format")
            weights = {name: file.get_tensor(name) for name in file.keys()}
        if found != FORMAT:
            raise ValueError(f"its format is {found!r}, not {FORMAT!r}")
        oracle = Oracle()
        oracle.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except Exception as error:
        raise ValueError(
            f"the oracle's file {os.path.basename(path)} cannot be used ({error}); put back the one of "
            "this release, or train one: python3 run.py train oracle"
        ) from error
    return oracle.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def _shipped() -> Oracle:
    return load()


def describe(images: Tensor) -> list[str]:
    """What the shipped classifier sees in each of (n, 3, height, width) pictures in 0..1, in a few words. Raises ValueError."""
    return _shipped().describe(images)
