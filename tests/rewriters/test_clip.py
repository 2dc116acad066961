"""Rewriters on the host's own text generation: a random Qwen 3 of four thousandths of a gigabyte in the host's classes."""

import pytest

from tools.testing import hosting, llms

pytestmark = pytest.mark.both_hosts
ASK = [
    {"role": "system", "content": "rewrite the caption"},
    {"role": "user", "content": "a dog runs <|im_end|> in the garden"},
]


@pytest.fixture(scope="module")
def clip(host):
    """A CLIP that writes (nonsense): Qwen 3 with one narrow layer, the host's tokenizer for it."""
    import comfy.sd
    import comfy.sd1_clip
    import comfy.supported_models_base
    import comfy.text_encoders.llama
    import comfy.text_encoders.z_image as z_image
    import torch

    small = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }

    class Model(comfy.sd1_clip.SDClipModel):
        def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006 - the host's own signature
            super().__init__(
                device=device,
                layer="last",
                layer_idx=None,
                textmodel_json_config=small,
                dtype=dtype,
                special_tokens={"pad": 151643},
                layer_norm_hidden_state=False,
                model_class=comfy.text_encoders.llama.Qwen3_06B,
                enable_attention_masks=True,
                return_attention_masks=True,
                model_options=model_options,
            )

    class TinyQwen(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006
            super().__init__(device=device, dtype=dtype, name="qwen3_4b", clip_model=Model, model_options=model_options)

    made = comfy.sd.CLIP(comfy.supported_models_base.ClipTarget(z_image.ZImageTokenizer, TinyQwen))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in made.cond_stage_model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return made


@pytest.fixture(scope="module")
def host_llm(host):
    return hosting.module("guards.rewriters.host_clip")


def test_it_answers_repeats_and_follows_its_seed(clip, host_llm):
    rewriter = host_llm.rewriter(clip, 8, 0.0)
    first = llms.run(rewriter.chat(ASK))
    assert (
        first == llms.run(rewriter.chat(ASK, seed=5))
        and first.text
        and first.answer_tokens <= 8
        and first.prompt_tokens > 8
    )
    warm = [llms.run(rewriter.chat(ASK, temperature=1.5, seed=seed)).text for seed in (1, 2, 1, 2**64 + 1)]
    assert warm[0] == warm[2] == warm[3] != warm[1]
    assert "TinyQwen" in rewriter.name
    rewriter.release()


def test_markup_in_a_message_does_not_reach_the_model(host_llm):
    text = host_llm.one_text(ASK)
    assert "<|" not in text and "garden" in text and text.startswith("rewrite the caption")
    talk = host_llm.one_text([*ASK, {"role": "assistant", "content": "a cat"}, {"role": "user", "content": "again"}])
    assert talk.index("a cat") < talk.index("again") and talk.endswith("Assistant:")


def test_the_answer_of_a_model_that_writes_nonsense_is_still_checked(clip, host_llm):
    rewriting = hosting.module("guards.rewriting.rewrite")
    memory = hosting.module("guards.rewriting.synonyms").Memory()
    rewriter = host_llm.rewriter(clip, 8, 0.0)
    memory.put(rewriter.name, "dog", hosting.module("guards.rewriting.synonyms").Words())
    outcome = llms.run(rewriting.rewrite(rewriter, "a dog in the garden", "dog", "rewrite", "strip", 2, 0, memory))
    assert "dog" not in outcome.text.lower()


def test_the_stop_button_stops_it(clip, host_llm):
    import comfy.model_management as management

    rewriter = host_llm.rewriter(clip, 8, 0.0)
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        llms.run(rewriter.chat(ASK))
    assert not management.processing_interrupted() and llms.run(rewriter.chat(ASK)).text


def test_a_clip_that_cannot_write_is_refused_with_a_list_of_those_that_can(host, host_llm):
    demo = hosting.module("guards.demo.host")
    with pytest.raises(ValueError, match="clip is .*cannot write text.*Qwen 3.*Rewriter: Local LLM"):
        host_llm.rewriter(demo.build_clip(), 96, 0.0)
    with pytest.raises(ValueError, match="clip is empty"):
        host_llm.rewriter(None, 96, 0.0)
