"""Prompt intervention in the real host: exact in executed steps, free of cost, safe when wired wrongly."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import NEGATIVE, OTHER, POSITIVE
from tools.testing.sampling import close, windows

pytestmark = pytest.mark.both_hosts
QUERY, REWRITTEN = POSITIVE, OTHER


def tin(model, query=QUERY, rewritten=REWRITTEN, ratio=0.2):
    return hosting.module("guards.intervention.host").guard(model, query, rewritten, ratio)


class Prompts:
    """Records which prompt each evaluation read, by the first number of its text: q, r or ? a positive row."""

    def __init__(self, model, positive_slot=0):
        from comfy.patcher_extension import WrappersMP

        self.model, self.seen, self.rows = model.clone(), [], []
        self.first = {round(float(c[0][0][0, 0, 0]), 4): name for c, name in ((QUERY, "q"), (REWRITTEN, "r"))}
        self.slot = positive_slot
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "prompts", self._record)

    def _record(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs
    ):
        slots = transformer_options["cond_or_uncond"]
        each = x.shape[0] // len(slots)
        self.rows.append(x.shape[0])
        for i, slot in enumerate(slots):
            if slot == self.slot:
                self.seen.append(self.first.get(round(float(c_crossattn[i * each, 0, 0]), 4), "?"))
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    @property
    def text(self):
        return "".join(self.seen)


def run(model, ratio=0.2, query=QUERY, rewritten=REWRITTEN, **options):
    guarded, positive = tin(model, query, rewritten, ratio)
    prompts = Prompts(guarded)
    out = models.sample(prompts.model, positive, **options)
    return out, prompts


@pytest.mark.parametrize(
    "scheduler",
    [
        "normal",
        "karras",
        "exponential",
        "simple",
        "sgm_uniform",
        "ddim_uniform",
        "beta",
        "kl_optimal",
        "linear_quadratic",
    ],
)
def test_the_switch_is_exact_in_executed_steps_on_every_scheduler(tiny, scheduler):
    _, prompts = run(tiny, 0.4, scheduler=scheduler, steps=10)
    assert prompts.text == "qqqqrrrrrr"


@pytest.mark.parametrize(
    "ratio, steps, expected",
    [(0.25, 20, 5), (0.23, 20, 5), (0.2, 20, 4), (0.7, 10, 7), (0.3, 10, 3), (0.01, 4, 1), (0.99, 4, 4)],
)
def test_step_i_uses_the_query_while_i_is_below_ratio_times_steps(tiny, ratio, steps, expected):
    _, prompts = run(tiny, ratio, steps=steps)
    assert prompts.text == "q" * expected + "r" * (steps - expected)


def test_the_result_equals_a_loop_that_swaps_the_prompt(tiny):
    import comfy.samplers

    base, sampling = tiny.model, tiny.model.model_sampling
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", 10)
    x = sampling.noise_scaling(sigmas[0], models.noise(tiny), torch.zeros(()), True)
    with torch.no_grad():
        for i in range(10):
            text = torch.cat([NEGATIVE[0][0], (QUERY if i < 0.4 * 10 else REWRITTEN)[0][0]])
            u, p = base.apply_model(torch.cat([x] * 2), sigmas[i].expand(2), c_crossattn=text).chunk(2)
            d = u + 7.0 * (p - u)
            x = x + (sigmas[i + 1] - sigmas[i]) * (x - d) / sigmas[i]
    expected = base.process_latent_out(x)
    actual, _ = run(tiny, 0.4, steps=10)
    assert (actual - expected).norm() / expected.norm() < 1e-4


def test_ratio_zero_and_one_are_bit_identical_to_one_prompt(tiny):
    for ratio, only in ((0, REWRITTEN), (1, QUERY)):
        guarded, positive = tin(tiny, ratio=ratio)
        assert guarded is tiny and torch.equal(models.sample(guarded, positive), models.sample(tiny, only))


def test_both_prompts_are_never_evaluated_in_one_step(tiny):
    _, prompts = run(tiny, 0.5, steps=6, batch=2)
    assert prompts.rows == [4] * 6


@pytest.mark.parametrize(
    "sampler, expected",
    [
        ("euler", "qqqrrr"),
        ("heun", "qqqqqrrrrrr"),
        ("uni_pc", "qqqrrr"),
        ("dpmpp_sde", "qqqqqqrrrrr"),
        ("dpmpp_2m", "qqqrrr"),
        ("ddim", "qqqrrr"),
    ],
)
def test_an_evaluation_reads_the_prompt_of_the_step_its_noise_level_belongs_to(tiny, sampler, expected):
    _, prompts = run(tiny, 0.5, steps=6, sampler=sampler)
    assert prompts.text == expected


def test_every_sampler_switches_once_and_repeats(tiny):
    import comfy.samplers

    for name in comfy.samplers.KSampler.SAMPLERS:
        first, prompts = run(tiny, 0.5, steps=4, sampler=name)
        assert "q" in prompts.text and "r" in prompts.text and "?" not in prompts.text, name
        if name not in ("dpm_adaptive", "heunpp2"):  # these look ahead of the step they are in
            assert "rq" not in prompts.text, name
        assert torch.equal(first, run(tiny, 0.5, steps=4, sampler=name)[0]), name


def test_partial_schedules_count_their_own_steps(tiny):
    _, prompts = run(tiny, 0.5, steps=10, start_step=4, last_step=8)
    assert prompts.text == "qqrr"
    _, prompts = run(tiny, 0.5, steps=4, denoise=0.5, latent=models.noise(tiny, seed=3))
    assert prompts.text == "qqrr"


def test_different_token_lengths_areas_and_masks(tiny):
    longer = models.conditioning(4, tokens=154)
    out, prompts = run(tiny, 0.5, rewritten=longer)
    assert torch.isfinite(out).all() and prompts.rows == [2] * 4
    mask = torch.zeros(1, 8, 8)
    mask[..., :4] = 1
    guarded, positive = tin(tiny, ratio=0.5)
    masked = [
        [t, {**o, "mask": mask, "mask_strength": 1.0, "set_area_to_bounds": False}] for t, o in positive
    ] + NEGATIVE
    assert torch.isfinite(models.sample(guarded, masked)).all()


def test_two_areas_one_per_prompt_cost_what_each_prompt_alone_costs(tiny):
    """The host copies every area into the other lists; the copy must live and die with the prompt it serves."""

    def area(c, left):
        return [
            [c[0][0], {**c[0][1], "area": (8, 4, 0, 0 if left else 4), "strength": 1.0, "set_area_to_bounds": False}]
        ]

    for second in (True, False):
        query, rewritten = area(QUERY, True), area(REWRITTEN, second)
        guarded, positive = tin(tiny, query, rewritten, 0.5)
        both = models.Rows(guarded)
        models.sample(both.model, positive + NEGATIVE)
        alone = []
        for only in (query, rewritten):
            rows = models.Rows(tiny)
            models.sample(rows.model, only + NEGATIVE)
            alone.append(rows.total / 4)
        assert both.total == 2 * alone[0] + 2 * alone[1]


def test_without_the_guarded_model_only_the_rewritten_prompt_acts(tiny):
    _, positive = tin(tiny, ratio=0.9)
    assert torch.equal(models.sample(tiny, positive), models.sample(tiny, REWRITTEN))


def test_a_timestep_range_of_the_query_is_kept(tiny):
    ranged = [[QUERY[0][0], {**QUERY[0][1], "start_percent": 0.0, "end_percent": 0.5}]] + NEGATIVE
    guarded, positive = tin(tiny, ranged, REWRITTEN, 0.99)
    same = models.sample(tiny, ranged)
    assert torch.equal(models.sample(guarded, positive), same)


def test_cfg_one_and_flow_models(host):
    flux = models.flux()
    query, rewritten, negative = (models.conditioning(seed, tokens=8, pooled=8) for seed in (1, 4, 2))
    guarded, positive = tin(flux, query, rewritten, 0.5)
    out = models.sample(guarded, positive, negative, cfg=1.0)
    assert torch.isfinite(out).all()
    for only in (query, rewritten):
        assert not torch.equal(out, models.sample(flux, only, negative, cfg=1.0))


def test_intervention_and_safe_latent_diffusion_chain_in_either_order(tiny):
    sld, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    guarded, positive = tin(tiny, ratio=0.5)
    one = models.sample(sld.guard(guarded, pure.PRESETS["max"], models.CONCEPT), positive)
    guarded, positive = tin(sld.guard(tiny, pure.PRESETS["max"], models.CONCEPT), ratio=0.5)
    assert torch.equal(one, models.sample(guarded, positive))
    assert not torch.equal(one, models.sample(tin(tiny, ratio=0.5)[0], positive))


@pytest.mark.parametrize("ratio, steps, told", [(0.2, 1, True), (0.7, 2, True), (0.5, 2, False), (0.2, 20, False)])
def test_steps_so_few_that_the_rewritten_prompt_never_acts_are_told_of(tiny, ratio, steps, told, caplog):
    _, prompts = run(tiny, ratio, steps=steps)
    assert ("r" not in prompts.text) == told == ("Lower ratio" in caplog.text)


def test_bad_input_is_named(tiny):
    with pytest.raises(ValueError, match="query is empty"):
        tin(tiny, query=[])


def test_a_context_window_is_given_its_own_part_of_the_conditioning(tiny):
    """Lists of one window die with it, and the next one's may lie in the same place of memory."""
    query, rewritten = (models.conditioning(seed, batch=6) for seed in (11, 12))
    model, conditioning = tin(tiny, query, rewritten, 0.5)
    whole = models.sample(model, conditioning, batch=6)
    assert close(models.sample(windows(model), conditioning, batch=6), whole)
