"""What the host's guiders make of their slots: which one guidance is measured from, by how much the positive one counts, which ones
count towards the picture at all, and where their rows are in a batch."""

from __future__ import annotations

from collections.abc import Callable

from .. import schedule
from .strangers import SLOTS, TILES

# The host's guiders, which weigh every step alike.
STEADY = {"CFGGuider", "Guider_Basic", "Guider_DualCFG", "Guider_PerpNeg"}


def unconditional(guider) -> str | None:
    """The slot of the prediction that guidance is measured from, or None where the guider has none."""
    return next((role for role in ("empty_negative_prompt", "negative") if role in guider.conds), None)


def scale(guider, step: Callable[[], int]) -> float:
    """The guidance scale of the positive prediction, of any of the host's guiders. ``step``: tells the executed step, if asked."""
    if hasattr(guider, "cfg1"):  # DualCFGGuider
        return guider.cfg1 * guider.cfg2 if getattr(guider, "nested", False) else guider.cfg1
    cfg = number_or_list(guider.cfg)
    return cfg[min(step(), len(cfg) - 1)] if isinstance(cfg, list | tuple) else cfg


def number_or_list(cfg):
    """A guider's cfg, or a list of one for every step, as guiders of other packs have it. They may hold either in an array or a tensor."""
    if hasattr(cfg, "ndim"):
        return cfg.tolist() if cfg.ndim == 1 else float(cfg.max())
    return cfg


def counting(guider, step: Callable[[], int]) -> frozenset[str]:
    """The slots that count towards the picture: by a weight above 0 in the guider's sum of predictions.

    With CFG that is the positive prompt where cfg is above 0, and the negative one where it is below 1: from there on the picture is, in
    part, what the negative says. A slot that no guider of the host has counts. Of the empty text of PerpNegGuider only what cfg leaves of
    it is seen, not what it contributes to the negative's perpendicular part.
    """
    positive = scale(guider, step)
    weights = {"positive": positive, "negative": 1 - positive, "empty_negative_prompt": 1 - positive}
    if hasattr(guider, "cfg1"):
        nested = getattr(guider, "nested", False)
        middle = guider.cfg2 * (1 - guider.cfg1) if nested else guider.cfg2 - guider.cfg1
        weights |= {"middle": middle, "negative": 1 - guider.cfg2}
    elif "empty_negative_prompt" in guider.conds:
        weights["negative"] = -positive
    return frozenset(role for role in guider.conds if weights.get(role, 1) > 0)


def rows(total: int, extra: dict, slots, shown, wanted: frozenset[str]) -> list[tuple[slice, object]]:
    """[(slice, uuid)] of the ``total`` rows of a joined batch whose roles are ``wanted``, and of those of a list that a node brings along
    (its text may be anything). ``extra``: a patch's extra options; ``slots``, ``shown``: the roles of the lists under way, as the host and
    as strangers count them. Raises ValueError for rows that cannot be told apart."""
    numbers, tiles = extra["cond_or_uncond"], extra.get(TILES, 1)
    if len(extra.get(SLOTS, ())) == len(numbers):
        roles = [slots[slot] for slot in extra[SLOTS]]
    else:  # no row is ours, or a pack made the options anew, or for some of the rows, without what it does not know
        roles = [shown[number] if number < len(shown) else None for number in numbers]
    uuids = extra.get("uuids") or ()
    uuids = uuids if len(uuids) == len(numbers) else [None] * len(numbers)
    count = total // (len(roles) * tiles)
    if not count:
        raise ValueError(
            f"Concept Guards: a pack's patch runs the model on {total} rows and says that they belong to {len(numbers)} prompts, so the "
            "guard cannot tell which of them is the positive one. Remove the pack's node from this MODEL, or use Safe Latent Diffusion."
        )
    found = []
    for tile in range(tiles):
        for i, uuid in enumerate(uuids):
            start = (tile * len(roles) + i) * count
            if roles[i] is None or roles[i] in wanted:
                found.append((slice(start, start + count), uuid))
    return found


def is_scheduled(entries, whose=""):
    """Whether any conditioning entry of a slot counts for a part of the schedule only, by its own range or its clip's (``clip_``)."""
    return any(entry.get(f"{whose}start_percent") or entry.get(f"{whose}end_percent", 1.0) < 1 for entry in entries)


def is_steady(guider):
    """Whether the same texts count, as much, from the first step to the last: none is scheduled, and guidance is the host's own."""
    entries = [entry for entries in guider.conds.values() for entry in entries or ()]
    scheduled = is_scheduled(entries) or is_scheduled(entries, "clip_")
    weighed = any(guider.model_options.get(name) for name in ("sampler_cfg_function", "sampler_pre_cfg_function"))
    listed = isinstance(number_or_list(getattr(guider, "cfg", 1.0)), list | tuple)
    return type(guider).__name__ in STEADY and not (scheduled or weighed or listed)


def settled(run):
    """The first step of a run in which it stands what is where in the picture (`schedule.settled`); the very first where texts or their
    weights come and go: what is asked for while nothing stands yet, and is not any more when it does, must not be waited for."""
    if not is_steady(run.guider):
        return 0
    return schedule.settled(run.sigmas, run.model.model_sampling.percent_to_sigma)
