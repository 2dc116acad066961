"""Language models for the tests: a random one of a few thousand weights as a safetensors folder, and a scripted one for pure logic."""

import asyncio
import concurrent.futures
import dataclasses
import json
from pathlib import Path

from tools.testing import hosting

WORDS = (
    "a an the dog dogs cat cats runs sleeps on in red blue house garden with and of . , : ! rewrite caption concept input output "
    "system user assistant elon musk is big small category you"
).split()
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)


def tiny_folder(folder: Path, template=TEMPLATE, context=256, seed=0) -> Path:
    """A Llama of two narrow layers with a word tokenizer, saved as transformers saves models."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {
        word: number for number, word in enumerate(["<|im_start|>", "<|im_end|>", "<unk>", *dict.fromkeys(WORDS)])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        unk_token="<unk>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = template
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(vocabulary),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=context,
                eos_token_id=1,
                pad_token_id=1,
                bos_token_id=0,
                initializer_range=0.3,
            )
        )
    model.save_pretrained(folder, safe_serialization=True)
    fast.save_pretrained(folder)
    return folder


@dataclasses.dataclass(frozen=True)
class Scripted:
    """A ChatRewriter that answers by a function of the messages; ``asked`` collects every call."""

    answer: object
    asked: list = dataclasses.field(default_factory=list)
    temperature: float = 0.0
    max_length: int = 96
    name: str = "scripted"

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        self.asked.append(
            {
                "messages": [dict(message) for message in messages],
                "temperature": temperature,
                "seed": seed,
                "banned": tuple(banned),
                "max_length": self.max_length,
            }
        )
        answer = hosting.module("guards.rewriters.protocol").Answer
        return answer(self.answer(list(messages)), 10, 5)

    def release(self):
        self.asked.append("released")


def in_order(*answers, **fields):
    """A Scripted that gives these answers one after the other, whatever it is asked; an exception among them is raised.
    ``fields``: those of Scripted."""
    waiting = iter(answers)

    def answer(messages):
        following = next(waiting)
        if isinstance(following, Exception):
            raise following
        return following

    return Scripted(answer, **fields)


def run(coroutine):
    return asyncio.run(coroutine)


def run_in_a_thread(coroutine):
    """The same where this thread has an event loop already."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def lines(report):
    """The JSON lines of a report."""
    return [json.loads(line) for line in report.splitlines() if line.startswith("{")]
