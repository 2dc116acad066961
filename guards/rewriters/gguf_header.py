"""How large a GGUF file's model is once its weights are unpacked, read from the file's head alone (format versions 2 and 3)."""

from __future__ import annotations

import math
import mmap
import struct

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value by its type
_STRING, _ARRAY = 8, 9


class _Head:
    """A place in the file that moves on as values are read."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def number(self, code: str) -> int:
        size = struct.calcsize(code)
        (value,) = struct.unpack_from("<" + code, self.data, self.place)
        self.place += size
        return value

    def skip(self, kind: int) -> None:
        """Pass over a value of a metadata field."""
        if kind == _STRING:
            length = self.number("Q")
            self.place += length
        elif kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in _SIZES:
                self.place += _SIZES[inner] * count
            else:
                for _ in range(count):
                    self.skip(inner)
        else:
            self.place += _SIZES[kind]


def weights(path: str) -> int:
    """How many weights the file holds. Raises ValueError where it is no GGUF file of a known version."""
    with open(path, "rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _count(_Head(data))
        except (struct.error, KeyError, IndexError, OverflowError, ValueError) as error:
            raise ValueError(f"no GGUF file of version 2 or 3: {error}") from error


def _count(head: _Head) -> int:
    if head.data[:4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    head.place = 4
    version, tensors, fields = head.number("I"), head.number("Q"), head.number("Q")
    if version not in (2, 3):
        raise ValueError(f"version {version}")
    for _ in range(fields):
        head.skip(_STRING)
        head.skip(head.number("I"))
    total = 0
    for _ in range(tensors):
        head.skip(_STRING)
        total += math.prod(head.number("Q") for _ in range(head.number("I")))
        head.place += 4 + 8  # type and offset
    return total
