"""What belongs to the shipped pack, and how it gets into a ComfyUI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .. import PROJECT

NAME = "concept-guards"
SHIPPED = (
    "__init__.py",
    "guards",
    "nodes",
    "models",
    "web",
    "workflows",
    "subgraphs",
    "locales",
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "LICENSE",
)


def place(custom_nodes: Path) -> Path:
    """The pack in a custom_nodes folder: links where the system allows them, else copies; only of what is shipped.

    The folder itself is a real one: a link to the whole project would lead in circles when it lies inside the project.
    """
    target = custom_nodes / NAME
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for name in SHIPPED:
        source = PROJECT / name
        if source.exists():
            try:
                os.symlink(source, target / name, target_is_directory=source.is_dir())
            except OSError:  # Windows without developer mode
                copy(source, target / name)
    return target


def copy(source: Path, target: Path) -> None:
    """A file, or a folder without Python's own leavings."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def state() -> dict[str, tuple[int, int]]:
    """Size and time of every shipped file, to see whether the pack was edited while something long ran."""
    files = [
        path
        for name in SHIPPED
        for path in ((PROJECT / name).rglob("*") if (PROJECT / name).is_dir() else [PROJECT / name])
    ]
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }
