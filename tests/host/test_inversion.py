"""Inverting feedback inside the host: gradients as an independent computation has them, model and CLIP untouched, words that load."""
import hosting
import models
import pytest
import torch
from exact import twins

pytestmark = pytest.mark.both_hosts
WIDTH = twins.NARROW.context


def tiny_clip(width=WIDTH, folder=None):
    """The host's CLIP around a text encoder of two layers, random weights."""
    import functools

    import comfy.sd
    import comfy.sd1_clip
    import comfy.supported_models_base
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    tokenizer = functools.partial(comfy.sd1_clip.SDTokenizer, embedding_size=width)
    clip = comfy.sd.CLIP(target, embedding_directory=folder, tokenizer_data={"clip_l_tokenizer_class": tokenizer}, model_options={
        "clip_l_model_config": {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}})
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in clip.cond_stage_model.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn(p.shape, generator=generator) * (1.0 if "embedding" in name else p[0].numel() ** -0.5))
            else:
                p.fill_(float(name.endswith("norm1.weight") or name.endswith("norm2.weight") or name.endswith("norm.weight")))
    return clip


@pytest.fixture(scope="module")
def clip(host):
    return tiny_clip()


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 16, 16)


def examples(seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 16, 16, generator=generator), torch.randn(2, 4, 16, 16, generator=generator), torch.tensor([150, 720])


def test_the_gradient_to_the_word_is_that_of_an_independent_loss(pair, clip):
    """transformers' CLIP and diffusers' UNet with the same weights; the word is a row of the embedding table there."""
    from transformers import CLIPTextConfig, CLIPTextModel
    inversion, training, pure = (hosting.module(f"guards.{name}") for name in ("host.inversion", "host.training", "discovery"))
    x0, noise, times = examples()
    values = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))

    config = CLIPTextConfig(vocab_size=49408, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                            max_position_embeddings=77, hidden_act="quick_gelu", eos_token_id=49407)
    text = CLIPTextModel(config).eval().requires_grad_(False)
    own = {name.removeprefix("text_model."): value for name, value in clip.cond_stage_model.clip_l.transformer.state_dict().items()}
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
        pure.errors(denoise(pure.noised(x0, noise, sigma, False), sigma, conditioning=encoded), x0, sigma, "eps").mean().backward()
    with training.ordinary_weights(clip.cond_stage_model):
        training.run(pair.model, {"positive": [[torch.zeros(1, 77, WIDTH), {}]]}, x0, train)
    assert twins.error(actual.grad, expected) <= 1e-4


def invert(model, clip, rewards, steps=12, count=1, stop=None, **changes):
    inversion, pure = hosting.module("guards.host.inversion"), hosting.module("guards.discovery")
    latents = torch.randn(len(rewards), 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        return inversion.invert(model, clip, empty, latents, torch.tensor(rewards), pure.Settings(steps, 0.01, 2, 0),
                                inversion.start_vectors(clip, count), on_step=stop or (lambda *_: None), **changes)


def state(*modules):
    return [(value.clone(), value.requires_grad, value.is_inference()) for module in modules for value in module.state_dict().values()]


@pytest.mark.parametrize("count", [1, 3])
def test_model_and_clip_come_out_bit_identical_and_seeds_repeat(pair, clip, count):
    before = state(pair.model.model, clip.cond_stage_model)
    encoded = clip.encode_from_tokens(clip.tokenize("a house"))
    first, again = (invert(pair.model, clip, [1.0, 0.9, 0.1, 0.0], count=count) for _ in range(2))
    assert first.values.shape == (count, WIDTH) and torch.equal(first.values, again.values) and not first.values.requires_grad
    for (a, *rest), (b, *same) in zip(before, state(pair.model.model, clip.cond_stage_model), strict=True):
        assert torch.equal(a, b) and rest == same
    assert torch.equal(encoded, clip.encode_from_tokens(clip.tokenize("a house")))
    assert first.best < first.checks[0][1]


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
    assert len(result.losses) == 13 and result.checks[-1][0] == 12 and result.best_step in (0, 12)
    assert not comfy.model_management.processing_interrupted()


@pytest.fixture
def folder(tmp_path, monkeypatch, host):
    import folder_paths
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "embeddings", ([str(tmp_path)], {".safetensors", ".pt", ".bin"}))
    folder_paths.filename_list_cache.pop("embeddings", None)
    yield tmp_path
    folder_paths.filename_list_cache.pop("embeddings", None)


def test_a_saved_word_loads_as_the_vectors_it_was_and_stands_in_any_prompt(folder):
    token, inversion = hosting.module("guards.host.feedback_token"), hosting.module("guards.host.inversion")
    clip = tiny_clip(folder=[str(folder)])
    values = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
    token.save(token.path_for("it"), clip, values, {"concept": "star"})
    load = hosting.node_classes()["GuardLoadFeedbackToken"]
    conditioning, text = load.execute(clip, "it.safetensors", "a photo of {token}, large").args
    assert text == "a photo of embedding:it, large"
    with torch.no_grad():
        expected = inversion.encode(clip, {"l": values}, "a photo of {token}, large")
    assert torch.allclose(conditioning[0][0], expected[0][0], atol=1e-5)
    assert torch.equal(conditioning[0][0], clip.encode_from_tokens(clip.tokenize("a photo of embedding:it, large")))
    with pytest.raises(FileExistsError, match="it.safetensors is already in models/embeddings"):
        token.path_for("it")


def test_words_that_the_host_would_drop_silently_are_errors(folder):
    import safetensors.torch
    token = hosting.module("guards.host.feedback_token")
    clip = tiny_clip(folder=[str(folder)])
    for name, tensors, message in (
            ("wide", {"clip_l": torch.zeros(1, 768)}, "holds clip_l 768 wide; this text encoder needs clip_l, 64 wide"),
            ("other", {"clip_g": torch.zeros(1, 1280), "clip_h": torch.zeros(1, WIDTH)}, "needs clip_l"),
            ("nan", {"clip_l": torch.full((1, WIDTH), float("nan"))}, "no finite numbers"),
            ("a b", {"clip_l": torch.zeros(1, WIDTH)}, "has a space in its name")):
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


def test_other_text_encoders_are_refused_by_what_works_there(host):
    class T5:
        def tokenize(self, text):
            return {"t5xxl": [[(1, 1.0)]]}
    with pytest.raises(ValueError, match="CLIP text encoders only.*Safe Latent Diffusion"):
        hosting.module("guards.host.inversion").widths(T5())


def test_the_word_works_as_a_safety_concept(pair, clip, folder):
    token, sld = hosting.module("guards.host.feedback_token"), hosting.module("guards.host.safe_latent_diffusion")
    own = tiny_clip(folder=[str(folder)])
    token.save(token.path_for("it"), own, torch.randn(2, WIDTH), {})
    concept, _ = token.encode(own, "it.safetensors", "{token}")
    presets = hosting.module("guards.sld").PRESETS
    positive, negative = models.conditioning(1, width=WIDTH), models.conditioning(2, width=WIDTH)
    guarded = models.sample(sld.guard(pair.model, presets["max"], concept), positive, negative, steps=2)
    assert not torch.equal(guarded, models.sample(pair.model, positive, negative, steps=2))
