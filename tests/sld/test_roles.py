"""The aligned variant looks at what the guider returns: whatever slot the concept stands in, and however the slots are mixed."""

import logging

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, guider, of, sld

pytestmark = pytest.mark.both_hosts
AWAY = [[2 * NEGATIVE[0][0] - POSITIVE[0][0], {"pooled_output": None}]]  # a concept that the prompt is the opposite of
STEPS = 9  # more than few
OPEN = dict(opens=-3.0, open=-2.0)  # a gate that is always fully open


def aligned(model, concept=CONCEPT, strength=2.0, unconditional=NEGATIVE, gating="off", **changes):
    host_side, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    return host_side.guard(model, pure.Aligned(strength, **changes), concept, unconditional, gating)


SLOTS = {
    "cfg 0, concept as negative": ("cfg", (0.0,), dict(positive=OTHER, negative=CONCEPT)),
    "cfg 0.3, concept as negative": ("cfg", (0.3,), dict(positive=OTHER, negative=CONCEPT)),
    "cfg -2, concept as negative": ("cfg", (-2.0,), dict(positive=OTHER, negative=CONCEPT)),
    "cfg 1, concept twice": ("cfg", (1.0,), dict(positive=CONCEPT, negative=CONCEPT)),
    "cfg 7": ("cfg", (7.0,), dict(positive=CONCEPT, negative=NEGATIVE)),
    "dual": ("dual", (1.0, 3.0), dict(positive=OTHER, middle=CONCEPT, negative=NEGATIVE)),
    "dual, nested": ("dual", (0.0, 3.0, True), dict(positive=OTHER, middle=CONCEPT, negative=NEGATIVE)),
    "perpneg": ("perpneg", (0.0, 1.0), dict(positive=OTHER, negative=NEGATIVE, empty_negative_prompt=CONCEPT)),
    "basic": ("basic", (), dict(positive=CONCEPT)),
}


class Along:
    """Records, for every evaluation, how much of the concept's direction what reaches the sampler has: (n,) coefficients."""

    def __init__(self, model, concept=CONCEPT, nothing=NEGATIVE):
        from comfy.patcher_extension import WrappersMP

        self.model, self.shares, self.texts = model.clone(), [], (concept, nothing)
        self.model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "along", self._measure)

    def _measure(self, executor, x, timestep, model_options={}, seed=None):  # noqa: B006
        import comfy.sampler_helpers
        import comfy.samplers

        out, inner = executor(x, timestep, model_options, seed), executor.class_obj.inner_model
        texts = [
            comfy.samplers.encode_model_conds(
                inner.extra_conds, comfy.sampler_helpers.convert_cond(text), x, x.device, "negative"
            )
            for text in self.texts
        ]
        concept, nothing = comfy.samplers.calc_cond_batch(inner, texts, x, timestep, {})
        direction = concept - nothing
        self.shares.append(float(((out - nothing) * direction).sum() / direction.square().sum()))
        return out


@pytest.mark.parametrize("name", SLOTS)
def test_nothing_of_the_concept_is_left_whatever_slot_it_stands_in(tiny, name):
    kind, scales, conds = SLOTS[name]
    if kind == "basic":  # has no scale
        plain, guarded = Along(tiny), Along(aligned(tiny, strength=1.0, **OPEN))
        for along in (plain, guarded):
            made = guider("basic", along.model)
            made.set_conds(**conds)
            models.guided(made, steps=STEPS)
    else:
        plain, guarded = Along(tiny), Along(aligned(tiny, strength=1.0, **OPEN))
        for along in (plain, guarded):
            models.guided(of(kind, along.model, *scales, **conds), steps=STEPS)
    assert max(plain.shares) > 0.5, "the concept does not show here: a test of nothing"
    assert len(guarded.shares) == STEPS and max(guarded.shares) < 1e-3


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_models_with_pooled_output_are_guarded_in_the_negative_slot(host, family):
    model = getattr(models, family)()
    width = {"sdxl": 1280, "sd3": 8}[family]
    other, nothing, concept = (models.conditioning(seed, pooled=width) for seed in (1, 2, 3))
    guarded = Along(aligned(model, concept, 1.0, nothing, **OPEN), concept, nothing)
    models.sample(guarded.model, other, concept, cfg=0.0, steps=STEPS)
    plain = Along(model, concept, nothing)
    models.sample(plain.model, other, concept, cfg=0.0, steps=STEPS)
    assert max(plain.shares) > 0.5 and max(guarded.shares) < 1e-3


