"""Pictures for the oracle's class ``none``: objects that are there but are no clear shape; and pictures that lack objects.

``sample`` draws them with their labels, ``truth`` labels the clean pictures of draw.py. Labels: ``slots`` (n, 3) of
left, centre, right: a shape, NONE or ABSENT; ``colours`` (n, 3), ``texture``, ``background`` (n,). -1: not judged.
"""

import functools
import math

import torch
import torch.nn.functional as F

from . import draw

NONE, ABSENT = len(draw.SHAPES), len(draw.SHAPES) + 1
KINDS = ["blend", "union", "blob", "scatter", "warp", "torn", "fade", "faint", "blur"]
SHARES = [0.17, 0.09, 0.12, 0.10, 0.15, 0.13, 0.11, 0.05, 0.08]
CLEAR = dict(
    blend=0.84, union=0.78, blob=0.78, scatter=0.78, warp=0.72, torn=0.72, fade=0.70
)  # highest likeness allowed


def truth(spec):
    """The labels of a spec of draw.py."""
    two = spec["shape2"] >= 0
    gone = torch.full_like(spec["shape"], ABSENT)
    skip = torch.full_like(gone, -1)
    side = lambda a, b: torch.where(two, a, b)
    return dict(
        slots=torch.stack([side(spec["shape"], gone), side(gone, spec["shape"]), side(spec["shape2"], gone)], 1),
        colours=torch.stack([side(spec["colour"], skip), side(skip, spec["colour"]), side(spec["colour2"], skip)], 1),
        texture=side(skip, spec["texture"]),
        background=spec["background"].clone(),
    )


def evenly(n, generator, two=0.4):
    """A spec like draw.sample's with every shape equally likely, and equal neighbours allowed."""

    def pick(k):
        return torch.randint(0, k, (n,), generator=generator)

    pair = torch.rand(n, generator=generator) < two
    texture = torch.where(pair, 0, (pick(5) - 2).clamp(min=0))
    return dict(
        shape=pick(8),
        colour=pick(6),
        background=pick(4),
        texture=texture,
        shape2=torch.where(pair, pick(8), -1),
        colour2=pick(6),
        geometry=draw.geometry(n, pair, generator),
    )


def noise(n, cells, size, generator):
    """(n, size, size) smooth fields of unit variance or so."""
    raw = torch.randn(n, 1, cells, cells, generator=generator)
    return F.interpolate(raw, size=(size, size), mode="bicubic", align_corners=True)[:, 0]


def _normalised(mask):
    """(n, 24, 24) of each mask's bounding box, and the box's width / height."""
    n, h, w = mask.shape
    rows, columns = mask.any(2).float(), mask.any(1).float()
    index = torch.arange(h).float()

    def ends(line):
        return (torch.where(line > 0, index, 1e9).amin(1), torch.where(line > 0, index, -1.0).amax(1) + 1)

    (y0, y1), (x0, x1) = ends(rows), ends(columns)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = (x1 - x0) / w, (y1 - y0) / h
    theta[:, 0, 2], theta[:, 1, 2] = (x0 + x1) / w - 1, (y0 + y1) / h - 1
    theta = torch.nan_to_num(theta).clamp(-4, 4)
    grid = F.affine_grid(theta, (n, 1, 24, 24), align_corners=False)
    return F.grid_sample(mask[:, None].float(), grid, align_corners=False)[:, 0] > 0.5, (x1 - x0) / (y1 - y0).clamp(
        min=1
    )


@functools.cache
def _prototypes():
    axis = torch.linspace(-1.4, 1.4, 140)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    p = torch.stack([x, y], -1)[None]
    return _normalised(torch.cat([draw._distance(name, p) for name in draw.SHAPES]) < 0)


def likeness(mask):
    """How much each mask looks like one of the eight shapes at best: intersection over union of their bounding boxes."""
    shapes, aspects = _prototypes()
    found, aspect = _normalised(mask)
    both = (found[:, None] & shapes).sum((2, 3)) / (found[:, None] | shapes).sum((2, 3)).clamp(min=1)
    stretch = (aspect[:, None] / aspects).clamp(min=1e-3).log().abs()
    return (both * (1 - (stretch - 0.12).clamp(0, 1))).amax(1)


def _local(geometry, scale):
    """Coordinates in each object's own frame: pixels, (n, h, w, 2)."""
    axis = (torch.arange(draw.SIZE * scale) + 0.5) / scale
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cx, cy, _, angle = (g.view(-1, 1, 1) for g in geometry.unbind(1))
    x, y, c, s = x - cx, y - cy, angle.cos(), angle.sin()
    return torch.stack([c * x + s * y, c * y - s * x], -1)


def _distances(shape, p, radius):
    out = torch.empty(p.shape[:-1])
    for i, name in enumerate(draw.SHAPES):
        rows = (shape == i).nonzero()[:, 0]
        if len(rows):
            r = radius[rows].view(-1, 1, 1)
            out[rows] = draw._distance(name, p[rows] / r[..., None]) * r
    return out


def _attempt(kind, geometry, generator, scale):
    """One try at ``kind`` for each geometry: coverage (n, h, w), and the mask that must not look like a shape."""
    n, size = len(geometry), draw.SIZE * scale

    def uniform(a, b, *shape):
        return a + (b - a) * torch.rand(*(shape or (n, 1, 1)), generator=generator)

    p, radius = _local(geometry, scale), geometry[:, 2]
    r = radius.view(-1, 1, 1)
    a = torch.randint(0, 8, (n,), generator=generator)
    b = (a + 1 + torch.randint(0, 7, (n,), generator=generator)) % 8

    def cover(d):
        return (0.5 - d * scale).clamp(0, 1)

    if kind == "blend":
        t = uniform(0.35, 0.65)
        d = (1 - t) * _distances(a, p, radius) + t * _distances(b, p, radius)
    elif kind == "union":
        shift = (torch.rand(n, 1, 1, 2, generator=generator) - 0.5) * r[..., None]
        small = radius * uniform(0.6, 0.95, n)
        d = torch.minimum(_distances(a, p + shift * 0.8, small), _distances(b, p - shift * 0.8, small))
    elif kind == "blob":
        angle, rim = torch.atan2(p[..., 1], p[..., 0]), 0.75
        for k in range(1, 7):
            rim = rim + uniform(-0.32, 0.32) / max(1, k - 1) ** 0.5 * torch.cos(k * angle + uniform(0, 2 * math.pi))
        d = (p.norm(dim=-1) - rim.clamp(min=0.12) * r) * 0.8
    elif kind == "scatter":
        cells = int(torch.randint(5, 12, (), generator=generator))
        d = (
            (noise(n, cells, size, generator) + (p.norm(dim=-1) / r / 0.8) ** 4 - uniform(-0.1, 0.7))
            * (size / scale / cells)
            * 0.5
        )
    elif kind == "warp":
        cells = int(torch.randint(5, 10, (), generator=generator))
        move = torch.stack([noise(n, cells, size, generator) for _ in "xy"], -1)
        inside = (p.norm(dim=-1) < r)[..., None].float()
        move = move - (move * inside).sum((1, 2), keepdim=True) / inside.sum((1, 2), keepdim=True)
        d = _distances(a, p + move * (r * uniform(0.28, 0.55))[..., None], radius)
    else:
        d = _distances(a, p, radius)
    if kind == "torn":
        way = uniform(0, 2 * math.pi)
        along = p[..., 0] * way.cos() + p[..., 1] * way.sin()
        ragged = noise(n, 12, size, generator) * uniform(0, 3.5)
        half = uniform(-0.25, 0.35) * r - along + ragged  # keep one side
        strip = uniform(0.2, 0.35) * r - (along - uniform(-0.2, 0.2) * r + ragged).abs()  # take a strip out
        holes = (uniform(0.0, 0.5) - noise(n, 9, size, generator)) * 3.0
        choice = uniform(0, 1)
        d = torch.maximum(d, torch.where(choice < 0.4, half, torch.where(choice < 0.7, strip, -holes)))
    alpha = cover(d)
    if kind == "fade":
        way = uniform(0, 2 * math.pi)
        along = (p[..., 0] * way.cos() + p[..., 1] * way.sin()) / r
        alpha = alpha * ((along - uniform(-0.25, 0.3)) / uniform(0.25, 1.0) + 0.4).clamp(0, 1)
    elif kind == "faint":
        alpha = alpha * uniform(0.16, 0.32)
    elif kind == "blur":  # of shapes that do not survive it
        d = _distances(torch.tensor([2, 3, 4, 6, 7])[a % 5], p, radius)
        k = int(radius.mean() * scale * float(uniform(0.32, 0.6, 1))) * 2 + 1
        alpha = cover(d)[:, None]
        for _ in range(2):
            alpha = F.avg_pool2d(alpha, k, 1, k // 2, count_include_pad=False)
        alpha = alpha[:, 0] * uniform(0.8, 1.3)
    return alpha.clamp(0, 1), alpha > 0.45


def objects(geometry, generator, scale=2):
    """One broken object for each geometry (n, 4): its coverage (n, h, w) and the index of its kind."""
    n = len(geometry)
    if n == 0:
        return torch.zeros(0, draw.SIZE * scale, draw.SIZE * scale), torch.zeros(0, dtype=torch.long)
    kind = torch.multinomial(torch.tensor(SHARES), n, True, generator=generator)
    cover = torch.zeros(n, draw.SIZE * scale, draw.SIZE * scale)
    for i, name in enumerate(KINDS):
        left = (kind == i).nonzero()[:, 0]
        for _ in range(40):
            if not len(left):
                break
            alpha, mask = _attempt(name, geometry[left], generator, scale)
            good = torch.ones(len(left), dtype=torch.bool)
            if name in CLEAR:
                area = mask.sum((1, 2)) / scale**2
                good = (likeness(mask) < CLEAR[name]) & (area > 0.35 * geometry[left, 2] ** 2)
            cover[left[good]] = alpha[good]
            left = left[~good]
        if len(left):
            raise RuntimeError(f"{name}: no unclear shape after 40 tries")
    return cover, kind


def _surface(colour, texture, p):
    """The paint of draw.py, everywhere: (n, 3, h, w)."""
    paint = draw._RGB[colour].view(-1, 3, 1, 1).expand(-1, 3, *p.shape[1:3])
    stripes = (0.5 + 2.2 * torch.sin((p[..., 0] + p[..., 1]) * (2 * math.pi / 11.0))).clamp(0, 1)[:, None]
    dots = (2.9 - (p / 9.0 - (p / 9.0).round()).norm(dim=-1) * 9.0).clamp(0, 1)[:, None]
    t = texture.view(-1, 1, 1, 1)
    return torch.where(
        t == 1, paint * (1 - 0.68 * stripes), torch.where(t == 2, paint + (1 - paint) * 0.9 * dots, paint)
    )


def _background(n, generator, scale):
    which = torch.randint(0, 4, (n,), generator=generator)
    return which, draw._BG[which].view(n, 3, 1, 1).repeat(1, 1, draw.SIZE * scale, draw.SIZE * scale)


def _add(image, rows, slot, state, labels, geometry, generator, scale):
    """Put an object (0 clean, 1 broken) into a slot of the pictures ``rows``."""
    n = len(rows)
    colour = torch.randint(0, 6, (n,), generator=generator)
    texture = (torch.randint(0, 5, (n,), generator=generator) - 2).clamp(min=0) * (slot == 1)
    shape = torch.randint(0, 8, (n,), generator=generator)
    clean, bad = (state == 0).nonzero()[:, 0], (state == 1).nonzero()[:, 0]
    g = geometry[clean]
    draw._paint(image, rows[clean], shape[clean], colour[clean], texture[clean], *g.unbind(1), scale)
    labels["slots"][rows[clean], slot] = shape[clean]
    cover, kind = objects(geometry[bad], generator, scale)
    paint = _surface(colour[bad], texture[bad], _local(geometry[bad], scale))
    mixed = torch.rand(len(bad), generator=generator) < 0.15  # two colours running into each other
    other = _surface(torch.randint(0, 6, (len(bad),), generator=generator), texture[bad], _local(geometry[bad], scale))
    where = (noise(len(bad), 6, paint.shape[-1], generator) * 2).clamp(0, 1)[:, None] * mixed.view(-1, 1, 1, 1)
    paint = paint * (1 - where) + other * where
    image[rows[bad]] = image[rows[bad]] * (1 - cover[:, None]) + paint * cover[:, None]
    labels["slots"][rows[bad], slot] = NONE
    weak = mixed | (kind == KINDS.index("faint"))
    colour[bad[weak]] = -1
    labels["colours"][rows, slot] = colour
    if slot == 1:
        hard = kind >= KINDS.index("fade")
        texture[bad[hard | weak]] = -1
        labels["texture"][rows] = texture
    labels["kind"][rows[bad]] = kind


def sample(n, generator, scale=2):
    """n pictures (n, 3, 64, 64) that draw.py would not draw, with their labels; ``kind`` is the last object's, or -1."""
    background, image = _background(n, generator, scale)
    labels = dict(
        slots=torch.full((n, 3), ABSENT),
        colours=torch.full((n, 3), -1),
        texture=torch.full((n,), -1),
        background=background,
        kind=torch.full((n,), -1),
    )
    u = torch.rand(n, generator=generator)
    every = torch.arange(n)
    centre = u < 0.5  # broken object in the middle
    sides = (u >= 0.5) & (u < 0.92)
    odd = (u >= 0.92) & (u < 0.96)  # clear, but of another size or place; the rest stays empty
    g = draw.geometry(n, sides, generator)
    g[:, :3] = g[:, :3] + torch.rand(n, 3, generator=generator) * 2 - 1
    if centre.any():
        _add(
            image,
            every[centre],
            1,
            torch.ones(int(centre.sum()), dtype=torch.long),
            labels,
            g[centre, :4],
            generator,
            scale,
        )
    if odd.any():
        v = torch.rand(n, 4, generator=generator) * 2 - 1
        g[odd, :4] = (v * torch.tensor([5.5, 5.5, 5.0, 0.15]) + torch.tensor([32, 32, 16, 0.0]))[odd]
        _add(image, every[odd], 1, torch.zeros(int(odd.sum()), dtype=torch.long), labels, g[odd, :4], generator, scale)
    state = torch.tensor([[1, 0], [0, 1], [1, 1], [1, 2], [2, 1], [0, 2], [2, 0]])[
        torch.multinomial(torch.tensor([0.15, 0.15, 0.16, 0.11, 0.11, 0.16, 0.16]), n, True, generator=generator)
    ]
    for side, slot in ((0, 0), (1, 2)):
        rows = every[sides & (state[:, side] < 2)]
        if len(rows):
            _add(image, rows, slot, state[rows, side], labels, g[rows, 4 * side : 4 * side + 4], generator, scale)
    return F.avg_pool2d(image, scale), labels


def crossfades(n, generator, scale=2):
    """Two clean pictures of one layout and of different shapes, shown at once."""
    a, b = evenly(n, generator), evenly(n, generator)
    for key in ("shape", "shape2"):
        b[key] = torch.where(b[key] == a[key], (b[key] + 3) % 8, b[key])
        b[key] = torch.where(b[key] < 0, (a["shape"] + 3) % 8, b[key])
    b["shape2"] = torch.where(a["shape2"] < 0, -1, b["shape2"])
    b["geometry"] = draw.geometry(n, a["shape2"] >= 0, generator)
    t = 0.36 + 0.28 * torch.rand(n, 1, 1, 1, generator=generator)
    return draw.draw(a, scale) * (1 - t) + draw.draw(b, scale) * t, merged(a, b)


def merged(a, b):
    """Labels of a mixture of two specs of one layout: every object is ``none``, what both share keeps its label."""
    x, y = truth(a), truth(b)
    out = {k: torch.where(x[k] == y[k], x[k], -1) for k in x}
    out["slots"] = torch.where(x["slots"] == ABSENT, ABSENT, NONE)
    return dict(out, kind=torch.full_like(a["shape"], len(KINDS)))
