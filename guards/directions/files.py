"""Files of directions: our safetensors format, and the layout of the paper's release. No file can execute anything."""

from __future__ import annotations

import json
import os

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .formula import MIDDLE, Direction, block_number

FORMAT = "concept-guards.direction/1"
PREFIX = "direction."
OFFICIAL_KEY, OFFICIAL_SHAPE, OFFICIAL_NAMES = "controlnet.fc1.weight", (1280, 8, 8), "concept_dict.json"
EXTENSIONS = (".safetensors", ".pth", ".pt")


def content(direction: Direction) -> bytes:
    """The bytes of a file with one direction: tensor ``direction.<concept>``, float32, and its metadata."""
    metadata = {
        "format": FORMAT,
        "family": direction.family,
        "block": direction.block,
        "trained_size": str(direction.trained_size),
        "info": json.dumps(direction.info, ensure_ascii=True),
    }
    return safetensors.torch.save({PREFIX + direction.concept: direction.values.float().contiguous()}, metadata)


def load(path: str, concept: str = "") -> Direction:
    """The direction ``concept`` of a file, or its first. Raises ValueError naming the file and what to do."""
    name = os.path.basename(path)
    try:
        return (_load_ours if path.lower().endswith(".safetensors") else _load_official)(path, name, concept.strip())
    except OSError as error:
        raise ValueError(f"file: {name} cannot be read ({error.strerror or error}).") from error


def _load_ours(path: str, name: str, concept: str) -> Direction:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            keys = [key for key in file.keys() if key.startswith(PREFIX)]  # noqa: SIM118 - not a dictionary
            if not keys:
                raise ValueError(
                    f"file: {name} holds no direction (a tensor named {PREFIX}<concept>). Choose one of Save Direction's."
                )
            key = _choose([key[len(PREFIX) :] for key in keys], concept, name)
            values = file.get_tensor(PREFIX + key)
    except safetensors.SafetensorError as error:
        reason = str(error).splitlines()[0][:200]
        raise ValueError(f"file: {name} is no sound safetensors file ({reason}). Download or save it again.") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"file: the format of {name} is {metadata.get('format')!r}, not {FORMAT!r}. Choose a file that Save Direction of "
            "this version wrote."
        )
    block = metadata.get("block", MIDDLE)
    try:
        block_number(block)
    except ValueError as error:
        raise ValueError(f"file: {name}: {error} Choose a file that Save Direction of this version wrote.") from None
    size = metadata.get("trained_size", "")
    return Direction(
        key,
        _floats(values, name),
        metadata.get("family", ""),
        int(size) if size.isdecimal() and len(size) < 7 else 0,
        _info(metadata.get("info")),
        block,
    )


def _load_official(path: str, name: str, concept: str) -> Direction:
    """A checkpoint of the paper's authors: one (81920, n) matrix whose columns ``concept_dict.json`` beside it names."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError:
        raise
    except Exception as error:  # many kinds: damaged archives, and pickles that ask for code
        raise ValueError(
            f"file: {name} cannot be read as plain weights ({type(error).__name__}); nothing in it was executed. Use the "
            "authors' unet.pth, or a .safetensors file."
        ) from error
    matrix = weights.get(OFFICIAL_KEY) if isinstance(weights, dict) else None
    rows = OFFICIAL_SHAPE[0] * OFFICIAL_SHAPE[1] * OFFICIAL_SHAPE[2]
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != rows:
        found = "no such key" if not isinstance(matrix, Tensor) else f"of shape {tuple(matrix.shape)}"
        raise ValueError(
            f"file: {name} should hold {OFFICIAL_KEY!r} of shape ({rows}, n), as the authors' unet.pth does; found: {found}."
        )
    columns = _official_names(os.path.join(os.path.dirname(path), OFFICIAL_NAMES), name)
    key = _choose(list(columns), concept, f"{OFFICIAL_NAMES} beside {name}")
    column = columns[key]
    if column >= matrix.shape[1]:
        raise ValueError(
            f"file: {OFFICIAL_NAMES} says that {key!r} is column {column}, but {name} has only {matrix.shape[1]} (0 to "
            f"{matrix.shape[1] - 1}): the two files do not belong together."
        )
    values = _floats(matrix[:, column].reshape(OFFICIAL_SHAPE), name)
    return Direction(key, values, "sd1", 512, {"source": "checkpoint in the layout of InterpretDiffusion"})


def _official_names(path: str, beside: str) -> dict[str, int]:
    """Concept -> column. Columns without a name were never trained and stay hidden."""
    try:
        with open(path, encoding="utf-8") as file:
            names = json.loads(file.read(1_000_000))
    except FileNotFoundError:
        raise ValueError(
            f"file: {beside} needs its {OFFICIAL_NAMES} in the same folder, which names its columns. Put it there."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"file: {OFFICIAL_NAMES} beside {beside} is no JSON ({error}).") from error
    sound = isinstance(names, dict) and names and all(type(column) is int and column >= 0 for column in names.values())
    if not sound:
        raise ValueError(
            f'file: {OFFICIAL_NAMES} beside {beside} must map names to columns, such as {{"female": 0, "male": 1}}.'
        )
    return names


def _choose(names: list[str], concept: str, where: str) -> str:
    """The concept asked for, whatever its case; the first one when none is."""
    if not concept:
        return names[0]
    for name in names:
        if name.casefold() == concept.casefold():
            return name
    shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
    raise ValueError(f"concept: {concept!r} is not in {where}, which holds: {shown}.")


def _floats(values: Tensor, name: str) -> Tensor:
    if values.numel() > 50_000_000:
        raise ValueError(f"file: the direction in {name} has {values.numel()} values; no middle block is so large.")
    # A copy: Windows does not let a file be replaced that is still mapped.
    return values.float().clone() if values.is_floating_point() else values.clone()


def _info(text: str | None) -> dict:
    try:
        info = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}