@pytest.mark.parametrize(
    "kind, scales, conds, rows",
    [
        ("cfg", (5.0,), dict(positive=POSITIVE, negative=NEGATIVE), 3),
        ("cfg", (5.0,), dict(positive=POSITIVE, negative=OTHER), 4),
        ("cfg", (1.0,), dict(positive=POSITIVE, negative=NEGATIVE), 3),
        ("dual", (5.0, 3.0), dict(positive=POSITIVE, middle=OTHER, negative=NEGATIVE), 4),
        ("perpneg", (5.0, 1.0), dict(positive=POSITIVE, negative=OTHER, empty_negative_prompt=NEGATIVE), 4),
    ],
)
def test_a_slot_that_holds_the_empty_text_stands_for_it(tiny, kind, scales, conds, rows):
    counted = models.Rows(aligned(tiny))
    models.guided(of(kind, counted.model, *scales, **conds), steps=2)
    assert [n for n, _ in counted.calls] == [rows] * 2


def test_a_slot_that_brings_something_else_along_does_not_stand_for_the_empty_text(tiny):
    """A negative with a ControlNet of its own, or with another area, is another prediction."""
    control = models.control()
    for options in (dict(control=control, control_apply_to_uncond=False), dict(strength=0.5), dict(end_percent=0.5)):
        negative = [[NEGATIVE[0][0], {**NEGATIVE[0][1], **options}]]
        rows = models.Rows(aligned(tiny))
        models.sample(rows.model, negative=negative, steps=2, cfg=5.0)
        assert sum(n for n, _ in rows.calls[: 1 + ("control" in options)]) == 4


def test_several_concepts_are_measured_from_one_row(tiny):
    rows = models.Rows(aligned(aligned(aligned(tiny), POSITIVE), OTHER))
    models.sample(rows.model, negative=AWAY, steps=2, cfg=5.0)
    assert [n for n, _ in rows.calls] == [2 + 3 + 1] * 2


def test_without_an_empty_text_the_negative_prompt_stands_for_it_and_nearly_the_concept_is_refused(tiny, caplog):
    assert close(
        models.sample(aligned(tiny, unconditional=None)), models.sample(aligned(tiny, unconditional=NEGATIVE)), 1e-6
    )
    near = [[CONCEPT[0][0] + 0.01 * OTHER[0][0], {"pooled_output": None}]]
    for cfg in (1.0, 0.0, 0.3, -2.0):
        with pytest.raises(ValueError, match="'negative' says what safety_concept says.*'unconditional'"):
            models.sample(aligned(tiny, unconditional=None), negative=near, cfg=cfg)
    with caplog.at_level(logging.WARNING):
        models.sample(aligned(tiny, unconditional=None), negative=near, cfg=7.0)
    assert "Connect an empty prompt there" in caplog.text
    with pytest.raises(ValueError, match="Connect an empty prompt to the node's 'unconditional' input"):
        models.guided(guider("basic", aligned(tiny, unconditional=None)))


def test_an_empty_text_that_names_the_concept_is_refused(tiny):
    for text in (CONCEPT, [[CONCEPT[0][0] + 0.01 * OTHER[0][0], {}]]):
        with pytest.raises(ValueError, match="'unconditional' names the concept"):
            models.sample(aligned(tiny, unconditional=text))


def test_the_published_variant_refuses_where_the_picture_is_not_the_positive_prompts(tiny, caplog):
    for cfg in (0.0, -2.0):
        with pytest.raises(ValueError, match=f"at cfg {cfg:g} .*choose variant aligned"):
            models.sample(sld(tiny), cfg=cfg)
    with caplog.at_level(logging.WARNING):
        models.guided(of("dual", sld(tiny), 1.0, 3.0, positive=POSITIVE, middle=CONCEPT, negative=NEGATIVE))
    assert "'middle' names the concept" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        models.sample(sld(tiny))
    assert "names the concept" not in caplog.text


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2s_ancestral", "dpm_fast", "uni_pc", "euler_cfg_pp"])
def test_sampler_families_guard_and_repeat(tiny, sampler):
    guarded = aligned(tiny, POSITIVE, gating="watchful")
    first = models.sample(guarded, sampler=sampler, steps=STEPS)
    assert torch.isfinite(first).all() and torch.equal(first, models.sample(guarded, sampler=sampler, steps=STEPS))
    assert not torch.equal(first, models.sample(tiny, sampler=sampler, steps=STEPS))


