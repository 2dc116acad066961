"""The feedback sets on this machine: ``concept_guards/feedback/<set>`` in the host's user directory, and those that come with the pack."""

import hashlib
import io
import os
import shutil
import threading
import uuid

import folder_paths
import numpy as np
import torch
from PIL import Image

from .. import files
from ..host.progress import Progress
from . import archive as feedback_zip
from .agreement import agreement
from .host_vision import embed
from .log import RatingLog
from .pictures import Feedback, read_picture, report
from .ratings import LOG, LONGEST_TEXT, Entry, is_image_name, is_set_name, now
from .reward import NoRatings, rewards

THUMBNAILS, THUMBNAIL_SIDE = ".thumbnails", 256
_logs: dict[str, RatingLog] = {}
_lock = threading.Lock()


def base() -> str:
    """The folder that holds a folder for each set."""
    return os.path.join(folder_paths.get_user_directory(), "concept_guards", "feedback")


def shipped() -> str:
    """The pack's own sets; they can be loaded, not rated."""
    return os.fspath(files.MODELS / "feedback")


def names(place=None) -> list[str]:
    """The sets in a folder (default: the user's), by name. Links are no sets."""
    try:
        with os.scandir(place or base()) as listing:
            return sorted(
                entry.name for entry in listing if is_set_name(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def all_names() -> list[str]:
    """Every set that can be loaded, for a drop-down list; never empty, which the front end cannot show."""
    return list(dict.fromkeys(names() + names(shipped()))) or ["make a set with Rate Images"]


def folder(name: str) -> str | None:
    """The folder of one of the user's sets; None where there is none. Only a name that was listed gets a path."""
    return os.path.join(base(), name) if is_set_name(name) and name in names() else None


def loadable(name: str) -> str:
    """The folder of a set to load, the user's own first. Raises FileNotFoundError."""
    path = folder(name)
    if path is None and name in names(shipped()):
        path = os.path.join(shipped(), name)
    if path is None:
        raise FileNotFoundError(
            f"set_name: there is no feedback set {name!r}. Run Rate Images to make one, or choose another (press R to "
            "read the list again)."
        )
    return path


def log(path: str) -> RatingLog:
    """The one log of a set's folder in this process."""
    with _lock:
        return _logs.setdefault(os.path.realpath(path), RatingLog(path))


def pictures(path: str) -> list[str]:
    """The pictures in a set's folder: in the order of filing, then those that somebody put there, by name."""
    with os.scandir(path) as listing:
        present = {
            entry.name for entry in listing if is_image_name(entry.name) and entry.is_file(follow_symlinks=False)
        }
    filed = log(path).read().filed if os.path.isfile(os.path.join(path, LOG)) else {}
    in_order = [name for name in list(filed) if name in present]
    return in_order + sorted(present.difference(in_order))


def has_picture(path: str, image: object) -> bool:
    """Whether a set holds a picture of this name. A name that passes holds no folder, so it cannot lead elsewhere."""
    return (
        is_image_name(image)
        and os.path.isfile(os.path.join(path, image))
        and not os.path.islink(os.path.join(path, image))
    )


def file_images(images: torch.Tensor, prompt: str, concept: str, set_name: str, seed: int | None = None) -> list[str]:
    """Put pictures (n, h, w, c) of 0 to 1 into a set, as PNGs without any text; their names.

    A name comes from the picture's content: the same picture is filed once. Raises ValueError naming the input.
    """
    concept = concept.strip()
    if not concept:
        raise ValueError("concept is empty: name what the raters shall look for, such as: beer.")
    for name, text in (("concept", concept), ("prompt", prompt)):
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"{name} is {len(text)} characters long: give at most {LONGEST_TEXT}.")
    if not is_set_name(set_name):
        raise ValueError(
            f"set_name is {set_name[:80]!r}: give a plain name of at most 60 letters, digits and - _ . ( ) +, that starts "
            "with a letter or digit, without a folder."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(f"images has the shape {tuple(images.shape)}: connect an IMAGE, such as VAE Decode gives.")
    if not bool(images.isfinite().all()):
        raise ValueError("images holds values that are no finite numbers: make the pictures again.")
    path, present = os.path.join(base(), set_name), files.same_name(base(), set_name)
    if present is not None and present != set_name:
        raise ValueError(
            f"set_name: there is a set {present!r}, which on Windows and macOS is the same name as {set_name!r}. Choose another name, or "
            "write it as it is there."
        )
    os.makedirs(path, exist_ok=True)
    if folder(set_name) is None:
        raise ValueError(f"set_name: {set_name!r} is a link or no folder in {base()}. Choose another name.")
    entries, filed, progress = [], log(path).read().filed, Progress(len(images))
    for place, image in enumerate(images):
        data = _png(image)
        name = hashlib.sha256(data).hexdigest()[:20] + ".png"
        target = os.path.join(path, name)
        if not os.path.exists(target):
            files.write(target, data)
        entries.append(Entry(name, prompt, seed, concept, time=now()))
        progress.at(place + 1)
    log(path).append(entry for entry in {entry.image: entry for entry in entries}.values() if entry.image not in filed)
    return [entry.image for entry in entries]


def _png(image: torch.Tensor) -> bytes:
    values = image.float().clamp(0, 1).mul(255).round().byte().cpu().numpy()
    if values.shape[-1] != 3:
        values = np.repeat(values[..., :1], 3, -1) if values.shape[-1] == 1 else values[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def thumbnail(path: str, image: str) -> str:
    """The path of a picture's thumbnail, made when there is none yet or an older one. Raises ValueError for what is no picture."""
    source, target = os.path.join(path, image), os.path.join(path, THUMBNAILS, image[:-4] + ".jpg")
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            with Image.open(source, formats=("PNG",)) as picture:
                if picture.width * picture.height > feedback_zip.MOST_PIXELS:
                    raise ValueError(f"{image} has too many pixels")
                small = picture.convert("RGB")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{image} cannot be read") from error
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82)
        files.write(target, buffer.getvalue())
    return target


def take_in(name: str, file, replace: bool = False) -> dict:
    """A zip as a new set. Raises feedback_zip.BadSet, or FileExistsError where there is one and ``replace`` is False.

    A set that is replaced is moved aside, to ``.replaced-...`` beside it: ratings are never deleted. Raises PermissionError where
    Windows does not let it be moved, since one of its pictures is being read; however this fails, the set that was there stays.
    """
    path = os.path.join(base(), name)
    if os.path.lexists(path) and not replace:
        raise FileExistsError(name)
    os.makedirs(base(), exist_ok=True)
    arriving = os.path.join(base(), f".arriving-{uuid.uuid4().hex}")
    os.mkdir(arriving)
    try:
        images, lines = feedback_zip.unpack(file, arriving)
        with _lock:
            aside = None
            if os.path.lexists(path):
                if not replace:
                    raise FileExistsError(name)
                aside = os.path.join(base(), f".replaced-{name}-{now().replace(':', '')}-{uuid.uuid4().hex[:6]}")
                files.rename(path, aside)
            try:
                files.rename(arriving, path)
            except OSError:  # such as a virus scanner's that still reads what has just been unpacked
                if aside is not None:
                    files.rename(aside, path)
                raise
            _logs.pop(os.path.realpath(path), None)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return {"set": name, "pictures": images, "lines": lines}


def fingerprint(name: str) -> str:
    """Changes when somebody rates or files a picture."""
    try:
        path = loadable(name)
        state = os.stat(os.path.join(path, LOG))
        return f"{state.st_mtime_ns}:{state.st_size}:{len(pictures(path))}"
    except OSError:
        return "missing"


def load(name: str, clip_vision=None, keep_ratings: bool = False) -> tuple[Feedback, str]:
    """A set with its rewards, and the report on it. Raises FileNotFoundError or ValueError naming the input."""
    path = loadable(name)
    images = pictures(path)
    if not images:
        raise ValueError(f"set_name: {name} holds no pictures. Run Rate Images to put some in.")
    ratings = log(path).snapshot()
    if clip_vision is None:
        judged = {key[0] for key in ratings.given} | {image for key in ratings.compared for image in key[:2]}
        images = [image for image in images if image in judged] or images
    try:
        result = rewards(
            ratings, images, None if clip_vision is None else features(clip_vision, path, images), keep_ratings
        )
    except NoRatings as error:
        raise ValueError(f"set_name: {name}: {error}.") from error
    filed = [ratings.filed.get(image, Entry(image)) for image in images]
    concepts = list(dict.fromkeys(entry.concept for entry in filed if entry.concept)) or [name]
    warnings = result.warnings
    if len(concepts) > 1:
        warnings += (
            f"The set was filed under {len(concepts)} concepts ({', '.join(concepts[:5])}); the first is taken. Keep one set for "
            "each.",
        )
    feedback = Feedback(
        name,
        concepts[0],
        tuple(os.path.join(path, image) for image in images),
        result.values,
        result.judged,
        tuple(entry.prompt for entry in filed),
        tuple(entry.seed for entry in filed),
        warnings,
    )
    alpha = agreement({image: by_rater for image, by_rater in ratings.by_image().items() if image in set(images)})
    return feedback, report(
        feedback, len(ratings.given), len(ratings.compared), ratings.raters(), alpha, result.quality
    )


def features(clip_vision, path: str, images: list[str], batch: int = 16) -> torch.Tensor:
    """The CLIP Vision embeddings (n, d) of pictures, float32 on the CPU. Pictures of one size are encoded together."""
    rows, group, progress = [], [], Progress(len(images))

    def encode():
        rows.append(embed(clip_vision, torch.stack(group)))
        group.clear()

    for place, image in enumerate(images):
        picture = read_picture(os.path.join(path, image))
        if group and (group[0].shape != picture.shape or len(group) == batch):
            encode()
        group.append(picture)
        progress.at(place + 1)
    encode()
    return torch.cat(rows)
