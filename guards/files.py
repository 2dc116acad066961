"""The pack's own models; names that are a file's or a folder's on every system, and never of another place; and how files are written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
import unicodedata
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"  # what the pack ships

RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}  # Windows' devices
PATIENCE = 2.0 if os.name == "nt" else 0.0  # seconds: there, a file that somebody is reading cannot be replaced
PLAIN = re.compile(r"[^\W_][\w\-. ()+]*")


def is_device(name: str) -> bool:
    """Whether Windows takes the name, with any ending, for a device; to it, COM¹ is COM1."""
    return unicodedata.normalize("NFKC", name).split(".")[0].strip().lower() in RESERVED


def is_plain(name: object, longest: int) -> bool:
    """Letters, digits and ``_ - . ( ) +`` or spaces, a letter or digit first, at most ``longest`` characters, no folder, no device."""
    return (
        isinstance(name, str)
        and len(name) <= longest
        and bool(PLAIN.fullmatch(name))
        and not name.endswith((".", " "))
        and not is_device(name)
    )


def same_name(folder: str | os.PathLike, name: str) -> str | None:
    """What is in ``folder`` and on Windows and macOS the same name, whatever its case: ``name`` itself, another one, or None."""
    try:
        listed = os.listdir(folder)
    except FileNotFoundError:
        return None
    return name if name in listed else next((other for other in listed if _folded(other) == _folded(name)), None)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def rename(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """``os.replace``, with patience where a file that somebody is reading holds it, or the folder around it. Raises OSError."""
    _replace(os.fspath(source), os.fspath(target))


def write(path: str | os.PathLike, data: bytes) -> None:
    """Write bytes to a file, whole or not at all: on the disk when this returns, and never seen half written, however many threads and
    processes write the same file at once (one of them wins). Raises OSError naming the file and what may be the matter.

    The new file is made beside the old one, as ``open`` makes files and not for its owner alone, as ``tempfile`` does.
    """
    path = os.fspath(path)
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.part")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise
    except OSError as error:
        raise OSError(
            f"Could not write {os.path.basename(path)} ({error.strerror or error}): is the disk full, the folder read-only, or "
            "the file open elsewhere?"
        ) from error


def append(path: str | os.PathLike, data: bytes) -> None:
    """Append bytes to a file, all of them or none: on the disk when this returns. Whoever calls it is the only one who writes the file
    then. Raises OSError, and leaves the file as it was."""
    with open(path, "ab", buffering=0) as file:  # what cannot be written is not kept to be written later
        place, rest = file.tell(), memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(place)
            raise


def _replace(source: str, target: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(source, target)
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)


def append_row(path: str | os.PathLike, row: object) -> None:
    """Append a row of JSON, as `append` does; a last line that a killed process left half written is cut off first."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if size and file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
    append(path, (json.dumps(row, ensure_ascii=False) + "\n").encode())


def lines(path: str | os.PathLike | None) -> list[bytes]:
    """The whole lines of a file: what a killed process left half written at its end is none. No path and no file are no lines. Raises
    OSError."""
    if path is None:
        return []
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    return data[: data.rfind(b"\n") + 1].splitlines()


def rows(path: str | os.PathLike | None) -> list:
    """The rows that `append_row` has written. Raises OSError, and ValueError for a line that is no JSON."""
    return [json.loads(line) for line in lines(path)]
