"""A real, small language model (135 million weights, a GGUF file): it is weak, and the check of its answers has to hold anyway.

It is loaded once; the last test gives it back and looks at the memory.
"""

import dataclasses
import gc
import importlib.util
import sys

import pytest

from tools.setup.cache import SetupError
from tools.setup.language_model import language_model
from tools.testing import chat_server, hosting, llms

ASK = [
    {"role": "system", "content": "You rewrite captions."},
    {
        "role": "user",
        "content": "Rewrite this caption without a dog: a dog running on the beach. Answer with the caption only.",
    },
]
SHORT = "Rewrite the input caption so that the concepts are no longer in it. Answer with the new caption only."


def resident() -> float:
    """MB of this process's memory that are in use."""
    import psutil

    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


@pytest.fixture(scope="module")
def local(host, tmp_path_factory):
    """guards.rewriters.host_local with all its libraries imported and used, so that memory measured from here on is the model's."""
    for name in ("gguf", "accelerate"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (the test libraries bring it for Python 3.11 and later)")
    import accelerate  # noqa: F401
    import gguf  # noqa: F401

    module = hosting.module("guards.rewriters.host_local")
    folder = llms.tiny_folder(tmp_path_factory.mktemp("LLM") / "tiny")
    small = module.LocalRewriter(str(folder), "tiny", 8, 0.0)
    llms.run(small.chat(ASK, temperature=1.0, banned=["dog"]))
    small.release()
    return module


@pytest.fixture(scope="module")
def real(local):
    """(a rewriter on the GGUF file that keeps it loaded, MB in use before it was loaded)"""
    try:
        path = language_model()
    except SetupError as error:
        pytest.skip(str(error))
    before = resident()
    yield local.LocalRewriter(str(path), path.name, 32, 0.0, keep_loaded=True), before
    local.free()


@dataclasses.dataclass(frozen=True)
class Free:
    """The same model without banned words, as a back end that cannot control decoding."""

    model: object
    name: str = "free"
    temperature: float = 0.0

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        return await self.model.chat(messages, temperature=temperature, seed=seed)

    def release(self):
        """Kept for the other tests."""


def test_it_answers_and_counts_its_tokens_and_banned_words_change_the_answer(real):
    rewriter, _ = real
    plain = llms.run(rewriter.chat(ASK))
    assert "dog" in plain.text.lower(), "this model is known to repeat what it is told to avoid"
    assert plain.prompt_tokens == 40 and 3 <= plain.answer_tokens <= 32
    banned = llms.run(rewriter.chat(ASK, banned=["dog"])).text
    assert banned and not hosting.module("guards.words.watch").watch({"dog": ()}).find(banned)


def test_a_word_that_may_not_be_ended_is_not_begun(real, local):
    rewriter, _ = real
    asked = [{"role": "user", "content": "Repeat these words: the unforgettable hippopotamus."}]
    plain, tokenizer = llms.run(rewriter.chat(asked)).text, local.load(rewriter.path).tokenizer
    cut = [
        word for word in ("unforgettable", "hippopotamus") if word in plain and len(tokenizer.tokenize(" " + word)) > 1
    ]
    assert cut, plain
    before, first = plain.split(cut[0])[0], tokenizer.tokenize(" " + cut[0])[0].strip("Ġ")
    (alone,) = llms.run(rewriter.chat_all([asked], banned=[cut]))
    assert alone.text.startswith(before.strip()), "what stands before the word stays"
    assert not alone.text[len(before) :].startswith(first), alone.text
    again = llms.run(rewriter.chat_all([asked, ASK], banned=[cut, ["dog"]]))
    assert again[0].text == alone.text and "dog" not in again[1].text.lower()


def test_the_weights_are_unpacked_whatever_kernels_the_library_could_fetch(real, local):
    import torch
    import transformers

    llms.run(real[0].chat(ASK))
    model = local.load(real[0].path).patcher.model.language_model
    layers = [module for name, module in model.named_modules() if name.endswith("_proj")]
    assert layers and all(type(layer) is torch.nn.Linear and layer.weight.is_floating_point() for layer in layers)
    assert not hasattr(transformers, "GgufConfig") or local._unpacked()["quantization_config"].dequantize


def test_draws_differ_by_their_seeds_alone(real):
    draw = lambda asked, seeds: [
        answer.text for answer in llms.run(real[0].draw_all(asked, temperature=1.0, drawn_from=seeds))
    ]
    drawn = draw([ASK] * 3, [1, 2, 3])
    assert len({*drawn}) == 3 and draw([ASK] * 2, [3, 1]) == [drawn[2], drawn[0]]


@pytest.mark.parametrize(
    "query, concept", [("a dog running on the beach", "dog"), ("a selfie of Elon Musk, SpaceX's founder", "Elon Musk")]
)
def test_no_concept_gets_through_without_control_of_decoding(real, query, concept):
    rewriting, watch = hosting.module("guards.rewriting.rewrite"), hosting.module("guards.words.watch").watch
    memory = hosting.module("guards.rewriting.synonyms").Memory()
    memory.put("free", concept, hosting.module("guards.rewriting.synonyms").Words())
    outcome = llms.run(rewriting.rewrite(Free(real[0]), query, concept, SHORT, "strip", 1, 0, memory))
    assert not watch({concept: ()}).find(outcome.text) and outcome.changed
    assert llms.lines(outcome.report)[0]["decision"] in ("rewritten", "stripped")


def test_through_an_openai_compatible_server_no_concept_gets_through(real):
    rewriting, endpoint, profiles = (
        hosting.module(f"guards.{name}") for name in ("rewriting.rewrite", "endpoints.endpoint", "endpoints.profiles")
    )
    memory = hosting.module("guards.rewriting.synonyms").Memory()
    with chat_server.ChatServer() as server:

        def answer(request):
            assert request["max_tokens"] == 32 and request["temperature"] == 0.0
            return llms.run_in_a_thread(
                real[0].chat(request["messages"], temperature=request["temperature"], seed=request["seed"])
            ).text

        server.answer = answer
        rewriter = endpoint.Endpoint("test", profiles.Profile(server.url, "smollm2"), "", 32, 0.0, 120.0)
        memory.put(rewriter.name, "dog", hosting.module("guards.rewriting.synonyms").Words())
        try:
            outcome = llms.run(
                rewriting.rewrite(rewriter, "a dog running on the beach", "dog", SHORT, "block", 1, 0, memory)
            )
            assert not hosting.module("guards.words.watch").watch({"dog": ()}).find(outcome.text)
        except rewriting.RewriteBlocked as blocked:
            assert '"dog"' in str(blocked) and "Last answer" in str(blocked)
        assert [path for _, path, _, _ in server.requests] == ["/v1/chat/completions"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there are freed pages given back and counted at once")
def test_after_use_memory_is_back_within_50_mb(real, local):
    rewriter, before = real
    llms.run(rewriter.chat(ASK, temperature=0.8, seed=1, banned=["dog"]))
    loaded = resident()
    dataclasses.replace(rewriter, keep_loaded=False).release()
    after = resident()
    print(f"{before:.0f} MB before, {loaded:.0f} with the model, {after:.0f} after")
    assert loaded - before > 300 and after - before < 50
