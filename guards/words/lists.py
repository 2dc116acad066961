"""Lists of forbidden concepts, as text."""

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


def split(text):
    """The concepts of a text in order, each once: separated by commas or lines; # starts a note."""
    found = {}
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            for concept in line.split(","):
                concept = " ".join(concept.split())
                if concept:
                    found.setdefault(concept.casefold(), concept)
    return list(found.values())


def compose(preset, text):
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
    known = {concept.casefold() for concept in split(PRESETS[preset])}
    joined = ", ".join(
        [*([PRESETS[preset]] if PRESETS[preset] else []), *(c for c in split(text) if c.casefold() not in known)]
    )
    if not joined:
        raise ValueError("concepts is empty: write what must not appear, such as: weapons, blood. Or choose a preset.")
    return joined
