"""Latent directions on the rail: added behind the middle block, for the rows of the positive prompt alone."""

from dataclasses import dataclass, replace

import torch

from ..host import checks, rail
from . import host_places as places
from .fairness import assign
from .formula import Direction, fitted


@dataclass(frozen=True, eq=False)
class Steer(rail.Guard):
    """One or more directions, one of them for each image of the batch, within a range of the diffusion schedule."""

    directions: tuple[Direction, ...]
    strength: float
    start_percent: float = 0.0
    end_percent: float = 1.0
    shares: tuple = ()  # none: the one direction is for every image
    seed: str = ""

    def begin(self, run):
        sampling = run.guider.model_patcher.get_model_object("model_sampling")  # a node's own, before the model has it
        ends = self.start_percent, self.end_percent
        return _State(None if ends == (0.0, 1.0) else tuple(float(sampling.percent_to_sigma(end)) for end in ends))

    def patch(self, run, state, options):
        """For the positive rows alone, their untouched twins left out."""
        own = slice(run.batch if any(guard.twin for guard in run.guards) else None)

        def add(h, extra):
            if not run.slots:
                return h
            steered = h
            for rows, _ in run.rows(h.shape[0], extra):
                addition = self.steer(run, state, h[rows][own], extra)
                if addition is not None:
                    steered = h.clone() if steered is h else steered
                    steered[rows][own] += addition
            return steered

        places.after(options, run.guider.model_patcher, self.directions[0].block, add)

    def steer(self, run, state, rows, extra):
        """What to add to ``rows``, (images, channels, height, width) or (images, tokens, channels), now; None outside the range.
        ``extra``: a patch's extra options."""
        if state.limits and not state.limits[0] >= run.level >= state.limits[1]:
            return None
        images = _images(run.batch, rows.shape[0], extra) if self.shares else ()
        key = (rows.shape, rows.dtype, rows.device, images)
        if key not in state.moved:  # once a run, unless areas make blocks of several sizes
            values = [self.strength * _shaped(d.values, rows) for d in self.directions]
            if self.shares:
                sides = assign(self.shares, max(images) + 1, self.seed)
                values = [values[sides[image]] for image in images]
            state.moved[key] = torch.cat(values).to(rows)
        return state.moved[key]


def _shaped(values, rows):
    """A direction as something that can be added to every one of ``rows``."""
    return fitted(values, *rows.shape[-2:]) if rows.ndim == 4 else values.view(1, 1, -1)


def _images(batch, count, extra):
    """Which images of the run's ``batch`` ``count`` rows are: all in order, once or several times, or those of a context window along the
    batch, the host's or AnimateDiff-Evolved's. Raises NotImplementedError where that cannot be told."""
    window = extra.get("context_window")
    images = list(window.index_list) if getattr(window, "dim", None) == 0 else []
    anchor = getattr(window, "causal_anchor_index", None)
    if images and anchor is not None and anchor >= 0:
        images.insert(0, anchor)
    theirs = (extra.get("ad_params") or {}).get("sub_idxs")
    for known in (images, theirs or ()):
        if len(known) == count:
            return tuple(known)
    if count % batch:
        raise NotImplementedError(
            f"Steer Fairly: another pack asks the model for {count} of {batch} pictures at once, and does not say which, so they cannot be "
            "given their sides. Remove the pack's node, or use Steer with Direction."
        )
    return tuple(image % batch for image in range(count))


class _State:
    """Of one sampling run: the range in noise levels, and the additions on the model's device."""

    def __init__(self, limits):
        self.limits, self.moved = limits, {}


def check_fit(model, direction, name="direction"):
    """Refuse a direction that belongs to another family of models or block, or has another number of channels."""
    channels = places.channels(model)
    checks.same_family(
        model,
        direction.family,
        f"{name} ({direction.concept}) was found",
        "what a direction means depends on the model. Use one for this family, or find it with Discover Direction.",
    )
    places.check(model, direction, name)
    if direction.channels != channels:
        raise ValueError(
            f"{name} ({direction.concept}) has {direction.channels} channels, the block {direction.block} of this model "
            f"({checks.model_name(model)}) has {channels}. Use one for this family, or find it with Discover Direction."
        )


def steer(model, direction, strength, start_percent=0.0, end_percent=1.0):
    """A clone of ``model`` that adds ``strength`` * ``direction``; the same object when there is nothing to add.

    The range is in the host's percents of the diffusion schedule, as for its ControlNet nodes; both ends belong to it. An empty
    range, and strength 0, switch the guard off.
    """
    check_fit(model, direction)
    checks.percents(start_percent, end_percent)
    if strength == 0 or start_percent == end_percent:
        return model
    return rail.attach(model, Steer((direction,), strength, start_percent, end_percent))


def steer_fairly(model, directions, shares, strength, seed):
    """A clone of ``model`` that gives every image of a batch one of ``directions``; ``shares``: fractions that add up to 1."""
    for name, direction in zip("abcd", directions, strict=False):
        check_fit(model, direction, name)
        if direction.block != directions[0].block:
            raise ValueError(
                f"{name} ({direction.concept}) belongs to the block {direction.block}, a ({directions[0].concept}) to "
                f"{directions[0].block}: discover both for one block."
            )
    if strength == 0:
        return model
    return rail.attach(
        model, Steer(tuple(directions), strength, shares=tuple(shares), seed=draw_name(directions, seed))
    )


def scaled(direction, strength):
    """The direction times a number."""
    return direction if strength == 1 else replace(direction, values=direction.values * strength)


def draw_name(directions, seed):
    """What seeds the draw: the names belong to it, so that two attributes steered with one seed are drawn independently."""
    return f"{seed}|{'|'.join(direction.concept for direction in directions)}"
