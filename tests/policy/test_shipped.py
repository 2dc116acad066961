"""The pack's own example graphs under a policy: their guards and trainings may look at the model, and their pictures come out."""

import pytest

from tools import PROJECT
from tools.redteam import benign
from tools.serving.graph import load, to_api

POLICY = {"version": 1, "concepts": ["knife"]}
LOOKING = (  # those that ask the model outside a sampling run
    "quick_start",
    "concept_guard",
    "erase_concept",
    "compare_and_score",
    "discover_direction",
    "distil_concept",
    "feedback_to_guard",
)


@pytest.mark.parametrize("name", LOOKING)
def test_an_example_that_looks_at_the_model_runs(ruled, name):
    graph = to_api(load(PROJECT / "workflows" / f"{name}.json"), ruled.object_info())
    benign.shrink(graph, {**benign.SMALL, "batch_size": 1, "steps": 4, "images": 4})
    result = ruled.run(graph)
    assert result.status == "success", result.error
    assert result.images
