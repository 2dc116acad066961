"""From ratings to rewards: how much each picture shows the concept, from 0 to 1.

The reward model of Human Feedback Inversion (arXiv 2407.21032) is a head on CLIP image features; its form is not published. Ours is a
logistic head with one score per picture. A rating of k out of 4 is a soft label k / 4 for the score's sigmoid (binary ratings are 0 and
4); a comparison is a soft label for the sigmoid of the difference of two scores (Bradley and Terry). One convex loss holds both, with a
ridge chosen by cross-validation. Without features every picture has a score of its own: the ratings themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .agreement import agreement
from .ratings import HIGHEST, Ratings

FEW = 10  # pictures below which a warning is given
FOLDS = 5
RIDGES = (0.003, 0.03, 0.3, 3.0, 30.0)
MOST_COMPONENTS = 256


class NoRatings(ValueError):
    """There is nothing to learn from; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Ratings and comparisons by picture number, everything a float64 or int64 tensor of one dimension.

    ``rated``: numbers of the rated pictures, ``labels``: their mean rating / 4, ``weight``: how many rated each.
    ``first``, ``second``: the compared pictures, ``won``: 1 where the first shows more, 0 the second, 0.5 alike.
    """

    count: int
    rated: Tensor
    labels: Tensor
    weight: Tensor
    first: Tensor
    second: Tensor
    won: Tensor

    def part(self, ratings: Tensor, comparisons: Tensor) -> Evidence:
        """Only what two masks choose."""
        return Evidence(
            self.count,
            self.rated[ratings],
            self.labels[ratings],
            self.weight[ratings],
            self.first[comparisons],
            self.second[comparisons],
            self.won[comparisons],
        )

    def touched(self) -> Tensor:
        """Which pictures somebody has judged, as a mask."""
        mask = torch.zeros(self.count, dtype=torch.bool)
        mask[torch.cat((self.rated, self.first, self.second))] = True
        return mask


@dataclass(frozen=True)
class Quality:
    """How well a head does on pictures it has not seen. Shares from 0 to 1; None where there was nothing to test on.

    ``right``: ratings on the right side of the middle; ``guess``: what always naming the commoner side gets; ``order``: comparisons put
    in the right order (0.5 by chance).
    """

    right: float | None = None
    guess: float | None = None
    order: float | None = None
    ridge: float = 0.0


@dataclass(frozen=True, eq=False)
class Rewards:
    """``values``: float32 (n,), 0 to 1; ``judged``: bool (n,), by people themselves; ``quality``: of the head, if there is one."""

    values: Tensor
    judged: Tensor
    quality: Quality | None = None
    warnings: tuple[str, ...] = field(default_factory=tuple)


def evidence(ratings: Ratings, images: list[str]) -> Evidence:
    """What people said about ``images``; what they said about others is left out."""
    number = {image: index for index, image in enumerate(images)}
    means = {
        number[image]: list(by_rater.values()) for image, by_rater in ratings.by_image().items() if image in number
    }
    pairs = [(number[a], number[b], won) for (a, b, _), won in ratings.compared.items() if a in number and b in number]
    floats, ints = torch.float64, torch.int64
    return Evidence(
        len(images),
        torch.tensor(list(means), dtype=ints),
        torch.tensor([sum(by_rater) / len(by_rater) / HIGHEST for by_rater in means.values()], dtype=floats),
        torch.tensor([len(by_rater) for by_rater in means.values()], dtype=floats),
        torch.tensor([pair[0] for pair in pairs], dtype=ints),
        torch.tensor([pair[1] for pair in pairs], dtype=ints),
        torch.tensor([pair[2] for pair in pairs], dtype=floats),
    )


def rewards(
    ratings: Ratings, images: list[str], features: Tensor | None = None, keep_ratings: bool = False, seed: int = 0
) -> Rewards:
    """The reward of every picture.

    ``features``: (n, d) of the same pictures, or None. Without them pictures that nobody judged get 0.5 and ``judged`` False.
    ``keep_ratings``: with a head, rated pictures keep their own mean rating. Raises NoRatings.
    """
    judgements = evidence(ratings, images)
    judged = judgements.touched()
    if not bool(judged.any()):
        raise NoRatings(
            "nobody has rated a picture of this set yet: open the rating page (the sidebar's Rate tab) and rate some"
        )
    notes = warnings(ratings, judgements, images)
    if features is None:
        return Rewards(own_scores(judgements).float(), judged, None, tuple(notes))
    basis = components(features, judged)
    ridge, quality = choose_ridge(judgements, basis, seed)
    values = torch.sigmoid(fit(judgements, basis, ridge))
    if keep_ratings:
        values[judgements.rated] = judgements.labels
    if quality.right is None and quality.order is None:
        notes.append("The head could not be tested on pictures it had not seen: too few are rated.")
    elif (quality.right or 0) <= (quality.guess or 0) and (quality.order or 0) <= 0.55:
        notes.append(
            "On pictures it has not seen, the head does no better than a guess: rate more pictures, or leave CLIP Vision out, "
            "and the ratings themselves are used."
        )
    return Rewards(values.clamp(0, 1).float(), judged, quality, tuple(notes))


def own_scores(judgements: Evidence) -> Tensor:
    """Rewards (n,) of the ratings themselves; where there are comparisons, of one score per picture fitted to both."""
    values = torch.full((judgements.count,), 0.5, dtype=torch.float64)
    if len(judgements.first):
        touched = judgements.touched()
        values[touched] = torch.sigmoid(_own_fit(judgements))[touched]
    else:
        values[judgements.rated] = judgements.labels
    return values


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted head: ``head(features (n, d)) -> (n,)`` rewards of pictures, float64, 0 to 1. Its fields are made by ``head`` below."""

    space: tuple[Tensor, Tensor, Tensor]
    weights: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        return torch.sigmoid(_with_offset(_into(_unit(features), *self.space)) @ self.weights)


