"""What users bring along, where the policy lets nobody bring anything."""

import copy

import pytest

from guards.policy import uploads
from guards.policy.admission import Kind
from guards.policy.rules import Concept, Policy
from tests.policy.test_admission import GRAPH, KINDS

REFUSED = Policy(1, (Concept("gun"),), uploads="refused")
MORE = {
    **KINDS,
    "Upload": Kind(("IMAGE", "MASK")),
    "Read": Kind(("IMAGE",)),
    "Blur": Kind(("IMAGE",)),
    "Empty": Kind(("LATENT",)),
    "Sound": Kind(("AUDIO",)),
}


def refused(class_type, policy=REFUSED, **inputs):
    graph = copy.deepcopy(GRAPH)
    graph |= {"8": {"class_type": class_type, "inputs": inputs}, "9": {"class_type": "Join", "inputs": {}}}
    brings = {"Upload": {"image"}, "Sound": {"audio"}}
    return uploads.refuse(graph, policy, MORE.get, lambda name: brings.get(name, ()))


def test_what_picks_a_users_file_is_refused_with_node_and_input():
    found = refused("Upload", image="beach")
    assert (found.rule, found.node, found.values["key"]) == ("uploads", "8", "image")
    assert "Input image of node 8 brings a picture along" in found.reason()
    assert refused("Upload", Policy(1, (Concept("gun"),)), image="beach") is None
    assert refused("Sound", audio="song.mp3") is None


@pytest.mark.parametrize(
    "said",
    [
        "beach.png",
        "C:\\holiday\\beach.JPG",
        "https://example.org/x",
        "data:image/png;base64,AA",
        "/home",
        "a" * 9000,
        ["9", 0],
    ],
)
def test_a_text_that_a_source_of_pictures_may_read_from_is_refused(said):
    assert refused("Read", path=said).values["key"] == "path"


@pytest.mark.parametrize("said", ["a farmer with a dog", "1024x1024 (1:1)", "lanczos", 7, 0.5, True])
def test_other_texts_and_numbers_are_not(said):
    assert refused("Empty", preset=said) is None


def test_what_works_on_the_graphs_own_pictures_may_name_files():
    assert refused("Blur", image=["6", 0], lut="film.png") is None
