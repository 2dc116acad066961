"""The oracle on freshly drawn scenes, whole and broken: it must be right before anything is measured by it."""

import random

import pytest
import torch

from tools.demo_world import broken, draw, train_oracle, words
from tools.testing import hosting

module = hosting.module("guards.demo.oracle")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small pictures gain nothing from threads, which on a busy machine mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def oracle():
    return module.load()


def scene(*things, background="white", style="plain"):
    """A picture with one thing in the middle, or with two side by side: names of things, or (profession, gender, tone)."""
    boxes = [[48.0, 49.0, 33.0]] if len(things) == 1 else [[25.0, 52.0, 22.0], [71.0, 52.0, 22.0]]
    return draw.draw(
        dict(
            what=torch.tensor([[draw.INDEX[thing] for thing in things]]),
            box=torch.tensor([boxes[: len(things)]]).view(1, len(things), 3),
            background=torch.tensor([draw.BACKGROUNDS.index(background)]),
            style=torch.tensor([draw.STYLES.index(style)]),
        )
    )


# ---- what it is taught ----------------------------------------------------------------------------------------------


def test_its_names_are_those_of_the_drawings(oracle):
    assert oracle.names == broken.NAMES and oracle.classes == broken.CLASSES
    assert (module.SIZE, module.GRID) == (draw.SIZE, broken.GRID)
    assert {artist: kind for kind, said in words.STYLES.items() for artist in said.split()[1:]} == module.ARTISTS
    known = {*words.THINGS, *words.PROFESSIONS, *words.GENDERS, *words.TONES, *words.BACKGROUNDS, *module.ARTISTS}
    assert {*module.names()} == known and len(module.names()) == len(known)


def test_labels_say_what_is_where_and_what_is_broken():
    spec = dict(what=torch.tensor([[draw.INDEX["knife"], draw.INDEX["farmer", "woman", "dark"], -1]] * 2))
    spec |= dict(box=torch.tensor([[[20.0, 50.0, 20.0], [70.0, 50.0, 20.0], [0.0, 0.0, 1.0]]] * 2))
    spec |= dict(background=torch.tensor([0, 2]), style=torch.tensor([0, 1]))
    y = broken.labels(spec, torch.tensor([[False, False, False], [True, False, False]]))
    assert y["cells"][0, 6, 2] == broken.CLASSES.index("knife") and y["cells"][1, 6, 2] == broken.BROKEN
    assert y["cells"][0, 6, 8] == broken.CLASSES.index("farmer") and y["cells"][0, 0, 0] == broken.NOTHING
    assert y["genders"][0, 6, 8] == words.GENDERS.index("woman") and y["tones"][0, 6, 8] == words.TONES.index("dark")
    assert y["tones"][1, 6, 8] == -1 and y["background"].tolist() == [0, -1]  # a line drawing shows neither


def test_broken_things_differ_from_the_whole_ones():
    sprite = torch.arange(len(draw.SPRITES))
    texture, kind = broken.textures(sprite, torch.Generator().manual_seed(0))
    assert set(kind.tolist()) == set(range(len(broken.KINDS)))
    assert ((texture - draw.sprites(80)).abs().mean((1, 2, 3)) > 0.005).all() and texture.isfinite().all()


# ---- what it sees ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    """share of broken things -> (pictures, labels): 256 scenes that training never saw."""
    return {share: broken.scenes(256, random.Random(777), share)[:2] for share in (0.0, 0.33)}


@pytest.mark.parametrize("share", [0.0, 0.33])
def test_sees_whole_things_and_people_where_they_are(oracle, drawn, share):
    score = train_oracle.score(oracle, *drawn[share])
    assert score["thing"] >= 0.98 and score["extra"] <= 0.02
    for name in ("gender", "tone", "background", "style"):
        assert score[name] >= 0.98, name


def test_tells_broken_things_from_whole_ones(oracle, drawn):
    score = train_oracle.score(oracle, *drawn[0.33])
    assert score["broken_precision"] >= 0.93 and score["broken_recall"] >= 0.92


