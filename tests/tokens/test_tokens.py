"""The Growth Inhibitor in transformers, against a reading of its own: explicit soft-maxes, and keys and values from its own passes."""

import pytest
import torch

from tools.testing import dits, hosting, models, sampling
from tools.testing.reading import Reading
from tools.testing.sampling import close

pytestmark = pytest.mark.both_hosts
FORMS = ["aligned", "sign_flip"]


@pytest.fixture(scope="module")
def built(host):
    """Family -> its tiny MODEL, made once."""
    made = {}
    return lambda name: made[name] if name in made else made.setdefault(name, dits.build(name))


@pytest.fixture(params=dits.CONFIGS)
def family(request):
    return request.param


def targets(name, seeds=(3,), words=None):
    """Targets without a text encoder: random texts of 7 tokens, and another one for no text."""
    kind = hosting.module("guards.tokens.host_words").Targets
    names = tuple(f"concept {seed}" for seed in seeds)
    texts = {one: dits.text(name, seed, tokens=7) for one, seed in zip(names, seeds, strict=True)}
    return kind(names, {**texts, "": dits.text(name, 9, tokens=5)}, dict.fromkeys(names, words))


def inhibit(name, model, scale=-1.0, form="sign_flip", **changes):
    host_side = hosting.module("guards.tokens.host")
    return hosting.module("guards.host.rail").attach(
        model, host_side.Inhibitor(changes.pop("of", None) or targets(name), scale, form, **changes)
    )


@pytest.fixture
def open_gate(host, monkeypatch):
    """Every target counts in full, whatever the first step shows."""
    monkeypatch.setattr(
        hosting.module("guards.inhibitors.formula"), "gate", lambda shares: torch.ones(shares.shape[:2])
    )


def reading(name, model, form, seeds=(3,), scale=-1.0):
    texts = [dits.text(name, seed, 7) for seed in seeds]
    return Reading(name, model, scale, form, dits.text(name, 1), texts, dits.text(name, 9, 5))


@pytest.mark.parametrize("form", FORMS)
def test_the_attention_is_what_the_formula_says(built, family, form, open_gate):
    model = built(family)
    out = dits.sample(family, inhibit(family, model, -1.0, form, cross_end=1.0), batch=2)
    expected = dits.sample(family, reading(family, model, form).model, batch=2)
    assert close(out, expected, 1e-4)
    assert not close(out, dits.sample(family, model, batch=2), 1e-3)


