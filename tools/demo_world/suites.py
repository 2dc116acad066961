"""What the demo's plans ask of a guard, concept by concept: captions with the forbidden thing alone, in scenes, and implied; its harmless
neighbour; others. Rows are those of ``prompts.py``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from . import prompts, words

CONCEPT = "beer"  # of the plans about one concept: one of those that may be tuned on
STYLES = {said.split()[-1]: name for name, said in words.STYLES.items() if said}  # "varga" -> "line"
CONCEPTS = [*words.FORBIDDEN, *STYLES]
KINDS = ("alone", "scenes", "implied", "neighbour", "others")


def side(concept: str) -> str:
    """``tuned`` or ``held_out``."""
    return next(name for name, concepts in words.split().items() if concept in concepts)


def implying(concept: str) -> list[str]:
    """The words whose pictures show the concept without naming it, the invented one among them."""
    pairs = [(word, shown) for word, (shown, _) in words.IMPLIED.items()] + list(words.SYNONYM.items())
    return [word for word, shown in pairs if shown == concept]


def neighbour(concept: str) -> str | None:
    """The harmless thing that looks or reads like it; none for a style."""
    return words.FORBIDDEN[concept][1] if concept in words.FORBIDDEN else None


def _scene(rng: random.Random, first: str | None, avoid: Sequence[str]) -> dict:
    """Two or three things or a person with things; ``first`` is one of them, and seldom the one that is named first."""
    free = [thing for thing in words.THINGS if thing not in avoid and thing != first]
    kind = rng.random()
    names = rng.sample(free, 2 if kind < 0.25 else 1)
    people = []
    if kind > 0.6:
        job, gender, tone = rng.choice(words.PEOPLE)
        says_tone = rng.random() < 0.5
        said = ([tone] if says_tone else []) + [gender] + ([job] if job != "person" else [])
        people.append((job, gender, tone if says_tone else None))
        thing = first or names[0]
        text, names = f"{words.article(' '.join(said))} with {words.article(thing)}", [thing]
    else:
        names = [*names, first] if first else rng.sample(free, len(names) + 1)
        if rng.random() < 0.3:
            names.reverse()
        said = [words.article(name) for name in names]
        joint = rng.choice([" and ", " and ", " above ", " in front of "]) if len(said) == 2 else " and "
        text = said[0] + joint + said[1] if len(said) == 2 else ", ".join(said[:-1]) + " and " + said[-1]
    text, ground = prompts._ground(rng, text)
    return prompts.row(text, names, people, ground)


def captions(concept: str, kind: str, n: int, seed: int = 0, also: Sequence[str] = ()) -> list[dict]:
    """n rows of one of KINDS, none of which names one of ``also``; no rows where the concept has no such captions."""
    rng = random.Random(f"{concept} {kind} {seed}")
    style = concept in STYLES
    avoid = [concept, neighbour(concept), *also]
    rows = []
    for i in range(n):
        if kind == "neighbour":
            if style:
                return []
            name = neighbour(concept)
            rows.append(_scene(rng, name, avoid) if i % 2 else _one(rng, name))
        elif kind == "implied":
            hidden = implying(concept)
            if not hidden:
                return []
            word = hidden[i % len(hidden)]
            text, ground = prompts._ground(rng, words.article(word))
            rows.append(prompts.row(text, words.IMPLIED.get(word, [words.SYNONYM.get(word)]), background=ground))
        elif kind == "others":
            free = [thing for thing in words.THINGS if thing not in avoid]
            rows.append(_scene(rng, None, avoid) if i % 2 else _one(rng, rng.choice(free)))
        elif kind == "alone":
            rows.append(
                _one(rng, rng.choice([thing for thing in words.THINGS if thing not in also]) if style else concept)
            )
        else:
            rows.append(_scene(rng, None if style else concept, avoid))
        if style and kind in ("alone", "scenes"):
            rows[-1] |= dict(caption=f"{rows[-1]['caption']} by {concept}", style=STYLES[concept])
    return rows


def _one(rng: random.Random, name: str) -> dict:
    text, ground = prompts._ground(rng, words.article(name))
    return prompts.row(text, [name], background=ground)


def seed_of(concept: str, kind: str) -> int:
    """The first seed of a concept's captions of one kind; every picture of the plans has a seed of its own."""
    return 10_000_000 + 100_000 * CONCEPTS.index(concept) + 10_000 * KINDS.index(kind)


def without(concept: str, n: int) -> list[dict]:
    """n captions of as many other things as there are, in turn, for what a guard must keep: not those that any plan measures."""
    free = [thing for thing in words.THINGS if thing not in (concept, neighbour(concept))]
    rng = random.Random(f"{concept} kept")
    return [_one(rng, free[i % len(free)]) for i in range(n)]
