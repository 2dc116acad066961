"""What is left of a prompt without some of its words reads as a caption."""

import time

import pytest

from tools.testing import hosting

watching = hosting.module("guards.words.watch")


@pytest.mark.parametrize(
    "concept, text, left",
    [
        # the article before what follows
        ("naked", "a naked elf", "an elf"),
        ("ugly", "an ugly man", "a man"),
        ("naked", "a statue of a naked athlete", "a statue of an athlete"),
        ("old", "an old unicorn, a (old:1.2) hour", "a unicorn, an hour"),
        # subjects and objects that are gone
        ("gun", "the gun is on the table", "on the table"),
        ("gun", "his gun fell", ""),
        ("gun", "a gun lies on a desk", "on a desk"),
        ("gun", "a man with a big black gun, sunset", "a man, sunset"),
        ("gun", "a man with a gun in his hand", "a man"),
        ("gun", "a man armed with a gun", "a man"),
        ("gun", "neither a gun nor a cup", "no cup"),
        ("gun", "either a cup or a gun", "a cup"),
        ("gun", "there is a gun on the mat", "on the mat"),
        ("gun", "a gun held by a man", "a man"),
        ("gun", "a man runs and a gun falls, sky", "a man runs, sky"),
        ("cat", "the cat is chasing a mouse, sky", "a mouse, sky"),
        ("cat", "a woman whose cat is black", "a woman"),
        ("blood", "his hands are covered in blood", "his hands"),
        ("beer", "a glass of cold beer, bar", "a glass, bar"),
        ("beer", "a beer can on a table", "a can on a table"),
        # modifiers that are gone
        ("naked", "completely naked woman", "woman"),
        ("naked", "a beautiful, naked woman", "a beautiful woman"),
        ("naked", "she is naked.", ""),
        ("naked", "the man is naked, sky", "the man, sky"),
        ("old", "a very old tree", "a tree"),
        # marks
        ("gun", "a cup, gun:1.3, sky", "a cup, sky"),
        ("gun", "a cup, a gun.", "a cup."),
        ("gun", "a gun? a cup", "a cup"),
        ("gun", "a man; a gun; a cup", "a man; a cup"),
        ("gun", "a dog|a gun", "a dog"),
        ("gun", "a gun / a cup", "a cup"),
        ("gun", "a man - with a gun - runs", "a man - runs"),
        ("gun", 'a sign that says "gun"', "a sign"),
        ("gun", "a sign saying 'GUN' in red", "a sign in red"),
        ("gun", "{2$$gun|dog|cat}", "{2$$dog|cat}"),
        ("gun", "a __gun__ wildcard", "a wildcard"),
        ("cat", "dog\ncat\nbird", "dog\nbird"),
        ("cat", "A dog. A cat. A bird.", "A dog. A bird."),
    ],
)
def test_a_caption_without_a_word_is_a_caption(concept, text, left):
    assert watching.watch({concept: ()}).strip(text) == left


@pytest.mark.parametrize(
    "text", ["a the and with " * 1000, "\n" * 20_000, " " * 20_000, "either neither both " * 700, "the dog's " * 1500]
)
def test_long_and_strange_texts_are_mended_quickly(text):
    start = time.process_time()
    assert "cat" not in watching.watch({"cat": ()}).strip(text + "cat")
    assert time.process_time() - start < 5
