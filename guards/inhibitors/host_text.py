"""Prompt and targets as tokens: which positions are the targets', and the prompt with the targets appended."""

import logging
from dataclasses import dataclass

import torch

from . import formula as inhibitors


@dataclass(frozen=True, eq=False)
class Target:
    """The targets' own text, encoded."""

    context: torch.Tensor  # (1, T, c)
    count: int  # tokens, at positions 1 .. count; the end token follows
    targets: tuple  # as the user wrote them
    owners: tuple  # one for each token: the number of the target it belongs to
    each: tuple  # every target alone, encoded: (1, T, c)
    empty: torch.Tensor  # (1, T, c): no text


def target(clip, targets):
    """All targets in one text, joined by spaces as the authors do."""
    pieces = {name: _content(clip, name) for name in targets}
    empty = [name for name, chunks in pieces.items() if not any(chunk for chunk in _first(chunks))]
    if empty:
        raise ValueError(
            f"targets: the text encoder makes no token of {empty[0]!r} (an embedding that does not exist?)."
        )
    tokens = _content(clip, " ".join(targets))
    if len(_first(tokens)) > 1 or len(_first(tokens)[0]) != sum(len(_first(pieces[name])[0]) for name in targets):
        raise ValueError(
            f"targets have more tokens than fit into one text of {size(clip) - 2}: name the few that matter, or use several Growth "
            "Inhibitors in a row."
        )
    owners = tuple(number for number, name in enumerate(targets) for _ in _first(pieces[name])[0])
    count = len(_first(tokens)[0])
    each = tuple(prompt(clip, name)[0][0] for name in targets)
    return Target(_encode(clip, tokens)[0][0], count, tuple(targets), owners, each, prompt(clip, "")[0][0])


def prompt(clip, text):
    """CONDITIONING of a prompt, as CLIP Text Encode makes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def size(clip):
    """Positions in a chunk of a text encoder, start and end included: 77 for CLIP, 248 for LongCLIP."""
    return len(_first(clip.tokenize(""))[0])


def appended(clip, text, target_text, count):
    """(CONDITIONING of the prompt with the targets appended, Alignment). A full last chunk loses its tail, with a warning. Raises
    ValueError where two encoders have chunks of different sizes."""
    sizes = {encoder: len(chunks[0]) for encoder, chunks in clip.tokenize("").items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{encoder}: {length}" for encoder, length in sizes.items())
        raise ValueError(
            f"clip: its text encoders take texts of different lengths ({said} tokens), which mode paired cannot align: LongCLIP stands "
            "beside another one. Load the model's own text encoders, or choose mode 'single_pass'."
        )
    own, extra, whole = _content(clip, text), _content(clip, target_text), size(clip)
    kept = {}
    for encoder, chunks in own.items():
        last, more = chunks[-1], extra[encoder][0]
        room = whole - 2 - len(more)
        kept[encoder] = [*chunks[:-1], last[:room] + more]
    lost = max(0, len(_first(own)[-1]) + count - (whole - 2))
    if lost:
        logging.warning(
            "Growth Inhibitor: the prompt is full; its last %d tokens are left out of the guarded picture to make room "
            "for the targets.",
            lost,
        )
    last = len(_first(own)[-1])
    start = whole * (len(_first(own)) - 1) + 1
    alignment = inhibitors.align(start + last - lost, start + last, count, whole * len(_first(own)))
    return _encode(clip, kept), alignment


def positions(clip, text, target_text):
    """Where the target's tokens stand in a prompt's conditioning: [position], every occurrence, by tokens and not by letters."""
    own, part = _first(_content(clip, text)), [_same(t) for t in _first(_content(clip, target_text))[0]]
    whole, found = size(clip), []
    for number, chunk in enumerate(own):
        for at in inhibitors.find([_same(t) for t in chunk], part):
            found += range(whole * number + 1 + at, whole * number + 1 + at + len(part))
    return found


def _content(clip, text):
    """{encoder: [chunk of (token, weight), start, end and padding left out]}"""
    return {
        encoder: [[(token, weight) for token, weight, word in chunk if word] for chunk in chunks]
        for encoder, chunks in clip.tokenize(text, return_word_ids=True).items()
    }


def _encode(clip, content):
    """CONDITIONING of chunks without their start, end and padding tokens."""
    frames = clip.tokenize("")
    full = {}
    for encoder, chunks in content.items():
        start, end, *padding = frames[encoder][0]
        whole = len(frames[encoder][0])
        full[encoder] = [([start, *chunk, end, *padding] + [padding[-1]] * whole)[:whole] for chunk in chunks]
    return clip.encode_from_tokens_scheduled(full)


def _first(content):
    """One encoder's chunks: SDXL's two have the same words at the same positions."""
    return content["l"] if "l" in content else next(iter(content.values()))


def _same(pair):
    """A token as something that can be compared: an embedding's vector by its numbers."""
    token = pair[0]
    return token if not isinstance(token, torch.Tensor) else token.detach().float().cpu().numpy().tobytes()
