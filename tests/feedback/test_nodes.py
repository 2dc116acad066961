"""Rate Images and Load Feedback as the host runs them."""

import json

import pytest
import torch
from PIL import Image

from tools.testing import hosting

pytestmark = pytest.mark.both_hosts


@pytest.fixture(scope="module")
def sets(host):
    return hosting.module("guards.feedback.host_sets")


def run(nodes, name, graph=None, **inputs):
    return hosting.run_node(nodes[name], graph or {}, **inputs)


def pictures(count=12, seed=0):
    """Half of them bright, half dark: the concept is brightness."""
    noise = torch.rand(count, 24, 24, 3, generator=torch.Generator().manual_seed(seed)) * 0.3
    return noise + 0.6 * (torch.arange(count) % 2).float()[:, None, None, None]


def rate(sets, name, given):
    feedback = hosting.module("guards.feedback.ratings")
    sets.log(sets.folder(name)).append(
        feedback.Entry(image, rater=rater, rating=rating, concept="bright") for image, rater, rating in given
    )


def test_running_the_node_files_the_pictures_without_private_text(nodes, sets, user):
    graph = {"1": {"inputs": {"images": ["2", 0]}}, "2": {"inputs": {"seed": 77}}}
    batch = pictures()
    output = run(
        nodes, "GuardRateImages", graph, images=batch, prompt="my prompt", concept=" bright ", set_name="light"
    )
    assert output.result[0] is batch and len(output.ui.as_dict()["images"]) == 12
    path = sets.folder("light")
    names = sets.pictures(path)
    assert len(names) == 12
    for name, image in zip(names, batch):
        saved = Image.open(f"{path}/{name}")
        assert saved.info == {} and saved.size == (24, 24)
        found = torch.tensor(list(saved.tobytes())).reshape(24, 24, 3) / 255
        assert float((found - image).abs().max()) <= 0.502 / 255
    line = json.loads(open(f"{path}/ratings.jsonl").readline())
    assert (line["prompt"], line["seed"], line["concept"], line["rater"], line["rating"]) == (
        "my prompt",
        77,
        "bright",
        "",
        None,
    )


def test_the_same_picture_is_filed_once(nodes, sets, user):
    for _ in range(2):
        run(
            nodes,
            "GuardRateImages",
            images=pictures(3).repeat(2, 1, 1, 1),
            prompt="",
            concept="bright",
            set_name="light",
        )
    assert len(sets.pictures(sets.folder("light"))) == 3
    assert len(sets.log(sets.folder("light")).read().filed) == 3


@pytest.mark.parametrize(
    "change, named",
    [
        ({"concept": " "}, "concept"),
        ({"set_name": "../x"}, "set_name"),
        ({"set_name": ""}, "set_name"),
        ({"set_name": "con"}, "set_name"),
        ({"prompt": "x" * 9000}, "prompt"),
        ({"images": torch.full((1, 8, 8, 3), float("nan"))}, "images"),
        ({"images": torch.zeros(8, 8, 3)}, "images"),
    ],
)
def test_inputs_that_cannot_be_filed_are_refused_by_name(nodes, sets, user, change, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        run(
            nodes,
            "GuardRateImages",
            **{**dict(images=pictures(1), prompt="", concept="bright", set_name="light"), **change},
        )
    assert not list(user.rglob("*.png"))


def test_loading_gives_rewards_and_lazy_pictures(nodes, sets, user):
    names = sets.file_images(pictures(), "a prompt", "bright", "light", 3)
    rate(sets, "light", [(name, "ann", 4 * (place % 2)) for place, name in enumerate(names[:10])])
    feedback, report = run(nodes, "GuardLoadFeedback", set_name="light").result
    assert (
        len(feedback) == 10
        and feedback.rewards.tolist() == [0, 1] * 5
        and feedback.concept == "bright"
        and feedback.warnings == ()
    )
    assert feedback.prompts == ("a prompt",) * 10 and feedback.seeds == (3,) * 10
    found = feedback.images()
    assert found.shape == (10, 24, 24, 3) and found.dtype == torch.float32
    assert float((found - pictures()[:10]).abs().max()) < 0.003
    assert feedback.images([1, 3], size=(8, 16)).shape == (2, 16, 8, 3)
    assert "10 ratings" in report and "Warning" not in report
    with pytest.raises(AttributeError):
        feedback.rewards = None


class Vision:
    """A CLIP Vision of the host's own classes, tiny, with random weights."""

    def __new__(cls, folder):
        import comfy.clip_vision

        config = dict(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            hidden_act="quick_gelu",
            image_size=32,
            patch_size=8,
            num_channels=3,
            projection_dim=24,
            layer_norm_eps=1e-5,
            model_type="clip_vision_model",
        )
        path = folder / "config.json"  # the oldest host takes a file alone
        path.write_text(json.dumps(config))
        model = comfy.clip_vision.ClipVisionModel(str(path))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1 / parameter.shape[-1]) ** 0.5)
        return model


def test_with_clip_vision_few_ratings_become_many(nodes, sets, user):
    names = sets.file_images(pictures(40), "", "bright", "light")
    rate(sets, "light", [(name, "ann", 4 * (place % 2)) for place, name in enumerate(names[:16])])
    vision = Vision(user)
    feedback, report = run(nodes, "GuardLoadFeedback", set_name="light", clip_vision=vision).result
    assert len(feedback) == 40 and int(feedback.judged.sum()) == 16
    right = (feedback.rewards > 0.5) == (torch.arange(40) % 2 > 0)
    assert float(right[16:].float().mean()) >= 0.9, feedback.rewards
    assert "On pictures left out of its training" in report


def test_sets_that_cannot_be_loaded_say_why(nodes, sets, user):
    with pytest.raises(FileNotFoundError, match="set_name"):
        run(nodes, "GuardLoadFeedback", set_name="nowhere")
    names = sets.file_images(pictures(2), "", "bright", "light")
    with pytest.raises(ValueError, match="nobody has rated"):
        run(nodes, "GuardLoadFeedback", set_name="light")
    rate(sets, "light", [(names[0], "ann", 4)])
    feedback, report = run(nodes, "GuardLoadFeedback", set_name="light").result
    assert len(feedback) == 1 and "Warning: Only 1 picture is rated: rate at least 9 more." in report
    with open(f"{sets.folder('light')}/{names[0]}", "wb") as file:
        file.write(b"broken")
    with pytest.raises(ValueError, match=names[0]):
        feedback.images()


def test_a_new_rating_makes_the_host_load_the_set_again(nodes, sets, user):
    names = sets.file_images(pictures(2), "", "bright", "light")
    before = nodes["GuardLoadFeedback"].fingerprint_inputs(set_name="light")
    rate(sets, "light", [(names[0], "ann", 4)])
    assert nodes["GuardLoadFeedback"].fingerprint_inputs(set_name="light") != before
