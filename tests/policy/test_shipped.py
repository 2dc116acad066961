"""The pack's own example graphs under a policy: their guards and trainings may look at the model, and their pictures come out."""

import sys
from pathlib import Path

import pytest

from tools import PROJECT
from tools.redteam import benign
from tools.serving.graph import load, to_api
from tools.serving.server import Server
from tools.testing.policies import write

LOOKING = (  # those that ask the model outside a sampling run
    "quick_start",
    "concept_guard",
    "erase_concept",
    "compare_and_score",
    "discover_direction",
    "distil_concept",
    "feedback_to_guard",
)


@pytest.fixture(scope="module")
def held(host_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped")
    write(folder, {"version": 1, "concepts": ["knife"]})
    with Server(Path(sys.executable), host_path, folder) as running:
        yield running


@pytest.mark.parametrize("name", LOOKING)
def test_an_example_that_looks_at_the_model_runs(held, name):
    graph = to_api(load(PROJECT / "workflows" / f"{name}.json"), held.object_info())
    benign.shrink(graph, {**benign.SMALL, "batch_size": 1, "steps": 4, "images": 4})
    result = held.run(graph)
    assert result.status == "success", result.error
    assert result.images
