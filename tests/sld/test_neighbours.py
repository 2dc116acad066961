"""SLD beside other packs' favourites: whatever else patches the model, the guard's correction is the same."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, POSITIVE
from tools.testing.sampling import GUIDANCE, NETWORK, beside

pytestmark = pytest.mark.both_hosts


def guarded(model, unconditional=None):
    sld, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    return sld.guard(model, pure.PRESETS["max"], CONCEPT, unconditional)


def first_step(model):
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 8)[3:5]
    g = comfy.samplers.CFGGuider(model)
    g.set_conds(POSITIVE, NEGATIVE)
    g.set_cfg(5.0)
    return models.guided(g, sigmas=sigmas)


@pytest.mark.parametrize("name", GUIDANCE)
def test_the_correction_is_the_same_beside_other_guidance_in_either_order(tiny, name):
    alone = first_step(guarded(tiny)) - first_step(tiny)
    for both in (guarded(beside(name, tiny)), beside(name, guarded(tiny))):
        change = first_step(both) - first_step(beside(name, tiny))
        assert (change - alone).norm() / alone.norm() < 1e-3
    assert not torch.equal(first_step(beside(name, tiny)), first_step(tiny)), (
        "the neighbour does nothing here: a test of nothing"
    )


@pytest.mark.parametrize("name", NETWORK)
def test_the_guard_works_beside_patches_of_the_network_in_either_order(tiny, name):
    plain = models.sample(beside(name, tiny), steps=6)
    one, other = (models.sample(m, steps=6) for m in (guarded(beside(name, tiny)), beside(name, guarded(tiny))))
    for out in (one, other):
        assert torch.isfinite(out).all() and (out - plain).norm() / plain.norm() > 1e-3
    if name != "ToMe":  # merges tokens at random
        assert (one - other).norm() / one.norm() < 1e-3


def test_skip_layer_guidance_asks_for_roles_one_by_one_and_the_guard_adds_one_row(host):
    from comfy_extras import nodes_slg

    model = models.sd3()
    text = [models.conditioning(seed, pooled=8) for seed in (1, 2, 3)]
    sld, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    skip = dict(start_percent=0.0, end_percent=1.0, double_layers="1", single_layers="")
    slg = nodes_slg.SkipLayerGuidanceDiTSimple.execute(model=model, **skip)[0]
    rows = models.Rows(sld.guard(slg, pure.PRESETS["max"], text[2]))
    out = models.sample(rows.model, text[0], text[1])
    assert torch.isfinite(out).all() and not torch.equal(out, models.sample(slg, text[0], text[1]))
    assert rows.total == 4 * 3


@pytest.mark.parametrize("to_negative", [False, True])
def test_a_controlnet_on_the_positive_reaches_the_concept_in_the_same_batch(tiny, to_negative):
    """Else the difference of the two predictions would hold 'no control' as well as the concept."""
    control = models.control()
    positive = [[t, {**o, "control": control, "control_apply_to_uncond": False}] for t, o in POSITIVE]
    negative = (
        [[t, {**o, "control": control, "control_apply_to_uncond": False}] for t, o in NEGATIVE]
        if to_negative
        else NEGATIVE
    )
    rows = models.Rows(guarded(tiny))
    out = models.sample(rows.model, positive, negative, steps=2)
    assert torch.isfinite(out).all()
    assert sorted(n for n, _ in rows.calls) == ([3, 3] if to_negative else [1, 1, 2, 2])
    assert all({0, 1} <= set(slots) or 0 not in slots for _, slots in rows.calls)


def test_a_foreign_conditioning_key_and_two_runs_of_one_model_do_not_mix(tiny):
    """The same MODEL object feeds two samplers of a graph, with other sizes and batches in between."""
    model = guarded(tiny)
    first = models.sample(model, batch=1)
    models.sample(model, batch=3, steps=3, cfg=2.0)
    assert torch.equal(first, models.sample(model, batch=1))


def test_context_windows_are_refused_with_the_way_out(tiny):
    model = guarded(tiny)

    class Windows:
        def should_use_context(self, *args):
            return True

        def execute(self, calc, model, conds, x_in, timestep, model_options):
            return [
                torch.cat(halves, -1)
                for halves in zip(
                    *(calc(model, conds, half, timestep, model_options) for half in x_in.chunk(2, -1)), strict=True
                )
            ]

    model.model_options["context_handler"] = Windows()
    with pytest.raises(NotImplementedError, match="Prompt Intervention"):
        models.sample(model)