def head(features: Tensor, labels: Tensor, seed: int = 0) -> tuple[Head, Quality]:
    """The head for pictures yet to come, taught by features (n, d) and rewards (n,) of pictures; how well it does. Raises NoRatings."""
    if not bool((labels > 0.5).any()) or not bool((labels < 0.5).any()):
        side = "above" if not bool((labels > 0.5).any()) else "below"
        raise NoRatings(
            f"no rated picture is {side} the middle, so there is nothing to tell apart: rate pictures with the concept and "
            "pictures without it."
        )
    none, ints = torch.zeros(0, dtype=torch.int64), torch.arange(len(labels))
    judgements = Evidence(
        len(labels),
        ints,
        labels.double().cpu(),
        torch.ones(len(labels), dtype=torch.float64),
        none,
        none,
        none.double(),
    )
    values = _unit(features)
    space = _space(values)
    basis = _into(values, *space)
    ridge, quality = choose_ridge(judgements, basis, seed)
    return Head(space, _weights(judgements, basis, ridge)), quality


def components(features: Tensor, judged: Tensor) -> Tensor:
    """Features (n, d) centred, scaled to unit mean square and turned into the space that the judged pictures span.

    A ridge solution lies in that space, so nothing is lost below ``MOST_COMPONENTS`` judged pictures, and fitting stays quick.
    """
    values = _unit(features)
    return _into(values, *_space(values[judged]))


