"""What the socket GUARD_REWRITER carries: a chat model, or rules that need none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """One answer of a chat model. ``prompt_tokens`` and ``answer_tokens`` are 0 where the back end does not tell."""

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0


class ChatRewriter(Protocol):
    """A language model that answers conversations. Frozen and cheap to make: models load on the first call."""

    name: str  # for reports and errors: what it is and which model, never a key or an address
    temperature: float  # of a first attempt; 0 is greedy

    async def chat(
        self, messages: Sequence[dict], *, temperature: float | None = None, seed: int = 0, banned: Sequence[str] = ()
    ) -> Answer:
        """Answer ``messages`` (dicts with role system/user/assistant and content).

        ``temperature``: None is the rewriter's own. ``seed``: the same inputs and seed give the same answer where the back end
        can. ``banned``: words that must not be produced, for back ends that control decoding (others ignore it).
        Raises RewriterError when there is no answer; the host's stop button ends it within a second.
        """

    def release(self) -> None:
        """Give back what the model holds, if it is to be freed after use. Called once a node has all its answers."""


class RewriterError(RuntimeError):
    """A back end has no answer. Its text names the back end and the mend, never a key, an address' secret or the prompt."""
