"""Rewards: exact where they can be, better than the ratings where a head helps, and never a division by zero."""

import pytest
import torch

from tools.testing import hosting

feedback, reward = hosting.module("guards.feedback.ratings"), hosting.module("guards.feedback.reward")
NAMES = [f"{index:03}.png" for index in range(200)]


def ratings(given=(), compared=()):
    found = feedback.Ratings()
    for image, rater, rating in given:
        found.add(feedback.Entry(image, rater=rater, rating=rating))
    for image, other, rater, won in compared:
        found.add(feedback.Entry(image, other=other, rater=rater, rating=won))
    return found


def test_without_features_the_ratings_are_the_rewards():
    found = reward.rewards(
        ratings([("000.png", "a", 4), ("000.png", "b", 2), ("001.png", "a", 0), ("002.png", "a", 1)]), NAMES[:4]
    )
    assert found.values.tolist() == [0.75, 0, 0.25, 0.5]
    assert found.judged.tolist() == [True, True, True, False] and found.quality is None


def test_nobody_rated_is_an_error_that_says_what_to_do():
    with pytest.raises(reward.NoRatings, match="Rate tab"):
        reward.rewards(ratings(), NAMES[:3])
    with pytest.raises(reward.NoRatings):
        reward.rewards(ratings([("gone.png", "a", 4)]), NAMES[:3])


@pytest.mark.parametrize("features", [None, torch.zeros(12, 5), torch.ones(12, 5), torch.eye(12)])
@pytest.mark.parametrize(
    "given, compared, missing",
    [
        ([("000.png", "a", 4)], [], "rate at least 9 more"),
        ([(name, "a", 4) for name in NAMES[:12]], [], "the same rating"),
        ([(name, "a", index % 2) for index, name in enumerate(NAMES[:12])], [], "No picture is rated 3 or 4"),
        ([(name, "a", 3 + index % 2) for index, name in enumerate(NAMES[:12])], [], "No picture is rated 0 or 1"),
        ([(name, "a", 2) for name in NAMES[:11]] + [("011.png", "a", 4)], [], "No picture is rated 0 or 1"),
        (
            [(name, rater, 4 * ((index + rater) % 2)) for index, name in enumerate(NAMES[:12]) for rater in (0, 1)],
            [],
            "contradict each other",
        ),
        ([], [(a, b, "a", 0.5) for a, b in zip(NAMES[:11], NAMES[1:12])], "a tie"),
        ([], [("000.png", "001.png", "a", 1)], "rate at least 8 more"),
        (
            [],
            [
                (NAMES[i], NAMES[j], rater, won)
                for i in range(4)
                for j in range(i)
                for rater, won in (("a", 1), ("b", 0))
            ],
            "comparisons contradict",
        ),
    ],
)
def test_poor_ratings_give_warnings_and_finite_rewards(given, compared, missing, features):
    given = [(image, f"r{rater}", rating) for image, rater, rating in given]
    found = reward.rewards(ratings(given, compared), NAMES[:12], features)
    assert any(missing in text for text in found.warnings), found.warnings
    assert bool(found.values.isfinite().all()) and 0 <= float(found.values.min()) and float(found.values.max()) <= 1


def test_good_ratings_give_no_warning():
    given = [(name, rater, 4 * (index % 2)) for index, name in enumerate(NAMES[:20]) for rater in "ab"]
    assert reward.rewards(ratings(given), NAMES[:20]).warnings == ()


