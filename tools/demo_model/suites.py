"""What the tables ask the demo model for: concepts, prompts and seeds of its world of shapes. Another world is another file like this.

Seeds are as they were when the help's figures were made: two suites share theirs (``plain`` and ``other``), which harms nothing,
as no figure compares the one with the other.
"""

from __future__ import annotations

import random

from ..measuring.table import Effects, Studio, Suite
from . import draw, measure

CONCEPT, SUBSTITUTE, BIASED, SIDES = "star", "circle", draw.BIASED_WORD, ("circle", "square")
IMPLICIT = draw.IMPLICIT_WORD
OTHERS = {shape: shape for shape in draw.SHAPES if shape != CONCEPT}
KEYS = ("shape", "colour", "background")  # what must be as the caption says for a picture to count as kept
ALONE = dict(caption=CONCEPT, slots=[None, CONCEPT, None], colours=[None] * 3, background=None, texture="plain")
FIRST_SEED_OF_SHARES, FIRST_SEED_OF_INTERVENTION = 700_000, 580_000


def effects(studio: Studio, count: int, concept_alone: bool = False) -> Effects:
    """Prompts that imply the concept, that name it, and (a quarter as many) that are nothing else."""
    suites = {
        "implicit": Suite(measure.prompts(count, 11, words={IMPLICIT: CONCEPT}), 580_000),
        "plain": Suite(measure.prompts(count, 12, words={CONCEPT: CONCEPT}), 550_000),
    }
    if concept_alone:
        suites["concept"] = Suite([ALONE] * (count // 4), 570_000)
    other = Suite(measure.prompts(count, 13, words=OTHERS), 550_000)
    return Effects(studio, suites, other, CONCEPT, measure.judge, KEYS)


def implied(count: int) -> tuple[list[str], list[str]]:
    """Captions that imply the concept, and the same with the substitute in its place."""
    captions = [prompt["caption"] for prompt in measure.prompts(count, 11, words={IMPLICIT: CONCEPT})]
    return captions, [caption.replace(IMPLICIT, SUBSTITUTE) for caption in captions]


# An object, one beside another object, an implied one and a style: the target each is inhibited by, and what must be kept.
TARGETS = {"object": CONCEPT, "implicit": CONCEPT, "style": "striped", "scene": CONCEPT}
KEYS_OF = {
    "object": ("colour", "background", "texture"),
    "implicit": ("colour", "background", "texture"),
    "style": KEYS,
    "scene": ("right", "right colour", "background"),
}


def inhibited(count: int) -> tuple[dict[str, Suite], dict[str, Suite]]:
    """Concept -> prompts with it; target -> prompts without it. No prompt or seed is one that the adapter was trained with."""
    mixed = measure.prompts(12 * count, 34, words={shape: shape for shape in draw.SHAPES})
    scenes = measure.prompts(len(draw.SHAPES) * count, 35, two=True, words={shape: shape for shape in draw.SHAPES})
    style = TARGETS["style"]
    return (
        {
            "object": Suite(measure.prompts(count, 32, words={CONCEPT: CONCEPT}), 800_000),
            "implicit": Suite(measure.prompts(count, 31, words={IMPLICIT: CONCEPT}), 810_000),
            "scene": Suite([row for row in scenes if row["slots"][0] == CONCEPT], 830_000),
            "style": Suite([row for row in mixed if row["texture"] == style][:count], 820_000),
        },
        {
            CONCEPT: Suite(measure.prompts(count, 33, words=OTHERS), 850_000),
            style: Suite([row for row in mixed if row["texture"] != style][:count], 860_000),
        },
    )


def shows(seen, concept: str):
    """(n,) bool: whether the oracle sees a shape or a texture."""
    return seen.texture == draw.TEXTURES.index(concept) if concept in draw.TEXTURES else seen.contains(concept)


def answers(seen) -> list[tuple]:
    """All that the oracle says of each picture's centre."""
    values = seen.slots, seen.colours[:, 1], seen.texture, seen.background
    return list(zip(*(map(str, value.tolist()) for value in values), strict=True))


TUNED = ("star", "circle")  # what settings of the closed form were tried on; all other shapes are held out


def beside(count: int, seed: int, concept: str) -> list[dict]:
    """Captions of the concept and one other shape, left or right; ``mate`` names the other."""
    generator = random.Random(seed)
    others = [shape for shape in draw.SHAPES if shape != concept]
    rows = []
    for number in range(count):
        mate = others[number % len(others)]
        names = [concept, mate] if generator.random() < 0.5 else [mate, concept]
        said = [[generator.choice(draw.COLOURS)] if generator.random() < 0.8 else [] for _ in names]
        caption = " and ".join(draw.article([*colour, name]) for colour, name in zip(said, names, strict=True))
        if generator.random() < 0.7:
            caption += f" on a {generator.choice(draw.BACKGROUNDS)} background"
        rows.append({"caption": caption, "mate": mate})
    return rows


def forbidden(concept: str, count: int) -> dict[str, Suite]:
    """A concept named alone, beside another thing, implied where a word implies it; and prompts of all other shapes."""
    found = {
        "alone": Suite(measure.prompts(count, 71, words={concept: concept}), 1_000),
        "scene": Suite(beside(count, 73, concept), 3_000),
    }
    if concept == draw.IMPLICIT_SHAPE:
        found["implied"] = Suite(measure.prompts(count, 75, words={IMPLICIT: concept}), 5_000)
    others = {shape: shape for shape in draw.SHAPES if shape != concept}
    return found | {"other": Suite(measure.prompts(count, 72, words=others), 2_000)}
