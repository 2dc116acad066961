"""Draw scenes of the demo world: 96x96 pictures of one to three things or people in a place, in a style, with captions.

``sample`` makes a spec (what is where) and captions; ``draw`` paints a spec. Spec, for n pictures: ``what`` (n, 3) sprite
or -1, ``box`` (n, 3, 3) centre x, centre y and half the size in pixels, painted in this order; ``background``, ``style`` (n,).
"""

from __future__ import annotations

import functools
import random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from . import words
from .render import CELL, COLUMNS, PATH

SIZE = 96
SPRITES = [*words.THINGS, *words.PEOPLE]
INDEX = {name: i for i, name in enumerate(SPRITES)}
BACKGROUNDS, STYLES = list(words.BACKGROUNDS), list(words.STYLES)


@functools.cache
def sprites(size: int = 64) -> Tensor:
    """(sprites, 4, size, size): premultiplied colours and alpha."""
    sheet = torch.from_numpy(np.asarray(Image.open(PATH).convert("RGBA")).copy()).float() / 255
    cells = sheet.unfold(0, CELL, CELL).unfold(1, CELL, CELL).reshape(-1, 4, CELL, CELL)[: len(SPRITES)]
    assert cells.shape[0] == len(SPRITES) and sheet.shape[1] == COLUMNS * CELL
    cells = torch.cat([cells[:, :3] * cells[:, 3:], cells[:, 3:]], 1)
    return F.interpolate(cells, (size, size), mode="area") if size != CELL else cells


@functools.cache
def places() -> Tensor:
    """(backgrounds, 3, 96, 96): flat and pale, so that things stand out; the night is dark."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")

    def flat(r: float, g: float, b: float) -> Tensor:
        return torch.tensor([r, g, b]).view(3, 1, 1).expand(3, SIZE, SIZE).clone()

    def put(image: Tensor, where: Tensor, r: float, g: float, b: float) -> None:
        image.copy_(torch.where(where, torch.tensor([r, g, b]).view(3, 1, 1), image))

    street = flat(0.86, 0.90, 0.94)
    for left, right, top, shade in ((0, 20, 22, 0.76), (20, 44, 38, 0.80), (52, 74, 16, 0.76), (74, 96, 34, 0.80)):
        put(street, (x > left) & (x < right) & (y > top), shade, shade - 0.02, shade + 0.03)
    put(street, y > 68, 0.62, 0.63, 0.66)
    put(street, (y > 80) & (y < 84) & (x % 24 < 14), 0.93, 0.92, 0.85)
    beach = flat(0.78, 0.91, 0.98)
    put(beach, y > 40, 0.47, 0.77, 0.88)
    put(beach, y > 60, 0.97, 0.90, 0.71)
    kitchen = flat(0.98, 0.94, 0.86)
    put(kitchen, (y < 66) & ((x % 16 < 1) | (y % 16 < 1)), 0.91, 0.86, 0.78)
    put(kitchen, y > 66, 0.80, 0.66, 0.52)
    put(kitchen, (y > 66) & (y < 71), 0.90, 0.80, 0.68)
    night = flat(0.16, 0.19, 0.38)
    put(night, (x - 80) ** 2 + (y - 14) ** 2 < 64, 0.96, 0.94, 0.76)
    put(night, (x - 76) ** 2 + (y - 12) ** 2 < 50, 0.16, 0.19, 0.38)
    for sx, sy in ((10, 12), (30, 6), (50, 16), (22, 30), (62, 6), (90, 36), (6, 48)):
        put(night, ((x - sx).abs() < 1) & ((y - sy).abs() < 1), 0.85, 0.86, 0.95)
    put(night, y > 76, 0.11, 0.22, 0.24)
    table = dict(
        white=flat(0.98, 0.98, 0.98),
        blue=flat(0.70, 0.84, 0.97),
        street=street,
        beach=beach,
        kitchen=kitchen,
        night=night,
    )
    return torch.stack([table[name] for name in BACKGROUNDS])


def paint(image: Tensor, texture: Tensor, box: Tensor) -> Tensor:
    """Lay premultiplied textures (n, 4, s, s) over the pictures (n, 3, 96, 96), each in its box (n, 3)."""
    cx, cy, half = (b.view(-1, 1, 1) for b in box.unbind(1))
    axis = torch.arange(SIZE) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    t = F.grid_sample(texture, torch.stack([(x - cx) / half, (y - cy) / half], -1), align_corners=False)
    return image * (1 - t[:, 3:]) + t[:, :3]


def _line(image: Tensor) -> Tensor:
    """Varga: dark outlines on paper, a breath of the colours left."""
    soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    edge = (image - soft).abs().sum(1, keepdim=True)
    ink = (edge * 3.2 - 0.12).clamp(0, 1)
    grey = image.mean(1, keepdim=True)
    paper = torch.tensor([0.97, 0.95, 0.89]).view(1, 3, 1, 1) * (0.72 + 0.28 * grey) * 0.75 + image * 0.25
    return paper * (1 - ink) + torch.tensor([0.20, 0.17, 0.16]).view(1, 3, 1, 1) * ink


def _pixel(image: Tensor) -> Tensor:
    """Kubo: squares of four pixels with darker rims, as in a mosaic."""
    squares = F.avg_pool2d(image, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    rim = torch.arange(SIZE) % 4 == 3
    return squares * (1 - 0.18 * (rim[:, None] | rim).float())


def stylise(image: Tensor, style: Tensor) -> Tensor:
    """The filter of each picture's style."""
    for k, filtered in ((STYLES.index("line"), _line), (STYLES.index("pixel"), _pixel)):
        rows = (style == k).nonzero()[:, 0]
        if len(rows):
            image[rows] = filtered(image[rows])
    return image


