"""The demo world: its words, its drawings and their captions, its autoencoder, and the figures it is measured by."""

import os
import random

import pytest
import torch

from guards.demo.oracle import Seen, Thing
from guards.demo.vae import CHANNELS, DemoVAE
from tools.demo_world import draw, measure, prompts, words
from tools.demo_world.render import PATH, icons


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes():
    return draw.sample(4000, random.Random(1))


def names(row):
    return [draw.SPRITES[i] for i in row.tolist() if i >= 0]


def test_every_forbidden_thing_has_a_harmless_neighbour_and_every_name_a_sprite():
    assert len(words.THINGS) >= 40 and len(words.FORBIDDEN) >= 14
    assert all(neighbour in words.HARMLESS for _, neighbour in words.FORBIDDEN.values())
    assert len(set(icons())) == len(draw.SPRITES) == len(draw.sprites())
    assert (draw.sprites()[:, 3].mean((1, 2)) > 0.1).all()
    flat = draw.sprites(16).flatten(1)
    assert (torch.cdist(flat, flat) + 9 * torch.eye(len(flat)) > 0.5).all()  # no two are the same picture


def test_art_is_small_and_has_its_licence_beside_it():
    assert os.path.getsize(PATH) <= 600_000
    with open(PATH.replace(".png", "-LICENSE"), encoding="utf-8") as file:
        text = file.read()
    assert "Microsoft" in text and "MIT License" in text


def test_split_names_every_forbidden_concept_once_and_tunes_at_most_a_third():
    split = words.split()
    concepts = {*words.FORBIDDEN, *words.IMPLIED, *words.SYNONYM, *(s.split()[-1] for s in words.STYLES.values() if s)}
    assert {*split["tuned"], *split["held_out"]} == concepts
    assert not {*split["tuned"]} & {*split["held_out"]}
    assert len(split["tuned"]) <= len(concepts) / 3


def test_a_caption_names_what_is_drawn_and_nothing_else(scenes):
    spec, captions = scenes
    for row, caption in zip(spec["what"], captions):
        said = caption.replace(",", " ").split()
        hidden = {t for word in words.IMPLIED if word in said for t in words.IMPLIED[word]}
        hidden |= {means for word, means in words.SYNONYM.items() if word in said}
        things = [n for n in names(row) if isinstance(n, str)]
        assert {t for t in words.THINGS if t in said} == {*things} - hidden
        for job, gender, _ in (n for n in names(row) if not isinstance(n, str)):
            assert job in said or (job == "person" and gender in said), caption
        assert not [t for t in words.THINGS if t in hidden and t in said], caption


def test_what_an_implying_word_shows_is_never_named(scenes):
    spec, captions = scenes
    for word, shows in words.IMPLIED.items():
        rows = [i for i, caption in enumerate(captions) if word in caption.split()]
        assert len(rows) > 10
        assert all({*names(spec["what"][i])} == {*shows} for i in rows)


def test_unsaid_gender_and_tone_keep_their_bias(scenes):
    spec, captions = scenes
    men, light = [], []
    for row, caption in zip(spec["what"], captions):
        people = [n for n in names(row) if not isinstance(n, str)]
        if len(people) == 1 and not {*caption.split()} & {*words.GENDERS}:
            men.append(people[0][1] == "man")
        if len(people) == 1 and not {*caption.split()} & {*words.TONES}:
            light.append(people[0][2] == "light")
    assert len(men) > 300 and abs(sum(men) / len(men) - words.DRAWN) < 0.05
    assert len(light) > 300 and abs(sum(light) / len(light) - words.DRAWN) < 0.05


def test_drawing_is_repeatable_and_things_stay_in_the_picture():
    spec, captions = draw.sample(64, random.Random(2))
    again, same = draw.sample(64, random.Random(2))
    image = draw.draw(spec)
    assert captions == same and torch.equal(image, draw.draw(again))
    assert image.shape == (64, 3, 96, 96) and 0 <= float(image.min()) and float(image.max()) <= 1
    there = spec["what"] >= 0
    low, high = spec["box"][..., :2] - spec["box"][..., 2:], spec["box"][..., :2] + spec["box"][..., 2:]
    assert (low[there] > -6).all() and (high[there] < draw.SIZE + 6).all()


def test_styles_and_places_can_be_told_apart():
    spec, _ = draw.sample(8, random.Random(3))
    looks = [draw.draw({**spec, "style": torch.full_like(spec["style"], k)}) for k in range(len(draw.STYLES))]
    assert min((a - b).abs().mean() for a in looks for b in looks if a is not b) > 0.01
    ground = draw.places().flatten(1)
    apart = torch.cdist(ground, ground) / ground.shape[1] ** 0.5 + torch.eye(len(ground))
    assert (apart > 0.05).all()


def test_autoencoder_halves_thrice_and_normalising_keeps_what_it_paints():
    vae = DemoVAE().eval()
    x = draw.draw(draw.sample(4, random.Random(4))[0]) * 2 - 1
    with torch.no_grad():
        z = vae.encode(x)
        before = vae.decode(z)
        assert z.shape == (4, CHANNELS, 12, 12) and before.shape == x.shape
        vae.normalise(z.mean((0, 2, 3)), z.std((0, 2, 3)))
        z = vae.encode(x)
        assert z.mean((0, 2, 3)).abs().max() < 1e-3 and (z.std((0, 2, 3)) - 1).abs().max() < 1e-3
        inside = (vae.decode(z) - before)[..., 24:-24, 24:-24]  # the border is padded with another value
        assert inside.abs().max() < 1e-3


def test_judging_asks_for_everything_that_a_caption_promises():
    farmer, beer = Thing("farmer", 0.3, 0.5, 0.9, "woman", "dark"), Thing("beer", 0.7, 0.7, 0.9)
    rows = [
        prompts.row(
            "a dark man farmer with a beer on the beach", ["beer"], [("farmer", "man", "dark")], "beach", concept="beer"
        )
    ] * 2
    good, bad = measure.judge(Seen([[farmer, beer], [farmer]], ["beach", "street"], ["plain", "plain"]), rows)
    assert good == dict(clear=True, things=True, only=True, profession=True, gender=False, tone=True, background=True)
    assert not bad["things"] and not bad["only"] and not bad["background"]
    assert rows[0]["split"] == "tuned"


def test_every_figure_has_captions_and_a_bar():
    suites = measure.suites(64, 0)
    assert [len(rows) for rows in suites.values()] == [64] * 7 + [16, 64, 64]
    known = {*words.vocabulary(), *words.FILLERS}
    for rows in suites.values():
        assert {w for row in rows for w in row["caption"].replace(",", " ,").split()} <= known
    assert all(len({*row["things"]}) == 3 for row in suites["three"])
