"""Plots as SVG text, drawn by hand: nothing is fetched, nothing runs. Every text that comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .measures import Share

COLOURS = ("#4269d0", "#e07b39", "#3a8f5c", "#c2455a", "#8a63b8", "#2a93a8", "#9c7a2d", "#b0559b", "#6b7280", "#5f8a1f")
WIDE, HIGH, LEFT, BOTTOM, TOP, RIGHT = 520, 340, 56, 44, 14, 16


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


class _Field:
    """A square of 0..1 by 0..1 with its axes."""

    def __init__(self, across: str, up: str):
        self.parts = []
        for tenth in range(0, 11, 2):
            x, y = self.x(tenth / 10), self.y(tenth / 10)
            self.parts += [
                f'<line x1="{x:.1f}" y1="{self.y(0):.1f}" x2="{x:.1f}" y2="{self.y(1):.1f}" class="grid"/>',
                f'<line x1="{self.x(0):.1f}" y1="{y:.1f}" x2="{self.x(1):.1f}" y2="{y:.1f}" class="grid"/>',
                f'<text x="{x:.1f}" y="{self.y(0) + 16:.1f}" text-anchor="middle">{tenth / 10:g}</text>',
                f'<text x="{self.x(0) - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:g}</text>',
            ]
        self.parts += [
            f'<text x="{(self.x(0) + self.x(1)) / 2:.1f}" y="{HIGH - 6}" text-anchor="middle">{escape(across)}</text>',
            f'<text transform="translate(14 {(self.y(0) + self.y(1)) / 2:.1f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
        ]

    @staticmethod
    def x(value: float) -> float:
        return LEFT + value * (WIDE - LEFT - RIGHT)

    @staticmethod
    def y(value: float) -> float:
        return HIGH - BOTTOM - value * (HIGH - BOTTOM - TOP)

    def line(self, points: Sequence[tuple[float, float]], stroke: str, more: str = "") -> None:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2" {more}/>')

    def svg(self, title: str) -> str:
        return (
            f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
            f"{''.join(self.parts)}</svg>"
        )


def legend(names: Sequence[str]) -> str:
    """Names in their colours, as HTML."""
    marks = "".join(
        f'<span><i style="background:{colour(place)}"></i>{escape(name)}</span>' for place, name in enumerate(names)
    )
    return f'<p class="legend">{marks}</p>'


def scatter(points: Mapping[str, tuple[float, Share]], title: str, across: str, up: str) -> str:
    """Each name at (value, share), the share with its interval."""
    field = _Field(across, up)
    for place, (name, (value, share)) in enumerate(points.items()):
        if share.total:
            low, high = share.interval
            x = max(0.0, min(1.0, value))
            field.line([(x, low), (x, high)], colour(place), 'opacity="0.6"')
            field.parts.append(
                f'<circle cx="{field.x(x):.1f}" cy="{field.y(share.value):.1f}" r="6" fill="{colour(place)}">'
                f"<title>{escape(name)}</title></circle>"
            )
    return field.svg(title) + legend(list(points))


def lines(
    curves: Mapping[str, Sequence[tuple[float, float]]], title: str, across: str, up: str, diagonal: bool = False
) -> str:
    """A curve for each name."""
    field = _Field(across, up)
    if diagonal:
        field.line([(0, 0), (1, 1)], "#9995", 'stroke-dasharray="4 4"')
    for place, points in enumerate(curves.values()):
        if points:
            field.line(points, colour(place))
    return field.svg(title) + legend(list(curves))


def bars(groups: Mapping[str, Mapping[str, Share]], title: str) -> str:
    """For each group a bar for each name, with its interval."""
    names = list(dict.fromkeys(name for shares in groups.values() for name in shares))
    row, left, wide, parts, y = 15, 150, 620, [], 8
    for group, shares in groups.items():
        parts.append(
            f'<text x="{left - 8}" y="{y + row * len(names) / 2 + 4:.1f}" text-anchor="end">{escape(group[:24])}</text>'
        )
        for place, name in enumerate(names):
            share = shares.get(name)
            if share is not None and share.total:
                low, high = share.interval
                x = lambda value: left + value * (wide - left - 60)
                middle = y + row / 2
                parts += [
                    f'<rect x="{left}" y="{y + 2}" width="{max(1.0, x(share.value) - left):.1f}" height="{row - 4}" fill="{colour(place)}">'
                    f"<title>{escape(name)}: {share.value:.3f}</title></rect>",
                    f'<line x1="{x(low):.1f}" y1="{middle}" x2="{x(high):.1f}" y2="{middle}" class="whisker"/>',
                    f'<text x="{x(high) + 6:.1f}" y="{middle + 4}">{share.value:.2f}</text>',
                ]
            y += row
        y += 10
    text = f'<svg viewBox="0 0 {wide} {y}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    return text + legend(names)
