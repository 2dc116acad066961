"""The results of an evaluation: ``results.jsonl``, one line a run, and its pictures. Nothing that is on the disk is made again."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

from filelock import FileLock, Timeout  # torch brings it
from PIL import Image

from guards import files

from .errors import StoppedError

FORMAT = "concept-guards.result/1"
SIDE = 256  # larger pictures are kept scaled down to this, unless a plan says otherwise


class Store:
    """A folder of results that this process alone writes. Use it with ``with``.

    ``done``: the line of every finished run by its id; ``runs``: what each start of the evaluation said of itself.
    """

    def __init__(self, folder: Path, side: int = SIDE):
        self.folder, self.path, self.side = folder, folder / "results.jsonl", side
        self.done: dict[str, dict] = {}
        self.runs: list[dict] = []
        self.failed: dict[str, dict] = {}

    def __enter__(self) -> Store:
        try:
            (self.folder / "pictures").mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / ".lock")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoppedError(
                f"Another evaluation writes into {self.folder}. Wait for it, or choose another --out."
            ) from None
        except OSError as error:
            raise StoppedError(
                f"--out: {self.folder} cannot be written ({error.strerror or error}). Choose another one."
            ) from error
        self._read()
        return self

    def __exit__(self, *_) -> None:
        self._lock.release()

    def _read(self) -> None:
        """Take in what is there; a last line that a killed process left half written is cut off."""
        for number, line in enumerate(files.lines(self.path), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise StoppedError(
                    f"Line {number} of {self.path} is damaged ({error}). Delete that line; its run is made again."
                ) from error

    def _take(self, line: dict) -> None:
        if line["format"] != FORMAT:
            raise ValueError(f"its format is {line['format']!r}")
        if "run" in line:
            self.runs.append(line["run"])
        elif "failed" in line:
            self.failed[line["id"]] = line
        else:
            self.done[line["id"]] = line
            self.failed.pop(line["id"], None)

    def add(self, line: dict) -> None:
        """Append a line; it is on the disk when this returns. Raises StoppedError where it cannot be, and leaves the file whole."""
        line = {"format": FORMAT, **line}
        try:
            files.append_row(self.path, line)
        except OSError as error:
            raise self._no_room(error) from error
        self._take(line)

    def keep(self, id: str, pictures: list[bytes]) -> list[str]:
        """Store a run's pictures; their names. They lie there before the line that names them."""
        names = [
            f"{id[:24]}-{place}.{'jpg' if _large(data, self.side) else 'png'}" for place, data in enumerate(pictures)
        ]
        for name, data in zip(names, pictures, strict=True):
            try:
                (self.folder / "pictures" / name).write_bytes(small(data, self.side))
            except OSError as error:
                raise self._no_room(error) from error
        return names

    def picture(self, name: str) -> Image.Image:
        """A stored picture. Raises StoppedError where it is gone."""
        path = self.folder / "pictures" / name
        try:
            return Image.open(path).convert("RGB")
        except OSError as error:
            raise StoppedError(
                f"{path} is missing or damaged. Delete its line in {self.path.name} and run again."
            ) from error

    def _no_room(self, error: OSError) -> StoppedError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        mend = "the disk is full. Make room" if full else f"{error.strerror or error}. Mend that"
        return StoppedError(f"{self.folder} cannot be written: {mend} and run the same command again; it goes on.")


def _large(data: bytes, side: int) -> bool:
    return max(Image.open(io.BytesIO(data)).size) > side


def small(data: bytes, side: int = SIDE) -> bytes:
    """A picture's file as it is kept: a PNG of at most ``side`` pixels as it is, without its metadata; a larger one as a scaled JPEG."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    buffer = io.BytesIO()
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        picture.save(buffer, "JPEG", quality=90)
    else:
        picture.save(buffer, "PNG")
    return buffer.getvalue()
