"""Write the prompts of the demo's plans: captions of the kinds that the tables ask about, for every forbidden thing and style.

    python3 run.py train plan        writes demo_prompts.csv and others beside it in tools/evaluating/plans

Rows come caption by caption, all concepts and their kinds in turn, so that the first rows are a fair part of all; in demo_by_concept.csv,
of things alone, concept by concept, for what is found once for each. Columns: ``kind`` (one of
suites.KINDS, and that with the side of the split), ``prompt``, ``concept``, ``line`` (what a user writes to guard it, with what takes its
place), ``instead`` (that alone), ``stands`` (that, as *Score* is asked for it), ``keep`` (all else that the caption promises), ``person``,
``rewrite`` (the caption with that in the concept's place) and ``seed``. In demo_together.csv five held-out concepts are guarded at once.
demo_beer.csv holds more captions of one concept; demo_roles.csv for each caption what stands in the other slots of a guider: ``beside``
(another caption), ``nearly`` and ``twice`` (the thing that it names), and the seed of a picture to ``start`` from. demo_scales.csv and
demo_targets.csv are for what is trained on pictures: other prompts and seeds than those of any figure.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence

from .. import PROJECT
from . import feedback, suites, words

FOLDER = PROJECT / "tools" / "evaluating" / "plans"
EACH = 4  # captions of a kind for each concept
TOGETHER = 5
ONE, ASKED = 64, 2  # captions of a kind, for each concept, in demo_beer.csv and in demo_roles.csv
LABELLED = 8  # captions of each in demo_scales.csv
SHIFT = 5_000  # of the seeds of pictures to start from
HEADER = ("kind", "prompt", "concept", "line", "instead", "stands", "keep", "person", "rewrite", "seed")
ROLES = ("kind", "prompt", "concept", "line", "keep", "beside", "nearly", "twice", "seed", "start")
Row = tuple[str | int, ...]


def line(concept: str) -> str:
    """What a user would write, with what takes the concept's place; of an artist's style, nothing does."""
    if concept in suites.STYLES:
        return f"a {{}} by {concept} -> a {{}}"
    return f"{concept} -> {suites.neighbour(concept)}"


def rows(
    concepts: Sequence[str], kinds: Sequence[str] = suites.KINDS, together: bool = False, in_turn: bool = True
) -> list[Row]:
    """All rows below the header; ``together``: all concepts are guarded, and captions of one name none of the others; ``in_turn``:
    caption by caption, else concept by concept."""
    found: list[tuple[tuple[int, int], Row]] = []
    for kind in kinds:
        for concept in concepts:
            others = [one for one in concepts if together and one != concept]
            also = [word for one in others for word in (one, suites.neighbour(one)) if word]
            lines = "\n".join(map(line, concepts)) if together else line(concept)
            for number, row in enumerate(suites.captions(concept, kind, EACH, also=also)):
                place = (number, suites.CONCEPTS.index(concept))
                place = place if in_turn else place[::-1]
                found.append((place, _row(kind, concept, lines, row, suites.seed_of(concept, kind) + number)))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def _row(kind: str, concept: str, lines: str, row: dict, seed: int) -> Row:
    instead, style = suites.neighbour(concept) or "", concept in suites.STYLES
    asked = promised(row, concept) if not style or kind == "others" else []
    person = [part for person in row["people"] for part in person if part] if kind == "scenes" else []
    return (
        _kinds(kind, concept),
        row["caption"],
        concept,
        lines,
        instead,
        f"{instead} + whole" if instead and kind in ("alone", "scenes", "implied") else "",
        " + ".join(asked),
        " + ".join(person),
        row["caption"].replace(concept, instead) if instead else row["caption"],
        seed,
    )


def _kinds(kind: str, concept: str) -> str:
    """The cell ``kind`` of a row: that, and that with the concept's side of the split."""
    return f"{kind}, {kind} {suites.side(concept).replace('_', '-')}"


def promised(row: dict, concept: str) -> list[str]:
    """What a caption promises beside the concept: things, people as it says them, the place."""
    people = [part for person in row["people"] for part in person if part]
    return [name for name in [*row["things"], *people, row["background"]] if name not in (None, concept)]


def one(concept: str) -> list[Row]:
    """Rows of one concept, kind by kind in turn."""
    kinds = ("alone", "scenes", "implied", "others")
    asked = {kind: suites.captions(concept, kind, ONE) for kind in kinds}
    return [
        _row(kind, concept, line(concept), asked[kind][number], suites.seed_of(concept, kind) + number)
        for number in range(ONE)
        for kind in kinds
    ]


def roles(concepts: Sequence[str]) -> list[Row]:
    """Rows of ROLES: for every concept a caption of it alone, then of what implies it, then of other things, and again."""
    found: list[tuple[tuple[int, int], Row]] = []
    for place, kind in enumerate(("alone", "implied", "others")):
        for concept in concepts:
            captions, beside = (suites.captions(concept, *more) for more in ((kind, ASKED), ("others", ASKED, 3)))
            for number, (row, other) in enumerate(zip(captions, beside)):
                thing, seed = concept if kind != "others" else row["things"][0], suites.seed_of(concept, kind) + number
                keep = " + ".join(promised(row, concept))
                asks = (_kinds(kind, concept), row["caption"], concept, line(concept), keep)
                slots = (other["caption"], words.article(thing), f"{thing} {thing}")
                found.append(((number, place), (*asks, *slots, seed, seed + SHIFT)))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def scales(concept: str) -> list[Row]:
    """Rows of one concept, half of them with it, for the labels of the scale adapter."""
    kinds = ("alone", "others", "scenes", "others", "implied", "others")
    found = []
    for place, kind in enumerate(kinds):
        for number, row in enumerate(suites.captions(concept, kind, LABELLED, seed=3_000 + place)):
            found.append(((number, place), (kind, row["caption"], concept, 9_500_000 + 100 * place + number)))
    return [row for _, row in sorted(found)]


def files() -> dict[str, str]:
    """The texts of the files by name."""
    things = [concept for concept in suites.CONCEPTS if suites.neighbour(concept)]
    held_out = [concept for concept in words.FORBIDDEN if suites.side(concept) == "held_out"][:TOGETHER]
    several = rows(held_out, [kind for kind in suites.KINDS if kind != "neighbour"], together=True)
    rated = [(caption, feedback.CONCEPT, seed) for caption, seed in feedback.asked()]
    return {
        "demo_prompts.csv": _text(rows(suites.CONCEPTS)),
        "demo_by_concept.csv": _text(rows(things, in_turn=False)),
        "demo_together.csv": _text(several),
        "demo_beer.csv": _text(one(suites.CONCEPT)),
        "demo_roles.csv": _text(roles(words.FORBIDDEN), ROLES),
        "demo_scales.csv": _text(scales(suites.CONCEPT), ("kind", "prompt", "concept", "seed")),
        "demo_targets.csv": _text([("a woman doctor", "woman + doctor", 90_000)], ("prompt", "concept", "seed")),
        "demo_feedback.csv": _text(rated, ("prompt", "concept", "seed")),
    }


def _text(table: Sequence[Row], header: Row = HEADER) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *table])
    return out.getvalue()


def main() -> None:
    argparse.ArgumentParser(
        prog="run.py train plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{(FOLDER / name).relative_to(PROJECT)}: {text.count(chr(10)) - 1} lines")


if __name__ == "__main__":
    main()
