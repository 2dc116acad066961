"""Judges of adapter training: CLIP asked in words, and what ratings taught, with the host's own classes and small random weights."""

import json

import pytest
import torch

from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts
WIDTH, SIDE = 24, 32
LINES = "a beer on the beach\na beer and a pizza\na milk on the beach\na cat in the kitchen"
SMALL = dict(images=1, size=96, steps=6, cfg=3.0, rounds=1, epochs=30, seed=5)


@pytest.fixture(scope="module")
def judges(host):
    return hosting.module("guards.judging.host")


@pytest.fixture(scope="module")
def zero_shot(host):
    return hosting.module("guards.judging.zero_shot")


@pytest.fixture(scope="module")
def train(host):
    return hosting.module("guards.inhibitors.host_training")


@pytest.fixture(scope="module")
def vision(host, tmp_path_factory):
    return image_encoder(tmp_path_factory.mktemp("vision"))


def image_encoder(folder, projected=WIDTH, kind="clip_vision_model"):
    """A CLIP_VISION of the host's own classes with random weights."""
    import comfy.clip_vision

    path = folder / "config.json"  # the oldest host takes a file alone
    path.write_text(
        json.dumps(
            dict(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                hidden_act="quick_gelu",
                image_size=SIDE,
                patch_size=8,
                num_channels=3,
                projection_dim=projected,
                layer_norm_eps=1e-5,
                model_type=kind,
            )
        )
    )
    made = comfy.clip_vision.ClipVisionModel(str(path))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1 / parameter.shape[-1]) ** 0.5)
    return made


def teach(clip, known, encoder="l"):
    """Give a text encoder the projection under which each text of ``known`` has exactly the embedding that is named: a known score."""
    tower = getattr(clip.cond_stage_model, f"clip_{encoder}")
    clip.load_model()
    clip.cond_stage_model.reset_clip_options()
    tower.set_clip_options({"projected_pooled": False})
    with torch.no_grad():
        plain = torch.cat([tower.encode_token_weights(clip.tokenize(text)[encoder])[1] for text in known])
        wanted = torch.stack(list(known.values()))
        tower.transformer.text_projection.weight.copy_((torch.linalg.pinv(plain.double()) @ wanted.double()).T.float())
    clip.cond_stage_model.reset_clip_options()
    return clip


def flat(colour):
    return torch.tensor(colour).expand(1, SIDE, SIDE, 3)


@pytest.fixture(scope="module")
def pair(vision, zero_shot):
    """(clip_vision, clip) that name plain colours, know "bright" as a white picture, and "dark" as a black one."""
    embed = hosting.module("guards.judging.host_clip").embed
    colours = dict(zip(zero_shot.plain_texts(), embed(vision, zero_shot.plain_pictures(SIDE))))
    white, black = colours["a plain white picture"], colours["a plain black picture"]
    other = torch.nn.functional.normalize(embed(vision, flat((0.5, 0.2, 0.7))), dim=1)[0]
    known = {
        **colours,
        "a picture of bright": white,
        "a picture of dark": black,
        "a picture": black,
        "something else": other,
        "a picture of something else": other,
        "an abstract pattern": black,
    }
    return vision, teach(models.clip(WIDTH), known)


class Still:
    """Stands for a VAE whose latents are pictures already."""

    def decode(self, latents):
        return latents.movedim(1, -1)


def test_clip_finds_what_it_is_asked_for_and_nothing_else(judges, pair):
    judge = judges.make("clip vision", Still(), "bright", pair[1], clip_vision=pair[0])
    pictures = torch.cat([flat((1.0, 1.0, 1.0)), flat((0.0, 0.0, 0.0))]).movedim(-1, 1)
    assert judge(pictures).tolist() == [True, False]
    dark = judges.make(
        "clip vision",
        Still(),
        "bright",
        models.clip(WIDTH),
        clip_vision=pair[0],
        judge_clip=pair[1],
        judge_text="a picture of dark",
        judge_against="a picture of bright\n\nsomething else",
    )
    assert dark(pictures).tolist() == [False, True]


