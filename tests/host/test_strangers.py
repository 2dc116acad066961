"""The rail among packs that know two rows and their own order; each stand-in does what such a neighbour does."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, couple, guider, sld

pytestmark = pytest.mark.both_hosts


@pytest.fixture(scope="module")
def tiny(host):
    return models.sd1()


def directed(model):
    pure = hosting.module("guards.directions.formula")
    direction = pure.Direction("it", torch.randn(64, 2, 2, generator=torch.Generator().manual_seed(3)), "sd1", 64, {})
    return hosting.module("guards.directions.host").steer(model, direction, 2.0)


def weighing(control, seen):
    """A ControlNet of a pack that weighs rows by their numbers: none of it for the unconditional (1)."""
    host = type(control)

    class Weighing(host):
        def get_control(self, x, t, cond, batched_number, transformer_options):
            numbers = transformer_options["cond_or_uncond"]
            seen.append(tuple(numbers))
            known = {0: 1.0, 1: 0.0}
            weights = torch.tensor([known[number] for number in numbers])
            made = super().get_control(x, t, cond, batched_number, transformer_options)
            each = weights.repeat_interleave(x.shape[0] // len(numbers)).view(-1, 1, 1, 1)
            return {key: [part * each for part in parts] for key, parts in made.items()}

    return Weighing()


def test_a_controlnet_that_weighs_rows_by_their_numbers_is_told_those_that_it_knows(tiny):
    seen = []
    control = weighing(models.control(), seen)

    def with_control(conditioning):
        return [[t, {**o, "control": control, "control_apply_to_uncond": False}] for t, o in conditioning]

    positive, negative = with_control(POSITIVE), with_control(NEGATIVE)
    rows = models.Rows(sld(tiny))
    models.sample(rows.model, positive, negative, steps=2)
    assert seen == [(1, 1, 0)] * 2, "one control for all rows, and so one batch"
    assert rows.calls == [(3, (1, 1, 0))] * 2
    silent = sld(tiny, POSITIVE, preset="max", threshold=-1e9, momentum_scale=0.0)  # looks, and corrects nothing
    plain = models.sample(tiny, positive, negative, steps=2)
    assert torch.allclose(models.sample(silent, positive, negative, steps=2), plain, atol=1e-4)


@pytest.mark.parametrize("kind", ["cfg", "dual", "perpneg"])
def test_a_pack_that_makes_the_options_anew_with_numbers_alone_leaves_guards_on_the_positive_rows(tiny, kind):
    kept = ("cond_or_uncond", "sigmas", "patches", "patches_replace", "wrappers", "sample_sigmas", "concept_guards")

    def function(apply_model, args):
        options = {key: value for key, value in args["c"]["transformer_options"].items() if key in kept}
        return apply_model(args["input"], args["timestep"], **{**args["c"], "transformer_options": options})

    guarded = directed(sld(tiny))
    forgetful = guarded.clone()
    forgetful.set_model_unet_function_wrapper(function)
    expected = models.guided(guider(kind, guarded))
    assert torch.equal(models.guided(guider(kind, forgetful)), expected)
    assert not close(expected, models.guided(guider(kind, sld(tiny))), 1e-3), "the direction does nothing here"


@pytest.mark.parametrize("cut", [("uuids",), ()])
def test_a_pack_that_runs_one_prompt_after_the_other_leaves_guards_on_the_positive_rows(tiny, cut):
    def function(apply_model, args):
        numbers, x, c = args["cond_or_uncond"], args["input"], args["c"]
        each, out = len(x) // len(numbers), []
        for i, number in enumerate(numbers):
            at = slice(i * each, (i + 1) * each)
            options = {**c["transformer_options"], "cond_or_uncond": [number]}
            options |= {key: [options[key][i]] for key in cut}
            texts = c["c_crossattn"][at]
            out.append(apply_model(x[at], args["timestep"][at], c_crossattn=texts, transformer_options=options))
        return torch.cat(out)

    clip = models.clip()
    for mode in ("single_pass", "paired"):
        guard = hosting.module("guards.inhibitors.host").guard
        guarded, positive, _ = guard(directed(tiny), clip, "a dog", "dog", -2.0, mode, variant="words")
        guarded = sld(guarded)
        apart = guarded.clone()
        apart.set_model_unet_function_wrapper(function)
        assert close(models.sample(apart, positive, batch=2), models.sample(guarded, positive, batch=2))


def test_a_pack_that_throws_the_guards_out_of_the_model_is_refused(tiny):
    model = sld(tiny).clone()
    model.model_options["transformer_options"] = {}
    with pytest.raises(ValueError, match="Put the guard's node after it"):
        models.sample(model)


def test_a_pack_that_asks_for_predictions_between_the_samplers_own_gets_the_models(tiny):
    """Outside of any evaluation, at noise levels of its own: prompt intervention still knows which prompt is on."""
    import comfy.samplers
    from comfy.patcher_extension import WrappersMP

    tin = hosting.module("guards.intervention.host").guard
    asked = []

    def before(executor, guided, sigmas, extra_args, *args, **kwargs):
        for sigma in (sigmas[0], sigmas[-2]):
            out = comfy.samplers.calc_cond_batch(
                guided.inner_model,
                [guided.conds["positive"]],
                torch.ones(1, 4, 8, 8) * sigma,
                sigma.view(1),
                extra_args["model_options"],
            )
            asked.append(out[0])
        return executor(guided, sigmas, extra_args, *args, **kwargs)

    def run(model, positive):
        asked.clear()
        model = model.clone()
        model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "asks", before)
        return models.sample(model, positive), *asked

    guarded, positive = tin(sld(tiny), POSITIVE, OTHER, 0.5)
    image, early, late = run(guarded, positive)
    assert torch.equal(image, models.sample(guarded, positive))
    assert torch.equal(early, run(tiny, POSITIVE)[1]) and torch.equal(late, run(tiny, OTHER)[2])


def test_a_pack_that_hands_in_copies_of_the_conditionings_is_followed(tiny):
    import comfy.samplers

    class Copying(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 - the host's own signature
            lists = [[dict(entry) for entry in self.conds[role]] for role in ("positive", "negative")]
            out = comfy.samplers.calc_cond_batch(self.inner_model, lists, x, timestep, dict(model_options))
            return comfy.samplers.cfg_function(
                self.inner_model, *out, self.cfg, x, timestep, model_options, lists[0], lists[1]
            )

    def run(kind):
        made = kind(sld(tiny))
        made.set_conds(POSITIVE, NEGATIVE)
        made.set_cfg(5.0)
        return models.guided(made)

    assert torch.equal(run(Copying), run(comfy.samplers.CFGGuider))


@pytest.mark.parametrize("reverse", [False, True])
def test_guiders_that_hand_in_their_lists_in_another_order_are_followed(tiny, reverse):
    import comfy.samplers

    class Ordered(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 - the host's own signature
            roles = ["negative", "positive"] if reverse else ["positive", "negative"]
            lists = [self.conds[role] for role in roles]
            out = comfy.samplers.calc_cond_batch(self.inner_model, lists, x, timestep, model_options)
            got = dict(zip(roles, out, strict=True))
            return got["negative"] + self.cfg * (got["positive"] - got["negative"])

    made = Ordered(directed(sld(tiny)))
    made.set_conds(POSITIVE, NEGATIVE)
    made.set_cfg(5.0)
    assert close(models.guided(made), models.guided(guider("cfg", directed(sld(tiny)))))


def test_attention_couple_keeps_its_halves_beside_the_guard(tiny):
    texts = [POSITIVE[0][0], OTHER[0][0]]
    plain = models.sample(couple(tiny, texts), batch=2)
    for guarded in (couple(sld(tiny), texts), sld(couple(tiny, texts))):
        actual = models.sample(guarded, batch=2)
        assert torch.isfinite(actual).all() and not close(actual, plain, 1e-3)
    silent = couple(sld(tiny, CONCEPT, preset="max", threshold=-1e9, momentum_scale=0.0), texts)
    assert close(models.sample(silent, batch=2), plain), "the rows of the guard change nothing in the couple's"


def test_dpm_fast_commits_with_the_noise_level(tiny, monkeypatch):
    """It calls back once in three evaluations: two times in five steps."""
    guard, commits = hosting.module("guards.sld.host").SafeLatentDiffusion, []
    original = guard.commit
    monkeypatch.setattr(guard, "commit", lambda self, state: (commits.append(1), original(self, state)))
    models.sample(sld(tiny, preset="strong", warmup_steps=0), sampler="dpm_fast", steps=7)
    assert len(commits) >= 4
