"""What belongs to the shipped pack, and how it gets into a ComfyUI."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
NAME = "concept-guards"
SHIPPED = ("__init__.py", "guards", "nodes", "models", "web", "workflows", "locales", "pyproject.toml", "requirements.txt",
           "README.md", "LICENSE")


def place(custom_nodes: Path) -> Path:
    """The pack in a custom_nodes folder: a link where the system allows it, else a copy of what is shipped."""
    custom_nodes.mkdir(parents=True, exist_ok=True)
    target = custom_nodes / NAME
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    try:
        os.symlink(PROJECT, target, target_is_directory=True)
    except OSError:  # Windows without developer mode
        copy(target)
    return target


def copy(target: Path) -> None:
    """A copy of the shipped files alone."""
    target.mkdir(parents=True)
    for name in SHIPPED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, target / name)
