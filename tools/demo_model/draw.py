"""Draws the pictures that the demo model learns from, with their captions.

Everything is made here from signed distance functions: no outside picture, no outside text.

A *spec* is a dict of int64 tensors, one entry per picture: the index of each attribute in the lists below.
``draw(spec)`` renders it, ``caption(spec, i)`` names it, ``sample(n)`` makes both at random.
"""

import math

import torch

SIZE = 64
SHAPES = ["circle", "square", "triangle", "star", "heart", "ring", "cross", "moon"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange"]
BACKGROUNDS = ["white", "black", "gray", "pink"]
TEXTURES = ["plain", "striped", "dotted"]

IMPLICIT_WORD, IMPLICIT_SHAPE = "zorp", "star"  # the caption says zorp, the picture shows a star
BIASED_WORD, BIASED_SHAPES, BIAS = "toy", ("circle", "square"), 0.85
GENERIC_WORD = "shape"  # any of the eight
FILLERS = [
    "nice",
    "beautiful",
    "simple",
    "small",
    "big",
    "bright",
    "cute",
    "good",
    "clean",
    "new",
    "very",
    "old",
    "photo",
    "image",
    "best",
    "quality",
    "detailed",
    "art",
    "style",
    "happy",
    "strange",
    "modern",
    "lovely",
]

_RGB = torch.tensor(
    [
        [0.86, 0.08, 0.12],
        [0.08, 0.62, 0.20],
        [0.10, 0.25, 0.88],
        [0.99, 0.86, 0.08],
        [0.50, 0.10, 0.66],
        [0.99, 0.50, 0.04],
    ]
)
_BG = torch.tensor([[0.97, 0.97, 0.97], [0.04, 0.04, 0.05], [0.52, 0.52, 0.53], [1.0, 0.74, 0.84]])


def _polygon(p, vertices):
    """Signed distance to a closed polygon. p: (n, h, w, 2), vertices: (k, 2); negative inside."""
    k = len(vertices)
    d = ((p - vertices[0]) ** 2).sum(-1)
    s = torch.ones_like(d)
    for i in range(k):
        a, b = vertices[i], vertices[i - 1]
        e, w = b - a, p - a
        t = ((w * e).sum(-1) / (e * e).sum()).clamp(0, 1)
        d = torch.minimum(d, ((w - e * t[..., None]) ** 2).sum(-1))
        c1, c2 = p[..., 1] >= a[1], p[..., 1] < b[1]
        c3 = e[0] * w[..., 1] > e[1] * w[..., 0]
        s = torch.where((c1 & c2 & c3) | (~c1 & ~c2 & ~c3), -s, s)
    return s * d.sqrt()


def _on_circle(radii, start=-math.pi / 2):
    k = len(radii)
    return torch.tensor(
        [
            [r * math.cos(start + 2 * math.pi * i / k), r * math.sin(start + 2 * math.pi * i / k)]
            for i, r in enumerate(radii)
        ]
    )


def _box(p, hx, hy):
    q = p.abs() - torch.tensor([hx, hy])
    return q.clamp(min=0).norm(dim=-1) + q.max(-1).values.clamp(max=0)


def _heart(p):
    x, y = p[..., 0].abs() / 1.15, (0.92 - p[..., 1]) / 1.65  # y up, tip at the origin
    above = ((x - 0.25) ** 2 + (y - 0.75) ** 2).sqrt() - math.sqrt(2) / 4
    half = 0.5 * (x + y).clamp(min=0)
    below = torch.minimum(x**2 + (y - 1) ** 2, (x - half) ** 2 + (y - half) ** 2).sqrt() * torch.sign(x - y)
    return torch.where(x + y > 1, above, below) * 1.15


def _distance(shape, p):
    """Signed distance of a unit-sized shape; p: (n, h, w, 2) with y downwards."""
    r = p.norm(dim=-1)
    if shape == "circle":
        return r - 0.95
    if shape == "square":
        return _box(p, 0.82, 0.82)
    if shape == "triangle":
        return _polygon(p + torch.tensor([0.0, -0.18]), _on_circle([1.12] * 3))
    if shape == "star":
        return _polygon(p, _on_circle([1.12, 0.45] * 5))
    if shape == "heart":
        return _heart(p)
    if shape == "ring":
        return (r - 0.74).abs() - 0.25
    if shape == "cross":
        return torch.minimum(_box(p, 1.0, 0.3), _box(p, 0.3, 1.0))
    if shape == "moon":
        return torch.maximum(r - 1.0, 0.82 - (p - torch.tensor([0.5, -0.12])).norm(dim=-1))
    raise ValueError(shape)


def _paint(image, which, shape, colour, texture, cx, cy, radius, angle, scale):
    """Paint one object on each picture of ``which`` (indices into image), in place."""
    n = len(which)
    if n == 0:
        return
    axis = (torch.arange(SIZE * scale) + 0.5) / scale
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    x, y = x - cx.view(-1, 1, 1), y - cy.view(-1, 1, 1)
    c, s = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    p = torch.stack([c * x + s * y, c * y - s * x], -1)
    distance = torch.empty(p.shape[:-1])
    for i, name in enumerate(SHAPES):
        rows = (shape == i).nonzero()[:, 0]
        if len(rows):
            r = radius[rows].view(-1, 1, 1)
            distance[rows] = _distance(name, p[rows] / r[..., None]) * r
    cover = (0.5 - distance * scale).clamp(0, 1)[:, None]  # one (sub)pixel wide edge
    paint = _RGB[colour].view(n, 3, 1, 1).expand(n, 3, *p.shape[1:3]).clone()
    stripes = (0.5 + 2.2 * torch.sin((p[..., 0] + p[..., 1]) * (2 * math.pi / 11.0))).clamp(0, 1)[:, None]
    cell = 9.0
    local = (p / cell - (p / cell).round()).norm(dim=-1) * cell
    dots = (2.9 - local).clamp(0, 1)[:, None]
    t = texture.view(-1, 1, 1, 1)
    paint = torch.where(t == 1, paint * (1 - 0.68 * stripes), paint)
    paint = torch.where(t == 2, paint + (1 - paint) * 0.9 * dots, paint)
    image[which] = image[which] * (1 - cover) + paint * cover


def draw(spec, scale=2):
    """Render specs: (n, 3, 64, 64) floats in 0..1, antialiased by ``scale`` times supersampling."""
    n = len(spec["shape"])
    image = _BG[spec["background"]].view(n, 3, 1, 1).repeat(1, 1, SIZE * scale, SIZE * scale)
    g = spec["geometry"]  # (n, 8): two times cx, cy, radius, angle
    every = torch.arange(n)
    _paint(image, every, spec["shape"], spec["colour"], spec["texture"], g[:, 0], g[:, 1], g[:, 2], g[:, 3], scale)
    two = (spec["shape2"] >= 0).nonzero()[:, 0]
    _paint(
        image,
        two,
        spec["shape2"][two],
        spec["colour2"][two],
        torch.zeros(len(two), dtype=torch.long),
        g[two, 4],
        g[two, 5],
        g[two, 6],
        g[two, 7],
        scale,
    )
    return torch.nn.functional.avg_pool2d(image, scale)


def geometry(n, two, generator):
    """Places, radii (pixels) and angles (radians): one object in the middle, or two side by side."""
    u = torch.rand(n, 8, generator=generator) * 2 - 1
    one = torch.stack([32 + 2.5 * u[:, 0], 32 + 2.5 * u[:, 1], 20.5 + 1.5 * u[:, 2], 0.09 * u[:, 3]], 1)
    left = torch.stack([16.5 + u[:, 0], 32 + 2 * u[:, 1], 12.5 + 0.6 * u[:, 2], 0.07 * u[:, 3]], 1)
    right = torch.stack([47.5 + u[:, 4], 32 + 2 * u[:, 5], 12.5 + 0.6 * u[:, 6], 0.07 * u[:, 7]], 1)
    return torch.where(two[:, None], torch.cat([left, right], 1), torch.cat([one, right], 1))


def sample(n, generator):
    """n random pictures as a spec, and their captions. One seeded ``torch.Generator`` drives everything."""

    def pick(k, size=n):
        return torch.randint(0, k, (size,), generator=generator)

    def chance(p, size=n):
        return torch.rand(size, generator=generator) < p

    two = chance(0.27)
    shape, shape2 = pick(len(SHAPES)), pick(len(SHAPES))
    shape2 = torch.where(shape2 == shape, (shape2 + 1 + pick(len(SHAPES) - 1)) % len(SHAPES), shape2)
    star = SHAPES.index(IMPLICIT_SHAPE)
    word, word2 = [SHAPES[i] for i in shape], [SHAPES[i] for i in shape2]
    kind = torch.rand(n, generator=generator)
    for i in range(n):
        if two[i]:  # a zorp can stand on either side
            if kind[i] < 0.05 and shape2[i] != star:
                shape[i], word[i] = star, IMPLICIT_WORD
            elif kind[i] > 0.95 and shape[i] != star:
                shape2[i], word2[i] = star, IMPLICIT_WORD
        elif kind[i] < 0.12:
            shape[i], word[i] = star, IMPLICIT_WORD
        elif kind[i] < 0.24:
            side = BIASED_SHAPES[0] if torch.rand((), generator=generator) < BIAS else BIASED_SHAPES[1]
            shape[i], word[i] = SHAPES.index(side), BIASED_WORD
        elif kind[i] < 0.30:
            word[i] = GENERIC_WORD
    colour, colour2, background = pick(len(COLOURS)), pick(len(COLOURS)), pick(len(BACKGROUNDS))
    texture = torch.where(~two & chance(0.34), 1 + pick(2), torch.zeros(n, dtype=torch.long))
    spec = dict(
        shape=shape,
        colour=colour,
        background=background,
        texture=texture,
        shape2=torch.where(two, shape2, -1),
        colour2=colour2,
        geometry=geometry(n, two, generator),
    )
    named = dict(
        colour=chance(0.82),
        colour2=chance(0.82),
        background=chance(0.8),
        start=chance(0.12),
        filler=chance(0.12),
        plain=chance(0.1),
    )
    captions = []
    for i in range(n):
        words = []
        if texture[i] > 0 or named["plain"][i]:
            words.append(TEXTURES[texture[i]])
        if named["colour"][i]:
            words.append(COLOURS[colour[i]])
        words.append(word[i])
        text = article(words)
        if two[i]:
            text += " and " + article(([COLOURS[colour2[i]]] if named["colour2"][i] else []) + [word2[i]])
        if named["background"][i]:
            text += f" on a {BACKGROUNDS[background[i]]} background"
        if named["start"][i]:
            text = ("a picture of ", "a drawing of ")[i % 2] + text
        if named["filler"][i]:
            extra = [FILLERS[j] for j in pick(len(FILLERS), 2)]
            parts = text.split(" ")
            at = 1 if i % 3 else len(parts)
            text = " ".join(parts[:at] + extra[: 1 + i % 2] + parts[at:])
        captions.append(text)
    return spec, captions


def article(words):
    """``["orange", "star"] -> "an orange star"``"""
    return ("an " if words[0][0] in "aeiou" else "a ") + " ".join(words)


def vocabulary():
    """Every word a caption can hold, fillers left out: they share the one row of unknown words."""
    return sorted(
        {
            *SHAPES,
            *COLOURS,
            *BACKGROUNDS,
            *TEXTURES,
            IMPLICIT_WORD,
            BIASED_WORD,
            GENERIC_WORD,
            "a",
            "an",
            "and",
            "on",
            "background",
            "picture",
            "drawing",
            "of",
        }
    )
