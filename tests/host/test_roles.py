"""Which slots count towards the picture, worked out from each guider's own sum of predictions."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, of

pytestmark = pytest.mark.both_hosts


class Guider:
    def __init__(self, conds, **scales):
        self.conds = dict.fromkeys(conds.split())
        vars(self).update(scales)


@pytest.mark.parametrize(
    "guider, expected",
    [
        (Guider("positive negative", cfg=7.0), "positive"),
        (Guider("positive negative", cfg=1.0), "positive"),
        (Guider("positive negative", cfg=0.3), "positive negative"),
        (Guider("positive negative", cfg=0.0), "negative"),
        (Guider("positive negative", cfg=-2.0), "negative"),
        (Guider("positive", cfg=1.0), "positive"),
        (Guider("positive middle negative", cfg=1.0, cfg1=8.0, cfg2=8.0), "positive"),
        (Guider("positive middle negative", cfg=1.0, cfg1=1.0, cfg2=3.0), "positive middle"),
        (Guider("positive middle negative", cfg=1.0, cfg1=1.0, cfg2=0.5), "positive negative"),
        (Guider("positive middle negative", cfg=1.0, cfg1=0.0, cfg2=3.0, nested=True), "middle"),
        (Guider("positive negative empty_negative_prompt", cfg=8.0), "positive"),
        (Guider("positive negative empty_negative_prompt", cfg=0.0), "empty_negative_prompt"),
        (Guider("positive negative", cfg=[7.0, 0.0]), "positive"),
        (Guider("positive negative", cfg=(0.0, 7.0)), "negative"),
        (Guider("positive negative", cfg=torch.tensor([7.0, 0.0])), "positive"),
        (Guider("positive negative", cfg=torch.tensor([0.0, 7.0]).numpy()), "negative"),
        (Guider("positive negative", cfg=torch.tensor(0.0)), "negative"),
        (Guider("positive negative", cfg=torch.full((2, 1, 1, 1), 7.0)), "positive"),
        (Guider("positive style", cfg=1.0), "positive style"),
    ],
)
def test_a_slot_counts_where_its_weight_in_the_sum_is_above_zero(host, guider, expected):
    roles = hosting.module("guards.host.roles")
    assert roles.counting(guider, lambda: 0) == set(expected.split())


@pytest.mark.parametrize(
    "scales", [(1.0, 3.0, False), (2.0, 0.5, False), (0.5, 3.0, True), (0.0, 3.0, True), (4.0, 0.5, True)]
)
def test_the_weights_of_dual_cfg_are_the_hosts_own(host, monkeypatch, scales):
    """The host mixes three made-up predictions, one of them 1 and the others 0: what comes out is that one's weight."""
    import comfy.samplers

    guider = of("dual", models.sd1(), *scales, positive=POSITIVE, middle=OTHER, negative=NEGATIVE)
    guider.conds, guider.inner_model = guider.original_conds, guider.model_patcher.model
    weights = {}
    for role, entries in guider.conds.items():
        monkeypatch.setattr(
            comfy.samplers,
            "calc_cond_batch",
            lambda model, conds, *a, one=entries: [torch.full((1,), float(c is one)) for c in conds],
        )
        options = {"disable_cfg1_optimization": True}
        weights[role] = float(guider.predict_noise(torch.zeros(1), torch.ones(1), options))
    counting = hosting.module("guards.host.roles").counting(guider, lambda: 0)
    assert counting == {role for role, weight in weights.items() if weight > 1e-6}


@pytest.mark.parametrize("cfg", [0.0, 0.3, -2.0])
def test_a_direction_reaches_the_negative_prompt_where_the_picture_is_the_negatives(tiny, cfg):
    pure = hosting.module("guards.directions.formula")
    direction = pure.Direction("it", torch.randn(64, generator=torch.Generator().manual_seed(3)), "sd1", 64, {})
    steered = hosting.module("guards.directions.host").steer(tiny, direction, 2.0)
    out, plain = (models.sample(model, OTHER, CONCEPT, cfg=cfg) for model in (steered, tiny))
    assert torch.isfinite(out).all() and not close(out, plain, 1e-2)
    if cfg == 0.0:
        assert close(out, models.sample(steered, CONCEPT, OTHER, cfg=1.0)), "steered as the positive prompt would be"


def test_rows_of_a_pack_that_hands_on_some_of_them_are_told_by_their_numbers(host):
    """Whether or not it cuts the other lists, too."""
    roles, wanted = hosting.module("guards.host.roles"), frozenset(("positive",))
    slots, shown = ["positive", "concept_guards:0", "negative"], ["positive", "negative"]
    whole = {"cond_or_uncond": [1, 1, 0], "concept_guards_slots": (2, 1, 0), "uuids": ["n", "c", "p"]}
    assert roles.rows(6, whole, slots, shown, wanted) == [(slice(4, 6), "p")]
    for uuids, known in ((["p"], "p"), (["n", "c", "p"], None)):
        assert roles.rows(2, {**whole, "cond_or_uncond": [0], "uuids": uuids}, slots, shown, wanted) == [
            (slice(0, 2), known)
        ]
    assert roles.rows(4, {**whole, "cond_or_uncond": [1, 1]}, slots, shown, wanted) == []
    with pytest.raises(ValueError, match="2 rows.*3 prompts.*Remove the pack's node"):
        roles.rows(2, whole, slots, shown, wanted)


@pytest.mark.parametrize(
    "what, steady",
    [
        ("nothing", True),
        ("a text of the first tenth", False),
        ("a text of a clip's schedule", False),
        ("a scale for every step", False),
        ("a pack's guidance", False),
        ("a pack's guider", False),
    ],
)
def test_guidance_is_steady_where_every_step_weighs_the_same_texts(tiny, what, steady):
    import comfy.samplers

    class Ours(comfy.samplers.CFGGuider):
        pass

    guider = (Ours if what == "a pack's guider" else comfy.samplers.CFGGuider)(tiny.clone())
    ends = {"a text of the first tenth": "end_percent", "a text of a clip's schedule": "clip_end_percent"}
    text = torch.zeros(1, 4, models.CONTEXT)
    guider.set_conds([[text, {ends[what]: 0.1} if what in ends else {}]], [[text, {}]])
    guider.set_cfg([8.0, 1.0] if what == "a scale for every step" else 8.0)
    if what == "a pack's guidance":
        guider.model_options["sampler_cfg_function"] = lambda args: args["cond"]
    guider.conds = {role: [entry.copy() for entry in entries] for role, entries in guider.original_conds.items()}
    assert hosting.module("guards.host.roles").is_steady(guider) is steady
