"""The language models of the host's ``models/LLM`` folder: which there are, where each lies, how large it is, and what reads it."""

import importlib.util
import os
import sys

import folder_paths

from ..host import folders
from . import gguf_header

FOLDER = "LLM"
EMPTY = "(none: put a model into models/LLM)"
DEPTH = 3  # folders below models/LLM that are looked into


def places():
    """The folders of this host's language models that are there."""
    return [place for place in folder_paths.get_folder_paths(FOLDER) if os.path.isdir(place)]


def _models_in(place):
    """(name, path) of each folder with a config and safetensors, and of each GGUF file, below a folder."""
    for folder, inside, files in os.walk(place, followlinks=True):
        name = os.path.relpath(folder, place).replace(os.sep, "/")
        if name != "." and "config.json" in files and any(file.endswith(".safetensors") for file in files):
            yield name, folder
        for file in files:
            if file.lower().endswith(".gguf"):
                yield (file if name == "." else f"{name}/{file}"), os.path.join(folder, file)
        hidden = name != "." and name.count("/") + 1 >= DEPTH
        inside[:] = [] if hidden else sorted(sub for sub in inside if not sub.startswith("."))


def models():
    """Name -> path of every language model that can be loaded."""
    found = {}
    for place in places():
        for name, path in _models_in(place):
            found.setdefault(name, path)
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def names():
    """The entries of a model list; never empty."""
    return list(models()) or [EMPTY]


def path_of(name):
    """The path of a model on the list. A name that is not on it is refused: a graph must not name other places of the disk."""
    found = models()
    if name in found:
        return found[name]
    place = " or ".join(places()) or os.path.join(folder_paths.models_dir, FOLDER)
    how = (
        f"Put a language model into {place}: a folder with config.json, tokenizer files and .safetensors "
        "weights, or a single .gguf file. Then press R in ComfyUI. Nothing is downloaded by this pack."
    )
    if not found:
        raise ValueError(f"model_name: there is no language model in models/{FOLDER}. {how}")
    raise ValueError(f"model_name {name!r} is not in models/{FOLDER}. There are: {', '.join(found)}. {how}")


def state(name):
    """What changes when the model's files change."""
    return name, folders.stamp(models().get(name))


def needs(path):
    """The packages that are missing for a file, as one pip command, or None."""
    if not path.lower().endswith(".gguf"):
        return None
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    return f"{sys.executable} -m pip install {' '.join(missing)}" if missing else None


def size_of(path):
    """How many weights a folder or GGUF file holds, at most; 0 where that cannot be told before it is loaded."""
    if os.path.isdir(path):
        return sum(entry.stat().st_size for entry in os.scandir(path) if entry.name.endswith(".safetensors")) // 2
    try:
        return gguf_header.weights(path)
    except (OSError, ValueError):
        return 0
