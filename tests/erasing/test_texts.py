"""What a user's lines ask for, and the captions made of them."""

import pytest

from tools.testing import hosting

texts = hosting.module("guards.erasing.texts")
Erasure = texts.Erasure


@pytest.mark.parametrize(
    "written, expected",
    [
        ("gun", [Erasure("gun", None)]),
        ("1. gun, knife # and so on", [Erasure("gun", None), Erasure("knife", None)]),
        ("gun, rifle -> rose", [Erasure("gun", "rose"), Erasure("rifle", "rose")]),
        ("beer → milk\nwine => tea", [Erasure("beer", "milk"), Erasure("wine", "tea")]),
        ("gun ->", [Erasure("gun", "")]),
        (
            "gun -> nothing\n'knife' -> \"\"\n- ► pistol",
            [Erasure("gun", ""), Erasure("knife", ""), Erasure("pistol", None)],
        ),
        ("{} with a gun -> {}", [Erasure("{} with a gun", "{}")]),
        ("# a note\n\nembedding:bad_thing -> rose", [Erasure("embedding:bad_thing", "rose")]),
    ],
)
def test_lines_are_read_as_a_person_reads_them(written, expected):
    assert texts.read(written) == expected


def test_the_replacement_is_for_those_that_name_none():
    assert texts.read("gun\nbeer -> milk\nwine ->", "rose") == [
        Erasure("gun", "rose"),
        Erasure("beer", "milk"),
        Erasure("wine", ""),
    ]


@pytest.mark.parametrize(
    "concepts, replacement, said",
    [
        ("", "", "concepts is empty"),
        ("# only a note", "", "concepts is empty"),
        ("gun -> gun", "", "its own place"),
        ("gun", "Gun", "its own place"),
        ("gun -> rose\ngun -> key", "", "twice"),
        ("star -> circle\ncircle -> star", "", "names what is to go itself"),
        ("gun, pistol -> water pistol", "", "names what is to go itself"),
        ("gun -> rose -> key", "", "more than one arrow"),
        ("{} with a gun", "", "does not say what stays"),
        ("{} with a gun -> man", "", "once on both sides"),
        ("gun -> {}", "", "on the right only"),
        ("gun", "a -> b", "replacement: .*no text to draw"),
        ("\n".join(f"thing{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(101)), "", "more than 100"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_right_spelling(concepts, replacement, said):
    with pytest.raises(ValueError, match=said):
        texts.read(concepts, replacement)


def test_templates_need_their_slot():
    shipped = texts.templates("")
    assert shipped[:3] == ["{}", "a {}", "a photo of a {}"] and len(shipped) == 22
    assert all(one.count("{}") == 1 for one in shipped)
    pairs = texts.pairs(texts.Erasure("gun", "banana"), "banana", shipped)
    assert len(pairs) == 22 and texts.alone(texts.Erasure("gun", "banana"), pairs) == pairs[:3]
    attribute = texts.Erasure("{} with a gun", "{}")
    subjects = texts.pairs(attribute, "{}", shipped)
    assert texts.alone(attribute, subjects) == subjects
    assert texts.templates("one {}\none {}\n") == ["one {}"]
    for wrong in ("a photo", "{} and {}"):
        with pytest.raises(ValueError, match="once, where the concept stands"):
            texts.templates(wrong)


def test_captions_come_in_pairs_that_differ_in_the_concept_only():
    patterns = ["{}", "a {}", "a {} at sea"]
    assert texts.pairs(Erasure("gun", "key"), "key", patterns) == [
        ("gun", "key"),
        ("a gun", "a key"),
        ("a gun at sea", "a key at sea"),
    ]
    assert texts.pairs(Erasure("gun", ""), "", patterns) == [("gun", ""), ("a gun", ""), ("a gun at sea", "a  at sea")]
    attribute = texts.pairs(Erasure("{} with a gun", "{}"), "{}", patterns)
    assert ("a man with a gun", "a man") in attribute and len(attribute) == 12


def test_what_is_kept_never_names_what_is_to_go():
    shipped, none = texts.keep("", texts.read("rifle"))
    assert len(shipped) > 180 and not none
    held, left_out = texts.keep("", texts.read("stars"))
    assert (
        held
        and all("star" in caption for caption in left_out)
        and not any("star" in caption.split() for caption in held)
    )
    held, left_out = texts.keep("two cats # mine\n\na dog", texts.read("cat"))
    assert held == ["a dog"] and left_out == ["two cats"]
    assert "heart" in texts.stand_ins(texts.read("star")) and "heart" not in texts.stand_ins(texts.read("hearts"))
