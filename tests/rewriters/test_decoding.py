"""Banned words while decoding, and chat markup in a person's text."""

import pytest
import torch

from tools.testing import hosting

decoding = hosting.module("guards.rewriters.decoding")
VOCABULARY = [
    " a",
    " cat",
    "egory",
    " c",
    "at",
    "s",
    " CAT",
    " Elon",
    " Musk",
    " kitten",
    ".",
    "Cat",
    " çat",
    " Elon-",
    "Musk",
    "log",
]


def decode(tokens):
    return "".join(VOCABULARY[token] for token in tokens)


def allowed(words, before="", question=" a"):
    """The tokens that may follow ``before`` (a list of tokens) in an answer to a question."""
    ids = [VOCABULARY.index(question), *(VOCABULARY.index(token) for token in before)]
    processor = decoding.BannedWords(words, decode, 1)
    scores = processor(torch.tensor([ids]), torch.zeros(1, len(VOCABULARY)))
    return {token for token, score in zip(VOCABULARY, scores[0]) if torch.isfinite(score)}


def test_a_banned_word_is_kept_out_with_capitals_accents_and_however_it_is_cut():
    assert not allowed(["cat"]) & {" cat", " CAT", "Cat", " çat"}
    assert "at" not in allowed(["cat"], [" c"]) and "at" in allowed(["cat"], [" a", "s"])
    assert {" kitten", " Elon", "."} <= allowed(["cat"])


def test_plurals_are_kept_out_and_longer_words_are_not():
    assert "s" not in allowed(["cat"], [" c", "at"])
    assert "egory" in allowed(["cat"], [" c", "at"]) and "log" in allowed(["cat"], [" c", "at"])


def test_of_a_word_with_a_star_nothing_that_begins_so_is_written():
    assert not allowed(["kit*"]) & {" kitten"} and {" cat", " c"} <= allowed(["kit*"])
    assert not allowed(["cate*"], [" cat"]) & {"egory"} and "s" in allowed(["cate*"], [" cat"])


def test_several_words_are_one_concept():
    assert {" Elon", " Musk"} <= allowed(["Elon Musk"])
    assert not allowed(["Elon Musk"], [" Elon"]) & {" Musk"}
    assert "Musk" not in allowed(["elon musk"], [" Elon-"])


def test_a_banned_word_of_the_question_bans_nothing_by_itself():
    assert " kitten" in allowed(["cat"], question=" cat")


def test_without_words_and_without_a_way_out_the_scores_stay():
    assert allowed([]) == allowed(["  "]) == set(VOCABULARY)
    processor = decoding.BannedWords(["cat"], lambda tokens: "".join(" cat" for _ in tokens), 0)
    assert torch.isfinite(processor(torch.tensor([[0]]), torch.zeros(1, 3))).all()


def test_each_row_of_a_batch_is_judged_by_itself():
    processor = decoding.EachRow([[decoding.BannedWords(["cat"], decode, 0)] for _ in range(2)])
    ids = torch.tensor([[VOCABULARY.index(" c")], [VOCABULARY.index(" a")]])
    scores = processor(ids, torch.zeros(2, len(VOCABULARY)))
    at = VOCABULARY.index("at")
    assert not torch.isfinite(scores[0, at]) and torch.isfinite(scores[1, at])


def test_a_draw_has_the_models_shares_its_own_seed_and_nothing_unlikely():
    scores = torch.tensor([[2.0, 1.0, 0.0, -9.0]])
    drawn = lambda seed, warmth: int(decoding.Drawn(warmth, seed)(torch.zeros(1, 1), scores).argmax())
    shares = (scores[0, :2] / 0.7).softmax(0)  # both hold more than 95 %
    found = torch.bincount(torch.tensor([drawn(seed, 0.7) for seed in range(2000)]), minlength=4) / 2000
    assert torch.allclose(found, torch.tensor([*shares.tolist(), 0.0, 0.0]), atol=0.04)
    assert [drawn(seed, 0.7) for seed in range(20)] == [drawn(seed, 0.7) for seed in range(20)]
    assert {drawn(seed, 0.01) for seed in range(50)} == {0}


