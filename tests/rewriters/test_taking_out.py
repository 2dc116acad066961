"""What a prompt loses with a word that is taken out: a rule without a right side leaves a sound phrase and whole prompt syntax."""

import pytest

from tools.testing import hosting

rules = hosting.module("guards.rewriters.rules")


@pytest.mark.parametrize(
    "word, text, left",
    [
        # what it does, or what is done with it
        ("cat", "a photo of a cat sitting on a chair", "a photo on a chair"),
        ("cat", "a photo of a cat chasing a mouse", "a photo of a mouse"),
        ("cat", "a cat drinking milk from a bowl", "milk from a bowl"),
        ("cat", "a girl and her cat walking through a forest", "a girl walking through a forest"),
        ("cat", "a group of cats playing poker", "a group playing poker"),
        ("cat", "an astronaut cat floating in space", "an astronaut floating in space"),
        ("cat", "a girl with a cat on her lap reading a book", "a girl reading a book"),
        ("cat", "a mug with a cat printed on it", "a mug"),
        ("cat", "a woman holding a cat looks out of the window", "a woman looks out of the window"),
        ("cat", "a statue of a cat made of gold", "a statue made of gold"),
        ("cat", "a comic about a cat who is afraid of mice", "a comic"),
        ("knife", "a chef with a knife cutting onions", "a chef cutting onions"),
        ("beer", "a man drinking a beer at a bar", "a man at a bar"),
        ("pumpkin", "A child carves a pumpkin at the table.", "A child at the table."),
        ("gun", "A man holds a gun and smiles at the camera.", "A man smiles at the camera."),
        ("gun", "a man holding a gun and smiling", "a man smiling"),
        ("horse", "a carriage drawn by two horses", "a carriage"),
        ("tree", "a path lined with trees", "a path"),
        ("wolf", "a girl chased by a wolf", "a girl"),
        ("smoking", "teenagers smoking cigarettes behind the school", "teenagers with cigarettes behind the school"),
        # what belongs to it
        ("beer", "a craft beer on a bar", "on a bar"),
        ("teacher", "a strict teacher in front of a blackboard", "a blackboard"),
        ("skeleton", "a grumpy old skeleton, a door", "a door"),
        ("cat", "a dozen cats in a basket", "in a basket"),
        ("ghost", "the ghost of a sailor", "a sailor"),
        ("car", "a boy washing his father's car in the yard", "a boy in the yard"),
        ("cat", "a dog as big as a cat, a dog bigger than a cat", "a dog, a dog"),
        ("cat", "a dog dressed as a cat in a park", "a dog in a park"),
        ("cat", "a house full of cats", "a house"),
        ("Disney", "a castle in Disney style, a tower in the style of Disney", "a castle, a tower"),
        ("toad", "children sitting among toads in a garden", "children sitting in a garden"),
        ("bikini", "bikini-clad women, a war-torn city", "women, a war-torn city"),
        ("beer", "a brewery where beer is made", "a brewery"),
        # lists
        ("knife", "fork, knife and spoon on a napkin", "fork and spoon on a napkin"),
        ("cat", "A photo of a man, a woman and a cat.", "A photo of a man and a woman."),
        ("ghost", "a house with ghosts, bats and pumpkins", "a house with bats and pumpkins"),
        ("beer", "a bottle of beer and a plate of nachos", "a bottle and a plate of nachos"),
        ("bikini", "a woman wearing a bikini and sunglasses", "a woman wearing sunglasses"),
        # nouns in -ing are no deeds
        ("gun", "a gun painting on a wall, a gun building", "a painting on a wall, a building"),
    ],
)
def test_a_phrase_without_its_noun_is_a_phrase(word, text, left):
    assert rules.parse(f"{word} ->").apply(text) == left


@pytest.mark.parametrize(
    "text, left",
    [
        ("desk BREAK a skull, a candle BREAK dust", "desk BREAK a candle BREAK dust"),
        ("desk COUPLE skull", "desk"),
        ("desk | skull | dust", "desk | dust"),
        ("desk :0.8 AND skull :1.2", "desk :0.8"),
        ("desk --no skull, dust --ar 16:9", "desk --no dust --ar 16:9"),
        ("desk with a skull --ar 16:9", "desk --ar 16:9"),
        ("desk, **skull**, *skull*, `skull`, <b>skull</b>, dust", "desk, dust"),
        ("desk /* skull */ dust", "desk dust"),
        ("desk // skull\ndust", "desk\ndust"),
        ("* a skull\n* a desk", "* a desk"),
        ("<skull>, desk, @skull", "desk"),
        ("desk, 1.2::skull", "desk"),
        ("desk w/ skull", "desk"),
        ("desk with (skull:1.2) and (dust:1.1)", "desk with (dust:1.1)"),
        ("a desk with {2$$a skull|a candle|a raven}", "a desk with {2$$a candle|a raven}"),
        ("a __color__ skull, a {red|blue} skull, a (black:1.2) skull, desk", "desk"),
    ],
)
def test_prompt_syntax_stays_whole(text, left):
    assert rules.parse("skull ->").apply(text) == left