def test_the_score_is_the_softmax_of_the_cosines_times_a_hundred(judges, pair):
    embed, picture = (
        hosting.module("guards.judging.host_clip").embed,
        torch.rand(3, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1)),
    )
    judge = judges.make(
        "clip vision", Still(), "dark", pair[1], clip_vision=pair[0], judge_against="a picture of bright"
    )
    judge(picture.movedim(-1, 1))
    image, white, black = (
        embed(pair[0], picture),
        embed(pair[0], flat((1.0, 1.0, 1.0))),
        embed(pair[0], flat((0.0, 0.0, 0.0))),
    )
    logits = [100 * torch.cosine_similarity(image, text) for text in (black, white)]
    assert torch.allclose(judge.scores[0], torch.sigmoid(logits[0] - logits[1]), atol=1e-3)


def test_a_tower_that_the_model_leaves_unprojected_or_unused_is_asked_all_the_same(pair, zero_shot):
    """SDXL drops clip_l's pooled output, and SD1 leaves it unprojected; both are asked for the projected one, and asked again as before."""
    vision, embed = hosting.module("guards.judging.host_clip"), hosting.module("guards.judging.host_clip").embed
    known = dict(zip(zero_shot.plain_texts(), embed(pair[0], zero_shot.plain_pictures(SIDE))))
    clip = models.clip(2 * WIDTH, sdxl=True)
    with torch.no_grad():
        clip.cond_stage_model.clip_g.transformer.text_projection.weight.copy_(torch.eye(WIDTH))
    before = clip.encode_from_tokens(clip.tokenize("a beer"), return_pooled=True)
    found = vision.Pair(pair[0], teach(clip, known)).texts(["a plain red picture"])
    assert torch.allclose(found[0], known["a plain red picture"], atol=1e-3)
    after = clip.encode_from_tokens(clip.tokenize("a beer"), return_pooled=True)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def projection(weight):
    clip = models.clip(WIDTH)
    with torch.no_grad():
        clip.cond_stage_model.clip_l.transformer.text_projection.weight.copy_(weight)
    return clip


@pytest.mark.parametrize(
    "weight", [torch.eye(WIDTH), torch.zeros(WIDTH, WIDTH), torch.full((WIDTH, WIDTH), float("nan"))]
)
def test_a_checkpoint_without_a_text_projection_is_refused_with_the_file_to_load(judges, vision, weight):
    with pytest.raises(
        ValueError, match="clip_l of this text encoder came without a text projection.*clip_l.safetensors.*ViT-L/14"
    ):
        judges.make("clip vision", Still(), "beer", projection(weight), clip_vision=vision)


def test_encoders_that_do_not_belong_together_are_refused(judges, vision, pair, tmp_path):
    with pytest.raises(ValueError, match="clip_vision gives 24 numbers for a picture.*clip_l 32.*Load CLIP"):
        judges.make("clip vision", Still(), "beer", models.clip(32), clip_vision=vision)
    with pytest.raises(
        ValueError, match="do not understand each other: of 6 pictures of one plain colour they name [012]"
    ):
        judges.make("clip vision", Still(), "beer", models.clip(WIDTH), clip_vision=vision)
    with pytest.raises(ValueError, match="a siglip_vision_model has no text encoder of its own"):
        judges.make(
            "clip vision", Still(), "beer", pair[1], clip_vision=image_encoder(tmp_path, kind="siglip_vision_model")
        )
    words = models.clip(WIDTH)
    del words.cond_stage_model.clip_l
    with pytest.raises(ValueError, match="holds no CLIP text tower"):
        judges.make("clip vision", Still(), "beer", pair[1], clip_vision=vision, judge_clip=words)