def _unit(features: Tensor) -> Tensor:
    values = features.detach().double().cpu()
    if values.ndim != 2 or not bool(values.isfinite().all()):
        raise ValueError("clip_vision gave features that are no finite numbers: choose another CLIP Vision model.")
    return values / values.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _space(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(centre (d,), scale (), directions (k, d)) of normalised features (n, d)."""
    centre = features.mean(0)
    features = features - centre
    scale = features.pow(2).sum(1).mean().sqrt()
    if float(scale) < 1e-9:  # all pictures alike: nothing to tell them apart by
        return centre, torch.ones_like(scale), torch.zeros(1, features.shape[1], dtype=torch.float64)
    _, strength, directions = torch.linalg.svd(features / scale, full_matrices=False)
    return centre, scale, directions[strength > 1e-9 * strength[0]][:MOST_COMPONENTS]


def _into(values: Tensor, centre: Tensor, scale: Tensor, directions: Tensor) -> Tensor:
    return (values - centre) / scale @ directions.T


def _with_offset(basis: Tensor) -> Tensor:
    return torch.cat((basis, torch.ones(len(basis), 1, dtype=basis.dtype)), 1)


def fit(judgements: Evidence, basis: Tensor, ridge: float, steps: int = 50) -> Tensor:
    """Scores (n,) = basis (n, k) w + b that minimise the logistic losses + ridge / 2 |w|^2, by Newton's method with halved steps.

    The offset b has a very small ridge of its own: with comparisons alone it is 0, which puts the middle at 0.5.
    """
    return _with_offset(basis) @ _weights(judgements, basis, ridge, steps)


def _weights(judgements: Evidence, basis: Tensor, ridge: float, steps: int = 50) -> Tensor:
    """(k + 1,): w and b of ``fit``."""
    k = basis.shape[1]
    plain = _with_offset(basis)
    rows = torch.cat((plain[judgements.rated], plain[judgements.first] - plain[judgements.second]))
    target = torch.cat((judgements.labels, judgements.won))
    weight = torch.cat((judgements.weight, torch.ones_like(judgements.won)))
    penalty = torch.full((k + 1,), float(ridge), dtype=basis.dtype)
    penalty[-1] = 1e-3

    def loss(w):
        scores = rows @ w
        return (weight * (torch.nn.functional.softplus(scores) - target * scores)).sum() + (penalty * w * w).sum() / 2

    w = torch.zeros(k + 1, dtype=basis.dtype)
    for _ in range(steps):
        chance = torch.sigmoid(rows @ w)
        gradient = rows.T @ (weight * (chance - target)) + penalty * w
        if float(gradient.abs().max()) < 1e-9:
            break
        curvature = rows.T @ (rows * (weight * chance * (1 - chance))[:, None]) + torch.diag(penalty)
        step, size, before = torch.linalg.solve(curvature, gradient), 1.0, loss(w)
        while size > 1e-6 and loss(w - size * step) > before:
            size /= 2
        w = w - size * step
    return w


def choose_ridge(judgements: Evidence, basis: Tensor, seed: int = 0) -> tuple[float, Quality]:
    """The ridge with the least loss on pictures left out, fold by fold, and how well the head does with it there.

    A fold's pictures are left out whole: no rating of theirs and no comparison with one of them is learnt from.
    """
    judged = judgements.touched().nonzero()[:, 0]
    folds = min(FOLDS, len(judged))
    if folds < 3:
        return RIDGES[2], Quality(ridge=RIDGES[2])
    fold = torch.full((judgements.count,), -1)
    order = torch.randperm(len(judged), generator=torch.Generator().manual_seed(seed))
    level = torch.zeros(judgements.count, dtype=torch.float64)
    level[judgements.rated] = judgements.labels
    order = order[torch.sort(level[judged][order], stable=True).indices]  # every fold gets of every level
    fold[judged[order]] = torch.arange(len(judged)) % folds
    best = None
    for ridge in RIDGES:
        total, right, sided, ordered, pairs, high = 0.0, 0, 0, 0, 0, 0
        for number in range(folds):
            out = fold == number
            rated, compared = out[judgements.rated], out[judgements.first] | out[judgements.second]
            training = judgements.part(~rated, ~compared)
            if not len(training.rated) and not len(training.first):
                continue
            scores, test = fit(training, basis, ridge), judgements.part(rated, compared)
            single, difference = scores[test.rated], scores[test.first] - scores[test.second]
            total += float((test.weight * (torch.nn.functional.softplus(single) - test.labels * single)).sum())
            total += float((torch.nn.functional.softplus(difference) - test.won * difference).sum())
            clear, decided = test.labels != 0.5, test.won != 0.5
            right += int(((single > 0) == (test.labels > 0.5))[clear].sum())
            sided, high = sided + int(clear.sum()), high + int((test.labels > 0.5).sum())
            ordered += int(((difference > 0) == (test.won > 0.5))[decided].sum())
            pairs += int(decided.sum())
        quality = Quality(
            right / sided if sided else None,
            max(high, sided - high) / sided if sided else None,
            ordered / pairs if pairs else None,
            ridge,
        )
        if best is None or total < best[0]:
            best = (total, quality)
    assert best is not None
    return best[1].ridge, best[1]


def warnings(ratings: Ratings, judgements: Evidence, images: list[str]) -> list[str]:
    """What is missing in what people said, each with the mend."""
    notes, judged = [], int(judgements.touched().sum())
    if judged < FEW:
        notes.append(
            f"Only {judged} picture{'s are' if judged != 1 else ' is'} rated: rate at least {FEW - judged} more."
        )
    high, low = int((judgements.labels >= 0.75).sum()), int((judgements.labels <= 0.25).sum())
    if len(judgements.rated) and not len(judgements.first):
        if float(judgements.labels.max() - judgements.labels.min()) == 0 and len(judgements.rated) > 1:
            notes.append("Every picture has the same rating, so nothing tells them apart: rate pictures that differ.")
        elif not high:
            notes.append(
                "No picture is rated 3 or 4: what the concept looks like is missing. Add pictures that show it clearly."
            )
        elif not low:
            notes.append("No picture is rated 0 or 1: what is not the concept is missing. Add pictures without it.")
        elif min(high, low) * 10 < len(judgements.rated):
            rare = "clearly show the concept (3 or 4)" if high < low else "are free of it (0 or 1)"
            notes.append(f"Only {min(high, low)} of {len(judgements.rated)} rated pictures {rare}: add more of those.")
    if len(judgements.first) and bool((judgements.won == 0.5).all()) and not len(judgements.rated):
        notes.append("Every comparison is a tie, so nothing tells the pictures apart: compare pictures that differ.")
    shared = agreement({image: by_rater for image, by_rater in ratings.by_image().items() if image in set(images)})
    if shared.pictures >= 5 and shared.alpha is not None and shared.alpha < 0.4:
        notes.append(
            f"The raters contradict each other (agreement {shared.alpha:.2f} on {shared.pictures} pictures; 1 is full, 0 is "
            "chance): settle what counts as the concept, and rate those pictures again."
        )
    if len(judgements.first) >= 5:
        scores = _own_fit(judgements)
        decided = judgements.won != 0.5
        against = int(
            (((scores[judgements.first] - scores[judgements.second]) > 0) != (judgements.won > 0.5))[decided].sum()
        )
        if against * 5 > int(decided.sum()):
            notes.append(
                f"{against} of {int(decided.sum())} comparisons contradict the rest (A over B over C over A): compare those again."
            )
    if ratings.damaged:
        notes.append(
            f"{ratings.damaged} damaged line{'s' if ratings.damaged > 1 else ''} in ratings.jsonl "
            f"{'were' if ratings.damaged > 1 else 'was'} left out."
        )
    return notes


def _own_fit(judgements: Evidence) -> Tensor:
    """A score (n,) for every judged picture by itself; the ridge keeps those finite that never lost."""
    touched = judgements.touched().nonzero()[:, 0]
    basis = torch.zeros(judgements.count, len(touched), dtype=torch.float64)
    basis[touched, torch.arange(len(touched))] = 1
    return fit(judgements, basis, 0.1)
