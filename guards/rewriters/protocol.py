"""What the socket GUARD_REWRITER carries: a chat model, or rules that need none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Answer:
    """One answer of a chat model. ``prompt_tokens`` and ``answer_tokens`` are 0 where the back end does not tell."""

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0


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


@runtime_checkable
class ChatRewriter(Rewriter, Protocol):
    """A language model that answers conversations. Frozen and cheap to make: models load on the first call."""

    @property
    def temperature(self) -> float:
        """Of a first attempt; 0 is greedy."""

    async def chat(
        self, messages: Sequence[dict], *, temperature: float | None = None, seed: int = 0, banned: Sequence[str] = ()
    ) -> Answer:
        """Answer ``messages`` (dicts with role system/user/assistant and content).

        ``temperature``: None is the rewriter's own. ``seed``: the same inputs and seed give the same answer where the back end
        can. ``banned``: words that must not be produced, for back ends that control decoding (others ignore it).
        Raises RewriterError when there is no answer; the host's stop button ends it within a second.
        """


@runtime_checkable
class BoundedRewriter(ChatRewriter, Protocol):
    """A ChatRewriter, a dataclass, that bounds its answers: `dataclasses.replace` gives one with another bound."""

    @property
    def max_length(self) -> int:
        """Most tokens of an answer."""


class RewriterError(RuntimeError):
    """A back end has no answer. Its text names the back end and the mend, never a key, an address' secret or the prompt."""
