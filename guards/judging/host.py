"""Who says whether a picture shows the concept: the demo model's oracle, a CLIP asked in words, or what people's ratings taught."""

import hashlib
import os

import torch

from ..demo import oracle
from ..feedback import host_sets as feedback_sets
from ..feedback import reward
from . import host_clip as vision
from . import zero_shot

ORACLE, LABELS, CLIP, RATINGS = NAMES = ("demo oracle", "labels", "clip vision", "ratings")


class Judge:
    """Where latents show the concept: ``judge(latents (n, c, h, w)) -> (n,)`` bool.

    ``score(pictures (n, h, w, 3)) -> (n,)`` from 0 to 1, and found above ``threshold``. ``key``: all that a verdict depends on, for the
    name of kept examples. ``note``: what the report says of the judge. ``scores``: those of every call, until the caller clears them.
    """

    def __init__(self, vae, score, threshold, key, note=""):
        self._vae, self._score, self.threshold, self.note, self.scores = vae, score, threshold, note, []
        self.key = [*key, vision.trace(getattr(vae, "first_stage_model", None))]

    def __call__(self, latents):
        pictures = self._vae.decode(latents).float().clamp(0, 1)
        if not bool(pictures.isfinite().all()):  # their scores would say that nothing was found
            raise ValueError(
                "vae: a decoded picture holds values that are no finite numbers, so it cannot be judged: try another VAE, or "
                "start ComfyUI with --fp32-vae."
            )
        self.scores.append(self.rate(pictures))
        return self.scores[-1] > self.threshold

    def rate(self, pictures):
        """The scores (n,) of pictures (n, h, w, 3) of 0..1, float32 on the CPU."""
        return self._score(pictures).float().cpu()


def make(
    name: str,
    vae,
    concept: str,
    clip,
    *,
    clip_vision=None,
    judge_clip=None,
    judge_text: str = "",
    judge_against: str = "",
    threshold: float = 0.5,
    feedback=None,
) -> Judge | None:
    """The Judge of a name; None for labels. Raises ValueError naming the input and the mend."""
    if name == LABELS:
        return None
    if name == ORACLE:
        return demo(vae, concept)
    if clip_vision is None:
        raise ValueError(
            f"clip_vision: judge '{name}' looks at pictures with a CLIP Vision; connect Load CLIP Vision."
            + (f" {vision.PAIR}" if name == CLIP else "")
        )
    if name == CLIP:
        return clip_words(
            vae, concept, clip_vision, clip if judge_clip is None else judge_clip, judge_text, judge_against, threshold
        )
    if name == RATINGS:
        return ratings(vae, concept, clip_vision, feedback, threshold)
    raise ValueError(f"judge: there is no judge {name!r}; choose one of {', '.join(NAMES)}.")


def demo(vae, concept: str) -> Judge:
    """The demo model's own classifier. Raises ValueError for a concept that it does not know."""
    known(concept, "targets", "; for other targets choose judge 'clip vision', 'ratings' or 'labels'")
    look = oracle.shipped()
    return Judge(vae, lambda pictures: look.see(pictures.movedim(-1, 1)).shows(concept), 0.5, [ORACLE])


def known(name: str, where: str, mend: str = "") -> str:
    """A name that the demo model's oracle knows. Raises ValueError for another one; ``where``: the input it comes from."""
    if name not in oracle.names():
        raise ValueError(
            f"{where}: the demo oracle does not know {name!r}. It knows {', '.join(oracle.names())}{mend}."
        )
    return name


def clip_words(
    vae, concept: str, clip_vision, clip, text: str = "", against: str = "", threshold: float = 0.5
) -> Judge:
    """Zero-shot: a picture shows the concept if CLIP finds that text more likely than ``threshold``, of all texts together 1 (Radford et
    al., arXiv 2103.00020). ``text``: what to look for, empty: the concept; ``against``: what else a picture may show, one a line. Raises
    ValueError naming judge_text, judge_against, clip_vision or judge_clip.
    """
    if "embedding:" in concept.lower() and not text.strip():
        raise ValueError(
            f"judge_text: the target {concept!r} is an embedding, which the judge does not know; describe in words what a "
            "picture of it shows."
        )
    pair, asked = vision.Pair(clip_vision, clip), zero_shot.texts(concept, text, against)
    if asked[0] in asked[1:]:
        raise ValueError(
            f"judge_against: {asked[0]!r} is what the judge looks for; name what pictures may show instead."
        )
    known = pair.texts(asked)
    return Judge(
        vae,
        lambda pictures: zero_shot.probability(vision.embed(clip_vision, pictures), known),
        threshold,
        [CLIP, asked, threshold, pair.trace],
    )


def ratings(vae, concept: str, clip_vision, feedback, threshold: float = 0.5) -> Judge:
    """The reward head of Load Feedback, taught by the pictures that people judged. Raises ValueError where none is connected, or holds
    too little to learn from."""
    if feedback is None:
        raise ValueError("feedback: judge 'ratings' learns from pictures that people rated; connect Load Feedback.")
    chosen = feedback.judged.nonzero()[:, 0].tolist()
    paths, labels = [feedback.paths[index] for index in chosen], feedback.rewards[feedback.judged]
    try:
        head, quality = reward.head(feedback_sets.features(clip_vision, "", paths), labels)
    except reward.NoRatings as error:
        raise ValueError(f"feedback: {error}") from error
    note = f"taught by {len(paths)} pictures of {feedback.name}"
    if quality.right is None or quality.guess is None:
        note += ", too few to test it"
    else:
        note += f"; on those left out {quality.right:.0%} right (a guess: {quality.guess:.0%})"
        if quality.right <= quality.guess:
            note += ". Warning: it does no better than a guess; rate more pictures"
    if feedback.concept.strip().lower() != concept.lower():
        note += f". Warning: the ratings are about {feedback.concept!r}, the target is {concept!r}"
    said = "\n".join(f"{os.path.basename(path)} {label:.4f}" for path, label in zip(paths, labels.tolist()))
    return Judge(
        vae,
        lambda pictures: head(vision.embed(clip_vision, pictures)),
        threshold,
        [RATINGS, hashlib.sha256(said.encode()).hexdigest(), threshold, vision.trace(clip_vision.model)],
        note,
    )


def first_and_strongest(judge: Judge) -> torch.Tensor:
    """(2, n): the scores of unguarded pictures and of those at the strongest scale, which a bisection asks for first; forgets all."""
    pair, judge.scores = torch.stack(judge.scores[:2]), []
    return pair


def report(judge: Judge, name: str, scores: torch.Tensor) -> str:
    """What the judge found in pictures: scores (2, n) as above. A sentence."""
    found, still = (scores > judge.threshold).sum(1).tolist()
    before, after = scores.mean(1).tolist()
    text = (
        f"judge {name}{': ' + judge.note if judge.note else ''}; mean score {before:.2f} unguarded, {after:.2f} at the strongest "
        f"scale; found in {found} of {scores.shape[1]} pictures, at the strongest scale in {still}"
    )
    if found and still * 2 > found:
        text += (
            ". Warning: most of those keep the concept at the strongest scale, or the judge cannot tell: look at some pictures, then "
            "choose a stronger scale, other words or another threshold"
        )
    return text