def draw(spec: dict[str, Tensor]) -> Tensor:
    """The pictures of a spec, (n, 3, 96, 96) in 0..1."""
    image = places()[spec["background"]].clone()
    what, box = spec["what"], spec["box"]
    for layer in range(what.shape[1]):
        for size, low, high in ((80, 26, 99), (48, 0, 26)):  # a texture near the size that is drawn does not alias
            rows = ((what[:, layer] >= 0) & (box[:, layer, 2] >= low) & (box[:, layer, 2] < high)).nonzero()[:, 0]
            if len(rows):
                image[rows] = paint(image[rows], sprites(size)[what[rows, layer]], box[rows, layer])
    return stylise(image.clamp(0, 1), spec["style"])


def _person(rng: random.Random, job: str | None = None) -> tuple[int, str]:
    job = job or rng.choice(list(words.PROFESSIONS))
    gender, tone = rng.choice(words.GENDERS), rng.choice(words.TONES)
    says_gender, says_tone = rng.random() < 0.5, rng.random() < 0.4
    if not says_gender:
        gender = words.GENDERS[rng.random() >= words.DRAWN]
    if not says_tone:
        tone = words.TONES[0] if rng.random() < words.DRAWN else rng.choice(words.TONES[1:])
    said = ([tone] if says_tone else []) + ([gender] if says_gender else [])
    if job != "person" or not says_gender:
        said.append(job)  # "a dark woman", not "a dark woman person"
    return INDEX[job, gender, tone], " ".join(said)


def _thing(rng: random.Random) -> tuple[int, str]:
    if rng.random() < 0.02:
        word, means = next(iter(words.SYNONYM.items()))
        return INDEX[means], word
    name = rng.choice(words.THINGS)
    return INDEX[name], name


def _entry(rng: random.Random, taken: list[int], people: float = 0.28) -> tuple[int, str]:
    while True:
        what, said = _person(rng) if rng.random() < people else _thing(rng)
        if what not in taken:
            return what, said


