"""What the demo's plans ask of a guard."""

import pytest

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
