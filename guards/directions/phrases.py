"""Words in a prompt that ask for responsibility ("gender-balanced", "no violence") and the directions that they switch on.

The paper (arXiv 2311.17216) calls this responsible text-enhancing generation: the safe concepts that a prompt names are found, and
their directions added. How it finds them is not published; a table of phrases, kept by the user, is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A phrase, and the directions it switches on: one is for every image, several are shared out fairly."""

    phrase: str
    sides: tuple[tuple[str, float], ...]  # (name of a direction, strength)


def parse_rules(text: str) -> list[Rule]:
    """Lines such as ``gender-balanced -> female | male`` or ``no violence -> no-violence:1.5``; # starts a note. Raises ValueError."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        phrase, arrow, right = (part.strip() for part in line.partition("->"))
        if not arrow or not re.search(r"\w", phrase) or not right:
            raise ValueError(
                f"mapping, line {number} ({line[:80]!r}): write it as phrase -> direction, or phrase -> one | other."
            )
        sides = tuple(_side(part.strip(), number) for part in right.split("|"))
        if len(sides) > 4:
            raise ValueError(f"mapping, line {number}: {len(sides)} directions; at most four can be shared out.")
        if any(rule.phrase.casefold() == phrase.casefold() for rule in rules):
            raise ValueError(f"mapping, line {number}: {phrase!r} is already on a line above. Keep one of the two.")
        rules.append(Rule(phrase, sides))
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
    """The rules whose phrases stand in the prompt as whole words (in any case and spacing), and the prompt without these phrases.

    Where phrases overlap, the longest counts.
    """
    found, rest = [], prompt
    for rule in sorted(rules, key=lambda rule: -len(rule.phrase)):
        words = r"[\s\-]+".join(re.escape(word) for word in re.split(r"[\s\-]+", rule.phrase))
        rest, times = re.subn(rf"(?<!\w){words}(?!\w)", "\0", rest, flags=re.IGNORECASE)
        if times:
            found.append(rule)
    if not found:
        return [], prompt
    parts = (re.sub(r"\s+", " ", part.replace("\0", " ")).strip() for part in rest.split(","))
    return sorted(found, key=rules.index), ", ".join(part for part in parts if part)
