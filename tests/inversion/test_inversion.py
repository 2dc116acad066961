"""Inverting feedback inside the host: gradients as an independent computation has them, model and CLIP untouched, words that load."""

import sys
from pathlib import Path

import pytest
import safetensors
import torch

from tools.testing import hosting, models, twins

pytestmark = pytest.mark.both_hosts
WIDTH = twins.NARROW.context


def tiny_clip(width=WIDTH, folder=None):
    """The host's CLIP around two layers of random weights."""
    import functools

    import comfy.sd
    import comfy.sd1_clip
    import comfy.supported_models_base

    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    tokenizer = functools.partial(comfy.sd1_clip.SDTokenizer, embedding_size=width)
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=folder,
        tokenizer_data={"clip_l_tokenizer_class": tokenizer},
        model_options={
            "clip_l_model_config": {
                "hidden_size": width,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 64,
            }
        },
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in clip.cond_stage_model.named_parameters():
            if p.ndim > 1:
                p.copy_(
                    torch.randn(p.shape, generator=generator) * (1.0 if "embedding" in name else p[0].numel() ** -0.5)
                )
            else:
                p.fill_(float(name.endswith(("norm1.weight", "norm2.weight", "norm.weight"))))
    return clip


@pytest.fixture(scope="module")
def clip(host):
    return tiny_clip()


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 16, 16)


def examples(seed=3):
    generator = torch.Generator().manual_seed(seed)
    x0, noise = (torch.randn(2, 4, 16, 16, generator=generator) for _ in range(2))
    return x0, noise, torch.tensor([150, 720])


def test_the_gradient_to_the_word_is_that_of_an_independent_loss(pair, clip):
    """transformers' CLIP and diffusers' UNet with the same weights; the word is a row of the embedding table there."""
    from transformers import CLIPTextConfig, CLIPTextModel

    inversion, training, pure = (
        hosting.module(f"guards.{name}") for name in ("inversion.host", "training.host", "training.loop")
    )
    x0, noise, times = examples()
    values = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        eos_token_id=49407,
    )
    text = CLIPTextModel(config).eval().requires_grad_(False)
    own = {
        name.removeprefix("text_model."): value
        for name, value in clip.cond_stage_model.clip_l.transformer.state_dict().items()
    }
    target = getattr(text, "text_model", text)
    missing, _ = target.load_state_dict(own, strict=False)
    assert not [name for name in missing if "position_ids" not in name]
    table = target.embeddings.token_embedding
    ids = torch.tensor([[49406, 11, 12, *[49407] * 74]])
    with torch.no_grad():
        table.weight[11:13] = values
    table.weight.requires_grad_(True)
    encoded = text(input_ids=ids).last_hidden_state.expand(2, -1, -1)
    predicted = pair.unet(pair.pipe.scheduler.add_noise(x0, noise, times), times, encoder_hidden_states=encoded).sample
    (predicted - noise).square().mean().backward()
    expected = table.weight.grad[11:13]

    actual = values.clone().requires_grad_(True)

    def train(denoise, device):
        sigma = pair.model.model.model_sampling.sigmas[times]
        encoded = inversion.encode(clip, {"l": actual})
        pure.errors(
            denoise(pure.add_noise(x0, noise, sigma, False), sigma, conditioning=encoded), x0, sigma, "eps"
        ).mean().backward()

    with training.ordinary_weights(clip.cond_stage_model):
        training.run(pair.model, {"positive": [[torch.zeros(1, 77, WIDTH), {}]]}, x0, train)
    assert twins.error(actual.grad, expected) <= 1e-4


