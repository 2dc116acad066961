"""A feedback set as one zip: ``ratings.jsonl`` and the PNGs beside it, in no folder. What comes in is checked before any of it counts."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile

from PIL import Image

from .ratings import LOG, is_image_name, parse

MOST_FILES = 20_000
MOST_BYTES = 1 << 30  # of a zip, and of what is in it
MOST_PICTURE_BYTES = 64 << 20
MOST_LOG_BYTES = 128 << 20
MOST_PIXELS = 32 << 20
SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT"}


class BadSet(ValueError):
    """What cannot be taken in; the message says what and why."""


def bare(data: bytes) -> bytes:
    """A PNG without its texts, times and whatever else a program has hung on it. Raises BadSet for what is no whole PNG."""
    if not data.startswith(SIGNATURE):
        raise BadSet("it is no PNG")
    kept, place = [SIGNATURE], len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 12 + length
        if end > len(data):
            break
        if kind in KEPT:
            kept.append(data[place:end])
        if kind == b"IEND":
            return b"".join(kept)
        place = end
    raise BadSet("it ends in the middle")


def checked(data: bytes) -> bytes:
    """A PNG that can be opened and is no bomb, without its texts. Raises BadSet."""
    data = bare(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise BadSet(
                        f"it is {picture.width} x {picture.height} pixels large, more than {MOST_PIXELS:,} in all"
                    )
                picture.verify()
    except BadSet:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise BadSet(f"it cannot be read ({type(error).__name__})") from error
    return data


def pack(folder: str, names: list[str], file) -> None:
    """Write a set's pictures and its lines as a zip into an open binary file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        log = os.path.join(folder, LOG)
        if os.path.isfile(log):
            archive.write(log, LOG, zipfile.ZIP_DEFLATED)
        for name in names:
            with open(os.path.join(folder, name), "rb") as picture:
                data = picture.read()
            try:
                archive.writestr(zipfile.ZipInfo(name), bare(data))
            except BadSet:  # a damaged file stays at home
                continue


def unpack(file, folder: str) -> tuple[int, int]:
    """Check a zip and write it into an empty folder. (pictures, lines); raises BadSet naming what is wrong, and may then leave files."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _unpack(archive, folder)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        struct.error,
        OverflowError,
    ) as error:
        raise BadSet(f"This is no sound zip file ({type(error).__name__}).") from error


def _unpack(archive: zipfile.ZipFile, folder: str) -> tuple[int, int]:
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise BadSet(f"The zip holds {len(members)} files, more than {MOST_FILES}.")
    names = [member.filename for member in members]
    for member in members:
        if member.filename != LOG and not is_image_name(member.filename):
            raise BadSet(
                f"The zip holds {member.filename[:80]!r}. A set is {LOG} and PNGs with plain names, in no folder."
            )
        if member.external_attr >> 16 & 0o170000 not in (0, 0o100000):
            raise BadSet(f"{member.filename} in the zip is no ordinary file.")
    if len({name.casefold() for name in names}) != len(names):
        raise BadSet("The zip holds two files of the same name.")
    if LOG not in names:
        raise BadSet(f"The zip holds no {LOG}: it is no feedback set.")
    room, pictures, lines = MOST_BYTES, 0, 0
    for member in members:
        most = min(room, MOST_LOG_BYTES if member.filename == LOG else MOST_PICTURE_BYTES)
        with archive.open(member) as source:  # what it unpacks to is counted, not believed
            data = source.read(most + 1)
        if len(data) > most:
            raise BadSet(f"{member.filename} in the zip is too large.")
        room -= len(data)
        if member.filename == LOG:
            entries = [entry for entry in map(parse, data.split(b"\n")) if entry]
            data, lines = b"".join(entry.line() for entry in entries), len(entries)
        else:
            pictures += 1
            try:
                data = checked(data)
            except BadSet as error:
                raise BadSet(f"{member.filename} in the zip: {error}.") from error
        with open(os.path.join(folder, member.filename), "xb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
    if not pictures:
        raise BadSet("The zip holds no pictures.")
    return pictures, lines
