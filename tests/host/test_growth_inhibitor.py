"""Growth Inhibitor in the real host: text, rows, windows, neighbours, refusals. Its exactness is test_growth_exact."""
import hosting
import models
import pytest
import torch

PROMPT, TARGETS = "a photo of a dog", "van gogh, weapon"
MODES = ["single_pass", "paired"]


@pytest.fixture(scope="module")
def gi(host):
    return hosting.module("guards.host.growth_inhibitor")


@pytest.fixture(scope="module")
def texts(host):
    return hosting.module("guards.host.inhibitor_text")


@pytest.fixture(scope="module")
def clip(host):
    return models.clip()


@pytest.fixture(scope="module")
def model(host):
    return models.sd1()


def guarded(gi, model, clip, mode="single_pass", scale=-3.0, text=PROMPT, targets=TARGETS, variant="words", **options):
    return gi.guard(model, clip, text, targets, scale, mode, variant=variant, **options)


def adapter(layers, scale=-3.0, injected=True):
    network = hosting.module("guards.inhibitors").Adapter(layers, injected=injected)
    with torch.inference_mode(False), torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.fc3.bias.fill_(scale)
    return network


# ---- text -----------------------------------------------------------------------------------------------------------

def ids(chunk):
    return [token for token, *_ in chunk]


def test_positions_are_found_by_tokens_and_not_by_letters(texts, clip):
    assert texts.positions(clip, "a cat in a category of cats, a (cat:1.3)", "cat") == [2, 10]
    assert texts.positions(clip, "van gogh painted a van", "van gogh") == [1, 2]
    assert texts.positions(clip, "", "cat") == []


def test_positions_in_later_chunks_count_from_the_start_of_the_conditioning(texts, clip):
    found = texts.positions(clip, "cat " * 75 + "dog", "dog")
    assert found == [78]


def test_the_guarded_prompt_is_the_prompt_with_the_targets_appended(texts, clip):
    plain, _ = texts.appended(clip, PROMPT, "van gogh weapon", 3)
    assert torch.equal(plain[0][0], texts.prompt(clip, PROMPT + " van gogh weapon")[0][0])
    weighted, _ = texts.appended(clip, "a (red:1.4) dog", "weapon", 1)
    assert torch.equal(weighted[0][0], texts.prompt(clip, "a (red:1.4) dog weapon")[0][0])


