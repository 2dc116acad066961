"""Write the prompts of the plan demo_sld: captions of the kinds that the tables ask about, for every forbidden thing.

    python3 run.py train plan        writes tools/evaluating/plans/demo_prompts.csv

Columns: ``kind`` (one of suites.KINDS, and the side of the split), ``prompt``, ``concept``, ``keep`` (all else that the caption
promises, as *Score* is asked for it) and ``seed``.
"""

from __future__ import annotations

import argparse
import csv
import io

from .. import PROJECT
from . import suites, words

PATH = PROJECT / "tools" / "evaluating" / "plans" / "demo_prompts.csv"
COUNTS = {"alone": 4, "scenes": 8, "implied": 8, "neighbour": 4, "others": 4}
HEADER = ("kind", "prompt", "concept", "keep", "seed")


def rows() -> list[tuple]:
    """All rows below the header, kind by kind."""
    found = []
    for kind, count in COUNTS.items():
        for concept in words.FORBIDDEN:
            groups = f"{kind}, {suites.side(concept).replace('_', '-')}"
            for number, row in enumerate(suites.captions(concept, kind, count)):
                seed = suites.seed_of(concept, kind) + number
                found.append((groups, row["caption"], concept, " + ".join(promised(row, concept)), seed))
    return found


def promised(row: dict, concept: str) -> list[str]:
    """What a caption promises beside the concept: things, people as it says them, the place."""
    people = [part for person in row["people"] for part in person if part]
    return [name for name in [*row["things"], *people, row["background"]] if name not in (None, concept)]


def text() -> str:
    """The file."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([HEADER, *rows()])
    return out.getvalue()


def main() -> None:
    argparse.ArgumentParser(
        prog="run.py train plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH.relative_to(PROJECT)}: {len(rows())} prompts")


if __name__ == "__main__":
    main()
