"""Targets as the text encoders of transformers make them: encoded each by itself, and which of their tokens are words."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets, encoded: ``conditionings`` has one CONDITIONING for each name, and one for "", no text; ``words`` the places of each
    one's own tokens, padding left out, or None for all."""

    names: tuple[str, ...]
    conditionings: dict[str, list]
    words: dict[str, torch.Tensor | None]

    @property
    def width(self):
        return self.conditionings[self.names[0]][0][0].shape[-1]

    def own(self, name, part, axis, front=False):
        """Of keys or values of all of a text's tokens, those of its own; ``front``: whether the host's additions come before them."""
        places = self.words[name]
        if places is None:
            return part
        before = part.shape[axis] - self.conditionings[name][0][0].shape[1] if front else 0
        return part.index_select(axis, places.to(part.device) + before)


def encode(clip, names):
    """Raises ValueError for a target of which the text encoder makes nothing."""
    conditionings = {name: clip.encode_from_tokens_scheduled(clip.tokenize(name)) for name in (*names, "")}
    same = [name for name in names if _equal(conditionings[name][0][0], conditionings[""][0][0])]
    if same:
        raise ValueError(
            f"targets: the text encoder makes no token of {same[0]!r} (an embedding that does not exist?)."
        )
    words = {name: _words(clip.tokenize(name), conditionings[name][0][0].shape[1]) for name in names}
    return Targets(tuple(names), conditionings, words)


def _equal(a, b):
    return a.shape == b.shape and torch.equal(a, b)


def _words(tokens, length):
    """Places of the tokens that are not padding in a conditioning of ``length`` tokens; None where that cannot be told: templates are cut
    off by the encoder, and no two families join several encoders' tokens in the same way."""
    counts = {
        name: (sum(map(len, chunks)), _unpadded(chunks[-1]) + sum(map(len, chunks[:-1])))
        for name, chunks in tokens.items()
    }
    clips = [counts.pop(name) for name in ("l", "g") if name in counts]  # joined side by side, where they count at all
    for parts in ([*clips[:1], *counts.values()], list(counts.values())):
        if parts and sum(whole for whole, _ in parts) == length:
            starts = [sum(whole for whole, _ in parts[:i]) for i in range(len(parts))]
            return torch.cat([torch.arange(start, start + own) for start, (_, own) in zip(starts, parts, strict=True)])
    return None


def _unpadded(chunk):
    """How many tokens of a chunk, [(token, weight), ...], stand before its padding, one of which is the end."""
    last = chunk[-1][0]
    if isinstance(last, torch.Tensor):
        return len(chunk)
    count = len(chunk)
    while count > 1 and not isinstance(chunk[count - 2][0], torch.Tensor) and chunk[count - 2][0] == last:
        count -= 1
    return count
