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
        # a noun in -ing is none of its adjectives
        ("gun", "an oil painting of a gun, baroque", "an oil painting, baroque"),
        ("gun", "a drawing of a big gun on paper", "a drawing on paper"),
        # what was done with it, or by it
        ("cat", "a girl petting a cat", "a girl"),
        ("cat", "a cat chasing a mouse", "a mouse"),
        ("gun", "the man who holds the gun smiles", "the man smiles"),
        ("gun", "a man holds a gun and a hat", "a man holds a hat"),
        ("gun", "two men with guns drawn", "two men"),
        ("smoking", "a man who smokes on a bench", "a man on a bench"),
        ("smoking", "a man smoking and drinking", "a man drinking"),
        ("gun", "a cup instead of a gun", "a cup"),
        ("beer", "an ice-cold beer on the bar", "on the bar"),
        ("gun", "With a gun in his hand, a man walks.", "A man walks."),
        # signs around it
        *[
            ("cat", text, "dog")
            for text in (
                "cat + dog",
                "dog + cat",
                "dog & cat",
                "cat & dog",
                "dog → cat",
                "cat>dog",
                "dog vs. cat",
                "cat vs dog",
            )
        ],
        ("cat", "dog + cat + bird", "dog + bird"),
        ("cat", "cat=1.2, dog", "dog"),
        ("cat", "(cat)++, cat++, (cat)1.2, dog", "dog"),
        ("cat", "{0.5::cat|0.5::dog} in the rain", "dog in the rain"),
        ("cat", "[dog:a black cat:0.5], sky", "[dog::0.5], sky"),
        ("cat", '"a cat", a dog', "a dog"),
        ("cat", "a dog BREAK sky, cat BREAK sea", "a dog BREAK sky BREAK sea"),
        ("cat", "cat BREAK cat BREAK sea", "sea"),
        ("cat", '{"subject": "cat", "light": "dim", "things": ["cat", "dog"]}', '{"light": "dim", "things": ["dog"]}'),
        ("cat", '{"subject": "a cat on a mat"}', '{"subject": "on a mat"}'),
        ("cat", "light: dim\nsubject: a cat.\nlens: wide", "light: dim\nlens: wide"),
        # other languages
        ("Hund", "eine Frau mit einem Hund im Park", "eine Frau im Park"),
        ("gato", "una mujer con un gato y un perro", "una mujer con un perro"),
        ("gato", "un gato y un perro en la playa", "un perro en la playa"),
        ("chien", "un chien et un chat, une femme avec un chien dans la rue", "un chat, une femme dans la rue"),
        ("猫", "一只猫和一只狗", "一只狗"),
        ("猫", "一只狗和一只猫", "一只狗"),
        ("枪", "一个拿着枪的男人", "一个男人"),
        ("犬", "犬と猫", "猫"),
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
