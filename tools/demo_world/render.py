"""Render the sprite sheet from the npm package @iconify-json/fluent-emoji-flat (Fluent Emoji Flat by Microsoft, MIT licence).

    npm pack @iconify-json/fluent-emoji-flat@1.2.6; tar xzf *.tgz       # icons.json
    pip install cairosvg pillow                                         # and the system's libcairo2
    python -m tools.demo_world.render package/icons.json

Writes ``sprites.png`` beside this file: cells of 96 pixels, 14 in a row, things first, then people, in the order of words.py.
"""

import io
import json
import os
import sys

from PIL import Image

from . import words

CELL, COLUMNS = 96, 14
PATH = os.path.join(os.path.dirname(__file__), "sprites.png")


def icons() -> list[str]:
    """The icon of every cell."""
    things = [words.FORBIDDEN[name][0] if name in words.FORBIDDEN else words.HARMLESS[name] for name in words.THINGS]
    people = ["-".join(filter(None, (gender, words.PROFESSIONS[job], tone))) for job, gender, tone in words.PEOPLE]
    return things + people


def picture(data: dict, name: str) -> Image.Image:
    """One icon, as large as fits its cell."""
    import cairosvg

    icon = data["icons"][name]
    box = [
        icon.get(key, data.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{box[2]}" height="{box[3]}" viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
    )
    large = Image.open(
        io.BytesIO(cairosvg.svg2png(bytestring=svg.encode(), output_width=512, output_height=512))
    ).convert("RGBA")
    large = large.crop(large.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
    scale = (CELL - 2) / max(large.size)
    size = [max(1, round(side * scale)) for side in large.size]
    small = large.convert("RGBa").resize(size, Image.LANCZOS).convert("RGBA")
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(small, ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return cell


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    names = icons()
    sheet = Image.new("RGBA", (COLUMNS * CELL, -(-len(names) // COLUMNS) * CELL))
    for i, name in enumerate(names):
        sheet.paste(picture(data, name), (i % COLUMNS * CELL, i // COLUMNS * CELL))
    sheet.save(PATH, optimize=True)
    print(f"{PATH}: {len(names)} cells, {os.path.getsize(PATH) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
