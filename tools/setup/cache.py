"""The cache folder outside the clone: where it is, who may write to it now, and how a half-written thing never looks finished."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


class SetupError(Exception):
    """Something the user can mend. `run.py` prints the message alone, without a traceback."""


def say(text: str) -> None:
    """One plain line about what is being done."""
    print(f"* {text}", flush=True)


def cache_folder() -> Path:
    """`CONCEPT_GUARDS_CACHE`, or `concept-guards` in the platform's own cache folder; shared by all clones."""
    chosen = os.environ.get("CONCEPT_GUARDS_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "concept-guards"


def open_cache() -> Path:
    """The cache folder, made if need be and known to be writable."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(
            f"The cache folder {folder} cannot be written to ({error.strerror or error}).\n"
            "Make it writable, or set CONCEPT_GUARDS_CACHE to a folder that is."
        ) from error
    return folder


def need_space(folder: Path, gigabytes: float, what: str) -> None:
    """Stop before a long download that could not be stored."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"No room for {what}: {folder} has {free:.1f} GB free, {gigabytes:.1f} GB are needed.\n"
            "Free some space, or set CONCEPT_GUARDS_CACHE to a folder on a larger disk."
        )


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the cache's lock. The system frees it when the process dies, so a killed set-up blocks nobody."""
    with open(folder / "setup.lock", "a+b") as handle:
        if not _try_lock(handle):
            say("Another set-up is using the cache folder; waiting for it to finish ...")
            _wait_lock(handle)
        try:
            yield
        finally:
            _unlock(handle)


if os.name == "nt":
    import msvcrt
    import time

    def _try_lock(handle) -> bool:
        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        except OSError:
            return False

    def _wait_lock(handle) -> None:
        while not _try_lock(handle):
            time.sleep(1)

    def _unlock(handle) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(handle) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False

    def _wait_lock(handle) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


PARTIAL = "partial-"


def sweep(folder: Path) -> None:
    """Remove what an interrupted set-up left behind. Only while holding the lock."""
    for leftover in folder.glob(PARTIAL + "*"):
        shutil.rmtree(leftover, ignore_errors=True)


def discard(target: Path) -> None:
    """Remove a folder so that it is gone at once, even if the removal itself is interrupted."""
    if target.exists():
        hidden = target.with_name(f"{PARTIAL}old-{os.getpid()}-{target.name}")
        os.replace(target, hidden)
        shutil.rmtree(hidden, ignore_errors=True)


@contextlib.contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """A working folder inside the cache, on the same disk as what it will become; gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{name}-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
