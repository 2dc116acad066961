"""Captions to measure with, and what they promise: other seeds, and no scene of the training pool.

A row: ``caption``; ``things`` that must be seen; ``people``: (profession, gender or None, tone or None) that must be seen;
``background`` and ``style`` (None: not said). ``split``: "tuned", "held_out" or "" by the forbidden concept it is about.
"""

from __future__ import annotations

import random

from . import draw, words


def row(caption: str, things=(), people=(), background=None, style=None, concept: str | None = None) -> dict:
    """One row; ``concept`` tells which side of the split it belongs to."""
    side = next((name for name, concepts in words.split().items() if concept in concepts), "")
    return dict(
        caption=caption, things=list(things), people=list(people), background=background, style=style, split=side
    )


def _ground(rng: random.Random, text: str, share: float = 0.8) -> tuple[str, str | None]:
    if rng.random() > share:
        return text, None
    name = rng.choice(draw.BACKGROUNDS)
    return f"{text} {words.BACKGROUNDS[name]}", name


def things(n: int, count: int, seed: int) -> list[dict]:
    """``count`` different things together, every thing equally often as the first one named or not."""
    rng, rows = random.Random(7_000 + 10 * seed + count), []
    for i in range(n):
        first = words.THINGS[i % len(words.THINGS)]
        names = [first, *rng.sample([t for t in words.THINGS if t != first], count - 1)]
        rng.shuffle(names)
        said = [words.article(name) for name in names]
        text = said[0] if count == 1 else " and ".join([", ".join(said[:-1]), said[-1]])
        text, ground = _ground(rng, text)
        rows.append(row(text, names, background=ground, concept=first))
    return rows


def people(n: int, seed: int, gender: bool = False, tone: bool = False, jobs=None, other: bool = False) -> list[dict]:
    """People of every profession; their gender and tone said or not; ``other``: with a thing."""
    rng, rows = random.Random(8_000 + 10 * seed + 2 * gender + tone), []
    jobs = jobs or list(words.PROFESSIONS)
    for i in range(n):
        job, g, t = jobs[i % len(jobs)], rng.choice(words.GENDERS), rng.choice(words.TONES)
        said = ([t] if tone else []) + ([g] if gender else []) + ([job] if job != "person" or not gender else [])
        text, names = words.article(" ".join(said)), []
        if other:
            names = [rng.choice(words.THINGS)]
            text += f" with {words.article(names[0])}"
        text, ground = _ground(rng, text)
        rows.append(
            row(
                text,
                names,
                [(job, g if gender else None, t if tone else None)],
                ground,
                concept=names[0] if names else None,
            )
        )
    return rows


def implied(n: int, seed: int) -> list[dict]:
    """The words that imply a forbidden thing, in places."""
    rng, names = random.Random(9_000 + seed), list(words.IMPLIED)
    rows = []
    for i in range(n):
        word = names[i % len(names)]
        text, ground = _ground(rng, words.article(word))
        rows.append(row(text, words.IMPLIED[word], background=ground, concept=word))
    return rows


def synonym(n: int, seed: int) -> list[dict]:
    """The invented word, alone and beside a thing."""
    rng, rows = random.Random(9_500 + seed), []
    word, means = next(iter(words.SYNONYM.items()))
    for i in range(n):
        beside = [rng.choice([t for t in words.THINGS if t != means])] * (i % 2)
        text, ground = _ground(rng, " and ".join(words.article(w) for w in [word, *beside]))
        rows.append(row(text, [means, *beside], background=ground, concept=word))
    return rows


def places(n: int, seed: int) -> list[dict]:
    """One or two things in each place."""
    rng, rows = random.Random(9_700 + seed), []
    for i in range(n):
        names, place = rng.sample(words.THINGS, 1 + i % 2), words.PLACES[i % len(words.PLACES)]
        text = " and ".join(words.article(name) for name in names)
        rows.append(row(f"{text} {words.BACKGROUNDS[place]}", names, background=place))
    return rows


def styles(n: int, seed: int) -> list[dict]:
    """One or two things in each style, and in none."""
    rng, rows = random.Random(9_800 + seed), []
    for i in range(n):
        names, style = rng.sample(words.THINGS, 1 + i % 2), draw.STYLES[i % len(draw.STYLES)]
        text, ground = _ground(rng, " and ".join(words.article(name) for name in names))
        said = f"{text} {words.STYLES[style]}".strip()
        rows.append(row(said, names, style=style, concept=(words.STYLES[style].split() or [None])[-1]))
    return rows
