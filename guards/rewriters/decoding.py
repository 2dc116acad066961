"""Keep words out of a language model's answer while it is being decoded, and chat markup out of what it is asked.

Words are compared as text, not as tokens: one word has many token sequences (with a space before it, with a capital, cut elsewhere), and a
list of token ids that forgets one of them lets the word through.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

import torch

CANDIDATES = 64  # tokens that are looked at in each step; the rest cannot be chosen while words are banned
_MARKUP = re.compile(
    r"<\|[^<>|\n]{0,60}\|>|<｜[^<>\n]{0,60}｜>|</?s>|<(?:start|end)_of_turn>|<end_of_utterance>"
    r"|\[/?INST\]|\[/?SYSTEM_PROMPT\]|<</?SYS>>|</?(?:bos|eos|pad|unk|think)>",
    re.IGNORECASE,
)


def without_markup(text: str, special: Sequence[str] = ()) -> str:
    """``text`` without what a tokenizer would read as the end of a turn or the start of another; ``special``: its own such tokens.

    Repeated until nothing is left, since a removal can join two halves of a marker.
    """
    special = [token for token in special if token.strip()]
    before = None
    while before != text:
        before = text
        text = _MARKUP.sub(" ", text)
        for token in special:
            text = text.replace(token, " ")
    return text


def plain_conversation(messages: Sequence[dict]) -> str:
    """A conversation as labelled lines, for models whose tokenizer has no chat template."""
    labels = {"system": "Instruction", "user": "User", "assistant": "Assistant"}
    return "\n\n".join([*(f"{labels[m['role']]}: {m['content'].strip()}" for m in messages), "Assistant:"])


def alternating(messages: Sequence[dict]) -> list[dict]:
    """The same conversation for templates without a system role: its text opens the first user message, and roles alternate."""
    turns: list[dict] = []
    for message in messages:
        role = "user" if message["role"] == "system" else message["role"]
        if turns and turns[-1]["role"] == role:
            turns[-1] = {"role": role, "content": turns[-1]["content"] + "\n\n" + message["content"]}
        else:
            turns.append({"role": role, "content": message["content"]})
    return turns


def _folded(text: str) -> str:
    """Case, accents and width do not matter."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))


class BannedWords:
    """A logits processor: no token that completes a banned word or its plural, however it is cut into tokens.

    ``decode``: token ids -> text. ``start``: how many tokens of a sequence are the question. When all of the CANDIDATES likeliest tokens
    are banned, the sequence is left alone: the answer is checked afterwards in any case.
    """

    def __init__(self, words: Sequence[str], decode: Callable[[list[int]], str], start: int):
        phrases = [phrase for phrase in (_folded(word).split() for word in words) if phrase]
        forms = sorted({r"[\s\-_]+".join(map(re.escape, phrase)) for phrase in phrases}, key=len, reverse=True)
        self.longest = max((len(" ".join(phrase)) for phrase in phrases), default=0) + 8
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?:'?s|es)?(?!\w)") if forms else None
        self.decode, self.start = decode, start

    def completes(self, ids: list[int], token: int, tail: str) -> bool:
        """Whether ``token`` after ``ids`` (whose decoded end is ``tail``) makes a banned word that was not there before."""
        matches = self.pattern.finditer(_folded(self.decode([*ids, token]))) if self.pattern else ()
        return any(match.end() > len(tail) for match in matches)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.pattern is None:
            return scores
        scores = scores.clone()
        for row in range(scores.shape[0]):
            # A token is at least one byte long, so this many tokens hold the longest word.
            ids = input_ids[row, self.start :].tolist()[-self.longest :]
            tail = _folded(self.decode(ids))
            best = scores[row].topk(min(CANDIDATES, scores.shape[-1]))
            allowed = [
                (token, score)
                for token, score in zip(best.indices.tolist(), best.values)
                if not self.completes(ids, token, tail)
            ]
            if allowed:
                scores[row] = float("-inf")
                for token, score in allowed:
                    scores[row, token] = score
        return scores


class EachRow:
    """A logits processor that has one for each row, in order."""

    def __init__(self, processors: Sequence[BannedWords]):
        self.processors = processors

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows = [process(input_ids[row : row + 1], scores[row : row + 1]) for row, process in enumerate(self.processors)]
        return torch.cat(rows)