@pytest.mark.parametrize(
    "gating, concept, expected",
    [
        ("off", AWAY, [3] * 20),
        ("auto", AWAY, [3] * 3 + [2] * 17),
        ("watchful", AWAY, [3, 3, 3, 2, 2, 2] + [3, 2, 2, 2] * 3 + [3, 2]),
        ("auto", POSITIVE, [3] * 20),
    ],
)
def test_gating_leaves_the_rows_out_where_the_picture_is_not_about_the_concept(tiny, gating, concept, expected):
    rows = models.Rows(aligned(tiny, concept, gating=gating))
    models.sample(rows.model, steps=20)
    assert [n for n, _ in rows.calls] == expected


def test_a_scale_that_changes_makes_the_watch_look_anew(tiny):
    """At cfg 0 from the sixth step on the negative prompt takes over, as ComfyUI's CFG Override does it."""
    from comfy.patcher_extension import WrappersMP

    done = []

    def override(executor, *args, **kwargs):
        done.append(executor.class_obj.cfg)
        executor.class_obj.cfg = 5.0 if len(done) <= 5 else 0.0
        return executor(*args, **kwargs)

    model = tiny.clone()
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "override", override)
    rows = models.Rows(aligned(model, CONCEPT, unconditional=OTHER, gating="auto"))
    models.sample(rows.model, AWAY, CONCEPT, steps=10)
    counts = [n for n, _ in rows.calls]
    assert counts == [4, 4, 4, 2, 2, 4, 4, 4, 4, 4]


def test_one_picture_about_the_concept_keeps_the_whole_batch_watched(tiny):
    both = [
        [torch.cat([AWAY[0][0], NEGATIVE[0][0] + 0.1 * (POSITIVE[0][0] - NEGATIVE[0][0])]), {"pooled_output": None}]
    ]
    rows = models.Rows(aligned(tiny, AWAY, gating="auto"))
    models.sample(rows.model, both, batch=2, steps=20)
    assert [n for n, _ in rows.calls] == [6] * 20


@pytest.mark.parametrize("gating", ["off", "auto"])
def test_a_concept_that_comes_late_is_met_afresh(tiny, gating):
    """What came out before says nothing about the prompt that has now begun: the gate opens at once, not half shut."""
    late = [
        [AWAY[0][0], {**AWAY[0][1], "end_percent": 0.5}],
        [CONCEPT[0][0], {"pooled_output": None, "start_percent": 0.5}],
    ]
    rows = models.Rows(aligned(tiny, CONCEPT, gating=gating))
    out = models.sample(rows.model, late, steps=20)
    counts = [n for n, _ in rows.calls]
    assert counts[-1] == 3 and len(counts) == 20
    assert not close(out, models.sample(tiny, late, steps=20), 1e-2)


def test_few_steps_begin_with_an_open_gate_for_a_text_that_names_the_concept(tiny):
    """Half shut otherwise, and two steps would be over before it has opened."""
    near = [[CONCEPT[0][0] + 0.01 * OTHER[0][0], {"pooled_output": None}]]
    for steps in (2, 4, 8):
        along = Along(aligned(tiny, strength=2.0 / 3, opens=2.0, open=3.0))
        models.sample(along.model, near, steps=steps)
        assert max(along.shares) < 1e-3
    elsewhere = Along(aligned(tiny, strength=2.0 / 3, opens=2.0, open=3.0))
    models.sample(elsewhere.model, near, steps=STEPS)
    assert max(elsewhere.shares) > 0.5


def test_a_guard_and_a_published_one_do_not_depend_on_their_order(tiny):
    one, other = models.sample(sld(aligned(tiny), OTHER), steps=3), models.sample(aligned(sld(tiny, OTHER)), steps=3)
    assert close(one, other, 1e-5)


def test_strength_zero_is_the_same_model_object(tiny):
    assert aligned(tiny, strength=0) is tiny
