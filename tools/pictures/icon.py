"""Draw the pack's icon, web/icon.png: a shield in which the beer is struck out and the milk stands. `python -m tools.pictures.icon`"""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from .. import PROJECT
from ..demo_world import draw as world
from ..demo_world.render import CELL, COLUMNS, PATH

SIZE, SCALE = 400, 4  # drawn four times as large, then reduced: smooth edges
INK, SHIELD, RIM, STROKE = (24, 28, 44), (58, 92, 214), (235, 240, 255), (255, 92, 80)


def shield(inset: float) -> list[tuple[float, float]]:
    """The outline of a shield, as points, `inset` pixels inside its outermost rim."""
    half, top, bottom = 140 - inset, 50 + inset, 362 - 1.25 * inset
    side = top + (bottom - top) * 0.45
    arc = [
        (200 + half * math.cos(t) ** 0.8, side + (bottom - side) * math.sin(t))
        for t in (i * math.pi / 80 for i in range(41))
    ]
    return [(200 - half, top), (200 + half, top), *arc, *[(400 - x, y) for x, y in reversed(arc)]]


def thing(name: str, side: int) -> Image.Image:
    """A thing of the demo world, a square with ``side`` pixels a side, transparent around it."""
    number = world.INDEX[name]
    at = (number % COLUMNS) * CELL, (number // COLUMNS) * CELL
    cell = Image.open(PATH).convert("RGBA").crop((*at, at[0] + CELL, at[1] + CELL))
    return cell.resize((side, side), Image.Resampling.LANCZOS)


def draw() -> Image.Image:
    image = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)

    def scaled(points):
        return [(x * SCALE, y * SCALE) for x, y in points]

    pen.rounded_rectangle([0, 0, SIZE * SCALE - 1, SIZE * SCALE - 1], 72 * SCALE, fill=INK)
    pen.polygon(scaled(shield(0)), fill=RIM)
    pen.polygon(scaled(shield(14)), fill=SHIELD)
    for name, x, y in (("beer", 84, 118), ("milk", 204, 138)):
        one = thing(name, 116 * SCALE)
        image.alpha_composite(one, (x * SCALE, y * SCALE))
    pen.line(scaled([(90, 240), (196, 112)]), fill=STROKE, width=14 * SCALE)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(PROJECT / "web" / "icon.png", optimize=True)
