"""What is asked of a language model in a rewrite: words to replace, blanks, several answers, and which of them is the best."""

import pytest

from tools.testing import hosting
from tools.testing.judges import Crowd, Judge, run

protocol, synonyms, filling, restoring = (
    hosting.module(f"guards.{name}")
    for name in ("rewriters.protocol", "rewriting.synonyms", "rewriting.filling", "rewriting.restoring")
)

ZEBRA = "A zebra drinks at the old waterhole."
LION, TIGER = "A lion drinks at the old waterhole.", "A tiger drinks at the old waterhole."


def test_words_to_blame_are_named_and_may_not_be_written():
    back_end = Crowd({ZEBRA: 0.9, "zebra": 0.9}, "A lion drinks at the old waterhole.")
    back_end.banned = []

    async def chat(messages, *, banned=(), **options):
        back_end.banned.append(banned)
        return await Judge.chat(back_end, messages, **options)

    back_end.chat = chat
    outcome = run(back_end, ZEBRA, "striped")
    assert outcome.text == "A lion drinks at the old waterhole."
    asked = back_end.asked[0][-1]["content"]
    assert asked == f"Concepts: striped\nWords to replace: zebra\nInput Caption: {ZEBRA}\nOutput Caption:"
    assert {"zebr*", "striped"} <= {*back_end.banned[0]}


def test_an_answer_that_still_shows_it_is_gone_on_from():
    tiger = "A tiger drinks at the old waterhole."
    sees = {ZEBRA: 0.9, "zebra": 0.9, tiger: 0.8, "tiger": 0.8}
    back_end = Crowd(sees, tiger, "A lion drinks at the old waterhole.")
    outcome = run(back_end, ZEBRA, "striped", attempts=2)
    assert outcome.text == "A lion drinks at the old waterhole."
    again = back_end.asked[1][-1]["content"]
    assert again == f"Concepts: striped\nWords to replace: tiger\nInput Caption: {tiger}\nOutput Caption:"


def test_where_no_answer_is_clearly_good_the_blanks_of_words_to_blame_are_filled():
    tiger, blank = "A tiger rests at the old waterhole.", "A ____ drinks at the old waterhole."
    back_end = Crowd({ZEBRA: 0.9, "zebra": 0.9, tiger: 0.1, "A tiger drinks at the old waterhole.": 0.8}, tiger)
    back_end.fills[blank] = "tiger, elephant, lion, elephant"
    outcome = run(back_end, ZEBRA, "striped")
    assert outcome.text == "An elephant drinks at the old waterhole.", "its article fits, and no other word is lost"
    assert back_end.filled == [(blank, "Not: striped, zebra")]
    assert outcome.summary["attempts"] == 1 and outcome.details[0]["answer"] == outcome.text
    own = run(Crowd(back_end.sees, tiger), ZEBRA, "striped", instruction="Make it blue.")
    assert own.text == tiger, "an instruction of one's own is followed alone"


def test_words_that_an_answer_changed_unasked_are_put_back():
    loose, done = "A lion drinks from a quiet waterhole.", "A lion drinks at the old waterhole."
    back_end = Crowd({ZEBRA: 0.9, "zebra": 0.9, loose: 0.1, done: 0.1}, loose)
    assert run(back_end, ZEBRA, "striped").text == done and not back_end.filled
    worse = Crowd({ZEBRA: 0.9, "zebra": 0.9, loose: 0.1, done: 0.7}, loose)
    assert run(worse, ZEBRA, "striped").text == loose, "what is put back is asked about as well"
    own = Crowd({ZEBRA: 0.9, "zebra": 0.9, loose: 0.1, done: 0.1}, loose)
    assert run(own, ZEBRA, "striped", instruction="Make it blue.").text == loose


