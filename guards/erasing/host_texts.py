"""Captions as vectors, many at a time, with the tokens that tell which position is which word."""

from dataclasses import dataclass

import torch

from . import formula

BATCH = 32
PADS = 8  # positions behind a text's words that are looked at where one text encoder alone is told
OWN = 0.02  # of what a vector's numbers usually are: by how much a text changes those that are a text encoder's own
CLIPS = {"l", "g", "h"}  # text encoders that read 77 tokens at a time, each text by itself


@dataclass(frozen=True, eq=False)
class Encoded:
    """``vectors`` (T, width) float32 on the CPU; ``parts``: the tokens of each stretch of positions, without the padding behind
    them but for its first, and the stretch's length. Empty where tokens and positions do not correspond."""

    vectors: torch.Tensor
    parts: tuple[tuple[tuple, int], ...]


def encode(clip, texts, tick, remaking=None) -> dict[str, Encoded]:
    """Every text once, as ``host_ways.Remaking`` has it where one is given. ``tick(done)`` is called after each batch, with the number of
    texts, and may raise to stop.

    Raises ValueError for a text that is longer than the text encoder reads at once.
    """
    texts, found, conditionings, places = list(dict.fromkeys(texts)), {}, [], []
    for at in range(0, len(texts), BATCH):
        batch = texts[at : at + BATCH]
        tokens = [clip.tokenize(text) for text in batch]
        for text, each in zip(batch, tokens, strict=True):
            if any(len(chunks) > 1 for chunks in each.values()):
                raise ValueError(
                    f"Erase Concept: {text[:80]!r} is longer than the text encoder reads at once. Shorten it."
                )
        if remaking is not None:
            conditionings += [clip.encode_from_tokens_scheduled(each) for each in tokens]
            places += [each.get(remaking.tokens) for each in tokens]
            tick((at + len(batch)) // 2)
            continue
        for text, each, vectors in zip(batch, tokens, _vectors(clip, tokens), strict=True):
            vectors = vectors.detach().float().cpu()
            found[text] = Encoded(vectors, _parts(each, len(vectors)))
        tick(len(found))
    if remaking is not None:  # after all of them, so that text encoder and model need not be loaded in turns
        made = remaking.vectors(conditionings, lambda done: tick((len(texts) + done) // 2))
        for text, chunks, vectors in zip(texts, places, made, strict=True):
            words = _unpadded([_key(entry[0]) for entry in chunks[0]]) if chunks else None
            found[text] = Encoded(vectors, ((words, len(vectors)),) if words else ())
    return found


@dataclass(frozen=True, eq=False)
class Field:
    """A text as it is where only one of several text encoders is told, and the others nothing, with few of the positions that pad it: they
    are much alike. ``own`` (width,): which numbers of a vector are that encoder's; ``empty``: of the empty text."""

    own: torch.Tensor
    empty: Encoded

    def __call__(self, text: Encoded) -> Encoded:
        words, length = text.parts[0]
        count = min(length, len(words) + PADS)
        return Encoded(torch.where(self.own, text.vectors[:count], self.empty.vectors[:count]), ((words, count),))


def fields(clip, text: str, empty: Encoded) -> list[Field]:
    """Of each CLIP where several make one vector together, as SDXL's and SD3's do, whose prompts may differ; none of other text encoders.
    ``text``: any that is not empty."""
    none, whole = clip.tokenize(""), clip.tokenize(text)
    several = [name for name in whole if name in CLIPS]
    if len(several) < 2 or not empty.parts:
        return []
    count = empty.parts[0][1]
    base, *told = (
        clip.encode_from_tokens(tokens)[0][:count].detach().float()
        for tokens in (none, *({**none, name: whole[name]} for name in several))
    )
    masks = [((one - base).abs().amax(0) > OWN * base.square().mean().sqrt()).cpu() for one in told]
    found = [Field(mask, empty) for mask in masks if mask.any()]  # some give a pooled vector only
    return found if len(found) > 1 else []


def _vectors(clip, tokens):
    """(T, width) of each text. CLIP reads chunks of one text by themselves, so many texts go in as chunks of one."""
    if set(tokens[0]) <= CLIPS:
        joined = clip.encode_from_tokens({name: [each[name][0] for each in tokens] for name in tokens[0]})
        return list(joined[0].chunk(len(tokens)))
    return [clip.encode_from_tokens(each)[0] for each in tokens]


def _parts(tokens, length) -> tuple[tuple[tuple, int], ...]:
    """The stretches of a text's positions: one for all of its CLIPs, one for every other encoder; what leads in may be cut off."""
    stretches = []
    for name, (chunk, *_) in tokens.items():
        if name in CLIPS and any(other in CLIPS for other, _ in stretches):
            continue
        stretches.append((name, [_key(entry[0]) for entry in chunk]))
    total = sum(len(words) for _, words in stretches)
    if len(stretches) == 2 and total != length:  # Flux: CLIP gives the pooled vector only
        stretches = [(name, words) for name, words in stretches if name not in CLIPS]
    if len(stretches) == 1 and len(stretches[0][1]) > length:  # an instruction before the caption
        stretches = [(name, words[-length:]) for name, words in stretches]
    if sum(len(words) for _, words in stretches) != length:
        return ()
    return tuple((_unpadded(words), len(words)) for _, words in stretches)


def _key(token):
    """A token that can be compared: an embedding's vector by its numbers."""
    return token.detach().float().cpu().numpy().tobytes() if isinstance(token, torch.Tensor) else str(token)


def _unpadded(words) -> tuple:
    count = len(words)
    while count > 1 and words[count - 2] == words[-1]:
        count -= 1
    return tuple(words[:count])


def aligned(old: Encoded, new: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
    """(concept (n, width), target (n, width)): the vectors of one text and those that take their places, see ``formula.positions``.

    CLIP's start token is the same in every text and left out.
    """
    if len(old.parts) != len(new.parts) or not old.parts:
        count = len(old.vectors)
        return old.vectors, new.vectors[torch.arange(count).clamp(max=len(new.vectors) - 1)]
    here, there, at, to = [], [], 0, 0
    for (words, length), (others, other) in zip(old.parts, new.parts, strict=True):
        mine, theirs = formula.positions(list(words), list(others), length)
        here += [at + place for place in mine]
        there += [to + min(place, other - 1) for place in theirs]
        at, to = at + length, to + other
    one, two = old.vectors[here], new.vectors[there]
    return (one[1:], two[1:]) if bool((one[0] == two[0]).all()) else (one, two)


def same_before(old: Encoded, new: Encoded) -> bool:
    """Whether two texts' vectors are the same as long as their words are, as those of a causal text encoder."""
    if len(old.parts) != 1 or len(new.parts) != 1:
        return False
    count = formula.alike(old.parts[0][0], new.parts[0][0])
    one, two = old.vectors[:count], new.vectors[:count]
    return bool((one - two).norm() <= 1e-3 * one.norm())
