"""A set's ``ratings.jsonl``: only ever appended to, by all threads of a process and by several processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from .ratings import LOG, Entry, Ratings, parse


class RatingLog:
    """One set's ``ratings.jsonl``, shared by all threads of a process.

    ``append`` returns when the lines are on the disk. A line that a killed process left half written is closed off by the next
    append and then counts as damaged, never as a rating; nothing is ever removed.
    """

    def __init__(self, folder: str):
        self.path = os.path.join(folder, LOG)
        self.lock = threading.Lock()
        self._forget()

    def _forget(self):
        self.ratings, self._read, self._file = Ratings(), 0, None

    def read(self) -> Ratings:
        """Everything so far. Do not change it, and do not keep it across an append by another thread: see ``snapshot``."""
        with self.lock:
            self._catch_up()
            return self.ratings

    def snapshot(self) -> Ratings:
        """A copy for calculating with."""
        with self.lock:
            self._catch_up()
            now = self.ratings
            return Ratings(dict(now.filed), dict(now.given), dict(now.compared), set(), now.damaged)

    def append(self, entries: Iterable[Entry]) -> int:
        """Write entries and wait until they are on the disk; those whose id is known are left out. How many were written."""
        with self.lock:
            self._catch_up()
            fresh = {
                entry.id or index: entry
                for index, entry in enumerate(entries)
                if not entry.id or entry.id not in self.ratings.ids
            }
            if fresh:
                _append(self.path, b"".join(entry.line() for entry in fresh.values()))
                self._catch_up()
            return len(fresh)

    def _catch_up(self) -> None:
        """Take in what was appended since, by us or by another process. A last line without its end waits for it."""
        try:
            with open(self.path, "rb") as file:
                state = os.fstat(file.fileno())
                if self._file is not None and (
                    self._file != (state.st_dev, state.st_ino) or state.st_size < self._read
                ):
                    self._forget()  # another file has taken its place
                self._file = (state.st_dev, state.st_ino)
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            self._forget()
            return
        end = data.rfind(b"\n") + 1
        for line in data[:end].split(b"\n")[:-1]:
            if line.strip():
                self.ratings.add(parse(line))
        self._read += end


def _append(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                data = b"\n" + data  # a killed server's half line: close it off
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
