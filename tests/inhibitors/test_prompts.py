"""Several prompts in one run, of which one may begin later: each that holds a target is guarded."""

import pytest
import torch

from tools.testing import hosting, models

TARGET, SCALE = "beer", -1.5


@pytest.fixture(scope="module")
def beer(demo):
    """A guarded demo model; what it reported; its plain one; conditionings of a beer and of something else, and of nothing."""
    said = []
    model, clip, _ = demo
    with torch.inference_mode():
        guard = hosting.module("guards.inhibitors.host").guard
        guarded, _, _ = guard(model, clip, "a beer", TARGET, SCALE, "single_pass", report=said.append)
        texts = [clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a beer", "a cat", "")]
    return guarded, said, model, texts


def timed(conditioning, start, end):
    return [[text, {**options, "start_percent": start, "end_percent": end}] for text, options in conditioning]


@pytest.mark.parametrize("steps", [4, 12])
@pytest.mark.parametrize("prompts", ["together", "one after the other", "late"])
def test_a_prompt_that_holds_the_target_is_guarded_beside_others_and_when_it_begins(beer, prompts, steps):
    guarded, said, model, (beers, cats, nothing) = beer
    late = timed(beers, 0.3, 1.0)
    positive = {"together": beers + cats, "one after the other": timed(cats, 0.0, 0.3) + late, "late": late}[prompts]
    said.clear()
    plain, changed, again = (
        models.sample(one, positive, nothing, steps=steps, cfg=3.0, batch=2, seed=5)
        for one in (model, guarded, guarded)
    )
    assert not torch.equal(plain, changed) and torch.equal(changed, again)
    runs = 2 if prompts == "one after the other" else 1  # times that the scales were looked for in a run
    assert len(said) == 2 * runs and float(said[-1].removeprefix("beer: ")) < 0.8 * SCALE
    if runs == 2:
        assert float(said[0].removeprefix("beer: ")) == 0