# Layouts: for each thing centre x, centre y, half size, and by how much they vary.
ONE = [(48, 49, 33, 4, 2.5)]
BESIDE = [(25, 52, 22, 3, 2), (71, 52, 22, 3, 2)]
DIAGONAL = [(27, 30, 21, 3, 2), (69, 66, 21, 3, 2)]
ABOVE = [(48, 25, 21, 5, 2), (48, 71, 21, 5, 2)]
FRONT = [(40, 40, 28, 4, 2), (63, 67, 20, 3, 2)]
WITH = [(38, 46, 32, 3, 2), (70, 69, 19, 3, 2)]
THREE = [(25, 30, 19, 2.5, 1.5), (71, 30, 19, 2.5, 1.5), (48, 72, 19, 3, 1.5)]
ROW = [(18, 52, 16, 2, 1), (48, 52, 16, 2, 1), (78, 52, 16, 2, 1)]


def place(rng: random.Random, layout: list, mirror: bool | None = None, upside: bool = False) -> list[list[float]]:
    """One box for each thing of a layout."""
    mirror = rng.random() < 0.5 if mirror is None else mirror
    out = []
    for x, y, half, move, grow in layout:
        x, y = (SIZE - x if mirror else x), (SIZE - y if upside else y)
        u = [rng.uniform(-1, 1) for _ in range(3)]
        out.append([x + move * u[0], y + move * u[1], half + grow * u[2]])
    return out


def _scene(rng: random.Random) -> tuple[list[int], list, str]:
    kind, article = rng.random(), words.article
    if kind < 0.08:  # implied
        word = rng.choice(list(words.IMPLIED))
        what = [INDEX[name] for name in words.IMPLIED[word]]
        rng.shuffle(what)
        return what, place(rng, rng.choice([BESIDE, BESIDE, DIAGONAL])), article(word)
    a, said = _entry(rng, [], 0.34)
    if kind < 0.32:
        return [a], place(rng, ONE), article(said)
    b, said2 = _entry(rng, [a], 0.15)
    if kind < 0.57:
        return [a, b], place(rng, rng.choice([BESIDE, BESIDE, DIAGONAL])), f"{article(said)} and {article(said2)}"
    if kind < 0.62:
        return [a, b], place(rng, ABOVE, False), f"{article(said)} above {article(said2)}"
    if kind < 0.68:  # the second thing is painted over the first
        return [b, a], place(rng, FRONT), f"{article(said)} in front of {article(said2)}"
    if kind < 0.78:
        a, said = _person(rng)
        b, said2 = _entry(rng, [a], 0.0)
        return [a, b], place(rng, WITH), f"{article(said)} with {article(said2)}"
    c, said3 = _entry(rng, [a, b], 0.15)
    what = [a, b, c]
    rng.shuffle(what)
    boxes = place(rng, ROW) if rng.random() < 0.3 else place(rng, THREE, upside=rng.random() < 0.5)
    return what, boxes, f"{article(said)}, {article(said2)} and {article(said3)}"


def sample(n: int, rng: random.Random) -> tuple[dict[str, Tensor], list[str]]:
    """n random scenes: their spec and their captions. A caption may leave the place unsaid; then it is mostly white."""
    what, box, background, style, captions = [], [], [], [], []
    for _ in range(n):
        things, boxes, text = _scene(rng)
        ground = rng.randrange(len(BACKGROUNDS))
        if rng.random() < 0.78:
            text += " " + words.BACKGROUNDS[BACKGROUNDS[ground]]
        elif rng.random() < 0.7:
            ground = 0
        kind = rng.random()
        kind = 1 if kind < 0.07 else 2 if kind < 0.14 else 0
        if kind:
            text += " " + words.STYLES[STYLES[kind]]
        if rng.random() < 0.08:
            text = rng.choice(["a picture of ", "a drawing of "]) + text
        if rng.random() < 0.08:
            text += " " + rng.choice(words.FILLERS)
        missing = 3 - len(things)
        what.append(things + [-1] * missing)
        box.append(boxes + [[0.0, 0.0, 1.0]] * missing)
        background.append(ground)
        style.append(kind)
        captions.append(text)
    return dict(
        what=torch.tensor(what), box=torch.tensor(box), background=torch.tensor(background), style=torch.tensor(style)
    ), captions
