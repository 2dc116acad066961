"""Rewriting by rules."""

import pytest

from tools.testing import hosting

rules = hosting.module("guards.rewriters.rules")


@pytest.mark.parametrize(
    "written, text, expected",
    [
        ("cat -> dog", "a cat on a mat", "a dog on a mat"),
        ("cat -> dog", "two cats", "two dogs"),
        ("cat -> dog", "Cats and a CAT", "Dogs and a Dog"),
        ("cat -> dog", "a category", "a category"),
        ("cat -> owl", "a cat", "an owl"),
        ("owl -> cat", "an owl", "a cat"),
        ("owl -> cat", "An owl", "A cat"),
        ("knife -> umbrella", "a knife, two knives", "an umbrella, two umbrellas"),
        ("run -> walk", "a running man", "a walking man"),
        ("run -> walk", "a man runs", "a man walks"),
        ("Elon Musk -> a man", "a photo of Elon Musk's car", "a photo of a man's car"),
        ("Elon Musk -> a man", "the Elon Musk of art", "a man of art"),
        ("red hat -> blue cap", "two red hats", "two blue caps"),
        ("cat -> nothing", "a cat and a dog", "a dog"),
        ("cat →dog", "cat", "dog"),
        ("cat => dog", "cat", "dog"),
        ("cat ⇒ dog", "cat", "dog"),
        ("cat –> dog", "cat", "dog"),
        ("cat -＞ dog", "cat", "dog"),
        ("cat --> dog", "cat", "dog"),
        ("cat -> dog  # a note", "cat", "dog"),
        ("# note\n\ncat -> dog\n", "cat", "dog"),
        ("cat ->", "a red cat here", "a red here"),
        ("cat -> dog\ndog -> cat", "a cat and a dog", "a dog and a cat"),
        ("猫 -> 犬", "一只猫", "一只犬"),
        ("кошка -> собака", "кошки", "собака"),
        ("cat -> C:\\1\\g<0>", "cat", "C:\\1\\g<0>"),
        ("bomb -> balloon\nzorp -> balloon", "a zorp and a bomb", "a balloon and a balloon"),
        ("cat -> unicorn", "a cat", "a unicorn"),
        ("hell -> heaven", "he'll come home", "he'll come home"),
        ("wolf -> sheep", "two wolves", "two sheep"),
        ("cat -> bird of prey", "two cats", "two birds of prey"),
        ("wine -> glass of water", "two wines", "two glasses of water"),
        ("smoking -> reading", "he smokes, smoked, is smoking", "he reads, read, is reading"),
        ("smoking -> swimming", "he smoked", "he swam"),
        ("drinking -> dancing", "she drank", "she danced"),
        ("weapons -> flowers", "a weapon", "a flower"),
        ("minute -> hour", "a minute", "an hour"),
        ("cat -> X-ray", "a cat", "an X-ray"),
        ("cat -> SUV", "a cat", "an SUV"),
        ("cat -> UFO", "a cat", "a UFO"),
        ("cat -> 18-wheeler", "a cat", "an 18-wheeler"),
        ("cat -> one-eyed dog", "an old cat, a cat", "an old one-eyed dog, a one-eyed dog"),
        ("cat -> dog", "<lora:cat_v2:0.8> a cat, embedding:cat_style", "<lora:cat_v2:0.8> a dog, embedding:cat_style"),
        ("cat ->", "a dog, a cat, a bird", "a dog, a bird"),
        ("cat -> dog", "c4t", "dog"),
        ("cat -> dog", "", ""),
    ],
)
def test_a_rule_replaces_words_in_their_form(written, text, expected):
    assert rules.parse(written).apply(text) == expected


@pytest.mark.parametrize(
    "written, line, said",
    [
        ("cat dog", 1, "no arrow"),
        ("cat -> dog\n\n# x\nbird", 4, "no arrow"),
        ("-> dog", 1, "no word left"),
        ("!!! -> dog", 1, "no word left"),
        ("a -> b -> c", 1, "more than one arrow"),
        ("cat -> dog\nCat -> bird", 2, "already"),
    ],
)
def test_a_faulty_rule_is_named_by_its_line(written, line, said):
    with pytest.raises(ValueError, match=rf"rules, line {line} .*{said}"):
        rules.parse(written)


@pytest.mark.parametrize("written", ["", "\n \n", "# only a note"])
def test_no_rules_are_refused(written):
    with pytest.raises(ValueError, match="rules is empty"):
        rules.parse(written)
