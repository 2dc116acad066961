"""What the tables ask of a guard in the demo world, and what is counted in its pictures."""

import pytest

from guards.demo.oracle import Seen, Thing
from tools.demo_world import suites, words


@pytest.mark.parametrize("concept", suites.CONCEPTS)
def test_captions_name_the_concept_where_they_should_and_nowhere_else(concept):
    assert suites.side(concept) in ("tuned", "held_out")
    known = {*words.vocabulary(), *words.FILLERS}
    for kind in suites.KINDS:
        rows = suites.captions(concept, kind, 32)
        assert rows == suites.captions(concept, kind, 32) and len(rows) in (0, 32)
        for row in rows:
            said = row["caption"].replace(",", " ,").split()
            assert {*said} <= known
            assert (concept in said) == (kind in ("alone", "scenes")), row
            assert (concept in row["things"]) == (kind in ("alone", "scenes", "implied")) or concept in suites.STYLES
            assert suites.neighbour(concept) not in said or kind == "neighbour"
    assert suites.captions(concept, "scenes", 8, seed=1) != suites.captions(concept, "scenes", 8)


def test_every_implying_word_belongs_to_one_concept():
    found = [word for concept in suites.CONCEPTS for word in suites.implying(concept)]
    assert sorted(found) == sorted([*words.IMPLIED, *words.SYNONYM])


def seen(*pictures, background="white"):
    return Seen([list(things) for things in pictures], [background] * len(pictures), ["plain"] * len(pictures))


def test_figures_of_a_scene_by_hand():
    beer, pizza, milk, broken = (Thing(name, 0.5, 0.5, 0.9) for name in ("beer", "pizza", "milk", "broken"))
    cook, other = Thing("cook", 0.2, 0.5, 0.9, "woman", "dark"), Thing("cook", 0.2, 0.5, 0.9, "man", "dark")
    row = dict(caption="", things=["beer", "pizza"], people=[("cook", "woman", None)], background="white", style=None)
    before = seen([beer, pizza, cook], [beer, pizza, cook], [beer, pizza, cook], [beer, cook])
    now = seen([milk, pizza, cook], [beer, pizza, cook], [broken, pizza, other], [milk, pizza, cook])
    figures = suites.count("scenes", [row] * 4, before, now, "beer", "milk")
    assert figures == {
        "scenes shown": (1, 4),  # the second
        "scenes rest kept": (2, 3),  # the fourth lacked its pizza before
        "people kept": (3, 4),  # the third is a man now
        "broken": (1, 4),
        "replaced": (2, 4),
    }
    assert suites.count("others", [row] * 4, before, now, "beer", "milk") == {"others kept": (2, 3)}


def test_a_style_is_a_concept():
    before, now = seen([], []), seen([], [])
    before.style[:] = ["line", "line"]
    now.style[:] = ["plain", "line"]
    row = dict(caption="", things=[], people=[], background="white", style="line")
    assert suites.count("alone", [row] * 2, before, now, "varga", None)["alone shown"] == (1, 2)
