"""Zero-shot judging: the arithmetic, and what passes for a projection."""

import pytest
import torch

from tools.testing import hosting

zero_shot = hosting.module("guards.judging.zero_shot")


def test_a_probability_is_the_share_of_the_first_text_among_all():
    generator = torch.Generator().manual_seed(0)
    pictures, texts = torch.randn(5, 8, generator=generator), torch.randn(3, 8, generator=generator)
    for row, picture in enumerate(pictures):
        powers = [
            float(torch.exp(100 * torch.cosine_similarity(picture.double(), text.double(), dim=0))) for text in texts
        ]
        assert float(zero_shot.probability(pictures, texts)[row]) == pytest.approx(
            powers[0] / sum(powers), rel=1e-3, abs=1e-6
        )
    assert torch.allclose(
        zero_shot.probability(pictures * 7, texts * 3), zero_shot.probability(pictures, texts), atol=1e-5
    )


def test_the_users_words_take_the_place_of_ours():
    assert zero_shot.texts("beer") == ["a picture of beer", *zero_shot.NEUTRAL]
    assert zero_shot.texts("beer", " a full beer ", "a milk\n\n a cat ") == ["a full beer", "a milk", "a cat"]


def test_what_a_file_without_a_projection_leaves_behind_is_none():
    learnt = torch.randn(16, 16, generator=torch.Generator().manual_seed(1)) / 4
    assert zero_shot.is_projection(learnt) and zero_shot.is_projection(learnt[:, :12])
    for other in (
        torch.eye(16),
        3 * torch.eye(16),
        torch.zeros(16, 16),
        learnt * float("nan"),
        learnt * (torch.arange(16) > 0)[:, None],
        learnt * (torch.arange(16) > 0),
    ):
        assert not zero_shot.is_projection(other)


def test_plain_colours_show_whether_two_encoders_match():
    embeddings = torch.eye(6)
    assert (
        zero_shot.colours_right(embeddings, embeddings)
        == 6
        == len(zero_shot.plain_pictures(4))
        == len(zero_shot.plain_texts())
    )
    assert zero_shot.colours_right(embeddings, embeddings[:1].expand(6, -1)) == 1
    assert zero_shot.colours_right(embeddings, embeddings.roll(1, 0)) == 0
