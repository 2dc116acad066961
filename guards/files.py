"""The pack's own models, and names that are a file's or a folder's on every system, and never of another place."""

import re
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"  # what the pack ships

RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}  # Windows' devices
PLAIN = re.compile(r"[^\W_][\w\-. ()+]*")


def is_device(name: str) -> bool:
    """Whether Windows takes the name, with any ending, for a device."""
    return name.split(".")[0].strip().lower() in RESERVED


def is_plain(name: object, longest: int) -> bool:
    """Letters, digits and ``_ - . ( ) +`` or spaces, a letter or digit first, at most ``longest`` characters, no folder, no device."""
    return (
        isinstance(name, str)
        and len(name) <= longest
        and bool(PLAIN.fullmatch(name))
        and not name.endswith((".", " "))
        and not is_device(name)
    )
