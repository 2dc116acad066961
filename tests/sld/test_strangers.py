"""SLD among packs, samplers and guiders that know two rows, tiles, or their own order; each stand-in does what such a neighbour does."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONCEPT, NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, sld

pytestmark = pytest.mark.both_hosts


def counting_as_two(model, seen):
    """Packs that index tables of two by a row's number (IPAdapter_plus, InstantID), or keep a state for each (TeaCache): all places
    where a stranger sees the numbers."""
    from comfy.patcher_extension import WrappersMP

    table, states = ("positive", "negative"), {0: [], 1: []}

    def function(apply_model, args):
        for number in args["cond_or_uncond"]:
            states[number].append(table[number])
        seen.append(list(args["cond_or_uncond"]))
        assert args["c"]["transformer_options"]["cond_or_uncond"] == args["cond_or_uncond"]
        return apply_model(args["input"], args["timestep"], **args["c"])

    def attention(q, context, value, extra):
        assert [table[number] for number in extra["cond_or_uncond"]]
        return q, context, value

    def wrapper(executor, *args, **kwargs):
        assert all(number in states for number in args[5]["cond_or_uncond"])
        return executor(*args, **kwargs)

    model = model.clone()
    model.set_model_unet_function_wrapper(function)
    model.set_model_attn2_patch(attention)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "stranger", wrapper)
    return model


@pytest.mark.parametrize("guards", [1, 2])
def test_to_packs_that_know_two_rows_every_row_is_one_of_them(tiny, guards):
    guarded = sld(sld(tiny), OTHER) if guards == 2 else sld(tiny)
    seen = []
    actual = models.sample(counting_as_two(guarded, seen), batch=2)
    assert torch.equal(actual, models.sample(guarded, batch=2))
    assert seen == [[1] * (1 + guards) + [0]] * 4


def test_the_first_unconditional_row_that_a_neighbour_finds_is_the_guiders_own(tiny):
    """NAG and SAG take ``cond_or_uncond.index(1)`` for the negative prompt's row."""
    firsts = []

    def attention(q, context, value, extra):
        each = q.shape[0] // len(extra["cond_or_uncond"])
        firsts.append(context[extra["cond_or_uncond"].index(1) * each])
        return q, context, value

    model = sld(tiny).clone()
    model.set_model_attn2_patch(attention)
    models.sample(model, steps=1)
    assert firsts and all(torch.equal(context, NEGATIVE[0][0][0]) for context in firsts)


def test_a_pack_that_makes_the_options_anew_leaves_other_guards_on_the_positive_rows(tiny):
    """What it does not know of gets lost on the way, our own marks among it."""
    pure = hosting.module("guards.directions.formula")
    direction = pure.Direction("it", torch.randn(64, 2, 2, generator=torch.Generator().manual_seed(3)), "sd1", 64, {})
    guarded = hosting.module("guards.directions.host").steer(sld(tiny), direction, 2.0)
    known = (
        "cond_or_uncond",
        "uuids",
        "sigmas",
        "patches",
        "patches_replace",
        "wrappers",
        "sample_sigmas",
        "concept_guards",
    )

    def function(apply_model, args):
        options = {key: value for key, value in args["c"]["transformer_options"].items() if key in known}
        return apply_model(args["input"], args["timestep"], **{**args["c"], "transformer_options": options})

    forgetful = guarded.clone()
    forgetful.set_model_unet_function_wrapper(function)
    assert torch.equal(models.sample(forgetful), models.sample(guarded))


def in_tiles(model, at_once):
    """A pack that samples tiles, ``at_once`` in one batch: all rows of the first tile, then all of the next."""

    def function(apply_model, args):
        x, c = args["input"], args["c"]
        halves = x.chunk(2, -1)
        groups = [halves] if at_once == 2 else [halves[:1], halves[1:]]

        def repeated(value, count):
            return value.repeat(count, *[1] * (value.ndim - 1)) if torch.is_tensor(value) else value

        out = []
        for group in groups:
            more = {key: repeated(value, len(group)) for key, value in c.items()}
            timestep = repeated(args["timestep"], len(group))
            out += apply_model(torch.cat(list(group)), timestep, **more).chunk(len(group))
        return torch.cat(out, -1)

    model = model.clone()
    model.set_model_unet_function_wrapper(function)
    return model


@pytest.mark.parametrize("kind", ["direction", "words", "aligned", "paired", "sld"])
def test_tiles_in_one_batch_are_guarded_as_tiles_one_by_one(tiny, kind):
    clip = models.clip()
    if kind == "direction":
        pure = hosting.module("guards.directions.formula")
        values = torch.randn(64, generator=torch.Generator().manual_seed(3))
        guarded, positive = (
            hosting.module("guards.directions.host").steer(tiny, pure.Direction("it", values, "sd1", 64, {}), 2.0),
            POSITIVE,
        )
    elif kind == "sld":
        guarded, positive = sld(tiny), POSITIVE
    else:
        guard = hosting.module("guards.inhibitors.host").guard
        mode, variant = ("paired", "words") if kind == "paired" else ("single_pass", kind)
        guarded, positive, *_ = guard(tiny, clip, "a dog", "dog", -2.0, mode, variant=variant)
    one, two = (models.sample(in_tiles(guarded, count), positive, batch=2) for count in (1, 2))
    assert close(two, one)
    assert not close(one, models.sample(in_tiles(tiny, 1), positive, batch=2), 1e-3), (
        "the guard does nothing here: a test of nothing"
    )


