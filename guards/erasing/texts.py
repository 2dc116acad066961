"""What is to go and what takes its place, as the user writes it; and the captions that say both to a model, or are held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..lists import arrows, entries, written
from ..words import watch

HARMLESS = Path(__file__).with_name("harmless.txt")
SLOT = "{}"
ALONE = ["{}", "a {}", "a photo of a {}"]
EXAMPLE = "gun -> banana"
MOST = 100  # concepts, and templates, of one node


@dataclass(frozen=True)
class Erasure:
    """One line: ``replacement`` is "" for nothing at all, None where one is to be chosen. With {} in it: an attribute."""

    concept: str
    replacement: str | None

    @property
    def is_attribute(self) -> bool:
        return SLOT in self.concept


@lru_cache(1)
def _harmless() -> dict[str, tuple[str, ...]]:
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in HARMLESS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[] "), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return {name: tuple(found) for name, found in sections.items()}


def stand_ins(erasures: list[Erasure]) -> list[str]:
    """The shipped things that may take a concept's place, but for those that are to go themselves."""
    return without(_harmless()["stand-ins"], erasures)


def read(concepts: str, replacement: str = "") -> list[Erasure]:
    """What the lines of ``concepts`` ask for. ``replacement`` takes the place of all that name none; empty: to be chosen.

    Raises ValueError, with the right spelling, for a line that cannot be meant, and where nothing is named.
    """
    replacement = " ".join(replacement.split())
    if arrows.ARROW.search(replacement) or SLOT in replacement:
        raise ValueError(
            f"replacement: {replacement[:80]!r} is no text to draw. Write one thing, such as: banana; what differs from concept to "
            f"concept stands in concepts, one a line: {EXAMPLE}"
        )
    found: dict[str, Erasure] = {}
    for line in concepts.splitlines():
        for one in _line(line, replacement or None):
            key = one.concept.casefold()
            if key == (one.replacement or "").casefold():
                raise ValueError(
                    f"concepts: {one.concept[:80]!r} would take its own place. Name another thing: {EXAMPLE}"
                )
            if found.setdefault(key, one).replacement != one.replacement:
                raise ValueError(
                    f"concepts: {one.concept[:80]!r} stands there twice, with different replacements. Keep one."
                )
    erasures = list(found.values())
    if not erasures:
        raise ValueError(
            "concepts is empty: write what must go, one a line, such as: gun. Or what takes its place: " + EXAMPLE
        )
    if len(erasures) > MOST:
        raise ValueError(
            f"concepts names {len(erasures)} concepts, more than {MOST}: use several Erase Concept nodes in a row."
        )
    for one in erasures:
        if one.replacement and not one.is_attribute and one.replacement not in without([one.replacement], erasures):
            raise ValueError(
                f"concepts: {one.replacement[:80]!r} is to take the place of {one.concept[:80]!r}, and names what is to go itself. Name "
                "something harmless."
            )
    return erasures


def _line(line: str, replacement: str | None):
    """The erasures of one line."""
    if arrows.ARROW.search(entries.bare(line)):
        for sides in arrows.read(entries.bare(line), "concepts", EXAMPLE):
            if SLOT in sides.left:
                if sides.left.count(SLOT) != 1 or sides.right.count(SLOT) != 1:
                    raise ValueError(
                        f"concepts: {arrows.short(line)} needs {SLOT} once on both sides: {SLOT} with a gun -> {SLOT}"
                    )
                yield Erasure(sides.left, sides.right)
                continue
            if SLOT in sides.right:
                raise ValueError(f"concepts: {arrows.short(line)} has {SLOT} on the right only: write {EXAMPLE}")
            for concept in written.split(sides.left, "concepts", embeddings=True):
                yield Erasure(concept, sides.instead)
    elif SLOT in entries.bare(line):
        raise ValueError(f"concepts: {arrows.short(line)} does not say what stays: write {SLOT} with a gun -> {SLOT}")
    else:
        for concept in written.split(line, "concepts", embeddings=True):
            yield Erasure(concept, replacement)


def templates(text: str) -> list[str]:
    """The templates that a text names, one a line; where it is empty the shipped ones, in which the concept stands alone and in scenes.
    Raises ValueError for one without {}."""
    if not text.strip():
        return [*ALONE, *_harmless()["scenes"]]
    found = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    wrong = next((one for one in found if one.count(SLOT) != 1), None)
    if wrong is not None:
        raise ValueError(
            f"templates: {arrows.short(wrong)} needs {SLOT} once, where the concept stands, such as: a photo of a {SLOT}"
        )
    if len(found) > MOST:
        raise ValueError(f"templates has {len(found)} lines, more than {MOST}: a few kinds of sentences are enough.")
    return list(dict.fromkeys(found))


def pairs(one: Erasure, replacement: str, patterns: list[str]) -> list[tuple[str, str]]:
    """[(caption with the concept, the same with the replacement)]; an attribute's are of the shipped subjects."""
    if one.is_attribute:
        return [(one.concept.replace(SLOT, who), replacement.replace(SLOT, who)) for who in _harmless()["subjects"]]
    filled = [(pattern.replace(SLOT, one.concept), pattern.replace(SLOT, replacement).strip()) for pattern in patterns]
    if replacement:
        return filled
    return [(old, "" if new in ("a", "an", "the") else new) for old, new in filled]


def alone(one: Erasure, found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of the ``pairs`` of the shipped templates those without a scene; all of an attribute's."""
    return found if one.is_attribute else found[: len(ALONE)]


def keep(text: str, erasures: list[Erasure]) -> tuple[list[str], list[str]]:
    """(captions to hold, captions left out because they name what is to go); the shipped ones where ``text`` names none."""
    own = [" ".join(entries.bare(line).split()) for line in text.splitlines()]
    captions = list(dict.fromkeys(line for line in own if line)) or list(_harmless()["keep"])
    held = without(captions, erasures)
    return held, [caption for caption in captions if caption not in held]


def without(captions, erasures: list[Erasure]) -> list[str]:
    """The captions that name no concept, in any of its forms."""
    words = [one.concept.replace(SLOT, " ") for one in erasures]
    named = watch.watch({word: () for word in words if watch.words_of(word)})
    return [caption for caption in captions if not named.find(caption)]
