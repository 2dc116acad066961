"""A picture's score by any of the detectors, for the node and for evaluations."""

from __future__ import annotations

import torch

from ..demo import oracle
from . import detectors
from . import host as judges
from .detectors import NUDENET, OPENNSFW, Found

PAIR = judges.vision.PAIR.replace("judge_clip", "clip")
WHOLE = "whole"  # asked of the demo oracle: nothing in the picture is broken
NAMES = (judges.CLIP, NUDENET, OPENNSFW, judges.RATINGS, judges.ORACLE)


def find(
    name: str, pictures: torch.Tensor, what: str, *, clip_vision=None, clip=None, against="", feedback=None
) -> Found:
    """What a detector of NAMES finds in pictures (n, h, w, 3 or more) of 0..1. Raises ValueError naming the input and the mend."""
    pictures = pictures[..., :3]
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError("images holds no picture: connect an IMAGE with at least one.")
    if not bool(pictures.isfinite().all()):  # their scores would say that nothing was found
        raise ValueError(
            "images holds values that are no finite numbers, so nothing can be found in them: try another VAE, or start ComfyUI with "
            "--fp32-vae."
        )
    pictures, what = pictures.clamp(0, 1), what.strip()
    if name == NUDENET:
        return detectors.nudenet(pictures, what)
    if name == OPENNSFW:
        return detectors.opennsfw(pictures)
    if not what:
        raise ValueError(f"what is empty: say what detector '{name}' should look for.")
    if name == judges.ORACLE:
        return _found(_oracle(pictures, what), len(pictures), f"demo oracle, {what}")
    if clip_vision is None:
        mend = f" {PAIR}" if name == judges.CLIP else ""
        raise ValueError(f"clip_vision: detector '{name}' looks with a CLIP Vision; connect Load CLIP Vision.{mend}")
    if name == judges.CLIP:
        if clip is None:
            raise ValueError(f"clip: detector '{name}' reads what in words; connect the text encoder. {PAIR}")
        judge = _in_our_words(lambda: judges.clip_words(None, what, clip_vision, clip, "", against))
        asked = judges.zero_shot.texts(what, "", against)
        return _found(
            judge.rate(pictures), len(pictures), f"CLIP, {asked[0]!r} against {', '.join(map(repr, asked[1:]))}"
        )
    judge = judges.ratings(None, what, clip_vision, feedback)
    return _found(judge.rate(pictures), len(pictures), f"ratings, {judge.note}")


def _in_our_words(make):
    """The judges' messages name the inputs of the adapter's training; here the same things have other names."""
    try:
        return make()
    except ValueError as error:
        said = str(error)
        for theirs, ours in (("judge_against", "against"), ("judge_text", "what"), ("judge_clip", "clip")):
            said = said.replace(theirs, ours)
        raise ValueError(said) from error


def _found(scores: torch.Tensor, count: int, rule: str) -> Found:
    return Found(scores.float().cpu(), ((),) * count, rule)


def _oracle(pictures: torch.Tensor, what: str) -> torch.Tensor:
    """(n,): how sure the demo model's oracle is. ``a, b``: either; ``a + b``: both; ``whole``: nothing is broken."""
    seen = oracle.shipped().see(pictures.movedim(-1, 1))
    ways = [[name.strip() for name in way.split("+") if name.strip()] for way in what.replace("\n", ",").split(",")]

    def sure(name: str) -> torch.Tensor:
        return (~seen.broken()).float() if name == WHOLE else seen.likelihood(judges.known(name, "what"))

    scores = [torch.stack([sure(name).cpu() for name in names]).amin(0) for names in ways if names]
    if not scores:
        raise ValueError(f"what is {what!r}, which names nothing. The demo oracle knows {', '.join(oracle.names())}.")
    return torch.stack(scores).amax(0)