def planted(noise, rated=64, seed=0):
    """200 pictures with 32 features, one direction of which is the concept; some ratings are wrong."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(200, 32, generator=generator)
    truth = (torch.arange(200) % 2).float()
    features[:, 0] += 4 * (2 * truth - 1)
    features = features + 20  # CLIP features have a large common part
    wrong = torch.rand(200, generator=generator) < noise
    given = [(NAMES[i], "a", 4 * int(truth[i] != wrong[i])) for i in range(rated)]
    return features, truth, ratings(given)


def test_the_head_judges_pictures_that_nobody_rated_and_evens_out_slips():
    features, truth, given = planted(noise=0.1)
    found = reward.rewards(given, NAMES, features)
    right = ((found.values > 0.5) == (truth > 0.5)).float()
    assert float(right[64:].mean()) > 0.9 and float(right[:64].mean()) > 0.92
    assert found.quality.right > 0.75 and found.quality.guess < 0.65 and found.judged.sum() == 64
    kept = reward.rewards(given, NAMES, features, keep_ratings=True)
    assert kept.values[:64].tolist() == reward.rewards(given, NAMES[:64]).values.tolist()


def test_the_head_says_when_it_does_no_better_than_a_guess():
    features, _, given = planted(noise=0.5)
    found = reward.rewards(given, NAMES, torch.randn(features.shape, generator=torch.Generator().manual_seed(3)))
    assert (
        any("no better than a guess" in text for text in found.warnings)
        or found.quality.right <= found.quality.guess + 0.1
    )


def test_comparisons_alone_rank_the_pictures_and_teach_the_head():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(60, 8, generator=generator)
    pairs = torch.randint(0, 60, (300, 2), generator=generator).tolist()
    compared = [(NAMES[a], NAMES[b], "a", int(features[a, 0] > features[b, 0])) for a, b in pairs if a != b]
    found = reward.rewards(ratings((), compared), NAMES[:60], features)
    assert found.quality.order > 0.85 and found.quality.right is None
    ranks = found.values.argsort().argsort().double()
    truth = features[:, 0].argsort().argsort().double()
    assert float(torch.corrcoef(torch.stack((ranks, truth)))[0, 1]) > 0.9
    alone = reward.rewards(ratings((), compared), NAMES[:60]).values.argsort().argsort().double()
    assert float(torch.corrcoef(torch.stack((alone, truth)))[0, 1]) > 0.8


def test_the_fit_is_the_minimum_of_the_stated_loss():
    """Against an independent computation: gradient descent by autograd on the loss as the docstring states it."""
    generator = torch.Generator().manual_seed(5)
    basis = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    given = ratings(
        [(NAMES[i], "a", i % 5) for i in range(20)],
        [(NAMES[i], NAMES[i + 7], "a", (0, 0.5, 1)[i % 3]) for i in range(15)],
    )
    found = reward.evidence(given, NAMES[:30])
    scores = reward.fit(found, basis, 0.3)
    labels = torch.tensor([(i % 5) / 4 for i in range(20)], dtype=torch.float64)
    won = torch.tensor([(0, 0.5, 1)[i % 3] for i in range(15)], dtype=torch.float64)
    w, b = (
        torch.zeros(4, dtype=torch.float64, requires_grad=True),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
    optimiser = torch.optim.LBFGS(
        [w, b], max_iter=60, tolerance_grad=1e-8, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss():
        optimiser.zero_grad()
        score, total = basis @ w + b, 0.15 * (w * w).sum() + 0.0005 * b * b
        for chance, label in ((torch.sigmoid(score[:20]), labels), (torch.sigmoid(score[:15] - score[7:22]), won)):
            total = total - (label * chance.log() + (1 - label) * (1 - chance).log()).sum()
        total.backward()
        return total

    optimiser.step(loss)
    assert torch.allclose(scores, basis @ w.detach() + b.detach(), atol=1e-6)


def test_the_head_judges_new_pictures_as_it_would_have_judged_them_in_the_set():
    features = torch.randn(60, 12, generator=torch.Generator().manual_seed(7))
    labels = (features[:40, 0] > 0).float()
    head, quality = reward.head(features[:40], labels)
    whole = reward.rewards(ratings([(NAMES[i], "a", int(4 * labels[i])) for i in range(40)]), NAMES[:60], features)
    assert torch.allclose(head(features).float(), whole.values, atol=1e-6) and quality == whole.quality
    with pytest.raises(reward.NoRatings, match="above the middle"):
        reward.head(features[:4], torch.zeros(4))


def test_a_thousand_rated_pictures_are_fitted_in_seconds():
    import time

    generator = torch.Generator().manual_seed(2)
    names = [f"{index}.png" for index in range(1000)]
    features = torch.randn(1000, 768, generator=generator)
    given = ratings([(name, "a", int(features[index, 0] > 0) * 4) for index, name in enumerate(names)])
    started = time.process_time()
    reward.rewards(given, names, features)
    assert time.process_time() - started < 30