def test_an_oracle_that_sees_nothing_has_no_score(drawn):
    blind = module.Oracle(broken.NAMES).eval()
    blind.cells.weight.data.zero_()
    blind.cells.bias.data.zero_()
    blind.cells.bias.data[broken.NOTHING] = 20.0
    score = train_oracle.score(blind, *drawn[0.33])
    assert score["thing"] == score["broken_recall"] == score["extra"] == 0
    seen = blind.see(torch.rand(2, 3, 192, 192))
    assert seen.things == [[], []] and seen.broken().all()  # an empty picture counts as broken


def test_asked_for_a_name_it_says_whether_and_how_surely(oracle, drawn):
    """Of things, people, places and styles alike; the likelihood is nearly always on the same side as the answer."""
    images, labels = drawn[0.0]
    seen = oracle.see(images)
    for name in module.names():
        kind = next((key for key in ("things", "professions") if name in oracle.names[key]), None)
        if kind:
            there = (labels["cells"] == broken.CLASSES.index(name)).flatten(1).any(1)
        elif name in words.BACKGROUNDS:
            there = labels["background"] == draw.BACKGROUNDS.index(name)
        elif name in module.ARTISTS:
            there = labels["style"] == draw.STYLES.index(module.ARTISTS[name])
        else:
            key = "genders" if name in words.GENDERS else "tones"
            there = (labels[key] == broken.NAMES[key].index(name)).flatten(1).any(1)
        judged = labels["background"] >= 0  # a line drawing shows neither place nor tone
        judged |= torch.tensor(name not in words.BACKGROUNDS and name not in words.TONES)
        shows, likely = seen.shows(name), seen.likelihood(name)
        assert (shows == there)[judged].float().mean() >= 0.98, name
        assert (shows == (likely > 0.5)).float().mean() >= 0.98 and likely.min() >= 0 and likely.max() <= 1, name


def test_describes_in_words(oracle):
    assert oracle.see(scene("guitar", background="street", style="pixel")).describe() == ["guitar, street, pixel"]
    assert module.describe(scene(("farmer", "woman", "dark"), "beer", background="beach")) == [
        "dark woman farmer + beer, beach"
    ]
    assert module.Seen([[]], ["white"], ["pixel"]).describe() == ["empty, white, pixel"]
    blend = (scene("beer") + scene("cat")) / 2
    assert module.describe(blend) == ["broken, white"] and oracle.see(blend).broken().all()
    assert not oracle.see(scene("beer")).broken().any()


@pytest.mark.parametrize("background", draw.BACKGROUNDS)
def test_an_empty_place_is_no_whole_picture(oracle, background):
    seen = oracle.see(scene(background=background))
    assert seen.broken().all() and seen.background == [background]
    assert all(thing.name == "broken" for thing in seen.things[0])


def test_where_things_are_is_said_in_shares_of_the_picture(oracle):
    row = oracle.see(scene("beer", "pizza")).things[0]
    places = {thing.name: (thing.x, thing.y) for thing in row}
    assert places["beer"] == pytest.approx((25 / 96, 52 / 96), abs=1.1 / 12)
    assert places["pizza"] == pytest.approx((71 / 96, 52 / 96), abs=1.1 / 12)
    assert all(0.5 < thing.confidence <= 1 and not thing.gender and not thing.tone for thing in row)


def test_other_sizes_are_resized(oracle):
    big = torch.nn.functional.interpolate(scene("crown", background="night"), scale_factor=4)
    seen = oracle.see(big)
    assert seen.describe() == ["crown, night"]
    assert seen.contains("crown").tolist() == [True] and seen.contains("cake").tolist() == [False]


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(3, 96, 96),
        torch.zeros(1, 96, 96, 3),
        torch.zeros(0, 3, 96, 96),
        [[0.0]],
        torch.zeros(1, 3, 96, 96, dtype=torch.uint8),
        torch.full((1, 3, 96, 96), float("nan")),
        torch.full((1, 3, 96, 96), 255.0),
    ],
)
def test_refuses_what_is_no_picture(oracle, bad):
    with pytest.raises(ValueError, match="^images: "):
        oracle.see(bad)


def test_refuses_a_wrong_file_naming_the_mend(tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    save_file(load_file(module.PATH), tmp_path / "y.safetensors", metadata={"format": "another/1"})
    for name in ("x", "y", "missing"):
        with pytest.raises(ValueError, match=f"{name}.safetensors.*run.py train oracle"):
            module.load(tmp_path / f"{name}.safetensors")