def invert(model, clip, rewards, steps=12, count=1, stop=None, **changes):
    inversion, pure = hosting.module("guards.inversion.host"), hosting.module("guards.training.loop")
    latents = torch.randn(len(rewards), 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        return inversion.invert(
            model,
            clip,
            empty,
            latents,
            torch.tensor(rewards),
            pure.Settings(steps, 0.01, 2, 0),
            inversion.start_vectors(clip, count),
            on_step=stop or (lambda *_: None),
            **changes,
        )


def state(*modules):
    return [
        (value.clone(), value.requires_grad, value.is_inference())
        for module in modules
        for value in module.state_dict().values()
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_model_and_clip_come_out_bit_identical_and_seeds_repeat(pair, clip, count):
    before = state(pair.model.model, clip.cond_stage_model)
    encoded = clip.encode_from_tokens(clip.tokenize("a house"))
    first, again = (invert(pair.model, clip, [1.0, 0.9, 0.1, 0.0], count=count) for _ in range(2))
    assert (
        first.values.shape == (count, WIDTH)
        and torch.equal(first.values, again.values)
        and not first.values.requires_grad
    )
    for (a, *rest), (b, *same) in zip(before, state(pair.model.model, clip.cond_stage_model), strict=True):
        assert torch.equal(a, b) and rest == same
    assert torch.equal(encoded, clip.encode_from_tokens(clip.tokenize("a house")))
    assert first.best < first.validation[0][1]


def test_only_what_was_rated_high_is_learnt_from_and_counter_examples_change_it(pair, clip):
    same = invert(pair.model, clip, [1.0, 1.0, 0.0, 0.0])
    other = invert(pair.model, clip, [0.0, 0.0, 1.0, 1.0])
    contrasted = invert(pair.model, clip, [1.0, 1.0, 0.0, 0.0], contrast_weight=5.0)
    assert not torch.equal(same.values, other.values) and not torch.equal(same.values, contrasted.values)
    for rewards, message in (([0.5, 0.5], "rated the same"), ([float("nan"), 1.0], "must be numbers")):
        with pytest.raises(ValueError, match=message):
            invert(pair.model, clip, rewards)


def test_stop_keeps_the_best_so_far(pair, clip):
    import comfy.model_management

    def stop(done, result, preview):
        if done == 13:
            assert preview().shape == (3, 4, 16, 16)
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()

    result = invert(pair.model, clip, [1.0, 0.0], steps=500, stop=stop)
    assert len(result.losses) == 13 and result.validation[-1][0] == 12 and result.best_step in (0, 12)
    assert not comfy.model_management.processing_interrupted()


@pytest.fixture
def folder(tmp_path, monkeypatch, host):
    import folder_paths

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "embeddings", ([str(tmp_path)], {".safetensors", ".pt", ".bin"})
    )
    folder_paths.filename_list_cache.pop("embeddings", None)
    yield tmp_path
    folder_paths.filename_list_cache.pop("embeddings", None)


def test_a_saved_word_loads_as_the_vectors_it_was_and_stands_in_any_prompt(folder):
    token, inversion = hosting.module("guards.inversion.host_token"), hosting.module("guards.inversion.host")
    clip = tiny_clip(folder=[str(folder)])
    values = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
    token.save(token.path_for("it"), clip, values, {"concept": "beer"})
    load = hosting.node_classes()["GuardLoadFeedbackToken"]
    conditioning, text = load.execute(clip, "it.safetensors", "a photo of {token}, large").args
    assert text == "a photo of embedding:it, large"
    with torch.no_grad():
        expected = inversion.encode(clip, {"l": values}, "a photo of {token}, large")
    assert torch.allclose(conditioning[0][0], expected[0][0], atol=1e-5)
    assert torch.equal(conditioning[0][0], clip.encode_from_tokens(clip.tokenize("a photo of embedding:it, large")))
    with pytest.raises(FileExistsError, match="it.safetensors is already in models/embeddings"):
        token.path_for("it")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which files are mapped")
def test_a_word_in_use_does_not_keep_its_file_mapped(folder):
    """Windows does not let a file be replaced that is mapped: training the word again would fail at its end."""
    token, clip = hosting.module("guards.inversion.host_token"), tiny_clip(folder=[str(folder)])
    path, maps = token.path_for("mapped"), Path("/proc/self/maps")
    token.save(path, clip, torch.ones(3, WIDTH), {})
    vectors = token.vectors(clip, "mapped.safetensors")
    assert vectors and path not in maps.read_text()
    with safetensors.safe_open(path, "pt") as file:
        kept = file.get_tensor("clip_l")
    assert kept.any() and path in maps.read_text(), "a mapped file is not seen: a test of nothing"


def test_words_that_the_host_would_drop_silently_are_errors(folder):
    import safetensors.torch

    token = hosting.module("guards.inversion.host_token")
    clip = tiny_clip(folder=[str(folder)])
    for name, tensors, message in (
        ("wide", {"clip_l": torch.zeros(1, 768)}, "holds clip_l 768 wide; this text encoder needs clip_l, 64 wide"),
        ("other", {"clip_g": torch.zeros(1, 1280), "clip_h": torch.zeros(1, WIDTH)}, "needs clip_l"),
        ("nan", {"clip_l": torch.full((1, WIDTH), float("nan"))}, "no finite numbers"),
        ("a b", {"clip_l": torch.zeros(1, WIDTH)}, "has a space in its name"),
    ):
        safetensors.torch.save_file(tensors, folder / f"{name}.safetensors")
        with pytest.raises(ValueError, match=message):
            token.encode(clip, f"{name}.safetensors", "{token}")
    (folder / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="broken.safetensors cannot be read as an embedding"):
        token.encode(clip, "broken.safetensors", "{token}")
    safetensors.torch.save_file({"clip_l": torch.zeros(1, WIDTH)}, folder / "fine.safetensors")
    with pytest.raises(ValueError, match="did not reach the text encoder"):
        token.encode(tiny_clip(), "fine.safetensors", "{token}")
    for template in ("", "{token} {token}"):
        with pytest.raises(ValueError, match="must hold {token} once"):
            token.encode(clip, "fine.safetensors", template)
    for name in ("a b", "a,b", "../x", "embedding:x"):
        with pytest.raises(ValueError, match="name is|filename is"):
            token.path_for(name)


# ---- the other families -------------------------------------------------------------------------------------------------------------

FAMILIES = {"sd2": {"h": 16}, "sd2-v": {"h": 16}, "sdxl": {"g": 32, "l": 16}}


@pytest.fixture(params=FAMILIES)
def family(request, folder):
    """(widths by encoder, MODEL, CLIP) of a narrow model of the family, its weights inference tensors as the host's loaders make them."""
    with torch.inference_mode():
        if request.param == "sdxl":
            return (
                FAMILIES["sdxl"],
                models.sdxl(48, pooled=32),
                models.clip((16, 32), sdxl=True, directory=[str(folder)]),
            )
        model = models.sd2("V_PREDICTION" if request.param == "sd2-v" else "EPS")
        return FAMILIES[request.param], model, models.clip(16, sd2=True, directory=[str(folder)])


def values_for(sizes, count=2, seed=9):
    return 0.25 * torch.randn(count, sum(sizes.values()), generator=torch.Generator().manual_seed(seed))


def loss_and_gradient(model, clip, sizes, values):
    """The inversion's loss of two noised examples, its gradient to the vectors, and what the network itself put out."""
    inversion, training, pure = (
        hosting.module(f"guards.{name}") for name in ("inversion.host", "training.host", "training.loop")
    )
    x0, noise, times = examples()
    values, raw = values.clone().requires_grad_(True), []

    def train(denoise, device):
        sigma = model.model.model_sampling.sigmas[times].clone()
        encoded = inversion.encode(clip, inversion.split(sizes, values))
        hook = model.model.diffusion_model.register_forward_hook(
            lambda module, inputs, out: raw.append(out.detach().clone())
        )
        denoised = denoise(pure.add_noise(x0, noise, sigma, False), sigma, conditioning=encoded)
        loss = pure.errors(denoised, x0, sigma, training.prediction(model))
        hook.remove()
        loss.mean().backward()
        raw.append(loss.detach())

    with training.ordinary_weights(clip.cond_stage_model):
        training.run(model, {"positive": clip.encode_from_tokens_scheduled(clip.tokenize(""))}, x0, train)
    return raw[1], values.grad, raw[0]


def test_the_loss_is_the_family_s_own_and_the_gradient_reaches_every_encoder(family):
    """Against the network's raw output, and against finite differences for each encoder's vectors alone."""
    sizes, model, clip = family
    values = values_for(sizes)
    losses, gradient, raw = loss_and_gradient(model, clip, sizes, values)
    x0, noise, times = examples()
    sigma = model.model.model_sampling.sigmas[times].view(-1, 1, 1, 1)
    target = (noise - sigma * x0) / (1 + sigma**2) ** 0.5 if model.model.model_type.name == "V_PREDICTION" else noise
    assert torch.allclose(losses, (raw - target).square().flatten(1).mean(1), rtol=2e-3)
    at = 0
    for width in sizes.values():
        direction = torch.zeros_like(values)
        direction[:, at : at + width] = gradient[:, at : at + width]
        slope = direction.square().sum()
        assert slope > 0
        step = 0.02 / slope.sqrt()
        up, down = (
            loss_and_gradient(model, clip, sizes, values + sign * step * direction)[0].mean() for sign in (1, -1)
        )
        assert abs((up - down) / (2 * step) - slope) < 0.05 * slope
        at += width


def test_a_word_of_each_family_is_inverted_saved_and_loaded_by_the_host_itself(family, folder):
    import safetensors.torch

    sizes, model, clip = family
    token, inversion = hosting.module("guards.inversion.host_token"), hosting.module("guards.inversion.host")
    before, encoded = (
        state(model.model, clip.cond_stage_model),
        clip.encode_from_tokens(clip.tokenize("a house"), return_pooled=True),
    )
    previews = []

    def look(done, result, preview):
        if done == 5:
            previews.append(preview())

    result = invert(model, clip, [1.0, 0.9, 0.1, 0.0], count=2, stop=look)
    assert previews[0].shape == (3, 4, 16, 16) and previews[0].isfinite().all()
    for (a, *rest), (b, *same) in zip(before, state(model.model, clip.cond_stage_model), strict=True):
        assert torch.equal(a, b) and rest == same
    again = clip.encode_from_tokens(clip.tokenize("a house"), return_pooled=True)
    assert all(torch.equal(a, b) for a, b in zip(encoded, again, strict=True))

    start = inversion.split(sizes, inversion.start_vectors(clip, 2))
    learnt = inversion.split(sizes, result.values)
    assert result.best_step > 0 and all(not torch.equal(learnt[key], start[key]) for key in sizes)
    token.save(token.path_for("it"), clip, result.values, {})
    saved = safetensors.torch.load_file(folder / "it.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in saved.items()} == {
        f"clip_{key}": (2, width) for key, width in sizes.items()
    }
    assert all(torch.equal(saved[f"clip_{key}"], learnt[key]) for key in sizes)

    with torch.inference_mode():
        text = "a photo of embedding:it, large"
        typed, plain = (clip.encode_from_tokens_scheduled(clip.tokenize(one)) for one in (text, "a photo of *, large"))
        loaded, said = token.encode(clip, "it.safetensors", "a photo of {token}, large")
        direct = inversion.encode(clip, learnt, "a photo of {token}, large")
    assert said == text and torch.equal(loaded[0][0], typed[0][0])
    assert torch.equal(loaded[0][1]["pooled_output"], typed[0][1]["pooled_output"])
    assert torch.allclose(typed[0][0], direct[0][0], atol=1e-5)
    at = 0
    for width in (sizes[key] for key in sorted(sizes, reverse=True)):  # the host joins l before g
        assert not torch.allclose(typed[0][0][..., at : at + width], plain[0][0][..., at : at + width], atol=1e-3)
        at += width
    assert at == typed[0][0].shape[-1]
    assert not torch.allclose(typed[0][1]["pooled_output"], plain[0][1]["pooled_output"], atol=1e-3)
    empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    assert not torch.equal(models.sample(model, loaded, empty, steps=2), models.sample(model, plain, empty, steps=2))


def test_the_pooled_output_has_a_part_in_an_sdxl_word(host):
    """SDXL is told the words twice, and the word is trained through both."""
    inversion = hosting.module("guards.inversion.host")
    clip, sizes = models.clip((16, 32), sdxl=True), FAMILIES["sdxl"]
    values = values_for(sizes).requires_grad_(True)
    pooled = inversion.encode(clip, inversion.split(sizes, values))[0][1]["pooled_output"]
    pooled.square().sum().backward()
    assert pooled.shape == (1, 32) and values.grad[:, :32].abs().sum() > 0 and not values.grad[:, 32:].any()


@pytest.mark.parametrize(
    "made_for, used_with, message",
    [
        ("sd2", "sd1", "holds clip_h 16 wide; this text encoder needs clip_l, 64 wide"),
        ("sd1", "sd2", "holds clip_l 64 wide; this text encoder needs clip_h, 16 wide"),
        ("sd2", "sdxl", "holds clip_h 16 wide; this text encoder needs clip_g, 32 wide"),
        ("sd1", "sdxl", "holds clip_l 64 wide; this text encoder needs clip_g, 32 wide"),
        ("sdxl", "sd2", "holds clip_g 32 wide, clip_l 16 wide; this text encoder needs clip_h, 16 wide"),
        ("sdxl", "narrow sd1", "made for SDXL.*half of the word would be left out"),
    ],
)
def test_a_word_of_another_family_is_refused(folder, made_for, used_with, message):
    token = hosting.module("guards.inversion.host_token")

    def clip(name):
        if name == "sdxl":
            return models.clip((16, 32), sdxl=True, directory=[str(folder)])
        return {
            "sd1": lambda: tiny_clip(folder=[str(folder)]),
            "narrow sd1": lambda: tiny_clip(16, [str(folder)]),
            "sd2": lambda: models.clip(16, sd2=True, directory=[str(folder)]),
        }[name]()

    maker = clip(made_for)
    sizes = hosting.module("guards.inversion.host").widths(maker)
    token.save(token.path_for("it"), maker, values_for(sizes), {})
    with pytest.raises(ValueError, match=message):
        token.encode(clip(used_with), "it.safetensors", "{token}")


def test_other_text_encoders_are_refused_by_what_works_there(host):
    class T5:
        def tokenize(self, text):
            return {"t5xxl": [[(1, 1.0)]]}

    with pytest.raises(ValueError, match="CLIP text encoders only.*Safe Latent Diffusion"):
        hosting.module("guards.inversion.host").widths(T5())


def test_the_word_works_as_a_safety_concept(pair, clip, folder):
    token, sld = hosting.module("guards.inversion.host_token"), hosting.module("guards.sld.host")
    own = tiny_clip(folder=[str(folder)])
    token.save(token.path_for("it"), own, torch.randn(2, WIDTH), {})
    concept, _ = token.encode(own, "it.safetensors", "{token}")
    presets = hosting.module("guards.sld.formula").PRESETS
    positive, negative = models.conditioning(1, width=WIDTH), models.conditioning(2, width=WIDTH)
    guarded = models.sample(sld.guard(pair.model, presets["max"], concept), positive, negative, steps=2)
    assert not torch.equal(guarded, models.sample(pair.model, positive, negative, steps=2))