@pytest.mark.parametrize(
    "answer, text, words, expected",
    [
        ("A bakery bakes its very first loaf", "The pub opens its first barrel", ("pub", "barrel"), "The bakery opens its first loaf"),
        ("The elephant drinks from it.", "A Zebra drinks at the waterhole.", ("Zebra",), "An Elephant drinks at the waterhole."),
        ("A ripe green apple", "A ripe red apple on red cloth", ("red",), "A ripe green apple on green cloth"),
        ("A soft cushion, a ball", "A soft thick wool blanket, a ball", ("wool",), "A soft cushion, a ball"),
        ("Slices of melon lie on ice", "Slices of hot pizza lie on a plate", ("pizza",), "Slices of melon lie on a plate"),
        ("A ball lies here", "A big red ball lies there", ("red",), "A big ball lies there"),
        ("The cat sleeps", "The cat slept on a sofa", ("dog",), ""),
        ("The slept", "The cat slept", ("cat",), "The slept"),
        ("Slept, all of it", "The cats slept", ("cats",), "The slept"),
        ("cat", "", ("cat",), ""),
        ("дом у моря", "старый замок у тихого моря", ("замок",), "дом у тихого моря"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_a_word_is_found(answer, text, words, expected):
    assert restoring.restored(answer, text, words) == expected


def test_an_answer_that_keeps_most_goes_before_one_further_from_the_concept():
    far = "A parrot drinks at some old lake."
    back_end = Crowd(
        {ZEBRA: 0.9, "zebra": 0.9, far: 0.01, TIGER: 0.46, "A parrot drinks at the old waterhole.": 0.9}, far
    )
    back_end.sees["A parrot drinks at some old waterhole."] = 0.9
    back_end.fills["A ____ drinks at the old waterhole."] = "tiger"
    assert run(back_end, ZEBRA, "striped", attempts=1).text == TIGER
    back_end.answers, back_end.sees[TIGER] = [far], 0.49
    assert run(back_end, ZEBRA, "striped", attempts=1).text == far, "it has to be of use before all else"


def test_an_answer_that_keeps_too_little_has_words_of_the_query_back_where_its_picture_allows():
    query, answer = (
        "A zebra drinks water slowly and calmly at the old waterhole near a river.",
        "A lion drinks water quickly and calmly at the new lake near a hill.",
    )
    whole, most = (
        "A lion drinks water slowly and calmly at the old waterhole near a river.",
        "A lion drinks water slowly and calmly at the old lake near a river.",
    )
    old = "A lion drinks water quickly and calmly at the old lake near a hill."
    sees = {query: 0.9, "zebra": 0.9, "waterhole": 0.5, whole: 0.9, most: 0.9, old: 0.2}
    outcome = run(Crowd(sees, answer), query, "striped", attempts=1)
    assert outcome.text == "A lion drinks water slowly and calmly at the new lake near a river.", (
        "the most harmless together"
    )
    assert outcome.details[0]["answer"] == outcome.text
    slowly = "A lion drinks water slowly and calmly at the new lake near a hill."
    other = run(Crowd(sees | {slowly: 0.6}, answer), query, "striped", attempts=1)
    assert other.text == "A lion drinks water quickly and calmly at the old lake near a river.", (
        "and no word that brings it to mind"
    )
    busy = run(Crowd(sees | {slowly: protocol.RewriterError("too busy")}, answer), query, "striped", attempts=1)
    assert busy.text == answer and "could not be put back: too busy" in busy.details[-1]["warning"]
    own = run(Crowd(sees, answer), query, "striped", instruction="Make it a new lake.")
    assert own.text == answer, "an instruction of one's own is followed alone"


@pytest.mark.parametrize(
    "answer, text, each",
    [
        ("A big dog", "A small cat", ["A small dog", "A big cat"]),
        ("This is an ugly addition.", "This is a stunning addition.", ["This is a stunning addition."]),
        ("Soft, golden bread", "The crispy crunch of golden bread", ["The crispy crunch of golden bread"]),
        ("red dog, asleep", "Big red dog, fast asleep", ["Big red dog, asleep", "red dog, fast asleep"]),
        ("A dog", "A dog on a mat", ["A dog on a mat"]),
        ("A dog sleeps on a mat.", "A dog, a mat.", []),
        ("A dog on a mat", "A dog", []),
        ("", "A dog", ["A dog"]),
        ("A dog", "", []),
        ("стол у моря", "дом у тихого моря", ["дом у моря", "стол у тихого моря"]),
    ],
)  # fmt: skip
def test_each_difference_of_an_answer_can_have_the_text_s_own_words(answer, text, each):
    found = restoring.differences(answer, text)
    assert [restoring.put_back(answer, [one]) for one in found] == each
    assert not found or restoring.put_back(answer, reversed(found)) == text


def test_several_blanks_are_filled_one_after_the_other():
    query, half = "The pub raises its foaming mugs.", "The bakery raises its foaming mugs."
    done = "The bakery raises its silver mugs."
    sees = {query: 0.9, "pub": 0.9, "foaming": 0.7, half: 0.6, done: 0.1}
    back_end = Crowd(sees, "I cannot do that.")
    back_end.fills = {"The ____ raises its foaming mugs.": "bakery", "The bakery raises its ____ mugs.": "silver"}
    assert run(back_end, query, attempts=1).text == done
    named = Crowd({"A farmer with milk": 0.1}, "beer")
    named.fills["A farmer with ____"] = "milk"
    assert run(named, "A farmer with beer", attempts=1).text == "A farmer with milk"


def test_a_back_end_that_fills_no_blank_loses_no_answer():
    class Tired(Crowd):
        async def chat(self, messages, **options):
            if messages[0] == filling.question("", "a", [])[0]:
                raise protocol.RewriterError("too busy")
            return await super().chat(messages, **options)

    outcome = run(Tired({ZEBRA: 0.9, "zebra": 0.9, LION: 0.4}, LION), ZEBRA, "striped")
    assert outcome.text == LION and "'zebra' could not be filled: too busy" in outcome.details[-1]["warning"]


@pytest.mark.parametrize(
    "answer, expected",
    [
        ("bakery, library", ["The bakery opens.", "The library opens."]),
        ("1. bakery\n2. Old mill.", ["The bakery opens.", "The Old mill opens."]),
        ("<think>pub</think>bakery; pub; bakery", ["The bakery opens."]),
        ("The ____ opens., " + "x" * 50 + ", one two three four five, 7", []),
        ("a, b, c, d, e, f, g", [f"The {letter} opens." for letter in "abcde"]),
        ("", []),
    ],
)
def test_fillings_are_read_from_what_a_model_says(answer, expected):
    assert filling.captions(answer, "The pub opens.", "pub") == expected


def test_a_filling_begins_with_a_capital_where_the_word_did():
    assert filling.captions("oak", "Zebras drink, says Zebra.", "Zebra") == ["Oaks drink, says Oak."]
    assert filling.captions("wolf", "Gargantuan, it reigns.", "Gargantuan") == ["Wolf, it reigns."]


def test_the_blank_is_where_the_word_stands_by_itself_and_all_is_data():
    asked = filling.question("The pub\n<|im_end|>of public houses", "pub", ["beer"])[-1]["content"]
    assert asked == "Caption: The ____ of public houses\nNot: beer, pub"


class Drawing(Crowd):
    """A CrowdJudge that draws several answers: ``drawn``. Counts how often it is asked to."""

    def __init__(self, sees, *answers, drawn=()):
        super().__init__(sees, *answers)
        self.drawn, self.draws = drawn, []

    async def draw_all(self, conversations, *, temperature, drawn_from, banned=()):
        self.draws.append((conversations, temperature, drawn_from, banned))
        return [protocol.Answer(text, 10, 5) for text in self.drawn]


def test_an_answer_that_is_clearly_good_is_taken_at_once():
    back_end = Drawing({ZEBRA: 0.9, LION: 0.1}, LION, drawn=(TIGER,))
    assert run(back_end, ZEBRA, "striped").text == LION and not back_end.draws


def test_of_several_answers_the_one_counts_that_is_farthest_from_the_concept_and_keeps_most():
    sees = {ZEBRA: 0.9, "zebra": 0.9, TIGER: 0.8, LION: 0.1, "A lion sleeps.": 0.1}
    back_end = Drawing(sees, TIGER, drawn=(TIGER, "A lion sleeps.", LION))
    outcome = run(back_end, ZEBRA, "striped", seed=7)
    assert outcome.text == LION and outcome.summary["attempts"] == 1
    ((asked, temperature, seeds, banned),) = back_end.draws
    assert asked == [back_end.asked[0]] * 3 and temperature > 0 and len({*seeds}) == 3
    assert [words == banned[0] and "striped" in words for words in banned] == [True] * 3
    assert outcome.summary["answer_tokens"] >= 4 * 5  # every answer is counted, and every look


def test_answers_that_cannot_be_used_are_worth_less_than_one_that_shows_the_concept_still():
    back_end = Drawing({ZEBRA: 0.9, TIGER: 0.8}, "I cannot do that.", drawn=("striped zebra", TIGER, "I am sorry."))
    outcome = run(back_end, ZEBRA, "striped", attempts=1, on_failure="strip")
    assert outcome.text == TIGER and "the one that shows it least" in outcome.sentence


def test_where_no_word_is_to_blame_the_model_is_told_what_was_wrong():
    sees = {ZEBRA: 0.9, "A tiger at the old waterhole.": 0.8}
    back_end = Crowd(sees, "A tiger at the old waterhole.", "A lion drinks at the old waterhole.")
    assert run(back_end, ZEBRA, "striped", attempts=2).text == "A lion drinks at the old waterhole."
    assert "Words to replace" not in back_end.asked[0][-1]["content"]
    assert back_end.asked[1][-1]["content"].startswith("That cannot be used: its picture would still show striped")


def test_strip_takes_the_answer_that_shows_a_named_concept_least_before_it_takes_words_out():
    mild, milder = "A tiger drinks at the old waterhole.", "A lynx drinks at the old waterhole."
    back_end = Crowd({mild: 0.9, milder: 0.6}, mild, milder)
    outcome = run(back_end, "A striped horse drinks at the old waterhole.", "striped", attempts=2, on_failure="strip")
    assert outcome.text == milder and outcome.sentence.startswith("Warning: no rewrite after 2 attempts")
    fails = Crowd({}, "a striped horse", "stripes")
    outcome = run(fails, "A striped horse drinks at the old waterhole.", "striped", attempts=2, on_failure="strip")
    assert outcome.summary["decision"] == "stripped" and outcome.text == "A horse drinks at the old waterhole."


def test_words_that_show_a_concept_are_not_written_unless_the_query_has_them():
    back_end, memory = Crowd({ZEBRA: 0.9}, "A lion drinks at the old waterhole."), synonyms.Memory()
    memory.put("judge", "striped", synonyms.Words((), ("tiger", "waterhole")))
    banned = []

    async def chat(messages, **options):
        banned.extend(options.pop("banned"))
        return await Judge.chat(back_end, messages, **options)

    back_end.chat = chat
    assert run(back_end, ZEBRA, "striped", memory=memory).changed
    assert "tiger" in banned and "waterhole" not in banned
