"""The demo world's oracle: a small detector that names every thing in a picture and where it is, for tests and demos only.

A grid of 12x12 cells; a cell holds a thing, a person of some profession, ``broken`` (something is there, but it is nothing
clear), or nothing. People have a gender and a tone, the picture a background and a style. The names are in the file.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files import MODELS

SIZE, GRID = 96, 12
FORMAT = "concept-guards.scene-oracle/1"
SURE = 0.5  # how sure that anything is there before it is named
LISTS = ("things", "professions", "genders", "tones", "backgrounds", "styles")
PATH = os.fspath(MODELS / "demo_oracle.safetensors")
ARTISTS = {"varga": "line", "kubo": "pixel"}  # as captions say a style -> its name in the oracle's list


@dataclass(frozen=True)
class Thing:
    """One thing that the oracle sees. ``x``, ``y``: its middle, 0..1 from the left and the top."""

    name: str  # a thing, a profession, or "broken"
    x: float
    y: float
    confidence: float
    gender: str = ""  # "" unless it is a person
    tone: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.tone, self.gender, self.name)))


@dataclass
class Seen:
    """What the oracle sees in n pictures."""

    things: list[list[Thing]]
    background: list[str]
    style: list[str]
    likely: dict[str, Tensor] = field(
        default_factory=dict
    )  # name -> (n,): how sure, 0..1, that it is anywhere in the picture

    def __len__(self) -> int:
        return len(self.things)

    def contains(self, name: str, confidence: float = SURE) -> Tensor:
        """(n,) bool: is this thing, or a person of this profession, gender or tone, anywhere?"""
        return torch.tensor(
            [any(name in (t.name, t.gender, t.tone) and t.confidence >= confidence for t in row) for row in self.things]
        )

    def shows(self, name: str) -> Tensor:
        """(n,) bool: does the picture show this one of ``names()``: a thing, people of that kind, a place, an artist's style?"""
        style = ARTISTS.get(name, name)
        whole = torch.tensor([name == place or style == kind for place, kind in zip(self.background, self.style)])
        return self.contains(name) | whole.bool()

    def likelihood(self, name: str) -> Tensor:
        """(n,): how sure the oracle is, 0..1, that the picture shows this one of ``names()``."""
        return self.likely[ARTISTS.get(name, name)]

    def broken(self) -> Tensor:
        """(n,) bool: is anything broken, or nothing there at all?"""
        return torch.tensor([not row or any(t.name == "broken" for t in row) for row in self.things])

    def describe(self) -> list[str]:
        """``"dark woman farmer + beer, beach"``, ``"empty, white, pixel"``"""
        lines = []
        for row, background, style in zip(self.things, self.background, self.style):
            what = " + ".join(str(t) for t in sorted(row, key=lambda t: t.x)) or "empty"
            lines.append(", ".join([what, background] + ([style] if style != "plain" else [])))
        return lines