@pytest.mark.parametrize("words, kept", [(0, 0), (74, 74), (75, 73), (100, 100), (148, 148), (149, 148)])
def test_a_full_prompt_loses_its_tail_and_says_so(texts, clip, caplog, words, kept):
    count = 2 if words != 74 else 1
    row, alignment = texts.appended(clip, " ".join(["dog"] * words), "van gogh" if count == 2 else "weapon", count)
    chunks = max(1, -(-words // 75))
    assert row[0][0].shape[1] == 77 * chunks
    start = 77 * (chunks - 1) + 1 + kept - 75 * (chunks - 1)
    assert alignment.inserted.tolist() == list(range(start, start + count))
    assert ("is full" in caplog.text) == (kept < words)


def test_a_target_in_the_prompt_is_appended_once_more(texts, clip):
    _, alignment = texts.appended(clip, "a weapon", "weapon", 1)
    assert alignment.inserted.tolist() == [3]


def test_targets_know_which_token_belongs_to_which(texts, clip):
    target = texts.target(clip, ["van gogh", "weapon"])
    assert (target.count, target.owners) == (3, (0, 0, 1)) and len(target.each) == 2
    with pytest.raises(ValueError, match="more tokens than fit"):
        texts.target(clip, ["dog"] * 80)


def test_an_embedding_works_as_a_target(texts, tmp_path, host):
    from safetensors.torch import save_file
    save_file({"emb_params": torch.randn(3, models.CONTEXT)}, tmp_path / "unwanted.safetensors")
    clip = models.clip(directory=str(tmp_path))
    assert texts.target(clip, ["embedding:unwanted", "weapon"]).count == 4
    assert texts.positions(clip, "a embedding:unwanted here", "embedding:unwanted") == [2, 3, 4]
    with pytest.raises(ValueError, match="makes no token"):
        texts.target(clip, ["embedding:nothing_of_that_name"])


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode", MODES)
def test_sdxl_with_its_two_encoders_and_pooled_output_is_guarded(gi, mode):
    model, clip = models.sdxl(), models.clip(sdxl=True)
    pooled = {"pooled_output": torch.zeros(1, 1280)}                    # the tiny encoder's is narrower than the model's input
    patched, positive, _ = guarded(gi, model, clip, mode)
    assert positive[0][1]["pooled_output"] is not None
    positive = [[positive[0][0], {**positive[0][1], **pooled}]]
    negative = [[torch.zeros(1, 77, models.CONTEXT), pooled]]
    plain = models.sample(model, [[positive[0][0], pooled]], negative)
    out = models.sample(patched, positive, negative)
    assert out.isfinite().all() and not torch.equal(out, plain)


# ---- runs -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
def test_scale_0_is_off_bit_for_bit(gi, texts, model, clip, mode):
    patched, positive, said = guarded(gi, model, clip, mode, scale=0.0)
    assert patched is model and torch.equal(positive[0][0], texts.prompt(clip, PROMPT)[0][0]) and "off" in said


def test_out_of_its_window_a_single_pass_changes_nothing(gi, model, clip):
    patched, positive, _ = guarded(gi, model, clip, cross_end=0.0)
    assert torch.equal(models.sample(patched, positive), models.sample(model, positive))


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_sde"])
def test_runs_act_repeat_and_leave_nothing_behind(gi, model, clip, mode, sampler):
    patched, positive, _ = guarded(gi, model, clip, mode)
    plain = models.sample(model, positive, sampler=sampler, batch=2)
    out = models.sample(patched, positive, sampler=sampler, batch=2)
    assert out.shape == plain.shape and out.isfinite().all() and not torch.allclose(out, plain, rtol=1e-3)
    assert torch.equal(out, models.sample(patched, positive, sampler=sampler, batch=2))
    assert torch.equal(plain, models.sample(model, positive, sampler=sampler, batch=2))


def test_an_interrupted_run_leaves_nothing_behind(gi, model, clip):
    patched, positive, _ = guarded(gi, model, clip, "paired")
    expected = models.sample(patched, positive)

    def stop(step, *_):
        raise RuntimeError("stop")
    with pytest.raises(RuntimeError, match="stop"):
        models.sample(patched, positive, callback=stop)
    assert torch.equal(models.sample(patched, positive), expected)


@pytest.mark.parametrize("mode, times", [("single_pass", 1), ("paired", 2)])
def test_single_pass_adds_no_row_and_paired_doubles_them(gi, model, clip, mode, times):
    plain, counted = models.Rows(model), models.Rows(model)
    patched, positive, _ = guarded(gi, counted.model, clip, mode)
    models.sample(plain.model, positive)
    models.sample(patched, positive)
    assert counted.total == times * plain.total


def test_the_twin_never_reaches_the_user(gi, model, clip):
    patched, positive, _ = guarded(gi, model, clip, "paired")
    seen = []
    out = models.sample(patched, positive, batch=2, callback=lambda step, x0, x, total: seen.append((x0.shape[0], x.shape[0])))
    assert out.shape[0] == 2 and set(seen) == {(2, 2)}


def test_only_the_positive_prediction_changes(gi, model, clip):
    patched, positive, _ = guarded(gi, model, clip)
    seen = {}
    for name, one in (("plain", model), ("guarded", patched)):
        looking = one.clone()
        looking.set_model_sampler_post_cfg_function(
            lambda args, name=name: seen.setdefault(name, (args["cond_denoised"], args["uncond_denoised"])) and args["denoised"])
        models.sample(looking, positive, steps=2)
    assert not torch.allclose(seen["plain"][0], seen["guarded"][0], rtol=1e-3)
    assert torch.equal(seen["plain"][1], seen["guarded"][1])


def test_a_sampler_that_adds_noise_adds_the_same_to_both_twins(gi, host):
    import comfy.samplers
    twins = hosting.module("guards.host.twins")
    made = twins.Twin(torch.zeros(2, 4, 8, 8), 3)._same_noise(comfy.samplers.sampler_object("euler_ancestral"))
    drawn = [made.extra_options["noise_sampler"](torch.tensor(1.0), torch.tensor(0.5)) for _ in range(2)]
    assert torch.equal(drawn[0][:2], drawn[0][2:]) and not torch.equal(drawn[0], drawn[1])


def test_an_adapter_infers_a_scale_from_the_runs_own_first_step(gi, model, clip):
    layers = len(hosting.module("guards.host.attention").blocks(model.model.diffusion_model))
    for steps, extra, injected in ((4, 1, False), (12, 0, False), (12, 1, True)):   # ours is spared an evaluation that does not count
        heard, counted = [], models.Rows(model)
        patched, positive, said = guarded(gi, counted.model, clip, adapter=adapter(layers, injected=injected), report=heard.append)
        models.sample(patched, positive, steps=steps)
        assert len(counted.calls) == steps + extra
        assert heard == ["van gogh: -3, -3; weapon: -3"] and "inferred" in said


def test_an_adapter_that_says_the_same_number_equals_that_number(gi, model, clip):
    layers = len(hosting.module("guards.host.attention").blocks(model.model.diffusion_model))
    for mode in MODES:
        fixed, positive, _ = guarded(gi, model, clip, mode, scale=-3.0)
        inferred, again, _ = guarded(gi, model, clip, mode, scale=0.0, adapter=adapter(layers))
        assert torch.equal(models.sample(fixed, positive), models.sample(inferred, again))


def test_prompts_of_several_chunks_share_a_pass_with_a_short_negative(gi, model, clip):
    text = " ".join(["dog"] * 90)
    for mode in MODES:
        patched, positive, _ = guarded(gi, model, clip, mode, text=text)
        assert positive[0][0].shape[1] == 154
        assert models.sample(patched, positive).isfinite().all()


# ---- neighbours -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
def test_a_replacement_of_another_pack_still_acts_on_every_row(gi, model, clip, mode):
    seen, kind = [], hosting.module("guards.host.attention")

    def image_prompt(q, k, v, extra):                                   # as IPAdapter does it: its own attention on top
        seen.append(q.shape[0])
        return kind.plain(q, k, v, extra) + 0.5
    other = model.clone()
    for key, _ in kind.blocks(model.model.diffusion_model):
        other.set_model_attn2_replace(image_prompt, *key[:2])
    patched, positive, _ = guarded(gi, other, clip, mode)
    out = models.sample(patched, positive, steps=2)
    assert set(seen) == {4 if mode == "paired" else 2}
    assert not torch.equal(out, models.sample(guarded(gi, model, clip, mode)[0], positive, steps=2))
    assert not torch.equal(out, models.sample(other, positive, steps=2))


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode", MODES)
def test_guards_of_attention_and_guidance_join(gi, model, clip, mode):
    import comfy_extras.nodes_pag
    node = comfy_extras.nodes_pag.PerturbedAttentionGuidance
    other = node.execute(model, 3.0)[0] if hasattr(node, "execute") else node().patch(model, 3.0)[0]
    patched, positive, _ = guarded(gi, other, clip, mode)
    both = models.sample(patched, positive)
    assert not torch.equal(both, models.sample(other, positive))
    assert not torch.equal(both, models.sample(guarded(gi, model, clip, mode)[0], positive))
    sld = hosting.module("guards.host.safe_latent_diffusion").guard(
        patched, hosting.module("guards.sld").PRESETS["max"], models.CONCEPT)
    assert not torch.equal(models.sample(sld, positive), both)


VARIANTS = [("single_pass", "words"), ("single_pass", "aligned"), ("paired", "words")]


def longer_text(model):
    """A patch that gives cross-attention more tokens: for every row those of another text behind its own."""
    other = model.clone()

    def extend(n, context, value, extra):
        more = models.OTHER[0][0].expand(len(n), -1, -1)
        return n, torch.cat([context, more], 1), torch.cat([value, more], 1)
    other.set_model_attn2_patch(extend)
    return other


def more_rows(model):
    """Normalised attention guidance with rows of its own: a patch appends as many as there are, asked for another text, and another
    takes them off again and pushes the first ones away from them."""
    other = model.clone()

    def extend(n, context, value, extra):
        more = models.OTHER[0][0].expand(len(n), -1, -1)
        return torch.cat([n, n]), torch.cat([context, more]), torch.cat([value, more])

    def shrink(out, extra):
        own, away = out.chunk(2)
        return own + 0.5 * (own - away)
    other.set_model_attn2_patch(extend)
    other.set_model_attn2_output_patch(shrink)
    return other


def node(name, arguments):
    """A neighbour made by the host's own node."""
    def beside(model):
        import importlib
        module, cls = name.split(".")
        found = getattr(importlib.import_module("comfy_extras." + module), cls)
        return (found.execute(model, **arguments) if hasattr(found, "execute") else found().patch(model, **arguments))[0]
    return beside


NEIGHBOURS = {"NAG": node("nodes_nag.NAGuidance", dict(nag_scale=5.0, nag_alpha=0.5, nag_tau=1.5)),
              "SAG": node("nodes_sag.SelfAttentionGuidance", dict(scale=0.5, blur_sigma=2.0)),
              "PAG": node("nodes_pag.PerturbedAttentionGuidance", dict(scale=3.0)),
              "HyperTile": node("nodes_hypertile.HyperTile", dict(tile_size=32, swap_size=2, max_depth=0, scale_depth=False)),
              "longer text": longer_text, "more rows": more_rows}


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode, variant", VARIANTS)
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_other_attention_guidance_acts_beside_the_inhibitor_in_either_order(gi, model, clip, name, mode, variant):
    alone, positive, _ = guarded(gi, model, clip, mode, variant=variant)
    other = NEIGHBOURS[name](model)
    both = guarded(gi, other, clip, mode, variant=variant)[0]
    torch.manual_seed(0)                                                # HyperTile draws from the global generator
    out = models.sample(both, positive, batch=2)
    for without in (alone, other, model):
        torch.manual_seed(0)
        assert not torch.allclose(out, models.sample(without, positive, batch=2), rtol=1e-3)
    torch.manual_seed(0)
    swapped = models.sample(NEIGHBOURS[name](alone), positive, batch=2)
    assert out.isfinite().all() and (out - swapped).norm() / out.norm() < 1e-3


def test_patches_of_self_attention_that_cut_pictures_into_tiles_get_the_twin_s_layout(gi, model, clip):
    """Behind them (HyperTile, ToMe) the rows would no longer be those of the pictures, and the layout would not be taken over."""
    other, seen = model.clone(), []

    def look(n, context, value, extra):
        at = 2 * extra["cond_or_uncond"].index(0)                       # the guarded row, then its twin
        seen.append(torch.equal(n[at], n[at + 1]))
        return n, context, value
    other.set_model_attn1_patch(look)
    for self_end in (0.0, 1.0):
        seen.clear()
        patched, positive, _ = guarded(gi, other, clip, "paired", self_end=self_end)
        models.sample(patched, positive)
        assert seen and all(seen[1:]) == (self_end == 1.0)


@pytest.mark.parametrize("name", ["longer text", "more rows", "SAG"])
def test_beside_neighbours_too_only_the_positive_prediction_changes(gi, model, clip, name):
    seen, other = {}, NEIGHBOURS[name](model)
    patched, positive, _ = guarded(gi, other, clip)
    for kind, one in (("plain", other), ("guarded", patched)):
        looking = one.clone()
        looking.set_model_sampler_post_cfg_function(
            lambda args, kind=kind: seen.setdefault(kind, (args["cond_denoised"], args["uncond_denoised"])) and args["denoised"])
        models.sample(looking, positive, steps=2, batch=2)
    assert not torch.allclose(seen["plain"][0], seen["guarded"][0], rtol=1e-3)
    assert torch.allclose(seen["plain"][1], seen["guarded"][1], atol=1e-5)


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode, variant", VARIANTS)
def test_a_controlnet_on_the_positive_reaches_the_guarded_rows(gi, model, clip, mode, variant):
    patched, positive, _ = guarded(gi, model, clip, mode, variant=variant)
    controlled = [[t, {**o, "control": models.control(), "control_apply_to_uncond": False}] for t, o in positive]
    out = models.sample(patched, controlled, batch=2)
    assert out.isfinite().all() and out.shape[0] == 2
    assert not torch.allclose(out, models.sample(patched, positive, batch=2), rtol=1e-3)
    assert not torch.allclose(out, models.sample(model, controlled, batch=2), rtol=1e-3)


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode, variant", VARIANTS)
def test_a_feedback_token_is_suppressed_as_a_target(gi, model, tmp_path, mode, variant):
    """What Invert Feedback saves and Load Feedback Token puts out as text: another word in the file, another picture."""
    from safetensors.torch import save_file
    clip = models.clip(directory=str(tmp_path))
    made, text = [], "embedding:unwanted" if variant == "aligned" else PROMPT          # aligned acts on what is in the prompt only
    for seed in (1, 2):
        vectors = torch.randn(2, models.CONTEXT, generator=torch.Generator().manual_seed(seed))
        save_file({"clip_l": vectors}, tmp_path / "unwanted.safetensors")
        patched, positive, said = guarded(gi, model, clip, mode, text=text, targets="embedding:unwanted", variant=variant)
        assert said.startswith("embedding:unwanted: -3, -3")
        made.append(models.sample(patched, positive))
        assert made[-1].isfinite().all() and not torch.allclose(made[-1], models.sample(model, positive), rtol=1e-3)
    assert not torch.allclose(*made, rtol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_area_prompts_are_guarded_in_their_area(gi, model, clip, mode):
    patched, positive, _ = guarded(gi, model, clip, mode)
    left = [[tensor, {**options, "area": (8, 4, 0, 0), "strength": 1.0, "set_area_to_bounds": False}] for tensor, options in positive]
    joined = left + models.POSITIVE
    out, plain = models.sample(patched, joined), models.sample(model, joined)
    assert out.isfinite().all() and not torch.allclose(out, plain, rtol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_two_inhibitors_act_both_where_they_can(gi, model, clip, mode):
    once, positive, _ = guarded(gi, model, clip, mode, targets="weapon")
    twice, _, _ = guarded(gi, once, clip, "single_pass", targets="van gogh")
    assert not torch.equal(models.sample(once, positive), models.sample(twice, positive))


def test_two_paired_inhibitors_are_refused(gi, model, clip):
    once, positive, _ = guarded(gi, model, clip, "paired", targets="weapon")
    twice, positive, _ = guarded(gi, once, clip, "paired", targets="van gogh")
    with pytest.raises(ValueError, match="name all targets in one node"):
        models.sample(twice, positive)


# ---- refusals -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("family", ["flux", "sd3"])
def test_dit_models_are_refused_with_the_guards_that_work_there(gi, clip, family):
    with pytest.raises(NotImplementedError, match="Use Safe Latent Diffusion, Prompt Intervention or Rewrite Prompt"):
        guarded(gi, getattr(models, family)(), clip)


def test_a_clip_of_another_model_is_refused(gi, model):
    patched, _, _ = guarded(gi, model, models.clip(32))
    with pytest.raises(ValueError, match="The targets were encoded 32 wide, the sampler's prompt 16 wide"):
        models.sample(patched)


def test_an_adapter_of_another_family_is_refused_before_sampling(gi, model, clip):
    with pytest.raises(ValueError, match="16 cross-attention layers"):
        guarded(gi, model, clip, adapter=adapter(16))


@pytest.mark.parametrize("wrong, message", [({"targets": " "}, "targets is empty"), ({"scale": float("nan")}, "scale is nan"),
                                            ({"cross_end": 2.0}, "cross_end is 2.0")])
def test_bad_numbers_and_texts_are_refused(gi, model, clip, wrong, message):
    with pytest.raises(ValueError, match=message):
        guarded(gi, model, clip, **wrong)


# ---- the aligned variant --------------------------------------------------------------------------------------------

def test_the_aligned_variant_suppresses_prompts_for_the_target_and_leaves_others_bit_for_bit(gi, host):
    demo = hosting.module("guards.host.demo_model")
    model, clip, _ = demo.load()
    negative = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    for text, acts in (("a red star on a white background", True), ("a red zorp on a white background", True), ("a blue ring", False)):
        heard = []
        patched, positive, said = gi.guard(model, clip, text, "star", -2.0, "single_pass", report=heard.append)
        out, plain = (models.sample(one, positive, negative, steps=10, cfg=3.0) for one in (patched, model))
        assert torch.equal(out, plain) != acts
        assert (heard == ["star: -0"] or heard == ["star: 0"]) != acts and "at most" in said


def test_the_aligned_variant_looks_once_more_where_steps_are_few(gi, model, clip):
    for steps, extra in ((4, 1), (12, 0)):
        counted = models.Rows(model)
        patched, positive, _ = guarded(gi, counted.model, clip, variant="aligned")
        models.sample(patched, positive, steps=steps)
        assert len(counted.calls) == steps + extra
