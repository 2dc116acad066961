"""What the socket GUARD_REWRITER carries: a chat model, or rules that need none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .thinking import without_thinking


@dataclass(frozen=True)
class Answer:
    """One answer of a chat model. ``prompt_tokens`` and ``answer_tokens`` are 0 where the back end does not tell."""

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0


def conversation(task: str, examples: Iterable[tuple[str, str]], asked: str) -> list[dict]:
    """Messages: the task, (question, answer) of each example as earlier turns, and what is asked."""
    turns = [({"role": "user", "content": one}, {"role": "assistant", "content": answer}) for one, answer in examples]
    opening = {"role": "system", "content": task}
    return [opening, *(message for turn in turns for message in turn), {"role": "user", "content": asked}]


@dataclass(frozen=True)
class Verdict:
    """An answer to a question of yes or no. ``yes``: the probability of yes among both, 1 or 0 where only words are known; 0.5 where the
    answer is neither. ``told``: whether it is one of them at all. ``graded``: whether probabilities were known."""

    yes: float
    told: bool
    graded: bool
    answer: Answer


LEAST = 0.2  # probability of yes and no together below which they are not what the model is about to say
_YES = frozenset(
    "yes yep yeah yup ja jep да sí si oui sim tak evet hai 是 是的 有 会 會 对 對 能 可以 はい ええ 네 예".split()
)
_NO = frozenset(
    "no nope nah nein нет non não nie nej nee hayır 否 不 不是 不会 不會 没有 沒有 没 いいえ 아니요 아니오 아뇨".split()
)
_ANSWERED = r"(?i)\b(?:answer|output|verdict|conclusion)\b[\W_]*(?:is\b)?[\W_]*((?:yes|no|yep|nope)\b[^\n]*)"


def verdict(answer: Answer, first: Iterable[tuple[str, float]] = ()) -> Verdict:
    """A Verdict from the alternatives of the first word (word, probability), else from the words of the answer itself."""
    shares = [(word.strip(" \n\t\"'*.,:▁Ġ").casefold(), share) for word, share in first]
    yes, no = (sum(share for word, share in shares if word in words) for words in (_YES, _NO))
    if yes + no >= LEAST:
        return Verdict(yes / (yes + no), True, True, answer)
    said = _said(answer.text)
    return Verdict(float(said) if said is not None else 0.5, said is not None, False, answer)


def _said(text: str) -> bool | None:
    """Whether an answer in words is yes: the first yes or no of its first sentence, else its last word; None where it is neither."""
    text = re.sub(r"(?i)yes\s*/\s*no|no\s*/\s*yes|yes or no", " ", without_thinking(text))
    answered = re.findall(_ANSWERED, text)
    text = answered[-1] if answered else text
    sentences = [
        words for part in re.split(r"[.!?。！？\n]+", text) if (words := re.findall(r"[^\W\d_]+", part.casefold()))
    ]
    if not sentences:
        return None
    for word in [*sentences[0], sentences[-1][-1]]:
        if word in _YES or word in _NO:
            return word in _YES
    begins = sentences[0][0]
    if re.match("[\u3040-\u9fff\uac00-\ud7af]", begins):  # no spaces between words
        for words, yes in ((_NO, False), (_YES, True)):
            if any(begins.startswith(word) for word in words if not word.isascii()):
                return yes
    return None


class Rewriter(Protocol):
    """What every rewriter has: a name for reports and errors (what it is and which model, never a key or an address)."""

    @property
    def name(self) -> str: ...

    def release(self) -> None:
        """Give back what is held, if it is to be freed after use. Called once a node has all its answers."""


@runtime_checkable
class TextRewriter(Rewriter, Protocol):
    """A rewriter that needs no language model."""

    def apply(self, text: str) -> str:
        """The text rewritten; the same text always gives the same."""
        ...


@runtime_checkable
class ChatRewriter(Rewriter, Protocol):
    """A language model that answers conversations. Frozen and cheap to make: models load on the first call."""

    @property
    def temperature(self) -> float:
        """Of a first attempt; 0 is greedy."""
        ...

    async def chat(
        self, messages: Sequence[dict], *, temperature: float | None = None, seed: int = 0, banned: Sequence[str] = ()
    ) -> Answer:
        """Answer ``messages`` (dicts with role system/user/assistant and content).

        ``temperature``: None is the rewriter's own. ``seed``: the same inputs and seed give the same answer where the back end
        can. ``banned``: words that must not be produced, for back ends that control decoding (others ignore it).
        Raises RewriterError when there is no answer; the host's stop button ends it within a second.
        """
        ...


@runtime_checkable
class JudgingRewriter(ChatRewriter, Protocol):
    """A ChatRewriter that knows how probable its yes and no are."""

    async def judge(self, messages: Sequence[dict], *, seed: int = 0) -> Verdict:
        """Answer a question of yes or no by one short call. Raises as `chat` does."""
        ...


@runtime_checkable
class CrowdJudge(JudgingRewriter, Protocol):
    """A JudgingRewriter that answers several questions at once in less time than one after the other."""

    async def judge_all(self, conversations: Sequence[Sequence[dict]], *, seed: int = 0) -> list[Verdict]:
        """Answer a question of yes or no in each. One that is answered by neither is not told. Raises as `chat` does."""
        ...


@runtime_checkable
class CrowdRewriter(ChatRewriter, Protocol):
    """A ChatRewriter that answers several conversations at once in less time than one after the other."""

    async def chat_all(
        self, conversations: Sequence[Sequence[dict]], *, seed: int = 0, banned: Sequence[Sequence[str]] = ()
    ) -> list[Answer]:
        """The likeliest answer (temperature 0) to each. ``banned``: words for each. Raises as `chat` does."""
        ...


@runtime_checkable
class DrawingRewriter(ChatRewriter, Protocol):
    """A ChatRewriter that draws several answers in less time than one after the other."""

    async def draw_all(
        self,
        conversations: Sequence[Sequence[dict]],
        *,
        temperature: float,
        drawn_from: Sequence[int],
        banned: Sequence[Sequence[str]] = (),
    ) -> list[Answer]:
        """An answer to each, drawn at ``temperature`` (> 0) from its own of ``drawn_from``, the seeds, whatever else is asked. ``banned``:
        words for each. Raises as `chat` does."""
        ...


@runtime_checkable
class BoundedRewriter(ChatRewriter, Protocol):
    """A ChatRewriter, a dataclass, that bounds its answers: `dataclasses.replace` gives one with another bound."""

    @property
    def max_length(self) -> int:
        """Most tokens of an answer."""
        ...


class RewriterError(RuntimeError):
    """A back end has no answer. Its text names the back end and the mend, never a key, an address' secret or the prompt."""
