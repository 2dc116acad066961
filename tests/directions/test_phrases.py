"""Which words of a prompt switch on which directions."""

import pytest

from tools.testing import hosting

responsible = hosting.module("guards.directions.phrases")
RULES = responsible.parse_rules("""
# who is in the picture
gender-balanced -> female | male:0.8   # two sides
no violence -> no-violence:1.5
no -> nothing
""")


def test_lines_are_read_with_notes_sides_and_strengths():
    assert [(rule.phrase, rule.sides) for rule in RULES] == [
        ("gender-balanced", (("female", 1.0), ("male", 0.8))),
        ("no violence", (("no-violence", 1.5),)),
        ("no", (("nothing", 1.0),)),
    ]


@pytest.mark.parametrize(
    "prompt, phrases, rest",
    [
        ("a gender-balanced photo of a nurse", ["gender-balanced"], "a photo of a nurse"),
        ("a nurse, Gender  Balanced, in a ward", ["gender-balanced"], "a nurse, in a ward"),
        ("NO VIOLENCE, a street", ["no violence"], "a street"),
        ("a street, no violence", ["no violence"], "a street"),
        ("no violence", ["no violence"], ""),
        ("a nobleman without violence", [], "a nobleman without violence"),
        ("no  cars, no violence , please", ["no violence", "no"], "cars, please"),
        ("engender-balanced", [], "engender-balanced"),
        ("", [], ""),
        ("日本, no violence。", ["no violence"], "日本, 。"),
        ("(no violence:1.2)", ["no violence"], ""),
        ("no violent street", ["no violence"], "street"),
        ("a ＮＯ ViOLENCE street", ["no violence"], "a street"),
        ("a gender_balanced team", ["gender-balanced"], "a team"),
    ],
)
def test_phrases_are_found_as_whole_words_and_taken_out(prompt, phrases, rest):
    found, left = responsible.find(prompt, RULES)
    assert ([rule.phrase for rule in found], left) == (phrases, rest)


def test_a_plural_in_the_prompt_meets_the_singular_of_the_mapping_and_back():
    for phrase, prompt in (("no weapon", "a street, no weapons"), ("no weapons", "a street, no weapon")):
        rules = responsible.parse_rules(f"{phrase} ⇒ no-weapon # either way")
        assert responsible.find(prompt, rules) == (rules, "a street")


@pytest.mark.parametrize(
    "text, message",
    [
        ("just words", "line 1 .*phrase -> direction"),
        ("-> x", "line 1"),
        ("a ->", "line 1"),
        ("\n\n; -> x", "line 3"),
        ("a -> x\nA -> y", "line 2: 'A' is already"),
        ("a -> x:y", "a name with a strength"),
        ("a -> x | ", "a name with a strength"),
        ("a -> 1|2|3|4|5", "at most four"),
        ("a -> x:999999", "a name with a strength"),
        ("a -> :2", "a name with a strength"),
    ],
)
def test_lines_that_mean_nothing_are_refused_by_their_number(text, message):
    with pytest.raises(ValueError, match=message):
        responsible.parse_rules(text)