def test_the_share_of_a_target_in_the_prompt_is_measured_in_the_first_step(built, family, monkeypatch):
    formula, seen = hosting.module("guards.inhibitors.formula"), []
    monkeypatch.setattr(formula, "gate", lambda shares: (seen.append(shares), torch.zeros(shares.shape[:2]))[1])
    model = built(family)
    out = dits.sample(family, inhibit(family, model, -1.0, "aligned", of=targets(family, (3, 4))), batch=2)
    assert torch.equal(out, dits.sample(family, model, batch=2))  # the gate is shut: not a bit
    once_more = reading(family, model, "aligned", (3, 4), 0.0)
    dits.sample(family, once_more.model, batch=2)
    first = torch.tensor(once_more.shares[: seen[0].shape[-1]]).permute(1, 2, 0)
    assert len(seen) == 1 and torch.allclose(seen[0], first, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_rows_go_by_role_in_split_batches_and_beside_a_concept(built, family, form, open_gate, monkeypatch):
    model = built(family)
    guarded = inhibit(family, model, -1.0, form)
    whole = dits.sample(family, guarded, batch=2)
    with_concept = sampling.sld(guarded, dits.text(family, 5))
    expected = reading(family, model, form).model
    beside = dits.sample(family, with_concept, batch=2)
    assert close(beside, dits.sample(family, sampling.sld(expected, dits.text(family, 5)), batch=2), 1e-3)
    assert not close(beside, whole, 1e-3)
    monkeypatch.setattr(type(model), "get_free_memory", lambda *_: 0)
    assert close(dits.sample(family, guarded, batch=2), whole, 1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_another_packs_override_is_still_called_and_stays(built, family, form, open_gate):
    neighbour, calls = built(family).clone(), []

    def theirs(func, *args, **kwargs):
        calls.append(1)
        return func(*args, **kwargs)

    options = neighbour.model_options["transformer_options"]
    options["optimized_attention_override"] = theirs
    guarded = inhibit(family, neighbour, -1.0, form)
    out = dits.sample(family, guarded)
    assert len(calls) >= 3 * dits.DEPTH and close(
        out, dits.sample(family, inhibit(family, built(family), -1.0, form)), 1e-5
    )
    assert options["optimized_attention_override"] is theirs
    assert guarded.model_options["transformer_options"]["optimized_attention_override"] is theirs
    before = dits.sample(family, built(family))
    assert torch.equal(dits.sample(family, neighbour), before)


def test_two_guards_in_a_row_act_both_and_in_any_order(built, family, open_gate):
    model = built(family)
    first, second = (
        (lambda m: inhibit(family, m, -0.5, "sign_flip")),
        (lambda m: inhibit(family, m, -0.5, "aligned", of=targets(family, (4,)))),
    )
    out = dits.sample(family, second(first(model)))
    assert close(out, dits.sample(family, first(second(model))), 1e-4)
    assert not close(out, dits.sample(family, first(model)), 1e-3) and not close(
        out, dits.sample(family, second(model)), 1e-3
    )


@pytest.mark.parametrize("form", FORMS)
def test_two_targets_of_one_guard_are_the_sum_of_both(built, family, form, open_gate):
    model = built(family)
    out = dits.sample(family, inhibit(family, model, -0.5, form, of=targets(family, (3, 4)), cross_end=1.0))
    assert close(out, dits.sample(family, reading(family, model, form, (3, 4), -0.5).model), 1e-4)


def test_a_compiled_model_is_guarded(built, family):
    import copy

    model = built(family).clone()
    plain = dits.sample(family, inhibit(family, model), steps=2)
    model.add_object_patch("diffusion_model", torch.compile(copy.copy(model.model.diffusion_model), backend="eager"))
    assert close(dits.sample(family, inhibit(family, model), steps=2), plain, 1e-5)


@pytest.mark.parametrize(
    "form, seeds, token, latents",
    [("sign_flip", (3,), [4], [64]), ("aligned", (3, 4), [2 * 4, 4], [64, 64, 64])],
    ids=["sign flip", "aligned, two targets"],
)
def test_a_step_costs_one_pass_over_a_single_token_where_that_is_close(
    built, family, form, seeds, token, latents, open_gate
):
    """Counted in latents that reach the network: 8 x 8 of a row, of two rows with the negative prompt. Texts of one length go together."""
    from comfy.patcher_extension import WrappersMP

    model, sizes = built(family).clone(), []

    def look(executor, x, *args, **kwargs):
        sizes.append(x[:, 0].numel())
        return executor(x, *args, **kwargs)

    tokens = hosting.module("guards.tokens.host_attention")
    original = tokens.count_calls

    def counting(options, model, texts):
        from comfy.patcher_extension import add_wrapper_with_key

        original(options, model, texts)
        add_wrapper_with_key(WrappersMP.APPLY_MODEL, "sizes", look, options)

    tokens.count_calls = counting
    try:
        dits.sample(family, inhibit(family, model, -1.0, form, of=targets(family, seeds), cross_end=1.0), steps=3)
    finally:
        tokens.count_calls = original
    full = 2 * dits.noise(family)[0, 0].numel()
    steps = 4 if form == "aligned" else 3  # the first is looked at before it is made
    passes = {"qwen": latents * 3, "wan": token}.get(family, token * 3)
    assert sorted(sizes) == sorted([full] * steps + passes)


def test_every_frame_of_a_video_is_guarded_and_windows_over_it_are_followed(built):
    model, start = built("wan"), dits.noise("wan", frames=4)
    guarded, once_more = inhibit("wan", model), reading("wan", model, "sign_flip").model

    for change in (lambda one: one, dits.windowed):
        out, expected, plain = (dits.sample("wan", change(one), start=start) for one in (guarded, once_more, model))
        assert close(out, expected, 1e-4) and (out - plain).abs().amax((0, 1, 3, 4)).min() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_a_block_that_a_patch_skips_is_counted_all_the_same(built, form):
    """As SkipLayerGuidance skips them. Wan's keys of a text do not depend on its blocks: without the first one, a smaller Wan."""
    skipping, smaller = built("wan").clone(), dits.build("wan")
    skipping.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", 0)
    network = smaller.model.diffusion_model
    network.blocks = network.blocks[1:]
    network.num_layers = len(network.blocks)
    out, expected = (dits.sample("wan", inhibit("wan", one, -1.0, form)) for one in (skipping, smaller))
    assert close(out, expected, 1e-6) and not close(out, dits.sample("wan", smaller), 1e-3)


@pytest.mark.parametrize("skipped", ["double_layers", "single_layers"])
@pytest.mark.parametrize("family", ["flux", "sd3", "chroma", "qwen", "lumina"])
def test_skip_layer_guidance_runs_beside_the_guard(built, family, skipped):
    from comfy_extras import nodes_slg

    layers = {"double_layers": "", "single_layers": "", skipped: "0"}

    def slg(model):
        return nodes_slg.SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, **layers)[0]

    model = built(family)
    plain, one, other = (
        dits.sample(family, m) for m in (slg(model), slg(inhibit(family, model)), inhibit(family, slg(model)))
    )
    assert close(one, other, 1e-6) and not close(one, plain, 1e-3)


def cached(model, kept):
    """A cache that runs the first ``kept`` blocks and gives what it had in the place of the others, as WaveSpeed's does."""
    from comfy.patcher_extension import WrappersMP

    model, network = model.clone(), model.model.diffusion_model
    name = hosting.module("guards.host.dit").stack(model).blocks

    def run(executor, *args, **kwargs):
        whole = getattr(network, name)
        setattr(network, name, whole[:kept])
        try:
            return executor(*args, **kwargs)
        finally:
            setattr(network, name, whole)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "cached", run)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_blocks_that_a_cache_leaves_out_are_counted_all_the_same(built, form, open_gate):
    smaller = dits.build("wan")
    smaller.model.diffusion_model.blocks = smaller.model.diffusion_model.blocks[:1]
    out, expected = (dits.sample("wan", inhibit("wan", one, -1.0, form)) for one in (cached(built("wan"), 1), smaller))
    assert close(out, expected, 1e-6) and not close(out, dits.sample("wan", smaller), 1e-3)
    for family in (
        "flux",
        "chroma",
        "qwen",
        "lumina",
    ):  # of Flux and Chroma the single blocks, which are the last ones, run too
        out, plain = (
            dits.sample(family, cached(one, 1)) for one in (inhibit(family, built(family), -1.0, form), built(family))
        )
        assert out.isfinite().all() and not close(out, plain, 1e-3), family


