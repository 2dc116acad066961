"""What conversations begin with is read once, and several are answered at once: with the answers of one read whole, alone."""

import pytest

from tools.testing import hosting, llms

INSTRUCTION = {"role": "system", "content": "rewrite the caption : input caption and concept you output the caption"}
QUERIES = ("a dog runs in the garden", "the house", "a big cat sleeps on the red dog with the blue cat", "elon musk")


def asked(query, *before):
    return [INSTRUCTION, *before, {"role": "user", "content": query}]


@pytest.fixture
def tiny(host, tmp_path):
    """(rewriter, its loaded model, lengths of what the model has read since)"""
    local = hosting.module("guards.rewriters.host_local")
    rewriter = local.LocalRewriter(str(llms.tiny_folder(tmp_path / "tiny")), "tiny", 12, 0.0, keep_loaded=True)
    loaded, read = local.load(rewriter.path), []
    hook = loaded.patcher.model.language_model.model.embed_tokens.register_forward_pre_hook(
        lambda _, inputs: read.append(tuple(inputs[0].shape))
    )
    yield rewriter, loaded, read
    hook.remove()
    local.free()


def answers(rewriter, conversations, **options):
    return [llms.run(rewriter.chat(messages, **options)) for messages in conversations]


def test_an_instruction_is_read_once_and_changes_no_answer(tiny, monkeypatch):
    rewriter, loaded, read = tiny
    conversations = [asked(query) for query in QUERIES]
    first = answers(rewriter, conversations)
    local = hosting.module("guards.rewriters.host_local")
    instruction = local.prompt_ids(loaded, [INSTRUCTION], opened=False).shape[1]
    whole = [local.prompt_ids(loaded, messages).shape[1] for messages in conversations]
    longer = [length for _, length in read if length > 1]
    assert longer == [instruction, *(length - instruction for length in whole)], "the instruction, then each query"
    assert answers(rewriter, conversations[::-1]) == first[::-1], "what was asked before does not matter"
    monkeypatch.setattr(local, "beginnings", lambda *_: [])
    read.clear()
    assert answers(rewriter, conversations) == first
    assert [length for _, length in read if length > 1] == whole


def test_examples_of_a_question_are_read_once(tiny):
    rewriter, _, read = tiny
    example = ({"role": "user", "content": "a dog on the house"}, {"role": "assistant", "content": "a cat"})
    llms.run(rewriter.judge(asked("the red house", *example)))
    read.clear()
    llms.run(rewriter.judge(asked("a blue house and a cat", *example)))
    assert read[0][1] < 16, "the question alone"


def test_several_are_answered_at_once_as_each_alone(tiny):
    rewriter, _, read = tiny
    conversations = [asked(query) for query in QUERIES]
    banned = [(), ("dog", "cat"), (), ("house",)]
    alone = [answers(rewriter, [one], banned=words)[0] for one, words in zip(conversations, banned)]
    assert len({answer.answer_tokens for answer in alone}) > 1 or len({answer.text for answer in alone}) > 2
    read.clear()
    assert llms.run(rewriter.chat_all(conversations, banned=banned)) == alone
    assert {rows for rows, _ in read} == {4} and len(read) == max(answer.answer_tokens for answer in alone)
    different = [asked(QUERIES[0]), [{"role": "user", "content": QUERIES[2]}]]
    assert llms.run(rewriter.chat_all(different)) == answers(rewriter, different), "without a common beginning"


def test_few_beginnings_are_kept(tiny):
    rewriter, loaded, _ = tiny
    most = hosting.module("guards.rewriters.decoding").MOST_BEGINNINGS
    for number in range(most + 2):
        llms.run(rewriter.chat([{"role": "system", "content": "cat " * (number + 1)}, asked("the house")[1]]))
    assert len(loaded.beginnings._known) == most


def test_a_model_that_keeps_only_a_window_is_read_whole(host, tmp_path):
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    local, folder = hosting.module("guards.rewriters.host_local"), llms.tiny_folder(tmp_path / "windowed")
    words = len(AutoTokenizer.from_pretrained(folder))
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(1)
        MistralForCausalLM(
            MistralConfig(
                vocab_size=words,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                sliding_window=8,
                eos_token_id=1,
                pad_token_id=1,
                bos_token_id=0,
            )
        ).save_pretrained(folder)
    rewriter = local.LocalRewriter(str(folder), "windowed", 8, 0.0, keep_loaded=True)
    try:
        for query in QUERIES:
            assert llms.run(rewriter.chat(asked(query))).answer_tokens
        assert not local.load(rewriter.path).beginnings._known
    finally:
        local.free()


def test_a_template_that_refuses_a_part_of_a_conversation_does_not_matter(host, tmp_path):
    local = hosting.module("guards.rewriters.host_local")
    ends = (
        "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('must end with a user') }}{% endif %}"
        + llms.TEMPLATE
    )
    rewriter = local.LocalRewriter(str(llms.tiny_folder(tmp_path / "ends", ends)), "ends", 8, 0.0, keep_loaded=True)
    try:
        assert answers(rewriter, [asked(query) for query in QUERIES])[0].answer_tokens
    finally:
        local.free()
