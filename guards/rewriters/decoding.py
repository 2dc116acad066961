"""Keep words out of a language model's answer while it is being decoded, and chat markup out of what it is asked; read what many
conversations begin with (an instruction, a question's examples) once.

Words are compared as text, not as tokens: one word has many token sequences (with a space before it, with a capital, cut elsewhere), and a
list of token ids that forgets one of them lets the word through.

A beginning is always read apart from what follows it, remembered or not: so an answer does not depend on what was asked before.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

from .. import seeds
from ..words.patterns import Pattern

MOST_BEGINNINGS = 6  # beginnings that are remembered; one of 300 tokens takes some ten megabytes
CANDIDATES = 64  # tokens that are looked at in each step; the rest cannot be chosen while words are banned
NUCLEUS = 0.95
_MARKUP = Pattern(
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


def _form(word: str) -> str:
    """The pattern of a word; of one that ends in a star, of whatever begins so."""
    return re.escape(word[:-1]) + r"\w*" if len(word) > 1 and word.endswith("*") else re.escape(word)


class BannedWords:
    """A logits processor for one sequence: no token that completes a banned word or its plural, however it is cut into tokens; of one that
    ends in ``*``, no word that begins so.

    ``decode``: token ids -> text. ``start``: how many tokens of the sequence are the question. When all of the CANDIDATES likeliest tokens
    are banned, the sequence is left alone: the answer is checked afterwards in any case.

    A model that may not end the word that it has begun ends it in another way: *Radious* for *radiant*. So where the likeliest token would
    end a banned word whose beginning is written, ``stuck`` tells at which place of the answer that began, and with which token: whoever
    decodes can go back there, and have that token left out by ``never`` (place -> tokens).
    """

    def __init__(
        self,
        words: Sequence[str],
        decode: Callable[[list[int]], str],
        start: int,
        never: Mapping[int, Collection[int]] | None = None,
    ):
        phrases = [phrase for phrase in (_folded(word).split() for word in words) if phrase]
        forms = sorted({r"[\s\-_]+".join(map(_form, phrase)) for phrase in phrases}, key=len, reverse=True)
        self.longest = max((len(" ".join(phrase)) for phrase in phrases), default=0) + 8
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?:'?s|es)?(?!\w)") if forms else None
        self.decode, self.start, self.never = decode, start, never or {}
        self.stuck: tuple[int, int] | None = None

    def completes(self, ids: list[int], token: int, tail: str, last: str) -> re.Match | None:
        """The banned word that ``token`` makes after ``ids`` and that was not there before. ``tail``: what these say, folded; ``last``:
        what the last of them says."""
        if self.pattern is None:
            return None
        piece = self.decode([*ids[-1:], token])  # a token alone may lose the space before it
        if piece.startswith(last) and "\ufffd" not in piece:
            text = tail + _folded(piece[len(last) :])
        else:  # part of a letter
            text = _folded(self.decode([*ids, token]))
        return next((match for match in self.pattern.finditer(text) if match.end() > len(tail)), None)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        place = input_ids.shape[1] - self.start
        not_here = self.never.get(place, ())
        if self.pattern is None and not not_here:
            return scores
        # A token is at least one byte long, so this many tokens hold the longest word.
        ids = input_ids[0, self.start :].tolist()[-self.longest :]
        tail, last = _folded(self.decode(ids)), self.decode(ids[-1:])
        best = scores[0].topk(min(CANDIDATES, scores.shape[-1]))
        allowed = []
        for rank, (token, score) in enumerate(zip(best.indices.tolist(), best.values.tolist())):
            banned = self.completes(ids, token, tail, last)
            if banned and rank == 0 and self.stuck is None:
                self.stuck = self._begun(ids, banned, len(tail), place - len(ids))
            if not banned and token not in not_here:
                allowed.append((token, score))
        if not allowed:
            return scores
        tokens, values = zip(*allowed)
        scores = torch.full_like(scores, float("-inf"))
        scores[0, list(tokens)] = scores.new_tensor(values)
        return scores

    def _begun(self, ids: list[int], banned: re.Match, written: int, before: int) -> tuple[int, int] | None:
        """Where in the answer the last word of what was about to be written began, and its first token; None where that is not written yet.
        ``written``: characters of ``ids``; ``before``: tokens of the answer before them."""
        word = banned.end() - len(re.split(r"[\s\-_]+", banned[0])[-1])
        if word >= written:
            return None
        at = max(n for n in range(len(ids)) if len(_folded(self.decode(ids[:n]))) <= word)
        return before + at, ids[at]


class Drawn:
    """Makes a drawn token the likeliest one of one sequence: of the CANDIDATES likeliest those that hold ``NUCLEUS`` of the probability at
    a temperature (> 0), by noise of Gumbel's distribution (the largest of score + noise is a draw). The numbers come from this row's own
    ``seed``, so that an answer does not depend on what else is asked at the same time."""

    def __init__(self, temperature: float, seed: int):
        self.temperature, self.numbers = temperature, seeds.generator(seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        best = (scores[0].float() / self.temperature).topk(min(CANDIDATES, scores.shape[-1]))
        shares = best.values.softmax(-1)
        drawn = best.values.masked_fill(shares.cumsum(-1) - shares >= NUCLEUS, float("-inf"))
        even = torch.rand(len(drawn), generator=self.numbers, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        drawn = drawn - (-even.log()).log().to(drawn)
        return torch.full_like(scores, float("-inf")).scatter(1, best.indices[None], drawn.to(scores)[None])


class EachRow:
    """A logits processor that has some for each row, in order, the first of them BannedWords; ``stuck``, as a stopping criterion, ends the
    rows that are."""

    def __init__(self, rows: Sequence[Sequence[Callable]]):
        self.rows = rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        made = list(scores.split(1))
        for row, processors in enumerate(self.rows):
            for process in processors:
                made[row] = process(input_ids[row : row + 1], made[row])
        return torch.cat(made)

    def stuck(self, input_ids: torch.Tensor, scores: torch.Tensor, **_) -> torch.Tensor:
        return torch.tensor([banning.stuck is not None for banning, *_ in self.rows], device=input_ids.device)


def beginnings(
    ids: torch.Tensor, messages: Sequence[dict], prompt_ids: Callable[[Sequence[dict]], torch.Tensor]
) -> list[int]:
    """How many of the tokens ``ids`` (1, n) the first message and all but the last take, each where it is a beginning of its own.

    ``prompt_ids(messages)``: the tokens of a part, without the opening of an answer.
    """
    found = set()
    for part in {1, len(messages) - 1} - {0, len(messages)}:
        try:
            begun = prompt_ids(messages[:part]).to(ids.device)
        except Exception:  # a template may refuse a conversation that ends so: then it is read whole
            begun = ids
        if begun.shape[1] < ids.shape[1] and torch.equal(begun, ids[:, : begun.shape[1]]):
            found.add(begun.shape[1])
    return sorted(found - {0})


class Beginnings:
    """The states of one language model behind the last few beginnings."""

    def __init__(self):
        self._known: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def inputs(
        self, model: Any, asked: Sequence[torch.Tensor], found: Sequence[Sequence[int]], pad: int
    ) -> dict[str, Any]:
        """What `generate` takes for conversations, each of them token ids (1, n) with its `beginnings`.

        What all begin with is read once; the shorter ones are filled up behind it, with tokens that are not looked at.
        """
        shared = [n for n in found[0] if all(n in one for one in found)]
        shared = [n for n in shared if all(torch.equal(ids[:, :n], asked[0][:, :n]) for ids in asked)]
        cache, longest = self.after(model, asked[0], shared), max(ids.shape[1] for ids in asked)
        start = 0 if cache is None else shared[-1]
        rows, masks = [], []
        for ids in asked:
            fill = torch.full_like(ids[:, :1], pad).expand(1, longest - ids.shape[1])
            rows.append(torch.cat([ids[:, :start], fill, ids[:, start:]], 1))
            looked = [torch.ones_like(ids[:, :start]), torch.zeros_like(fill), torch.ones_like(ids[:, start:])]
            masks.append(torch.cat(looked, 1))
        made = {"inputs": torch.cat(rows), "attention_mask": torch.cat(masks)}
        if cache is None:
            return made
        if len(asked) > 1:
            cache.batch_repeat_interleave(len(asked))
        return {**made, "past_key_values": cache}

    def after(self, model: Any, ids: torch.Tensor, lengths: Sequence[int]) -> Any:
        """A cache for `generate` that holds ``ids`` (1, n) up to the last of ``lengths``, to be written into; None where the model's
        cache is of a kind that cannot be taken up again."""
        cache, done = None, 0
        body = getattr(model, model.base_model_prefix, model)  # without its head: no word is asked for
        for length in lengths:
            key = tuple(ids[0, :length].tolist())
            known = self._known.get(key)
            if known is None:
                known = body(
                    input_ids=ids[:, done:length],
                    attention_mask=torch.ones_like(ids[:, :length]),
                    past_key_values=copy.deepcopy(cache),
                    use_cache=True,
                ).past_key_values
                if not _plain(known, length):
                    return None
                self._known[key] = known
            self._known.move_to_end(key)
            cache, done = known, length
        while len(self._known) > MOST_BEGINNINGS:
            self._known.popitem(last=False)
        return copy.deepcopy(cache)


def _plain(cache: Any, length: int) -> bool:
    """Whether a cache keeps all it was given, layer by layer: neither windows nor states of another kind, nor an older library's."""
    layers = getattr(cache, "layers", None)
    return (
        bool(layers)
        and cache.get_seq_length() == length
        and {type(layer).__name__ for layer in layers} == {"DynamicLayer"}
    )