@pytest.mark.parametrize(
    "judge, given, message",
    [
        ("clip vision", {}, "clip_vision: judge 'clip vision'.*Load CLIP Vision"),
        ("ratings", {}, "clip_vision: judge 'ratings'"),
        ("ratings", {"clip_vision"}, "feedback: judge 'ratings'.*Load Feedback"),
        ("nobody", {"clip_vision"}, "there is no judge 'nobody'"),
    ],
)
def test_a_missing_input_is_named_with_its_mend(train, demo, vision, judge, given, message):
    with pytest.raises(ValueError, match=message):
        train.train(*demo, LINES, "beer", judge, **({"clip_vision": vision} if given else {}), **SMALL)


def test_texts_that_cannot_be_asked_are_refused(judges, pair):
    with pytest.raises(ValueError, match="judge_text: the target 'embedding:x' is an embedding"):
        judges.make("clip vision", Still(), "embedding:x", pair[1], clip_vision=pair[0])
    with pytest.raises(ValueError, match="longer than the 75 tokens"):
        judges.make("clip vision", Still(), "beer", pair[1], clip_vision=pair[0], judge_text="beer " * 80)
    with pytest.raises(ValueError, match="judge_against: 'a picture of bright' is what"):
        judges.make("clip vision", Still(), "bright", pair[1], clip_vision=pair[0], judge_against="a picture of bright")


def test_a_broken_picture_is_not_taken_for_one_without_the_concept(judges, pair):
    judge = judges.make("clip vision", Still(), "bright", pair[1], clip_vision=pair[0])
    with pytest.raises(ValueError, match="vae"):
        judge(torch.full((1, 3, SIDE, SIDE), float("nan")))


def feedback(folder, concept="bright", flip=False):
    """Twelve rated pictures, bright ones with the concept and dark ones without."""
    from PIL import Image

    paths, folder = [], folder / "rated"
    folder.mkdir(exist_ok=True)
    for place in range(12):
        paths.append(str(folder / f"{place}.png"))
        Image.effect_noise((SIDE, SIDE), 40).convert("RGB").point(lambda v, up=place % 2: v // 4 + 160 * up).save(
            paths[-1]
        )
    rewards = (torch.arange(12) % 2 == (0 if flip else 1)).float()
    judged = torch.arange(12) < 10
    return hosting.module("guards.feedback.pictures").Feedback(
        "light", concept, tuple(paths), rewards, judged, ("",) * 12, (None,) * 12
    )


def test_ratings_teach_a_judge_of_new_pictures(judges, vision, tmp_path):
    judge = judges.make("ratings", Still(), "bright", None, clip_vision=vision, feedback=feedback(tmp_path))
    new = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) * 0.25
    new[::2] += 0.63
    assert judge(new).tolist() == [True, False] * 4
    assert "taught by 10 pictures of light" in judge.note and "Warning" not in judge.note
    assert (
        "the ratings are about 'bright', the target is 'beer'"
        in judges.make("ratings", Still(), "beer", None, clip_vision=vision, feedback=feedback(tmp_path)).note
    )


def test_ratings_of_one_kind_teach_nothing(judges, vision, tmp_path):
    import dataclasses

    only = dataclasses.replace(feedback(tmp_path), judged=torch.arange(12) % 2 == 1)
    with pytest.raises(ValueError, match="feedback: no rated picture is below the middle"):
        judges.make("ratings", Still(), "bright", None, clip_vision=vision, feedback=only)


def test_kept_examples_are_told_apart_by_all_that_the_verdict_depends_on(judges, pair, tmp_path):
    asked = dict(clip_vision=pair[0], judge_clip=pair[1])
    rated = dict(clip_vision=pair[0], feedback=feedback(tmp_path))
    kinds = [
        ("demo oracle", {}),
        ("clip vision", asked),
        ("clip vision", {**asked, "threshold": 0.6}),
        ("clip vision", {**asked, "judge_text": "a beer"}),
        ("clip vision", {**asked, "judge_against": "a milk"}),
        ("ratings", rated),
        ("ratings", {**rated, "threshold": 0.6}),
        ("ratings", {**rated, "feedback": feedback(tmp_path, flip=True)}),
    ]
    keys = [json.dumps(judges.make(name, Still(), "beer", None, **given).key) for name, given in kinds]
    assert len(set(keys)) == len(keys)
    assert keys == [json.dumps(judges.make(name, Still(), "beer", None, **given).key) for name, given in kinds]


