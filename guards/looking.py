"""Evaluations of a model of which no picture comes: a guard that finds out what it needs to know, a training.

An operator's policy lets no model run outside a guarded sampling run (``guards/policy/host_tripwire.py``); within ``no_picture`` the pack
says that what the model is asked is for its own use. Where a policy watches, trainings show no pictures of what they have learnt.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_thread = threading.local()
_watched = threading.Event()


@contextlib.contextmanager
def no_picture() -> Iterator[None]:
    """For evaluations in this thread."""
    _thread.depth = getattr(_thread, "depth", 0) + 1
    try:
        yield
    finally:
        _thread.depth -= 1


def is_for_ourselves() -> bool:
    """Whether this thread is within ``no_picture``."""
    return getattr(_thread, "depth", 0) > 0


def watch() -> None:
    """A policy watches this process from now on."""
    _watched.set()


def is_watched() -> bool:
    return _watched.is_set()