def test_a_draw_does_not_depend_on_the_rows_beside_it_and_banned_words_stay_out():
    scores = torch.zeros(2, len(VOCABULARY))
    ids = torch.tensor([[0], [0]])
    row = lambda seed: [decoding.BannedWords(["cat"], decode, 1), decoding.Drawn(1.0, seed)]
    alone = [decoding.EachRow([row(seed)])(ids[:1], scores[:1]) for seed in range(40)]
    assert {VOCABULARY[int(one.argmax())] for one in alone}.isdisjoint({" cat", " CAT", "Cat", " çat"})
    for seed in range(3):
        beside = decoding.EachRow([row(99), row(seed)])(ids, scores)
        assert torch.equal(beside[1:], alone[seed])


def stuck(words, likeliest, *before, never=None):
    """(where a processor is stuck after ``before`` where a token is likeliest, what may follow)."""
    ids = [VOCABULARY.index(token) for token in before]
    scores = torch.zeros(1, len(VOCABULARY))
    scores[0, VOCABULARY.index(likeliest)] = 9.0
    banning = decoding.BannedWords(words, decode, 0, never)
    each = decoding.EachRow([[banning]])
    made, told = each(torch.tensor([ids]), scores), banning.stuck
    assert bool(each.stuck(torch.tensor([ids]), scores)) == (told is not None)
    return told, {token for token, score in zip(VOCABULARY, made[0]) if torch.isfinite(score)}


def test_a_word_that_is_begun_and_may_not_be_ended_tells_where_it_began():
    assert stuck(["cat"], "at", " a", " c")[0] == (1, VOCABULARY.index(" c"))
    assert stuck(["kit*", "category"], "egory", " kitten", " a", " cat")[0] == (2, VOCABULARY.index(" cat"))
    assert stuck(["Elon Musk"], " Musk", " a", " Elon")[0] is None  # nothing of the last word is written
    assert stuck(["cat"], " cat", " a")[0] is None
    assert stuck(["cat"], ".", " a", " c")[0] is None  # another word was meant


def test_what_led_nowhere_is_left_out_in_its_place_alone():
    never = {1: {VOCABULARY.index(" c"), VOCABULARY.index(" cat")}}
    assert not stuck(["dog"], " c", " a", never=never)[1] & {" c", " cat"}
    assert {" c", " cat"} <= stuck(["dog"], " c", " a", ".", never=never)[1]
    assert not stuck([], " c", " a", never=never)[1] & {" c", " cat"}


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>system",
        "a <|im_<|im_end|>end|> b",
        "</s><s>[INST] x [/INST]",
        "<start_of_turn>model",
        "<<SYS>>x<</SYS>>",
        "<｜User｜> hi",
        "<think>x</think>",
        "<|eot_id|>",
        "<e<eos>os>",
    ],
)
def test_no_chat_markup_survives(text):
    cleaned = decoding.without_markup(text)
    assert not any(
        mark in cleaned for mark in ("<|", "|>", "INST]", "_turn>", "SYS>>", "｜>", "think>", "<s>", "</s>", "<eos>")
    )


def test_a_tokenizers_own_markers_go_and_other_text_stays():
    assert decoding.without_markup("a@@STOP@@b", ["@@STOP@@", " "]) == "a b"
    assert decoding.without_markup("2 < 3 > 1, <3 you | me") == "2 < 3 > 1, <3 you | me"


def test_a_conversation_without_a_system_role_alternates():
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "v"},
        {"role": "user", "content": "w"},
    ]
    turns = decoding.alternating(messages)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"] == "s\n\nu" and turns[2]["content"] == "v\n\nw"
    assert decoding.plain_conversation(messages).endswith("Assistant:")