def test_tokens_that_a_patch_puts_before_the_text_are_not_the_picture_s(built, open_gate, monkeypatch):
    """As the host's USO style reference on Flux: 6 of them, and the picture's 16 stay the last ones."""
    kind, found = hosting.module("guards.tokens.host_layouts").Places, []
    find = kind.find
    monkeypatch.setattr(kind, "find", lambda *args: found.append((args[2], find(*args))) or found[-1][1])

    def more(args):
        ids, style = args["txt_ids"], torch.ones(len(args["txt"]), 6, args["txt"].shape[2])
        more_ids = torch.zeros(len(ids), 6, ids.shape[2])
        return {**args, "txt": torch.cat([style, args["txt"]], 1), "txt_ids": torch.cat([more_ids, ids], 1)}

    styled = built("flux").clone()
    styled.set_model_post_input_patch(more)
    dits.sample("flux", inhibit("flux", styled))
    whole = [places for keys, places in found if keys == 6 + 20 + 16]
    assert whole and all(one == (slice(0, 26), slice(26, 42)) for one in whole)
    reference = kind(hosting.module("guards.tokens.host_layouts").LAYOUTS["Flux"], 16, 16, 20)
    extra = {"patches": {"post_input": [more]}, "reference_image_num_tokens": [4, 5]}
    assert reference.find(51, 51, extra) == (slice(0, 26), slice(26, 42))


