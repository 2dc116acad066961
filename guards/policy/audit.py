"""The policy's record of decisions: one JSON line a decision, each with the hash of the one before, so that a change shows.

A line's ``hash`` is SHA-256 over the hash before it and the line without its hash, keys sorted. When the file is full it is renamed
to audit-NNNN.jsonl, and the new file's first line names the last hash of the old one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..files import append

NAME, FIRST = "audit.jsonl", "0" * 64
FULL = 8_000_000  # bytes
OLD = re.compile(r"audit-(\d{4,})\.jsonl")


def seal(before: str, entry: dict) -> str:
    """The hash of an entry (without its own) that follows one with the hash ``before``."""
    said = json.dumps({key: value for key, value in entry.items() if key != "hash"}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256((before + said).encode()).hexdigest()


class Audit:
    """Appends to the record in a folder, which threads and processes may share."""

    def __init__(self, folder: str, full: int = FULL, clock=time.time) -> None:
        self.folder, self.full, self.clock = folder, full, clock
        self._lock = threading.Lock()
        self._last: str | None = None
        self._end: tuple[int, int] | None = None  # (the file, its length) after our last line

    @property
    def path(self) -> str:
        return os.path.join(self.folder, NAME)

    def record(self, **entry) -> None:
        """Append a decision. Raises OSError where it cannot be written; nothing is half written then."""
        os.makedirs(self.folder, exist_ok=True)
        with self._lock, _between_processes(self.path):
            if self._last is None or self._end != _end(self.path):
                self._last = self._resume()
            if os.path.exists(self.path) and os.path.getsize(self.path) >= self.full:
                self._rotate()
            entry = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock())),
                **entry,
                "before": self._last,
            }
            entry["hash"] = seal(self._last, entry)
            append(self.path, (json.dumps(entry, ensure_ascii=True) + "\n").encode())
            self._last, self._end = entry["hash"], _end(self.path)

    def _resume(self) -> str:
        """The last hash, after cutting off a line that a crash left half written."""
        if not os.path.exists(self.path):
            numbers = files(self.folder)[-1:]
            return _last_hash(numbers[0]) if numbers else FIRST
        if not os.path.isfile(self.path):
            raise OSError(f"{NAME} is no file")
        with open(self.path, "rb+") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)
        return _last_hash(self.path)

    def _rotate(self) -> None:
        numbers = [int(found[1]) for name in os.listdir(self.folder) if (found := OLD.fullmatch(name))]
        os.replace(self.path, os.path.join(self.folder, f"audit-{max(numbers, default=0) + 1:04d}.jsonl"))


def _end(path: str) -> tuple[int, int] | None:
    found = os.stat(path) if os.path.exists(path) else None
    return (found.st_ino, found.st_size) if found else None


@contextlib.contextmanager
def _between_processes(path: str) -> Iterator[None]:
    """One server at a time. Raises OSError where another one does not let go."""
    from filelock import FileLock, Timeout  # torch brings it

    try:
        with FileLock(path + ".lock", timeout=10):
            yield
    except Timeout as error:
        raise OSError(f"another server holds {os.path.basename(path)}.lock") from error


def files(folder: str) -> list[str]:
    """The record's files, the oldest first."""
    if not os.path.isdir(folder):
        return []
    numbered = [(int(found[1]), name) for name in os.listdir(folder) if (found := OLD.fullmatch(name))]
    names = [name for _, name in sorted(numbered)] + [NAME]
    return [os.path.join(folder, name) for name in names if os.path.exists(os.path.join(folder, name))]


def _last_hash(path: str) -> str:
    last = FIRST
    for entry in read(path):
        last = entry.get("hash", FIRST)
    return last


def read(path: str) -> Iterator[dict]:
    """The decisions of one file; a last line that a crash left half is none. Raises ValueError naming the line that is no JSON."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{os.path.basename(path)}, line {number}: this is no JSON.") from error


@dataclass(frozen=True)
class Survey:
    """A record read once: how many ``decisions``; of each day {rule or action: count}; the ``last`` ones, the newest first, without the
    prompts that they may hold."""

    decisions: int
    days: dict[str, dict[str, int]]
    last: list[dict]


def survey(paths: list[str], count: int = 0) -> Survey:
    """Check the chain through files, the oldest first, and count; with the last ``count`` decisions. The first file may begin anywhere in
    the chain.

    Raises:
        ValueError: a line was changed, taken out or put in; the message names the file and the line.
    """
    before, decisions = None, 0
    days: dict[str, Counter[str]] = {}
    last: deque[dict] = deque(maxlen=count)
    for path in paths:
        for number, entry in enumerate(read(path), 1):
            where = f"{os.path.basename(path)}, line {number}"
            if not isinstance(entry, dict) or entry.get("hash") != seal(str(entry.get("before")), entry):
                raise ValueError(f"{where}: it was changed after it was written.")
            if before is not None and entry.get("before") != before:
                raise ValueError(f"{where}: the line before it is not the one it was written after.")
            before, decisions = entry["hash"], decisions + 1
            days.setdefault(str(entry.get("time"))[:10], Counter())[str(entry.get("rule") or entry.get("action"))] += 1
            last.append(
                {**{key: value for key, value in entry.items() if key != "prompt"}, "replay": "prompt" in entry}
            )
    return Survey(decisions, {day: dict(counts) for day, counts in sorted(days.items())}, list(reversed(last)))


def find(paths: list[str], seal_: str) -> dict | None:
    """The decision with this hash, or None."""
    return next((entry for path in reversed(paths) for entry in read(path) if entry.get("hash") == seal_), None)
