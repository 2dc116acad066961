"""Rewriting by rules."""

import pytest

from tools.testing import hosting

rules = hosting.module("guards.rewriters.rules")


@pytest.mark.parametrize(
    "written, text, expected",
    [
        ("cat -> dog", "a cat on a mat", "a dog on a mat"),
        ("cat -> dog", "two cats", "two dogs"),
        ("cat -> dog", "Cats and a CAT", "Dogs and a DOG"),
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
    "written, text, expected",
    [
        # words of a family, and their plurals
        ("gun -> flower", "two handguns, a gunman", "two flowers, a flower"),
        ("knife -> feather", "two pocketknives", "two feathers"),
        ("smoking -> reading", "a smoker, smokers", "a reader, readers"),
        ("blood -> ketchup", "a bleeding man", "a ketchup man"),
        ("cat -> owls", "two cats", "two owls"),
        # participles
        ("steal -> take", "a stolen car, he stole it", "a taken car, he took it"),
        ("drink -> eat", "he has drunk", "he has eaten"),
        ("run -> swim", "he has run", "he has swum"),
        ("kill -> eat", "was killed, he killed", "was eaten, he ate"),
        # genitives
        ("child -> adult", "the children's room", "the adults' room"),
        ("wolf -> sheep", "the wolves' den", "the sheep's den"),
        ("dog -> sheep", "'two dogs' sign", "'two sheep' sign"),
        # capitals
        ("dog -> SUV", "two dogs", "two SUVs"),
        ("cat -> dog", "CATS", "DOGS"),
        # articles
        ("apple -> pear", 'an (apple:1.2), an "apple"', 'a (pear:1.2), a "pear"'),
        ("cat -> ukulele", "a cat", "a ukulele"),
        ("cat -> urinal", "a cat", "a urinal"),
        ("cat -> Ugandan kob", "a cat", "a Ugandan kob"),
        ("cat -> éclair", "a cat", "an éclair"),
        ("cat -> 11th hour", "a cat", "an 11th hour"),
        ("ugly ->", "an ugly man, a ugly elf", "a man, an elf"),
        ("huge ->", "a huge elephant", "an elephant"),
    ],
)
def test_a_replacement_fits_where_it_stands(written, text, expected):
    assert rules.parse(written).apply(text) == expected


@pytest.mark.parametrize(
    "written, text, expected",
    [
        # one article: the text's, or the replacement's own, or none
        ("cat -> a dog", "his cat, a black cat, black cat, two cats", "his dog, a black dog, black dog, two dogs"),
        ("cat -> an owl", "with cat, the cat, no cat", "with an owl, an owl, no owl"),
        ("cat -> some dogs", "A cat on a mat.", "Some dogs on a mat."),
        ("cat -> her dog", "a cat, the cat", "her dog, her dog"),
        ("gun -> flowers", "a big gun, a gun barrel, every gun", "big flowers, a flower barrel, every flower"),
        ("gun -> bread", "a gun on a table", "bread on a table"),
        ("gun -> scissors", "a gun, two guns", "scissors, two scissors"),
        ("gun -> apple", "a <lora:gun:1> gun, A GUN", "an <lora:gun:1> apple, AN APPLE"),
        ("cat -> R2-D2", "a cat", "an R2-D2"),
        ("apple -> Xbox", "an apple", "an Xbox"),
        ("apple -> RAW photo", "an apple", "a RAW photo"),
        # the verb behind it
        ("gun -> flowers", "A gun is here, there was a gun", "Flowers are here, there were flowers"),
        ("gun -> flowers", "a man with a gun is here", "a man with flowers is here"),
        ("guns -> bread", "guns are on the table", "bread is on the table"),
        # one and many
        ("knives -> spoon", "many knives, one knife", "many spoons, one spoon"),
        ("guns -> puppies", "a gun", "a puppy"),
        ("fish -> bird", "three fish, a school of fish", "three birds, a school of birds"),
        ("sheep -> cow", "two sheep, many white sheep, a sheep", "two cows, many white cows, a cow"),
        ("girl -> boy", "1girl, 2girls, solo", "1boy, 2boys, solo"),
        ("elf -> fairy", "3lf, 3elves", "fairy, 3fairies"),
        ("guns -> knives", "a gun", "a knife"),
        ("guns -> leaves", "a gun", "a leaf"),
        ("guns -> boxes", "a gun", "a box"),
        ("guns -> potatoes", "a gun", "a potato"),
        ("guns -> movies", "a gun", "a movie"),
        ("guns -> people", "a gun", "a person"),
        ("guns -> houses", "a gun", "a house"),
        ("cat -> mother-in-law", "cats", "mothers-in-law"),
        ("cat -> passer-by", "cats", "passers-by"),
        ("cat -> dog, fluffy", "two cats", "two dogs, fluffy"),
        ("cat -> (dog:1.2)", "two cats", "two (dogs:1.2)"),
        ("cat -> {dog|fox}", "two cats", "two {dogs|foxes}"),
        ("cat -> <lora:dog:1> dog", "two cats", "two <lora:dog:1> dogs"),
        ("cat -> child holding a toy", "cats", "children holding a toy"),
        ("ice cream -> apple", "icecreams", "apples"),
        ("boss -> queens", "the boss's hat", "the queens' hat"),
        # adjectives in a degree
        ("big -> small", "a bigger house, the biggest house", "a smaller house, the smallest house"),
        ("ugly -> beautiful", "an uglier man, the ugliest", "a more beautiful man, the most beautiful"),
        ("scary -> lovely", "a scarier house", "a lovelier house"),
        ("big -> good", "bigger, biggest", "better, best"),
        # what is done
        ("smoke -> read", "smokers", "readers"),
        ("run -> go", "he runs, ran", "he goes, went"),
        ("smoking -> holding a book", "he smokes, he smoked", "he holds a book, he held a book"),
        ("shoot -> take a photo of", "he shoots a bird", "he takes a photo of a bird"),
        ("smoke a pipe -> read a book", "smoking a pipe, he smokes a pipe", "reading a book, he reads a book"),
        ("holding a gun -> holding a rose", "a man holds a gun", "a man holds a rose"),
        ("people holding guns -> people holding roses", "people holding guns", "people holding roses"),
        ("a man with a gun -> a man with a rose", "a man with a gun", "a man with a rose"),
        ("beat up -> look after", "he beats up a man", "he looks after a man"),
        # capitals, hyphens, names of files
        ("Batman -> a clown", "Batman walks. Batman runs.", "A clown walks. A clown runs."),
        ("t-shirt -> hoodie", "a T-shirt", "a hoodie"),
        ("cat -> iPhone", "Cat", "iPhone"),
        ("blood -> mud", "blood-stained hands", "mud-stained hands"),
        ("cat -> dog", "<embed:cat>, __animals/cat__, a cat", "<embed:cat>, __animals/cat__, a dog"),
    ],
)  # fmt: skip
def test_what_stands_around_a_replacement_goes_with_it(written, text, expected):
    assert rules.parse(written).apply(text) == expected


@pytest.mark.parametrize(
    "left",
    'cat, kitten|cat/kitten|cat or kitten|cat; kitten|1. cat|no cats|(cat:1.2)|replace cat|cat(s)|cats (all)|cat of any kind|"cat"'.split(
        "|"
    )
    + ["cat|kitten"],
)
def test_the_left_side_is_read_as_a_list_is(left):
    assert rules.parse(left + " -> owl").apply("a cat and a dog") == "an owl and a dog"


@pytest.mark.parametrize(
    "right",
    ['"owl"', "owl;", "owl,", "owl.", "owl // note", "owl /* note */", "owl(s)", "owl/owls", "'owl'", "owl -- note"],
)
def test_what_stands_around_the_right_side_is_no_part_of_it(right):
    assert rules.parse("cat -> " + right).apply("a cat and a dog") == "an owl and a dog"


@pytest.mark.parametrize(
    "right", ["(remove)", "[delete]", "null", "∅", "(empty)", "n/a", "<empty>", "''", "...", "none;"]
)
def test_a_right_side_that_says_nothing_removes(right):
    assert rules.parse("cat -> " + right).apply("a cat and a dog") == "a dog"


@pytest.mark.parametrize("arrow", ["->>", "➡", "➡️", "⮕", ">>", "~>", "↦", "- >", "-&gt;"])
def test_an_arrow_is_an_arrow(arrow):
    assert rules.parse(f"cat {arrow} owl").apply("a cat") == "an owl"


def test_a_left_side_that_may_be_two_is_refused_with_its_line():
    with pytest.raises(ValueError, match='rules, line 2: .*in quotes "Tom and Jerry"'):
        rules.parse("cat -> dog\nTom and Jerry -> mice")
    assert rules.parse('"Tom and Jerry" -> mice').apply("Tom and Jerry") == "mice"


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