class _Mix(nn.Module):
    """x + narrow convolutions, normalised over the batch."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _conv(a: int, b: int, kernel: int, stride: int = 1) -> nn.Sequential:
    padding = kernel // 2 if stride == 1 else 0
    return nn.Sequential(nn.Conv2d(a, b, kernel, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Oracle(nn.Module):
    """0.6 M parameters. ``names``: the lists of LISTS. ``see`` takes (n, 3, height, width) pictures in 0..1."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        super().__init__()
        self.names = names
        self.classes = [*names["things"], *names["professions"], "broken", "nothing"]
        self.sizes = [len(self.classes), len(names["genders"]), len(names["tones"])]
        self.fine = nn.Sequential(nn.PixelUnshuffle(4), _conv(48, 64, 3), _Mix(64, 48), _conv(64, 160, 2, 2))
        self.middle = nn.Sequential(_Mix(160, 64), _Mix(160, 64))
        self.coarse = nn.Sequential(_conv(160, 192, 2, 2), _Mix(192, 64), _Mix(192, 64), nn.Conv2d(192, 160, 1))
        self.last = nn.Sequential(_Mix(160, 64), _Mix(160, 64))
        self.cells = nn.Conv2d(160, sum(self.sizes), 1)
        self.whole = nn.Linear(160 * 9, len(names["backgrounds"]) + len(names["styles"]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Logits: classes, genders, tones (n, k, 12, 12) each; background, style (n, k)."""
        x = self.middle(self.fine(images * 2 - 1))
        x = self.last(F.relu(x + F.interpolate(self.coarse(x), scale_factor=2.0)))
        whole = self.whole(F.avg_pool2d(x, 4).flatten(1))
        parts = whole.split([len(self.names["backgrounds"]), len(self.names["styles"])], 1)
        return (*self.cells(x).split(self.sizes, 1), *parts)

    @torch.no_grad()
    def see(self, images: Tensor) -> Seen:
        """What (n, 3, height, width) pictures in 0..1 show. Raises ValueError for others, as ``prepare``."""
        images = prepare(images).to(self.cells.weight)
        chunks = [self(chunk) for chunk in images.split(64)]
        logits = [torch.cat([head.float() for head in heads]) for heads in zip(*chunks)]
        odds = logits[0][:, :-1].logsumexp(1) - logits[0][:, -1]  # of 1 - p, two neighbours may both be exactly 1
        peak = (odds >= math.log(SURE / (1 - SURE))) & (odds >= F.max_pool2d(odds[:, None], 3, 1, 1)[:, 0])
        classes, genders, tones, background, style = (head.softmax(1) for head in logits)
        found: list[list[Thing]] = [[] for _ in images]
        for i, y, x in peak.nonzero().tolist():
            found[i].append(self._thing(classes[i, :, y, x], genders[i, :, y, x], tones[i, :, y, x], x, y))
        whole = (("backgrounds", background), ("styles", style))
        likely = dict(zip(self.classes, classes.amax((2, 3)).unbind(1)))
        jobs = [self.classes.index(job) for job in self.names["professions"]]
        people = classes[:, jobs].sum(1, keepdim=True)
        for key, p in (("genders", genders), ("tones", tones)):
            likely |= dict(zip(self.names[key], (people * p).amax((2, 3)).unbind(1)))
        for key, p in whole:
            likely |= dict(zip(self.names[key], p.unbind(1)))
        place, kind = ([self.names[key][k] for k in p.argmax(1).tolist()] for key, p in whole)
        return Seen(found, place, kind, likely)

    def _thing(self, classes: Tensor, genders: Tensor, tones: Tensor, x: int, y: int) -> Thing:
        k = int(classes[:-1].argmax())
        gender = tone = ""
        if self.classes[k] in self.names["professions"]:
            gender, tone = self.names["genders"][int(genders.argmax())], self.names["tones"][int(tones.argmax())]
        place = ((x + 0.5) / GRID, (y + 0.5) / GRID)
        return Thing(self.classes[k], *place, float(classes[k] / (1 - classes[-1]).clamp(min=1e-6)), gender, tone)


def prepare(images: Tensor) -> Tensor:
    """Pictures (n, 3, height, width) in 0..1, as (n, 3, 96, 96) float32. Raises ValueError for others, NaN included."""
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
    """The trained oracle, on the CPU, in evaluation mode. Raises ValueError for a file that is missing or broken."""
    from safetensors import SafetensorError, safe_open

    path = PATH if path is None else os.fspath(path)
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
        if about.get("format") != FORMAT:
            raise ValueError(f"its format is {about.get('format')!r}, not {FORMAT!r}")
        oracle = Oracle({key: json.loads(about[key]) for key in LISTS})
        oracle.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except (SafetensorError, KeyError, RuntimeError, OSError, ValueError) as error:
        raise ValueError(
            f"the oracle's file {os.path.basename(path)} cannot be used ({error}); put back the one of "
            "this release, or train one: python3 run.py train oracle"
        ) from error
    return oracle.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def shipped() -> Oracle:
    """The oracle that comes with the pack, loaded once."""
    return load()


def names() -> tuple[str, ...]:
    """What the shipped oracle may be asked for by name: things, people's professions, genders and tones, places, artists' styles."""
    return (*(name for key in LISTS[:-1] for name in shipped().names[key]), *ARTISTS)


def describe(images: Tensor) -> list[str]:
    """What the shipped oracle sees in each of (n, 3, height, width) pictures in 0..1, in a few words. Raises ValueError."""
    return shipped().see(images).describe()