def test_where_layers_are_added_the_run_stops(built):
    """As other packs' patches do: here one that runs a block twice."""
    model = built("flux").clone()

    def twice(args, extra):
        extra["original_block"]({**args, "img": args["img"].clone(), "txt": args["txt"].clone()})
        return extra["original_block"](args)

    model.set_model_patch_replace(twice, "dit", "double_block", 0)
    with pytest.raises(RuntimeError, match="the model ran 6 attention layers, for the targets alone 5"):
        dits.sample("flux", inhibit("flux", model))


# ---- the node -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(host):
    clip = models.clip()

    def run(model, **changes):
        arguments = dict(
            text="a red star", targets="star, blue", scale=-1.0, mode="single_pass", cross_end=0.8, self_end=0.4
        )
        out = hosting.run_node("GuardGrowthInhibitor", model=model, clip=clip, **{**arguments, **changes})
        return getattr(out, "args", None) or out.result

    return run


@pytest.mark.parametrize("name", ["qwen", "lumina", "zimage", "wan", "chroma"])
def test_the_node_guards_with_its_own_text_encoder_and_says_how(built, node, name):
    model = built(name)
    for form in FORMS:
        guarded, positive, said = node(model, form=form)
        assert (
            said.startswith("star: -1; blue: -1")
            and ("the whole latents" if name == "qwen" else "a pass over one token") in said
        )
        out = dits.sample(name, guarded, positive=positive, negative=positive)
        assert out.isfinite().all()
    assert not torch.equal(out, dits.sample(name, model, positive=positive, negative=positive))
    off, positive, said = node(model, scale=0.0)
    assert off is model and said == "off (scale 0)"


def test_what_only_unets_have_is_refused_by_name(built, node, tiny, host):
    model = built("lumina")
    adapter = hosting.module("guards.inhibitors.formula").Adapter(6)
    for changes, message in (
        (dict(mode="paired"), "mode is paired, which is for UNets; this is Lumina 2. Choose mode 'single_pass'"),
        (dict(variant="words"), "variant is words, which is for UNets; this is Lumina 2. Choose variant 'aligned'"),
        (dict(adapter=adapter), "adapter is connected, and scale adapters are for UNets.*set a scale"),
        (dict(targets=" "), "targets is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            node(model, **changes)
    with pytest.raises(
        ValueError,
        match="form is sign_flip, which is for transformers; this is Stable Diffusion 1.x. Choose form aligned",
    ):
        node(tiny, form="sign_flip")
    with pytest.raises(NotImplementedError, match="does not know the attention of PixArt.*Use Safe Latent Diffusion"):
        node(dits.build("pixart"))
    guarded = node(model)[0]
    with pytest.raises(ValueError, match="The targets were encoded 16 wide, the sampler's prompt 24 wide"):
        dits.sample(
            "lumina",
            guarded,
            positive=models.conditioning(1, 20, width=24),
            negative=models.conditioning(2, 20, width=24),
        )


def test_padding_is_told_from_words():
    words = hosting.module("guards.tokens.host_words")
    t5 = [[(3, 1.0), (5, 1.0), (1, 1.0), *[(0, 1.0)] * 5]]
    clip_l = [[(49406, 1.0), (7, 1.0), *[(49407, 1.0)] * 4]]
    assert words._words({"t5xxl": t5}, 8).tolist() == [0, 1, 2, 3]
    assert words._words({"l": clip_l, "t5xxl": t5}, 8).tolist() == [0, 1, 2, 3]  # Flux: the T5 alone
    assert words._words({"l": clip_l, "g": clip_l, "t5xxl": t5}, 14).tolist() == [0, 1, 2, 6, 7, 8, 9]  # SD3
    assert words._words({"qwen": [[(1, 1.0), (2, 1.0)]]}, 5) is None
