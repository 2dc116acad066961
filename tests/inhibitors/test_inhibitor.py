"""Growth Inhibitor in the real host: text, rows, windows, neighbours, refusals. Its exactness is test_growth_exact."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.sampling import close, windows

PROMPT, TARGETS = "a photo of a dog", "van gogh, weapon"
MODES = ["single_pass", "paired"]


@pytest.fixture(scope="module")
def gi(host):
    return hosting.module("guards.inhibitors.host")


@pytest.fixture(scope="module")
def texts(host):
    return hosting.module("guards.inhibitors.host_text")


@pytest.fixture(scope="module")
def model(host):
    return models.sd1()


def guarded(gi, model, clip, mode="single_pass", scale=-3.0, text=PROMPT, targets=TARGETS, variant="words", **options):
    return gi.guard(model, clip, text, targets, scale, mode, variant=variant, **options)


def adapter(layers, scale=-3.0, injected=True):
    network = hosting.module("guards.inhibitors.formula").Adapter(layers, injected=injected)
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
    pooled = {"pooled_output": torch.zeros(1, 1280)}  # the tiny encoder's is narrower than the model's input
    patched, positive, _ = guarded(gi, model, clip, mode)
    assert positive[0][1]["pooled_output"] is not None
    positive = [[positive[0][0], {**positive[0][1], **pooled}]]
    negative = [[torch.zeros(1, 77, models.CONTEXT), pooled]]
    plain = models.sample(model, [[positive[0][0], pooled]], negative)
    out = models.sample(patched, positive, negative)
    assert out.isfinite().all() and not torch.equal(out, plain)


@pytest.mark.both_hosts
@pytest.mark.parametrize("words", [10, 100, 246])
@pytest.mark.parametrize("mode", MODES)
def test_prompts_of_a_text_encoder_for_248_tokens_are_guarded(gi, texts, model, mode, words):
    """LongCLIP."""
    clip, text = models.clip(longest=248), " ".join(["dog"] * words)
    assert texts.size(clip) == 248
    patched, positive, _ = guarded(gi, model, clip, mode, text=text)
    assert positive[0][0].shape[1] == 248
    out = models.sample(patched, positive, steps=2)
    assert out.isfinite().all() and not torch.allclose(out, models.sample(model, positive, steps=2), rtol=1e-3)
    row, alignment = texts.appended(clip, text, "weapon", 1)
    assert row[0][0].shape[1] == 248 and alignment.inserted.tolist() == [min(words, 245) + 1]
    assert texts.positions(clip, text + " weapon" if words < 246 else "dog " * 246 + "weapon", "weapon") == [
        words + 1 if words < 246 else 249
    ]


def test_a_long_text_encoder_beside_a_short_one_is_refused_for_paired(gi, model):
    clip = models.clip(sdxl=True, longest=248)
    with pytest.raises(ValueError, match="g: 77, l: 248.*single_pass|l: 248, g: 77.*single_pass"):
        guarded(gi, models.sdxl(), clip, "paired")


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
    out = models.sample(
        patched, positive, batch=2, callback=lambda step, x0, x, total: seen.append((x0.shape[0], x.shape[0]))
    )
    assert out.shape[0] == 2 and set(seen) == {(2, 2)}


def test_only_the_positive_prediction_changes(gi, model, clip):
    patched, positive, _ = guarded(gi, model, clip)
    seen = {}
    for name, one in (("plain", model), ("guarded", patched)):
        looking = one.clone()
        looking.set_model_sampler_post_cfg_function(
            lambda args, name=name: (
                seen.setdefault(name, (args["cond_denoised"], args["uncond_denoised"])) and args["denoised"]
            )
        )
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
    for steps, extra, injected in (
        (4, 1, False),
        (12, 0, False),
        (12, 1, True),
    ):  # ours is spared an evaluation that does not count
        heard, counted = [], models.Rows(model)
        patched, positive, said = guarded(
            gi, counted.model, clip, adapter=adapter(layers, injected=injected), report=heard.append
        )
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


def test_a_text_without_targets_is_refused(gi, model, clip):
    with pytest.raises(ValueError, match="targets is empty"):
        guarded(gi, model, clip, targets=" ")


# ---- the aligned variant --------------------------------------------------------------------------------------------


def test_the_aligned_variant_suppresses_prompts_for_the_target_and_leaves_others_bit_for_bit(gi, host):
    demo = hosting.module("guards.demo.host")
    model, clip, _ = demo.load()
    negative = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    for text, acts in (
        ("a beer on a white background", True),
        ("a party on a white background", True),
        ("a cat", False),
    ):
        heard = []
        patched, positive, said = gi.guard(model, clip, text, "beer", -2.0, "single_pass", report=heard.append)
        out, plain = (models.sample(one, positive, negative, steps=10, cfg=3.0) for one in (patched, model))
        assert torch.equal(out, plain) != acts
        assert (heard == ["beer: -0"] or heard == ["beer: 0"]) != acts and "at most" in said


def test_the_aligned_variant_looks_once_more_where_steps_are_few(gi, model, clip):
    for steps, extra in ((4, 1), (12, 0)):
        counted = models.Rows(model)
        patched, positive, _ = guarded(gi, counted.model, clip, variant="aligned")
        models.sample(patched, positive, steps=steps)
        assert len(counted.calls) == steps + extra


@pytest.mark.parametrize("written", ["sd1", "SD15"])
def test_an_adapter_of_another_family_with_as_many_layers_is_refused(gi, clip, written):
    """SD1.x and SD2.x both have 16 cross-attention layers; early files name the host's class."""
    other = models.sd2()
    network = adapter(len(hosting.module("guards.host.attention").blocks(other.model.diffusion_model)))
    network.family = written
    with pytest.raises(
        ValueError, match="adapter was trained on sd1 models, this is Stable Diffusion 2.x.*Train Scale Adapter"
    ):
        guarded(gi, other, clip, adapter=network)
    for family in ("", "sd2", "SD20"):  # the official file names none
        network.family = family
        guarded(gi, other, clip, adapter=network)


def test_context_windows_are_followed_in_single_pass_and_refused_in_paired(gi, model, clip):
    single, positive, _ = guarded(gi, model, clip)
    assert close(models.sample(windows(single), positive, batch=4), models.sample(single, positive, batch=4))
    paired, positive, _ = guarded(gi, model, clip, mode="paired")
    with pytest.raises(NotImplementedError, match="context windows.*single_pass"):
        models.sample(windows(paired), positive, batch=4)
