"""Draw the pack's icon, web/icon.png: a shield that lets the circle through and keeps the star out. `python -m tools.pictures.icon`"""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from .. import PROJECT

SIZE, SCALE = 400, 4  # drawn four times as large, then reduced: smooth edges
INK, SHIELD, RIM, STAR, CIRCLE = (24, 28, 44), (58, 92, 214), (235, 240, 255), (255, 106, 92), (126, 231, 178)


def shield(inset: float) -> list[tuple[float, float]]:
    """The outline of a shield, as points, `inset` pixels inside its outermost rim."""
    half, top, bottom = 140 - inset, 50 + inset, 362 - 1.25 * inset
    side = top + (bottom - top) * 0.45
    arc = [
        (200 + half * math.cos(t) ** 0.8, side + (bottom - side) * math.sin(t))
        for t in (i * math.pi / 80 for i in range(41))
    ]
    return [(200 - half, top), (200 + half, top), *arc, *[(400 - x, y) for x, y in reversed(arc)]]


def star(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """A five-pointed star."""
    return [
        (x + r * math.sin(i * math.pi / 5), y - r * math.cos(i * math.pi / 5))
        for i in range(10)
        for r in [radius if i % 2 == 0 else radius * 0.45]
    ]


def draw() -> Image.Image:
    image = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)

    def scaled(points):
        return [(x * SCALE, y * SCALE) for x, y in points]

    pen.rounded_rectangle([0, 0, SIZE * SCALE - 1, SIZE * SCALE - 1], 72 * SCALE, fill=INK)
    pen.polygon(scaled(shield(0)), fill=RIM)
    pen.polygon(scaled(shield(14)), fill=SHIELD)
    pen.ellipse(scaled([(212, 168), (296, 252)]), fill=CIRCLE)
    pen.polygon(scaled(star(146, 214, 50)), fill=STAR)
    pen.line(scaled([(94, 262), (198, 158)]), fill=RIM, width=15 * SCALE)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(PROJECT / "web" / "icon.png", optimize=True)
