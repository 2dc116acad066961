"""What an evaluation's pictures are good for elsewhere: the labels that Train Scale Adapter learns from, and pictures that show a concept,
as Discover Direction learns from. Made by as many servers as there are; written when all is there, and the same from one and from many.
"""

from __future__ import annotations

import io
import os
import statistics
from pathlib import Path

from guards import files

from . import tables
from .errors import PlanError, StoppedError
from .items import Builder, Item
from .plan import Plan
from .results import Store

SCALE = "scale"  # the mark of the input that the labels are of


def check_labels(plan: Plan) -> None:
    """Raises PlanError where a plan's arms are no scales."""
    if SCALE not in plan.inputs:
        raise PlanError('--labels: mark the input that the labels are of, such as "scale": "Growth Inhibitor.scale".')
    if plan.ways:
        raise PlanError(
            "--labels: a picture has one label, and this plan makes it in several ways. Leave the ways out."
        )
    scales = _scales(plan)
    wrong = [name for name in plan.arms if name != plan.reference and name not in scales]
    if wrong or not scales:
        raise PlanError(
            f"--labels: {f'the arm {wrong[0]!r} sets no' if wrong else 'no arm sets a'} scale below 0. Write arms such as "
            '{"off": {...}, "-1": {"scale": -1.0}}; --arms takes some of them.'
        )


def _scales(plan: Plan) -> dict[str, float]:
    """Arm -> scale, the weakest first."""
    found = {name: arm[SCALE] for name, arm in plan.arms.items() if name != plan.reference and SCALE in arm}
    found = {name: float(one) for name, one in found.items() if isinstance(one, int | float) and -20 <= one < 0}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


Label = tuple[str, float, bool]


def labels(plan: Plan, builder: Builder, items: list[Item], store: Store) -> tuple[list[Label], int]:
    """(prompt, label, whether the concept is gone) of every picture that all arms have: the weakest scale at which, and at every stronger
    one, no ``concept`` detector finds it; the strongest where it still does; 0 where it was not there without the guard. And how many
    pictures are left out, as the strongest scale changed none of their bits: there the inhibitor's gate, which an adapter has not, was
    shut."""
    arms, scales = tables.gathered(plan, builder, items, store), _scales(plan)
    shown = {name: {one.key: bool(one.shown) for one in arms[name].pictures} for name in (plan.reference, *scales)}
    files_of = {name: {one.key: one.file for one in arms[name].pictures} for name in shown}
    strongest, found, left = min(scales, key=scales.__getitem__), [], 0
    for key in sorted(set.intersection(*(set(of) for of in shown.values()))):
        label, gone = 0.0, True
        if shown[plan.reference][key]:
            label, gone = min(scales.values()), False
            for name in reversed(scales):
                if shown[name][key]:
                    break
                label, gone = scales[name], True
            kept = [
                (store.folder / "pictures" / files_of[name][key]).read_bytes() for name in (plan.reference, strongest)
            ]
            if not gone and kept[0] == kept[1]:
                left += 1
                continue
        found.append((" ".join(plan.rows[key[0]]["prompt"].split()), label, gone))
    return found, left


def write_labels(found: list[Label], left: int, path: Path) -> str:
    """Write ``prompt | scale`` lines; what is to say of them. Raises StoppedError where they cannot be written."""
    if not found:
        raise StoppedError(
            "--labels: no picture has been made with every arm yet. Run the same command again; it goes on."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, "".join(f"{prompt} | {label:g}\n" for prompt, label, _ in found).encode())
    except OSError as error:
        raise StoppedError(f"--labels: {error}") from error
    scales, stays = [label for _, label, _ in found if label], sum(not gone for *_, gone in found)
    if not scales:
        return f"{len(found)} labels in {path}: the concept is in none of the pictures, so there is nothing to learn"
    return (
        f"{len(found)} labels in {path}: {len(scales)} pictures show the concept without the guard; median {statistics.median(scales):g}, "
        f"weakest {max(scales):g}, strongest {min(scales):g}; in {stays} it stays at every scale"
        + (f"; {left} left out, in which no scale changed a bit" if left else "")
    )


def check_pictures(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PlanError(f"--pictures-to: {folder} is a file. Name a folder, such as input/NAME in ComfyUI's.")


def write_pictures(plan: Plan, builder: Builder, items: list[Item], store: Store, folder: Path) -> str:
    """Copy the reference's pictures that show the concept into a folder, each once; what is to say of it. Raises StoppedError."""
    arms = tables.gathered(plan, builder, items, store).values()
    made = [one for arm in arms if arm.unguarded for one in arm.pictures]
    showing = [one for one in made if one.shown]
    try:
        os.makedirs(folder, exist_ok=True)
        for one in showing:
            target = folder / Path(one.file).with_suffix(".png").name
            if not target.exists():
                buffer = io.BytesIO()
                store.picture(one.file).save(buffer, "PNG")
                files.write(target, buffer.getvalue())
    except OSError as error:
        raise StoppedError(
            f"--pictures-to: {folder} cannot be written ({error.strerror or error}). Choose another one."
        ) from error
    return f"{len(showing)} of {len(made)} pictures show the concept and are in {folder}"
