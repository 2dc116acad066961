"""Which image of a batch gets which side of an attribute: given shares, exact wherever the number of images allows it.

The deviation ratio is InterpretDiffusion's measure of fairness (arXiv 2311.17216).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from fractions import Fraction


def parse_shares(text: str, sides: int) -> list[Fraction]:
    """``""`` (equal), ``"2:1"``, ``"0.7, 0.3"`` or ``"70% 30%"`` as fractions that add up to 1. Raises ValueError."""
    words = [word for word in re.split(r"[\s,;:/|]+", text.strip()) if word]
    if not words:
        return [Fraction(1, sides)] * sides
    if len(words) != sides:
        raise ValueError(
            f"shares holds {len(words)} numbers ({text.strip()!r}), but {sides} directions are connected: give one number for "
            "each, such as 1:1, or leave it empty for equal shares."
        )
    if not all(re.fullmatch(r"\d{1,6}(\.\d{1,4})?%?", word) for word in words):
        raise ValueError(
            f"shares is {text.strip()!r}: give numbers of at most four decimals, such as 1:1, 0.7, 0.3 or 70% 30%."
        )
    numbers = [Fraction(word.rstrip("%")) for word in words]
    if not any(numbers):
        raise ValueError(f"shares is {text.strip()!r}: one of them must be above 0.")
    return [number / sum(numbers) for number in numbers]


def assign(shares: Sequence[Fraction], images: int, seed: int | str) -> list[int]:
    """For image 0, 1, ... the side that it gets. Image k's side depends on shares, seed and k, not on how many images follow.

    Every image gets side i with probability shares[i]; and wherever ``n * share`` is a whole number for every side, the first n
    images hold exactly that many of each. Between such places the counts stay close to the shares.
    """
    block = math.lcm(*(share.denominator for share in shares))  # the smallest exact number of images
    stride = next(
        s
        for k in range(block + 1)
        for s in (round(block * 0.618) + k, round(block * 0.618) - k)
        if 0 < s and math.gcd(s, block) == 1
    )  # golden ratio: neighbours fall far apart
    bounds = [sum(shares[: i + 1]) * block for i in range(len(shares))]
    draw = random.Random(f"{seed}|{[str(share) for share in shares]}")
    sides, start, sign = [], 0, 1
    for k in range(images):
        if k % block == 0:  # a new block: a new start and direction round the circle
            start, sign = draw.randrange(block), draw.choice((1, -1))
        point = (start + sign * stride * (k % block)) % block
        sides.append(next(i for i, bound in enumerate(bounds) if point < bound))
    return sides


def deviation_ratio(counts: Sequence[int]) -> float:
    """max over classes of |count / N - 1 / C| / (1 - 1 / C): 0 is balanced, 1 is one class alone. Raises ValueError without images."""
    if len(counts) < 2 or any(count < 0 for count in counts):
        raise ValueError("counts: two classes or more, none negative, are needed")
    total, fair = sum(counts), 1 / len(counts)
    if not total:
        raise ValueError("counts: there are no images to judge")
    return max(abs(count / total - fair) for count in counts) / (1 - fair)
