"""Draw a labelled sheet of pictures: rows with a name, a caption under every picture, a title above all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, MARGIN, LABEL, LINE = 192, 10, 24, 130, 20
INK, QUIET, PAPER = (25, 28, 36), (96, 102, 116), (250, 250, 248)


@dataclass(frozen=True)
class Row:
    """One line of the sheet: its name, its pictures, and a caption for each."""

    name: str
    images: Sequence[Image.Image]
    captions: Sequence[str]


def draw(title: str, notes: Sequence[str], rows: Sequence[Row], path: Path, across: int = 8) -> Path:
    """Write the sheet. Rows longer than `across` are broken, row by row, so that the same seeds stay one above the other."""
    blocks = [
        Row(row.name, row.images[start : start + across], row.captions[start : start + across])
        for start in range(0, max(len(row.images) for row in rows), across)
        for row in rows
    ]
    width = MARGIN * 2 + LABEL + across * (CELL + GAP)
    heading = [(line, _font(24), INK) for line in _wrap(title, _font(24), width - 2 * MARGIN)]
    heading += [(line, _font(16), QUIET) for note in notes for line in _wrap(note, _font(16), width - 2 * MARGIN)]
    captions = [[_wrap(text, _font(14), CELL) for text in row.captions] for row in blocks]
    heights = [CELL + 8 + LINE * max([len(lines) for lines in found] or [1]) + GAP for found in captions]
    top = MARGIN + sum(font.size + 8 for _, font, _ in heading) + GAP
    sheet = Image.new("RGB", (width, int(top + sum(heights) + MARGIN)), PAPER)
    pen = ImageDraw.Draw(sheet)
    y = MARGIN
    for line, font, colour in heading:
        pen.text((MARGIN, y), line, font=font, fill=colour)
        y += font.size + 8
    y = top
    for row, found, height in zip(blocks, captions, heights):
        for number, line in enumerate(_wrap(row.name, _font(18), LABEL - GAP)):
            pen.text((MARGIN, y + CELL / 2 - 20 + 24 * number), line, font=_font(18), fill=INK)
        for column, (image, lines) in enumerate(zip(row.images, found)):
            x = MARGIN + LABEL + column * (CELL + GAP)
            sheet.paste(image.convert("RGB").resize((CELL, CELL), Image.Resampling.BICUBIC), (x, int(y)))
            for number, line in enumerate(lines):
                pen.text((x, y + CELL + 6 + LINE * number), line, font=_font(14), fill=QUIET)
        y += height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # comes with Pillow: the same on every system


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break at spaces so that each line fits."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines
