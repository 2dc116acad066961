"""The directions on this machine: models/concept_directions, and those of the demo model that come with the pack."""

from ..host import folders
from . import files as direction_files
from .formula import Direction

FOLDER = "concept_directions"


def load(file: str, concept: str = "") -> Direction:
    """A direction of a listed file. Raises FileNotFoundError or ValueError naming the input."""
    return direction_files.load(folders.find(FOLDER, file, "file"), concept)


def by_name(name: str) -> Direction:
    """The direction whose file, without its ending, or whose concept is ``name``, whatever its case. Raises ValueError."""
    listed = [file for file in folders.files(FOLDER) if file.lower().endswith(direction_files.EXTENSIONS)]
    for file in listed:
        if file.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0].casefold() == name.casefold():
            return load(file)
    for file in listed:
        try:
            return load(file, name)
        except ValueError:  # another concept's file, or one that cannot be read: keep looking
            continue
    shown = ", ".join(file.rsplit(".", 1)[0] for file in listed[:20]) or "none"
    raise ValueError(
        f"mapping: no direction is called {name!r} in models/{FOLDER} (there are: {shown}). Correct the name, or make one "
        "with Discover Direction and Save Direction."
    )
