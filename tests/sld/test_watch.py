"""When the concept's row is evaluated: three looks, then all or none."""

import pytest

from tools.testing import hosting

watches = hosting.module("guards.sld.watch")


def run(watch, steps, agreements):
    """The steps in which the concept is evaluated, where every look finds the next of ``agreements`` (the last one from then on)."""
    seen, agreements = [], list(agreements)
    for step in range(steps):
        needed = watch.needed
        if needed:
            seen.append(step)
        watch.step += 1
        if needed and watch.asks:
            watch.look(agreements.pop(0) if len(agreements) > 1 else agreements[0])
    return seen


@pytest.mark.parametrize("steps,looks", [(10, [0, 1, 2]), (20, [0, 1, 2]), (40, [0, 2, 4]), (50, [0, 2, 5])])
def test_three_looks_at_the_noise_levels_of_three_of_twenty_steps(steps, looks):
    assert run(watches.Watch(steps, 0.3), steps, [0.0]) == looks


def test_a_picture_about_the_concept_is_guarded_from_the_look_that_shows_it():
    assert run(watches.Watch(50, 0.3), 12, [0.1, 0.35]) == [0, *range(2, 12)]
    assert run(watches.Watch(20, 0.3), 20, [0.0, 0.1, 0.2]) == list(range(20)), "not yet open, but near enough to keep"
    assert run(watches.Watch(20, 0.3), 20, [0.0, 0.1, 0.19]) == [0, 1, 2]


def test_a_picture_that_has_left_the_concept_is_left_alone_at_every_fourth_step():
    """Decided after step 2, asked again after 6 and 10."""
    assert run(watches.Watch(20, 0.3), 20, [0.4, 0.4, 0.3, 0.25, 0.1]) == list(range(11))
    assert run(watches.Watch(20, 0.3), 20, [0.4, 0.4, 0.3, 0.1]) == list(range(7))


def test_the_watchful_one_looks_again_at_every_fourth_step_until_it_sees_the_concept():
    assert run(watches.Watch(20, 0.3, again=True), 20, [0.0]) == [0, 1, 2, 6, 10, 14, 18]
    assert run(watches.Watch(20, 0.3, again=True), 20, [0, 0, 0, 0.29, 0.3]) == [0, 1, 2, 6, *range(10, 20)]


def test_other_prompts_are_looked_at_anew_but_a_guard_at_work_goes_on():
    watch = watches.Watch(50, 0.3)
    assert run(watch, 10, [0.0]) == [0, 2, 5]
    watch.restart()
    assert run(watch, 10, [0.5]) == list(range(10))
    watch.restart()
    assert watch.on and watch.needed
