"""Lists of forbidden concepts, as text."""

from __future__ import annotations

from functools import lru_cache

from . import entries

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
    for line in _unnumbered(text.splitlines()):
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
    for line in text.splitlines():  # as written: a text encoder understands weights and *and*
        for entry in entries.bare(line).split(","):
            entry = " ".join(entry.split())
            if entry and entry.casefold() not in listed:
                own.setdefault(entry.casefold(), entry)
    joined = ", ".join([*([PRESETS[preset]] if PRESETS[preset] else []), *own.values()])
    if not joined:
        raise ValueError("concepts is empty: write what must not appear, such as: weapons, blood. Or choose a preset.")
    return joined


def _unnumbered(lines: list[str]) -> list[str]:
    """Lines that count, ``1 cat`` and ``2 dog`` and so on, without their numbers."""
    numbers = [line.split(maxsplit=1) for line in lines if line.strip()]
    counted = len(numbers) > 1 and all(
        len(parts) == 2 and parts[0].isdecimal() and int(parts[0]) == at for at, parts in enumerate(numbers, 1)
    )
    return [rest for _, rest in numbers] if counted else lines
