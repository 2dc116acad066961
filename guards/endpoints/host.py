"""Where the endpoint profiles of this server are kept, and how a rewriter is made of one."""

from pathlib import Path

import comfy.model_management
import folder_paths

from . import profiles
from .endpoint import Endpoint


def path() -> Path:
    """The operator's file in the host's user directory."""
    return Path(folder_paths.get_user_directory()) / profiles.FILE


def names() -> list[str]:
    """The profiles' names; those of the usual local servers alone where the file is broken (the node says so when it runs)."""
    try:
        return list(profiles.load(path()))
    except ValueError:
        return list(profiles.LOCAL)


def stamp() -> str:
    """Changes when the file does."""
    try:
        status = path().stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size}"


def problem(name: str) -> str:
    """Why a profile cannot be used; empty where it can."""
    try:
        known = profiles.load(path())
    except ValueError as error:
        return str(error)
    return "" if name in known else profiles.unknown(name, known, path())


def rewriter(name: str, model: str, max_length: int, temperature: float, timeout: float) -> Endpoint:
    """The ChatRewriter for a profile. Raises ValueError for an unknown profile or a broken file."""
    said = problem(name)
    if said:
        raise ValueError(said)
    model = " ".join(model.split())
    if len(model) > 200:
        raise ValueError(
            f"model_name has {len(model)} characters: write the name of a model, such as those that the server lists."
        )
    return Endpoint(
        name,
        profiles.load(path())[name],
        model,
        max_length,
        temperature,
        timeout,
        comfy.model_management.throw_exception_if_processing_interrupted,
    )
