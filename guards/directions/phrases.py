"""Words in a prompt that ask for responsibility ("gender-balanced", "no violence") and the directions that they switch on.

The paper (arXiv 2311.17216) calls this responsible text-enhancing generation: the safe concepts that a prompt names are found, and
their directions added. How it finds them is not published; a table of phrases, kept by the user, is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..lists import arrows
from ..words.seams import without
from ..words.watch import places_of, watch, words_of

EXAMPLE = "phrase -> direction, or phrase -> one | other."
MOST_SIDES = 4


@dataclass(frozen=True)
class Rule:
    """A phrase, and the directions it switches on: one is for every image, several are shared out fairly."""

    phrase: str
    sides: tuple[tuple[str, float], ...]  # (name of a direction, strength)


def parse_rules(text: str) -> list[Rule]:
    """Lines such as ``gender-balanced -> female | male`` or ``no violence -> no-violence:1.5`` (see `lists.arrows.read`).

    Raises ValueError naming the line.
    """
    rules: list[Rule] = []
    for line in arrows.read(text, "mapping", EXAMPLE):
        if not line.right:
            raise ValueError(
                f"mapping, line {line.number} ({line.left!r}) has nothing right of the arrow: write it as {EXAMPLE}"
            )
        sides = tuple(_side(part.strip(), line.number) for part in line.right.split("|"))
        if len(sides) > MOST_SIDES:
            raise ValueError(f"mapping, line {line.number}: {len(sides)} directions; at most four can be shared out.")
        if any(words_of(rule.phrase) == words_of(line.left) for rule in rules):
            raise ValueError(
                f"mapping, line {line.number}: {line.left!r} is already on a line above. Keep one of the two."
            )
        rules.append(Rule(line.left, sides))
    return rules


def _side(text: str, number: int) -> tuple[str, float]:
    name, colon, strength = text.rpartition(":")
    if not colon:
        name, strength = text, "1"
    if not name.strip() or not re.fullmatch(r"-?\d{1,2}(\.\d{1,4})?", strength.strip()):
        raise ValueError(
            f"mapping, line {number} ({text[:80]!r}): a direction is a name, or a name with a strength such as female:0.8."
        )
    return name.strip(), float(strength)


def find(prompt: str, rules: list[Rule]) -> tuple[list[Rule], str]:
    """The rules whose phrases stand in the prompt, in the rules' order, and the prompt without these phrases.

    Phrases are met as forbidden concepts are (`words.watch`): as whole words in any form, case and dress. Where two overlap, the
    longer one counts. A prompt without any phrase comes back as it is.
    """
    hits = watch({rule.phrase: () for rule in rules}).find(prompt)
    phrases = {hit.concept for hit in hits}
    return [rule for rule in rules if rule.phrase in phrases], without(
        prompt, places_of(prompt, hits)
    ) if hits else prompt
