"""Sample files for learning an instruction: those that come with the pack, and those in ``models/concept_guards_samples``."""

import os

import folder_paths

from ..host import folders
from . import samples

FOLDER = "concept_guards_samples"
INCLUDED = "included: "
FILES = ("rewrite_samples.jsonl", "rewrite_evaluation.tsv")
ENDINGS = (".txt", ".jsonl", ".tsv")
LARGEST = 20_000_000  # bytes


def _found():
    """Name -> path."""
    found = {INCLUDED + name: os.path.join(folders.SHIPPED, name) for name in FILES}
    for place in folder_paths.get_folder_paths(FOLDER):
        for folder, inside, files in os.walk(place):
            inside.sort()
            for file in sorted(files):
                if file.lower().endswith(ENDINGS):
                    path = os.path.join(folder, file)
                    found.setdefault(os.path.relpath(path, place).replace(os.sep, "/"), path)
    return found


def names():
    """The entries of the samples list: the included set first."""
    return list(_found())


def path_of(name):
    """The path of a file on the list; other names are refused."""
    found = _found()
    if name not in found:
        raise ValueError(
            f"samples {name!r} is not there. Put sample files (.txt, .jsonl or .tsv) into models/{FOLDER} and press R. "
            f"There are: {', '.join(found)}."
        )
    return found[name]


def read(name):
    """The samples of a file on the list. Raises SampleError naming file and line."""
    path = path_of(name)
    if os.path.getsize(path) > LARGEST:
        raise samples.SampleError(f"{name} has {os.path.getsize(path)} bytes, more than {LARGEST}: split it.")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise samples.SampleError(f"{name} is no UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    return samples.read(text, name)


def state(name):
    """What changes when the file changes."""
    return name, folders.stamp(_found().get(name))
