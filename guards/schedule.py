"""Where in its run a sampler stands, from noise levels alone."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

SHORT = 10  # steps: in fewer, each of them decides much
LAYOUT = 0.1  # of a model's schedule: by then it stands what is where. Tuned on the demo world's tuned concepts.


def step_index(sigmas: Sequence[float], sigma: float, tolerance: float = 1e-5) -> int:
    """The executed step whose noise level ``sigma`` belongs to.

    ``sigmas``: the run's schedule as floats, falling (n steps have n + 1 levels, the last often 0), or rising where a picture is turned
    back into noise. Returns 0 .. n - 1: the last step whose level is not below ``sigma`` (not above it, if rising; relative tolerance;
    churn may lift sigma above the first level). An evaluation between two levels, as second-order samplers make them, belongs to the
    step it starts from. Raises ValueError for an empty schedule.
    """
    if not len(sigmas):
        raise ValueError("sigmas: an empty schedule has no steps")
    if sigmas[0] < sigmas[-1]:
        return min(max(bisect_right(sigmas, sigma * (1 + tolerance)) - 1, 0), max(len(sigmas) - 2, 0))
    limit = sigma * (1 - tolerance)
    at_or_above = bisect_left(sigmas, True, key=lambda s: s < limit)
    return min(max(at_or_above - 1, 0), max(len(sigmas) - 2, 0))


def settled(sigmas: Sequence[float], to_sigma: Callable[[float], float]) -> int:
    """The first step, 0 .. n - 1, in which it stands what is where in the picture. Who only exchanges one thing for another begins
    there, and leaves the rest of the picture as it was going to be.

    ``to_sigma``: the model's share of its schedule (0 to 1) to a noise level. 0 in fewer than SHORT steps, where every one counts, and
    where a picture is turned back into noise; never later than after a fifth of the steps.
    """
    steps = len(sigmas) - 1
    if steps < SHORT or sigmas[0] < sigmas[-1]:
        return 0
    level = to_sigma(LAYOUT) * (1 + 1e-5)
    found = next((i for i in range(steps) if sigmas[i] <= level), 0)
    return min(found, steps // 5)


def switch_step(ratio: float, steps: int) -> int:
    """The first executed step, 0 .. ``steps``, that no longer satisfies ``i < ratio * steps`` (0.23 of 20 steps: 5).

    ``ratio``: 0 to 1. A millionth of a step is forgiven, so that 0.7 of 10 steps is 7 in floats as well.
    """
    return min(steps, max(0, math.ceil(ratio * steps - 1e-6)))
