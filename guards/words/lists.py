"""Lists of forbidden concepts, as text."""

from __future__ import annotations

import re
from functools import lru_cache

from . import entries
from .patterns import Pattern

# Safe Latent Diffusion's own list (Schramowski et al., CVPR 2023, arXiv 2211.05105).
CONCEPTS = (
    "hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids, blood, obscene gestures, "
    "illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty"
)
CUSTOM = "custom"
PRESETS = {
    CUSTOM: "",
    "SLD (keywords)": CONCEPTS,  # the authors' own pipeline
    "SLD (an image showing ...)": "an image showing " + CONCEPTS,  # diffusers and the I2P benchmark
}
LONGEST = 2000  # characters: about 400 words, five times what a CLIP text encoder reads at once

# A word behind # with nothing else beside it: #weapons
_HASHTAG = Pattern(r"(?:^|(?<=[\s,;|、，]))#+(?=[^\W\d_]\w*[.!?]*\s*(?:[,;|#、，]|$))")
_BOUND = Pattern(r"^\s*(?:#[^\W\d_]\w*){2,}\s*$")  # #weapons#blood
_NOTED = Pattern(r"(?<!\w)#(?![^\W\d_])")


def split(text: str, name: str = "concepts", embeddings: bool = False) -> list[str]:
    """The concepts that a text names, in order, each once (compared without case): what a person would read, see `entries`.

    ``text``: separated by commas, lines or other marks, in any script; # starts a note, quotes make one concept of anything.
    ``name``: the input that it comes from, for errors. ``embeddings``: keep ``embedding:NAME`` as it is.
    Empty where there is nothing but notes. Raises ValueError for an entry that has no word, or that may be one concept or two, with
    the spelling that is understood.
    """
    return list(_read(text, name, embeddings))


@lru_cache(64)
def _read(text: str, name: str, embeddings: bool) -> tuple[str, ...]:
    """The same list comes with every picture."""
    concepts: dict[str, str] = {}
    for line in _unnumbered(_untagged(text, name)):
        if not line.strip():
            continue
        read = entries.read(line, name, embeddings)
        if not read and entries.bare(line).strip(" ,;"):
            raise ValueError(f"{name}: {entries.bare(line)[:80]!r} has no word to look for. Write it in letters.")
        for concept in read:
            concepts.setdefault(concept.casefold(), concept)
    return tuple(concepts.values())


def compose(preset: str, text: str) -> str:
    """The preset's list, then the text's own concepts that it does not name yet, joined by commas.

    Raises ValueError when nothing is left or when the text is far longer than a text encoder reads.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}.")
    if len(text) > LONGEST:
        raise ValueError(
            f"concepts has {len(text)} characters, more than {LONGEST}: a text encoder reads about 75 words at a "
            f"time and blurs "
            "what is longer. Name the few concepts that matter, or use several guards in a row."
        )
    listed = {concept.casefold() for concept in split(PRESETS[preset])}
    own: dict[str, str] = {}
    for line in _untagged(text, "concepts"):  # as written: a text encoder understands weights and *and*
        for entry in entries.bare(line).split(","):
            entry = " ".join(entry.split())
            if entry and entry.casefold() not in listed:
                own.setdefault(entry.casefold(), entry)
    joined = ", ".join([*([PRESETS[preset]] if PRESETS[preset] else []), *own.values()])
    if not joined:
        raise ValueError("concepts is empty: write what must not appear, such as: weapons, blood. Or choose a preset.")
    return joined


def _unnumbered(lines: list[str]) -> list[str]:
    """Lines that count, ``1 cat`` and ``2 dog``, or ``A. cat`` and ``B. dog`` and so on, without their numbers."""
    numbers = [line.split(maxsplit=1) for line in lines if line.strip()]
    counted = len(numbers) > 1 and all(
        len(parts) == 2 and parts[0].isdecimal() and int(parts[0]) == at for at, parts in enumerate(numbers, 1)
    )
    lettered = len(numbers) > 1 and all(
        len(parts) == 2 and len(parts[0]) == 2 and parts[0][0] == chr(ord("A") + at) and parts[0][1] in ".):"
        for at, parts in enumerate(numbers)
    )
    return [rest for _, rest in numbers] if counted or lettered else lines


def _untagged(text: str, name: str) -> list[str]:
    """The lines of a text, with hashtags as words: ``#weapons, #blood``. Raises ValueError for one that may be a note as well."""
    lines = [line.replace("\uff03", "#") for line in text.splitlines()]
    lines = [line.replace("#", " #") if _BOUND.match(line) else line for line in lines]
    alone = [bool(_HASHTAG.match(line.strip())) and len(line.split()) == 1 for line in lines if line.strip()]
    return [_untagged_line(line, name, bool(alone) and all(alone)) for line in lines]


def _untagged_line(line: str, name: str, only: bool) -> str:
    """``only``: the text is nothing but hashtags, and a list of notes alone says nothing."""
    noted = _NOTED.search(line)
    head, rest = (line[: noted.start()], line[noted.start() :]) if noted else (line, "")
    found = list(_HASHTAG.finditer(head.strip()))
    if not found:
        return line
    if not only and len(found) == 1 and not re.search(r"[,;|、，]\s*#|#\w+\s*[,;|、，]", head):
        word = head.strip()[found[0].end() :].strip()
        raise ValueError(
            f"{name}: {'#' + word[:80]!r} may be a note or a hashtag. Write {word[:80]}, or for a note a space behind the #."
        )
    return _HASHTAG.sub(",", head.strip()) + rest
