"""Words in other dress, and words that only look alike: what people's own prompts and lists have shown to go wrong."""

import pytest

from tools.testing import hosting

watching = hosting.module("guards.words.watch")


def found(concept, text):
    return [hit.word for hit in watching.watch({concept: ()}).find(text)]


@pytest.mark.parametrize(
    "concept, text",
    [
        # letters and digits, with a hyphen or none
        ("AK-47", "a man with AK47s"),
        ("AK-47", "two AK-47s"),
        ("AK47", "an AK-47"),
        ("X-ray", "an xray picture"),
        ("X-ray", "x rays"),
        ("M-16", "an M16 rifle"),
        # Russian cases
        ("насилие", "сцена насилия"),
        ("оружие", "с оружием"),
        ("кошка", "много кошек"),
        ("кровь", "кровью"),
        ("огонь", "без огня"),
        ("окно", "пять окон"),
        ("свинья", "стадо свиней"),
        ("голый", "голая женщина"),
        ("котёнок", "котята"),
        ("боец", "бойцы"),
        ("герой", "героев"),
        ("курить", "он курит"),
        # Japanese and Chinese
        ("ガン", "赤いｶﾞﾝ"),
        ("ナイフ", "ないふ"),
        ("ねこ", "白いネコ"),
        ("枪", "一把槍"),
        ("龍", "一条龙"),
        ("剣", "一把剑"),
        # emoji by their usual names
        ("knife", "🔪"),
        ("gun", "a 🔫 on a table"),
        ("cigarette", "🚬"),
        ("beer", "🍻"),
        ("ice cream", "🍦"),
        ("car", "🚗"),
        # look-alikes
        ("fuck", "ᖴuᴄk"),
        ("fuck", "ᖴᑌᑕKing"),
        ("blood", "βlood"),
        ("weapon", "ωeapon"),
        ("bomb", "ბomb вомb"),
        # stars, and what the host or a pack takes away before it encodes
        ("porn", "p*rn"),
        ("weapon", "we**on"),
        ("fuck", "f***"),
        ("cat", "ca/**/t"),
        ("cat", "c{a|a}t"),
        ("cat", "c{o|a}t"),
        ("cat", "c(a:1.2)t"),
        ("cat", "(c)at"),
        # accents and signs
        ("wörd", "das wörd"),
        ("mörder", "ein moerder"),
        ("Björk", "a portrait of bjork"),
        ("18+", "rated 18+"),
        ("C++", "a book on C++"),
        # where a word is what it says in spite of its neighbours
        ("salmon", "smoked salmon"),
        ("star", "a shooting star"),
        ("smoking", "he smoked a cigar"),
        ("blood", "a bleeding man"),
        ("death", "he dies"),
        ("shooting", "they shoot at him"),
        ("bear", "two bears"),
        ("breast", "breasts"),
        ("strings", "a string"),
    ],
)
def test_a_concept_is_met_in_other_dress(concept, text):
    assert found(concept, text)


@pytest.mark.parametrize(
    "concept, text",
    [
        # endings that are none
        ("ring", "a red car"),
        ("toes", "go to bed"),
        ("wing", "we sing"),
        ("herring", "her dog"),
        ("string", "stred"),
        ("sled", "sling"),
        ("seed", "see the sea"),
        ("weed", "a wee man"),
        ("shed", "she walks"),
        ("clothes", "a table cloth"),
        # short forms of two words
        ("hell", "he'll walk home"),
        ("hell", "he’ll walk home"),
        ("shed", "where she'd lived"),
        ("well", "we'll"),
        ("ill", "I'll go"),
        ("cant", "you can't see it"),
        ("were", "we're home"),
        # verbs of nouns, and phrases that make a word another
        ("death", "a die-cut sticker"),
        ("breast", "a double-breasted suit"),
        ("bear", "three wise men bearing gifts"),
        ("bear", "a mule that bears the load"),
        ("shooting", "a fashion photo shoot"),
        ("smoke", "smoked salmon"),
        ("blood", "a full-bleed print, colors bleeding"),
        ("arm", "an armed man"),
        ("fire drill", "a drill on fire insurance"),
        # an exclamation mark ends a sentence
        ("taxi", "No more tax!"),
        # an accent, a sign
        ("wörd", "a word on a page"),
        ("rosé", "a red rose"),
        ("18+", "an 18 year old castle"),
        ("C++", "the letter c"),
        # Russian
        ("кровь", "новый кров"),
        ("кот", "котёл"),
        ("нож", "ножка стола"),
        # one kana word in another
        ("ガン", "がんばる"),
        # stars that are none
        ("cat", "a *c* t"),
        ("gun", "2*3 and **bold** words"),
    ],
)
def test_a_word_that_only_looks_alike_is_not_met(concept, text):
    assert not found(concept, text)


@pytest.mark.parametrize(
    "text, left",
    [
        ("a dog, ((cat))", "a dog"),
        ("[cat:dog:0.5]", "[dog:0.5]"),
        ("[dog:cat:0.5] in the sun", "[dog::0.5] in the sun"),
        ("[cat::0.5] sky", "sky"),
        ("{cat|dog} on a mat", "dog on a mat"),
        ("{cat|dog|bird} on a mat", "{dog|bird} on a mat"),
        ("[[cat]]", ""),
        ("a dog BREAK a cat BREAK sky", "a dog BREAK sky"),
        ("a cat BREAK sky", "sky"),
        ("sky BREAK a cat", "sky"),
        ("a dog AND a cat", "a dog"),
        ("(cat, dog:1.2)", "(dog:1.2)"),
        ("(dog, cat:1.2)", "(dog:1.2)"),
        ("(a cat:1.2) on a mat", "on a mat"),
        ("<lora:cat_v2:0.8> a dog", "a dog"),
        ("embedding:cat_style, a dog", "a dog"),
        ("a c{a|a}t, a dog", "a dog"),
        ("(c)at, a dog", "a dog"),
        (r"\(cat\), dog", "dog"),
    ],
)
def test_what_is_left_of_prompt_syntax_is_a_prompt(text, left):
    assert watching.watch({"cat": ()}).strip(text) == left


def test_places_are_those_of_the_text_behind_what_is_hidden():
    [hit] = watching.watch({"cat": ()}).find("ｶﾞ a {c|c}at.")
    assert (hit.word, hit.start, hit.end) == ("c|c}at", 6, 12)
