"""The same figures as Markdown, for the terminal, help pages and notes."""

from __future__ import annotations

from .measures import Share
from .tables import Arm, by_way, crossed, figures_of, number

NAME = "tables.md"
Row = list[str]


def text(arms: dict[str, Arm]) -> str:
    """A table of all arms, then for every figure that groups have one of arms by groups; of arms that are made in several ways for every
    figure one of ways by arms. n stands in brackets."""
    ways = by_way(arms)
    if "" not in ways:
        columns = list(next(iter(ways.values())))
        return "".join(
            _table([f"**{title}**", *columns], [[way, *map(cell, shares.values())] for way, shares in of.items()])
            + "\n\n"
            for title, of in crossed(arms)
        )
    made = [
        _table(
            ["", "pictures", "shown", "suppression", "kept", "instead", "same", "changed", "rows", "s", "MB"],
            _whole(arms),
        )
    ]
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm.groups))
    for figure in figures_of(arms):
        groups = [name for name in names if any(figure in arm.groups.get(name, {}) for arm in arms.values())]
        rows = [[arm.name, *(cell(arm.groups.get(name, {}).get(figure)) for name in groups)] for arm in arms.values()]
        made.append(_table([f"**{figure}**", *groups], rows))
    if len(names) > 1:
        rows = [[arm.name, *(number(arm.group_rows.get(name), ".1f") for name in names)] for arm in arms.values()]
        made.append(_table(["**rows a picture**", *names], rows))
    if any(arm.deviation is not None for arm in arms.values()):
        rows = [
            [arm.name, number(arm.deviation), *(number(arm.group_deviations.get(name)) for name in names)]
            for arm in arms.values()
        ]
        made.append(_table(["**deviation ratio**", "all", *names], rows))
    return "\n\n".join(made) + "\n"


def _whole(arms: dict[str, Arm]) -> list[Row]:
    return [
        [
            arm.name,
            str(len(arm.pictures)),
            cell(arm.shown),
            number(arm.suppression),
            *map(cell, (arm.kept, arm.instead, arm.same)),
            number(arm.changed),
            number(arm.rows, ".1f"),
            number(arm.seconds, ".2f"),
            f"{arm.memory / 1e6:.0f}",
        ]
        for arm in arms.values()
    ]


def cell(share: Share | None) -> str:
    return f"{share.value:.3f} ({share.total})" if share and share.total else "–"


def _table(header: Row, rows: list[Row]) -> str:
    wide = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * max(3, width) for width in wide], *rows]
    return "\n".join("| " + " | ".join(one.ljust(width) for one, width in zip(line, wide)) + " |" for line in lines)
