"""Which step a noise level belongs to, falling and rising, and where a share of the steps ends."""

import pytest

from tools.testing import hosting

schedule = hosting.module("guards.schedule")
FALLING = [14.6, 5.0, 2.0, 0.5, 0.0]
RISING = [0.03, 0.5, 2.0, 5.0, 14.6]


@pytest.mark.parametrize(
    "level,step",
    [(14.6, 0), (20.0, 0), (9.0, 0), (5.0, 1), (5.0 * (1 - 1e-6), 1), (4.9, 1), (2.0, 2), (0.5, 3), (0.1, 3), (0.0, 3)],
)
def test_a_level_belongs_to_the_step_that_starts_at_it_or_above(level, step):
    assert schedule.step_index(FALLING, level) == step


@pytest.mark.parametrize(
    "level,step", [(0.0, 0), (0.03, 0), (0.4, 0), (0.5, 1), (0.5 * (1 + 1e-6), 1), (1.0, 1), (5.0, 3), (14.6, 3)]
)
def test_on_rising_levels_a_level_belongs_to_the_step_that_starts_at_it_or_below(level, step):
    assert schedule.step_index(RISING, level) == step


def test_one_level_and_none():
    assert schedule.step_index([1.0], 1.0) == schedule.step_index([1.0, 0.0], 0.5) == 0
    with pytest.raises(ValueError, match="empty schedule"):
        schedule.step_index([], 1.0)


@pytest.mark.parametrize(
    "ratio,steps,switch", [(0.0, 7, 0), (1.0, 7, 7), (0.3, 7, 3), (0.23, 20, 5), (0.25, 20, 5), (0.3, 10, 3), (2, 4, 4)]
)
def test_the_switch_is_the_first_step_not_below_the_ratio(ratio, steps, switch):
    assert schedule.switch_step(ratio, steps) == switch
    assert [i < switch for i in range(steps)] == [i < ratio * steps - 1e-6 for i in range(steps)]


def test_every_level_of_a_long_schedule_is_its_own_step():
    sigmas = [14.6 * 0.9**n for n in range(100)] + [0.0]
    assert [schedule.step_index(sigmas, sigma) for sigma in sigmas[:-1]] == list(range(100))


@pytest.mark.parametrize("steps, begins", [(4, 0), (9, 0), (10, 1), (20, 2), (40, 4), (100, 10)])
def test_it_stands_what_is_where_after_a_tenth_of_the_schedule(steps, begins):
    """Of a schedule that falls evenly, as share 0 to 1 and back."""
    sigmas = [1 - i / steps for i in range(steps)] + [0.0]
    assert schedule.settled(sigmas, lambda share: 1 - share) == begins


def test_a_schedule_that_lingers_where_nothing_stands_is_not_waited_for_longer_than_a_fifth():
    assert schedule.settled([1 - i / 1000 for i in range(19)] + [0.5, 0.0], lambda share: 1 - share) == 4


def test_a_picture_to_start_from_stands_already_and_so_does_one_turned_back_into_noise():
    assert schedule.settled([0.6 - i / 40 for i in range(20)] + [0.0], lambda share: 1 - share) == 0
    assert schedule.settled([i / 20 for i in range(21)], lambda share: 1 - share) == 0
