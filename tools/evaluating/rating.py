"""Pictures of an evaluation as a feedback set that people rate: made by as many servers as there are, and filed once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from guards.feedback.log import RatingLog
from guards.feedback.ratings import Entry

from . import prompts
from .errors import PlanError, StoppedError
from .items import Item
from .plan import Plan
from .results import Store


def check(plan: Plan, folder: Path) -> None:
    """Raises PlanError where a set cannot be made of a plan's pictures."""
    if not any(one.role == "concept" and one.what for one in plan.detectors):
        raise PlanError(
            '--rate: no detector with the role concept says in "what" which concept people are to look for.'
        )
    if folder.exists() and not folder.is_dir():
        raise PlanError(
            f"--rate: {folder} is a file. Name a folder, such as user/concept_guards/feedback/NAME in ComfyUI's."
        )


def write(plan: Plan, items: Iterable[Item], store: Store, folder: Path) -> int:
    """File the reference's pictures that are not in the set yet; how many were new. Raises StoppedError where they cannot be written."""
    what = next(one.what for one in plan.detectors if one.role == "concept" and one.what)
    try:
        os.makedirs(folder, exist_ok=True)
        log, entries = RatingLog(str(folder)), []
        filed = log.read().filed
        for item in items:
            if plan.made[item.arm].arm != plan.reference:
                continue
            row = plan.rows[item.place]
            for number, name in enumerate(store.done.get(item.id, {}).get("pictures", ())):
                image = f"{item.id[:24]}-{number}.png"
                if image not in filed:
                    store.picture(name).save(folder / image)
                    concept = prompts.fill(what, row, "what").strip()
                    entries.append(Entry(image, prompt=row["prompt"], seed=item.seed, concept=concept))
        return log.append(entries)
    except OSError as error:
        raise StoppedError(
            f"--rate: {folder} cannot be written ({error.strerror or error}). Choose another one."
        ) from error
