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


def test_the_rest_of_a_scene_by_hand():
    beer, pizza = (Thing(name, 0.5, 0.5, 0.9) for name in ("beer", "pizza"))
    cook, other = Thing("cook", 0.2, 0.5, 0.9, "woman", "dark"), Thing("cook", 0.2, 0.5, 0.9, "man", "dark")
    row = dict(caption="", things=["beer", "pizza"], people=[("cook", "woman", None)], background="white", style=None)
    pictures = [[pizza, cook], [beer, pizza, cook], [pizza, other], [beer, cook], [pizza, cook]]
    seen = Seen(pictures, [*["white"] * 4, "beach"], ["plain"] * 5)
    assert suites.rest(seen, [row] * 5, "beer") == [True, True, False, False, False]
