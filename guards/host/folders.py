"""The pack's folders of models in the host, and safe names for what is saved there."""

import os

import folder_paths

from ..files import MODELS, is_plain, same_name

SHIPPED = os.fspath(MODELS)


FOLDERS = {  # in models/ -> the endings that the host lists (none: all), and which of the pack's own folders belongs to it
    "concept_adapters": ({".safetensors", ".pth", ".pt"}, ""),
    "concept_directions": ({".safetensors", ".pth", ".pt"}, "directions"),
    "concept_guards_samples": (set(), ""),
    "embeddings": ({".safetensors"}, "embeddings"),
    "LLM": (set(), ""),
    "loras": ({".safetensors"}, "loras"),
}


def register() -> None:
    """Make the pack's folders of models known to the host, once, when it loads the pack. Folders that a user named in
    extra_model_paths.yaml stay, and come first."""
    for folder, (extensions, shipped) in FOLDERS.items():
        paths, known = folder_paths.folder_names_and_paths.get(folder, ([], set()))
        paths = list(paths)
        for path in (os.path.join(folder_paths.models_dir, folder), shipped and os.path.join(SHIPPED, shipped)):
            if path and path not in paths:
                paths.append(path)
        folder_paths.folder_names_and_paths[folder] = (paths, set(known) | extensions)


def files(folder: str) -> list[str]:
    """The names in a registered folder, for a drop-down list; never empty, which the front end cannot show."""
    return folder_paths.get_filename_list(folder) or [f"put files into models/{folder}"]


def find(folder: str, name: str, what: str) -> str:
    """The path of a listed file; ``what``: the input that names it. Raises FileNotFoundError naming the folder."""
    path = folder_paths.get_full_path(folder, name)
    if path is None:
        raise FileNotFoundError(
            f"{what}: there is no file {name!r} in models/{folder}. Put it there, or choose another one (press R to "
            "read the folders again)."
        )
    return path


def plain_name(filename: str, extension: str) -> str:
    """``filename`` without its extension. Raises ValueError for names that could land elsewhere or that some system refuses."""
    name = filename.strip()
    name = name[: -len(extension)] if name.lower().endswith(extension) else name
    if not is_plain(name, 100):
        raise ValueError(
            f"filename is {filename[:120]!r}: give a plain name of at most 100 letters, digits and - _ . ( ) +, that starts "
            "with a letter or digit, without a folder."
        )
    return name


def new_file(folder: str, filename: str, extension: str, overwrite: bool = False, place: str | None = None) -> str:
    """The path for saving ``filename`` (a bare name) in the first of a registered folder's places, or in ``place``. Raises ValueError for
    names that could land elsewhere or that some system refuses, and FileExistsError for one that is there."""
    name = plain_name(filename, extension) + extension
    place = place or folder_paths.folder_names_and_paths[folder][0][0]
    there = same_name(place, name)
    if there is not None and there != name:
        raise FileExistsError(
            f"filename: {there} is already in models/{folder}, which on Windows and macOS is the same name as {name}. Choose another "
            "name, or write it as it is there."
        )
    if there is not None and not overwrite:
        raise FileExistsError(
            f"filename: {name} is already in models/{folder}. Choose another name, or switch overwrite on."
        )
    os.makedirs(place, exist_ok=True)
    return os.path.join(place, name)


def fingerprint(folder: str, name: str) -> str:
    """``stamp`` of a listed file."""
    return stamp(folder_paths.get_full_path(folder, name))


def stamp(path: str | None) -> str:
    """Changes when a file or folder does, so that the host's cache never serves an older one."""
    return f"{os.path.getmtime(path)}:{os.path.getsize(path)}" if path and os.path.exists(path) else "missing"
