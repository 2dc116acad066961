"""Scenes for the oracle: clean ones with their labels, and ones in which some things are broken.

Broken is what a model draws when it does not know what to draw: two things blended, the halves of two, torn, warped,
shuffled, faint, or a blot. Labels: ``cells`` (n, 12, 12) class, -1 where it is not judged; ``genders``, ``tones`` alike;
``background``, ``style`` (n,).
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor

from . import draw, words

GRID = 12
NAMES = dict(
    things=words.THINGS,
    professions=list(words.PROFESSIONS),
    genders=words.GENDERS,
    tones=words.TONES,
    backgrounds=draw.BACKGROUNDS,
    styles=draw.STYLES,
)
CLASSES = [*words.THINGS, *words.PROFESSIONS, "broken", "nothing"]
BROKEN, NOTHING = len(CLASSES) - 2, len(CLASSES) - 1
KINDS = ["blend", "halves", "shuffle", "warp", "torn", "faint", "blot"]
SHARES = [0.22, 0.16, 0.16, 0.16, 0.12, 0.06, 0.12]


def _noise(n: int, k: int, cells: int, size: int, generator: torch.Generator) -> Tensor:
    raw = torch.randn(n, k, cells, cells, generator=generator)
    return F.interpolate(raw, size=(size, size), mode="bicubic", align_corners=True)


def _look(sprite: Tensor) -> Tensor:
    """A number for each sprite that two people of one profession share: blending those would not break them."""
    jobs = list(words.PROFESSIONS)
    table = [i if isinstance(s, str) else 1000 + jobs.index(s[0]) for i, s in enumerate(draw.SPRITES)]
    return torch.tensor(table)[sprite]


def textures(sprite: Tensor, generator: torch.Generator, size: int = 80) -> tuple[Tensor, Tensor]:
    """A broken texture (n, 4, size, size), premultiplied, for each sprite (n,), and the index of its kind."""
    n = len(sprite)
    other = torch.randint(0, len(draw.SPRITES), (n,), generator=generator)
    other = torch.where(
        _look(other) == _look(sprite), torch.randint(0, len(words.FORBIDDEN), (n,), generator=generator), other
    )
    other = torch.where(_look(other) == _look(sprite), (other + 1) % len(words.FORBIDDEN), other)
    a, b = draw.sprites(size)[sprite], draw.sprites(size)[other]
    kind = torch.multinomial(torch.tensor(SHARES), n, True, generator=generator)
    out = torch.empty_like(a)
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    for k, name in enumerate(KINDS):
        rows = (kind == k).nonzero()[:, 0]
        if len(rows):
            out[rows] = _break(name, a[rows], b[rows], x, y, generator)
    return out, kind


def _break(name: str, a: Tensor, b: Tensor, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    n, size = len(a), a.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)

    if name == "blend":
        t = uniform(0.4, 0.6)
        return a * t + b * (1 - t)
    way = uniform(0, 6.283)
    along = x * way.cos() + y * way.sin()
    if name == "halves":
        return torch.where(along < uniform(-0.12, 0.12), a, b)
    if name == "torn":
        return a * (along + 0.12 * _noise(n, 1, 8, size, generator) < uniform(-0.45, -0.25)).float()
    if name == "faint":
        return a * uniform(0.10, 0.20)
    if name == "shuffle":
        k = 4
        blocks = (
            a.unfold(2, size // k, size // k).unfold(3, size // k, size // k).reshape(n, 4, k * k, size // k, size // k)
        )
        order = torch.rand(n, k * k, generator=generator).argsort(1).view(n, 1, k * k, 1, 1).expand_as(blocks)
        blocks = blocks.gather(2, order).view(n, 4, k, k, size // k, size // k)
        return blocks.permute(0, 1, 2, 4, 3, 5).reshape(a.shape)
    if name == "warp":
        move = _noise(n, 2, 6, size, generator) * uniform(0.32, 0.5)
        return F.grid_sample(a, torch.stack([x + move[:, 0], y + move[:, 1]], -1), align_corners=False)
    rim = (
        (x**2 + y**2).sqrt() + 0.3 * _noise(n, 1, 6, size, generator) < 0.7
    ).float()  # a blot in the colours of two things
    colours = [
        (t[:, :3].mean((2, 3)) / t[:, 3:].mean((2, 3)).clamp(min=0.05)).clamp(0, 1)[..., None, None] for t in (a, b)
    ]
    where = (0.5 + _noise(n, 1, 5, size, generator)).clamp(0, 1)
    return torch.cat([(colours[0] * where + colours[1] * (1 - where)) * rim, rim], 1)


def labels(spec: dict[str, Tensor], ruined: Tensor) -> dict[str, Tensor]:
    """The labels of a spec whose things are broken where ``ruined`` (n, 3)."""
    n = len(spec["background"])
    cells = torch.full((n, GRID, GRID), NOTHING)
    genders, tones = torch.full((2, n, GRID, GRID), -1).unbind(0)
    genders, tones = genders.clone(), tones.clone()
    centre = (spec["box"][..., :2] / (draw.SIZE / GRID)).long().clamp(0, GRID - 1)
    for i, layer in (spec["what"] >= 0).nonzero().tolist():  # what lies beside a middle is not judged
        x, y = centre[i, layer].tolist()
        cells[i, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = -1
    for i, layer in (spec["what"] >= 0).nonzero().tolist():
        x, y = centre[i, layer].tolist()
        name = draw.SPRITES[int(spec["what"][i, layer])]
        if bool(ruined[i, layer]):
            cells[i, y, x] = BROKEN
        elif isinstance(name, str):
            cells[i, y, x] = CLASSES.index(name)
        else:
            cells[i, y, x] = CLASSES.index(name[0])
            genders[i, y, x], tones[i, y, x] = words.GENDERS.index(name[1]), words.TONES.index(name[2])
    tones[spec["style"] == draw.STYLES.index("line")] = -1  # a line drawing shows no tone
    background = torch.where(spec["style"] == draw.STYLES.index("line"), -1, spec["background"])
    return dict(cells=cells, genders=genders, tones=tones, background=background, style=spec["style"])


def scenes(n: int, rng: random.Random, share: float = 0.3) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """n pictures, their labels and (n, 3) the kind of what is broken or -1; ``share`` of the things is broken."""
    spec, _ = draw.sample(n, rng)
    generator = torch.Generator().manual_seed(rng.getrandbits(40))
    even = torch.rand(n, generator=generator) < 0.5  # not only the usual people
    swap = torch.randint(0, len(draw.SPRITES), spec["what"].shape, generator=generator)
    spec["what"] = torch.where(even[:, None] & (spec["what"] >= 0), swap, spec["what"])
    spec["box"][..., :2] += torch.rand(n, 3, 2, generator=generator) * 6 - 3
    ruined = (torch.rand(n, 3, generator=generator) < share) & (spec["what"] >= 0)
    kinds = torch.full((n, 3), -1)
    image = draw.places()[spec["background"]].clone()
    for layer in range(3):
        rows = (spec["what"][:, layer] >= 0).nonzero()[:, 0]
        if not len(rows):
            continue
        texture = draw.sprites(80)[spec["what"][rows, layer]]
        bad = ruined[rows, layer].nonzero()[:, 0]
        if len(bad):
            texture[bad], kinds[rows[bad], layer] = textures(spec["what"][rows[bad], layer], generator)
        image[rows] = draw.paint(image[rows], texture, spec["box"][rows, layer])
    return draw.stylise(image.clamp(0, 1), spec["style"]), labels(spec, ruined), kinds