@pytest.mark.parametrize("name", ["clip vision", "ratings"])
def test_a_stopped_training_goes_on_with_the_same_judge_alone(train, judges, demo, pair, tmp_path, name):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 4:
            raise Stop

    sources = dict(
        clip_vision=pair[0],
        judge_clip=pair[1],
        feedback=feedback(tmp_path),
        judge_text="a picture of bright",
        judge_against="a picture of dark",
        threshold=0.01,
    )
    settings = {**SMALL, "batch": 1, "folder": str(tmp_path / "kept"), **sources}
    lines = "a beer on the beach\na cat in the kitchen"
    with pytest.raises(Stop):
        train.train(*demo, lines, "beer", name, tick=stop, **settings)
    seen = []
    adapter, _, report = train.train(*demo, lines, "beer", name, tick=lambda *at: seen.append(at), **settings)
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)] and adapter.features == 12
    assert f"judge {name}" in report and "of 2 pictures, at the strongest scale in" in report
    seen.clear()
    train.train(*demo, lines, "beer", name, tick=lambda *at: seen.append(at), **{**settings, "threshold": 0.02})
    assert len(seen) == 6  # another threshold: made anew


def test_a_judge_that_finds_nothing_says_what_to_change(train, demo, pair):
    against = "a picture of bright\na picture of dark\na plain red picture\na plain blue picture"
    with pytest.raises(
        ValueError, match="The judge found 'beer' in none of the 4 pictures .highest score .*judge_text"
    ):
        train.train(
            *demo,
            LINES,
            "beer",
            "clip vision",
            clip_vision=pair[0],
            judge_clip=pair[1],
            judge_text="something else",
            judge_against=against,
            threshold=0.99,
            **SMALL,
        )


def test_the_node_hands_its_judge_on_inside_inference_mode(demo, pair, host):
    adapter, plot, report = hosting.run_node(
        "GuardTrainAdapter",
        **dict(zip(("model", "clip", "vae"), demo, strict=True)),
        prompts=LINES,
        targets="beer",
        judge="clip vision",
        images=1,
        size=96,
        steps=6,
        cfg=3.0,
        strongest=-4.0,
        rounds=1,
        epochs=30,
        cover=0.9,
        seed=0,
        clip_vision=pair[0],
        judge_clip=pair[1],
        judge_text="a picture of bright",
        judge_against="a picture of dark",
        threshold=0.01,
    ).result
    assert adapter.features == 12 and plot.shape == (1, 360, 640, 3) and "judge clip vision; mean score" in report


def test_the_score_node_asks_the_same_clip_in_its_own_words(pair):
    pictures = torch.cat([flat((1.0, 1.0, 1.0)), flat((0.0, 0.0, 0.0))])
    asked = dict(images=pictures, detector="clip vision", threshold=0.5, clip_vision=pair[0], clip=pair[1])
    found = hosting.run_node("GuardScore", what="bright", **asked)
    assert found.ui["flagged"] == [True, False]
    with pytest.raises(ValueError, match="^against: 'a picture of bright' is what"):
        hosting.run_node("GuardScore", what="bright", against="a picture of bright", **asked)
    with pytest.raises(
        ValueError, match="^clip: clip_l of this text encoder came without a text projection.*for clip and"
    ):
        hosting.run_node("GuardScore", what="bright", **{**asked, "clip": projection(torch.eye(WIDTH))})


def test_the_score_node_asks_what_ratings_taught(vision, tmp_path):
    pictures = torch.cat([flat((0.8, 0.8, 0.8)), flat((0.1, 0.1, 0.1))])
    found = hosting.run_node(
        "GuardScore",
        images=pictures,
        what="bright",
        detector="ratings",
        threshold=0.5,
        clip_vision=vision,
        feedback=feedback(tmp_path),
    )
    assert found.ui["flagged"] == [True, False]