@pytest.mark.parametrize("aligned", [False, True])
def test_a_negative_prompt_that_ends_early_is_still_what_the_concept_is_measured_from(tiny, aligned):
    """The host's own prediction for it is zero then; the correction must not become a thousand times larger."""
    host_side, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    settings = pure.ALIGNED["strong"] if aligned else pure.PRESETS["max"]
    guarded = host_side.guard(tiny, settings, CONCEPT)
    early = [[tensor, {**options, "start_percent": 0.0, "end_percent": 0.3}] for tensor, options in NEGATIVE]

    def change(negative, guarded=guarded):
        """At cfg 1, where the host's own picture does not depend on the negative."""
        made = []
        for model in (guarded, tiny):
            model = model.clone()
            model.model_options["disable_cfg1_optimization"] = True
            made.append(models.sample(model, negative=negative, steps=6, cfg=1.0))
        return (made[0] - made[1]).norm()

    assert 0 < change(early) < 1.5 * change(NEGATIVE)
    kept = models.Rows(guarded)
    models.sample(kept.model, negative=early, steps=6)
    assert [n for n, _ in kept.calls] == [3] * 6, "a negative of ours takes the place of the one that has ended"


def test_noise_that_is_put_back_into_a_picture_counts_its_steps_forwards(tiny):
    """FlipSigmas: the levels rise."""
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(tiny.get_model_object("model_sampling"), "normal", 7).flip(0)
    sigmas[0] = 0.0001
    pure = hosting.module("guards.schedule")
    levels = [float(sigma) for sigma in sigmas]
    assert [pure.step_index(levels, level) for level in levels[:-1]] == list(range(7))
    rows = models.Rows(sld(tiny, preset="weak", warmup_steps=3))
    guider = comfy.samplers.CFGGuider(rows.model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    models.guided(guider, sigmas=sigmas)
    assert [n for n, _ in rows.calls] == [2, 2, 2, 3, 3, 3, 3]


def test_a_guider_with_a_scale_for_every_step_is_followed(tiny):
    import comfy.samplers

    class Scheduled(comfy.samplers.CFGGuider):
        """What packs with a scheduled cfg do."""

        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
            scales, self.done = self.cfg, getattr(self, "done", 0) + 1
            self.cfg = scales[min(self.done - 1, len(scales) - 1)]
            try:
                return super().predict_noise(x, timestep, model_options, seed)
            finally:
                self.cfg = scales

    def run(kind, cfg):
        guider = kind(sld(tiny))
        guider.set_conds(POSITIVE, NEGATIVE)
        guider.set_cfg(cfg)
        return models.guided(guider)

    assert close(run(Scheduled, [5.0] * 4), run(comfy.samplers.CFGGuider, 5.0))
    assert not close(run(Scheduled, [5.0, 5.0, 1.0, 1.0]), run(comfy.samplers.CFGGuider, 5.0), 1e-3)


def test_a_guard_on_the_negatives_model_alone_is_refused(tiny):
    import comfy_extras.nodes_custom_sampler as custom

    if not hasattr(custom, "Guider_DualModel"):  # older hosts have no such guider, nor can a graph hold it
        return
    for main, negative, refused in ((tiny, sld(tiny), True), (sld(tiny), tiny, False), (sld(tiny), sld(tiny), False)):
        guider = custom.Guider_DualModel(main, negative)
        guider.set_conds(POSITIVE, NEGATIVE)
        guider.set_cfg(5.0)
        if refused:
            with pytest.raises(ValueError, match="Dual Model CFG Guider.*'model'"):
                models.guided(guider)
        else:
            assert not close(models.guided(guider), models.sample(tiny, cfg=5.0), 1e-3)


class Told:
    """Records what the host gives the model for each conditioning."""

    def __init__(self, model):
        from comfy.patcher_extension import WrappersMP

        self.model, self.entries = model.clone(), None
        self.model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "told", self._record)

    def _record(self, executor, *args, **kwargs):
        self.entries = {role: [dict(entry) for entry in known] for role, known in executor.class_obj.conds.items()}
        return executor(*args, **kwargs)


@pytest.mark.parametrize(
    "key", ["clip_vision_output", "vace_frames", "audio_embed", "frame_rate", "guidance", "a_key_that_no_one_knows_yet"]
)
def test_whatever_the_prompt_brings_along_the_concept_has_too(tiny, key):
    marked = [
        [tensor, {**options, key: "the prompt's", "start_percent": 0.0, "strength": 0.7}]
        for tensor, options in POSITIVE
    ]
    told = Told(sld(tiny))
    models.sample(told.model, marked, steps=1)
    concept = next(entries[0] for role, entries in told.entries.items() if role not in ("positive", "negative"))
    assert concept[key] == "the prompt's"
    assert "strength" not in concept and "start_percent" not in concept and concept["prompt_type"] == "negative"


def test_a_concept_of_the_prompts_own_text_corrects_nothing_whatever_the_prompt_brings_along(tiny):
    """Noise that only the prompt's options bring into the model would be taken for meaning otherwise."""
    control = models.control()
    prompt = [
        [tensor, {**options, "control": control, "control_apply_to_uncond": True}] for tensor, options in POSITIVE
    ]
    same = sld(tiny, POSITIVE, preset="max", threshold=0.0, momentum_scale=0.0)
    assert torch.equal(models.sample(same, prompt), models.sample(tiny, prompt))
