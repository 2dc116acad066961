"""A language model that the host loads as a CLIP and lets write text, as its Generate Text node does."""

from dataclasses import dataclass
from typing import Any

import comfy.model_management as management
import torch

from .. import seeds
from .decoding import plain_conversation, without_markup
from .protocol import Answer, RewriterError, verdict

CAN = (
    "Load CLIP with a language model: Qwen 3, Qwen 2.5-VL, Qwen3-VL, Gemma 2, 3 or 4, or Ministral (the text encoders of Z-Image, "
    "Lumina 2, LTX-2, Flux 2 and the like), or use Rewriter: Local LLM, Rewriter: OpenAI-compatible Endpoint or Rewriter: Rules."
)
YES_OR_NO = 5  # tokens that the answer to a question of yes or no may take


def can_write(clip):
    """Whether this CLIP has a part that generates text."""
    if not (hasattr(clip, "generate") and hasattr(clip, "decode")):
        return False
    return any(callable(getattr(module, "sample_token", None)) for module in clip.cond_stage_model.modules())


def one_text(messages):
    """A conversation as the one text that the host's own chat templates take."""
    messages = [{**message, "content": without_markup(message["content"])} for message in messages]
    if all(message["role"] != "assistant" for message in messages):
        return "\n\n".join(message["content"].strip() for message in messages)
    return plain_conversation(messages)


@dataclass(frozen=True)
class HostRewriter:
    """A ChatRewriter on the host's CLIP. The host moves and frees the model; banned words are left to the check of the answer."""

    clip: Any
    max_length: int
    temperature: float

    @property
    def name(self):
        return "host LLM " + type(self.clip.cond_stage_model).__name__.strip("_")

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        return self._write(messages, self.temperature if temperature is None else temperature, seed, self.max_length)

    async def judge(self, messages, *, seed=0):
        """See `protocol.JudgingRewriter`: by the word alone, for the host tells no probabilities."""
        return verdict(self._write(messages, 0.0, seed, YES_OR_NO))

    def _write(self, messages, temperature, seed, max_length):
        management.throw_exception_if_processing_interrupted()
        try:
            tokens = self.clip.tokenize(one_text(messages), skip_template=False, min_length=1, thinking=False)
            made = self.clip.generate(
                tokens,
                do_sample=temperature > 0,
                max_length=max_length,
                temperature=max(temperature, 0.01),
                top_k=64,
                top_p=0.95,
                min_p=0.05,
                repetition_penalty=1.0,
                seed=seeds.wrap(seed),
            )
        except (AttributeError, NotImplementedError, TypeError) as error:
            raise RewriterError(f"{self.name}: this CLIP cannot write text ({error}). {CAN}") from error
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            raise RewriterError(
                f"{self.name}: not enough memory for this language model. Use a smaller one."
            ) from error
        management.throw_exception_if_processing_interrupted()
        asked = max((len(rows[0]) for rows in tokens.values() if rows), default=0) if isinstance(tokens, dict) else 0
        return Answer(self.clip.decode(made, skip_special_tokens=True).strip(), asked, len(made))

    def release(self):
        """Nothing to do: the host frees its models itself when it needs the room."""


def rewriter(clip, max_length, temperature):
    """A HostRewriter. Raises ValueError for a CLIP that cannot write text."""
    if clip is None:
        raise ValueError(f"clip is empty: this checkpoint has no text encoder. {CAN}")
    if not can_write(clip):
        what = type(getattr(clip, "cond_stage_model", clip)).__name__
        raise ValueError(
            f"clip is {what}, a text encoder that cannot write text (or this ComfyUI is too old to let it). {CAN}"
        )
    return HostRewriter(clip, max_length, temperature)
