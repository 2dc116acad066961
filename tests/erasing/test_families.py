"""Wan's cross-attention and the one matrix by which text enters an MMDiT, on the host's own classes with random weights."""

import pytest
import torch

from tools.testing import families, hosting, models
from tools.testing.models import CONTEXT

TEXTS = ("", "gun", "banana", "a dog")


def wan():
    import comfy.supported_models

    config = comfy.supported_models.WAN21_T2V(
        {
            "image_model": "wan2.1",
            "model_type": "t2v",
            "dim": 48,
            "ffn_dim": 64,
            "num_heads": 2,
            "num_layers": 2,
            "text_dim": CONTEXT,
            "in_dim": 16,
            "out_dim": 16,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(config.get_model({}, ""))


def qwen():
    import comfy.supported_models

    config = comfy.supported_models.QwenImage(
        {
            "image_model": "qwen_image",
            "in_channels": 64,
            "out_channels": 16,
            "num_layers": 2,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": CONTEXT,
            "axes_dims_rope": (4, 6, 6),
        }
    )
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(config.get_model({}, ""))


def lumina():
    import comfy.supported_models

    config = comfy.supported_models.Lumina2(
        {
            "image_model": "lumina2",
            "patch_size": 2,
            "in_channels": 16,
            "dim": 48,
            "cap_feat_dim": CONTEXT,
            "n_layers": 2,
            "n_refiner_layers": 1,
            "qk_norm": True,
            "n_heads": 2,
            "n_kv_heads": 2,
            "axes_dims": [8, 8, 8],
            "axes_lens": [300, 512, 512],
        }
    )
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(config.get_model({}, ""))


FAMILIES = {  # how it is made, the weights that are edited, what the text goes through before
    "wan": (wan, "cross_attn", lambda network: network.text_embedding),
    "sd3": (models.sd3, "context_embedder", lambda network: torch.nn.Identity()),
    "flux": (models.flux, "txt_in", lambda network: torch.nn.Identity()),
    "qwen": (qwen, "txt_in", lambda network: network.txt_norm),
    "lumina": (lumina, "cap_embedder.1", lambda network: network.cap_embedder[0]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_is_read_as_equation_7_has_it_and_the_concept_goes_most_of_the_way(clip, family):
    erasing = hosting.module("guards.erasing.host")
    make, place, before = FAMILIES[family]
    model, words = make(), models.Pooled(clip, 8)
    network = model.model.diffusion_model
    with torch.inference_mode():
        edit = erasing.erase(model, words, erasing.Settings("gun -> banana", templates="{}", keep="a dog"))
        edited, _ = erasing.apply(model, edit, 1.0)
        read = {text: before(network)(clip.encode_from_tokens(clip.tokenize(text)))[0].double() for text in TEXTS}
    assert edited.patches and all(f".{place}." in key for key in edited.patches)
    for key in edited.patches:
        weight = network.get_submodule(key[len("diffusion_model.") : -len(".weight")]).weight.detach().double()
        c, t, held = read["gun"][1:], read["banana"][1:], torch.cat([read[""], read["a dog"]])
        if family == "wan":  # its text embedding leaves the start token alone, too
            assert torch.equal(read["gun"][0], read["banana"][0])
        right = c.T @ c + held.T @ held + 0.1 * torch.eye(c.shape[1], dtype=c.dtype)
        left = weight @ (t.T @ c + held.T @ held) + 0.1 * weight
        expected = left @ torch.linalg.inv(right)
        actual = edited.patch_weight_to_device(key, return_weight=True)
        assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()

    concept, target = (sampled(family, model, encoded(words, text)) for text in ("gun", "banana"))
    apart = (concept - target).norm()
    assert apart > 0, "the text does nothing here: a test of nothing"
    # 16 numbers a word cannot tell all of a text's 77 positions apart.
    assert (sampled(family, edited, encoded(words, "gun")) - target).norm() < 0.5 * apart


class Words(models.Pooled):
    """A CLIP that tells a model what it cannot do without, besides."""

    def __init__(self, clip, model):
        super().__init__(clip, 8)
        self._model = model

    def encode_from_tokens_scheduled(self, tokens):
        return families.asked(self._model, super().encode_from_tokens_scheduled(tokens))


@pytest.mark.parametrize("family", families.ALL)
def test_a_text_that_means_the_concept_is_read_as_the_gate_says_in_any_slot_and_others_keep_their_bits(clip, family):
    """The picture is that of the same conditioning changed by hand; the negative prompt at cfg 2 does not count towards it."""
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    gate, model = hosting.module("guards.erasing.gate"), families.build(family)
    words, limits = Words(clip, model), gate.Limits(0.6, 0.8)
    with torch.inference_mode():
        # Held as tightly as an edit of the weights: 16 numbers a word cannot tell many texts apart.
        held = erasing.Settings("gun -> banana", templates="{}", keep="a dog", preserve=1 / erasing.LOOSE)
        made = erasing.solve(model, words, held)
        guarded = gated.guard(model, made, (limits, limits), [False])
        gun, dog = encoded(words, "gun"), encoded(words, "a dog")
        read, _ = gate.gated(gun[0][0], made.named, made.hints, (limits, limits), [False], made.causal)
    assert not torch.equal(read, gun[0][0])
    by_hand = [[read, gun[0][1]]]
    for cfg, asked, expected in [
        (1.0, (gun, dog), (by_hand, dog)),
        (2.0, (gun, gun), (by_hand, gun)),
        (0.5, (dog, gun), (dog, by_hand)),  # half of the picture is what the negative says
        (2.0, (dog, dog), (dog, dog)),
    ]:
        assert torch.equal(
            families.sample(guarded, 1, None, cfg, *asked), families.sample(model, 1, None, cfg, *expected)
        )
    assert not torch.equal(
        families.sample(guarded, 1, None, 1.0, gun, dog), families.sample(model, 1, None, 1.0, gun, dog)
    )


def test_what_a_text_implies_does_not_depend_on_what_else_is_guarded(clip):
    erasing = hosting.module("guards.erasing.host")
    model, words = wan(), models.Pooled(clip, 8)
    with torch.inference_mode():
        one, both = (
            erasing.solve(model, words, erasing.Settings(lines, templates="{}", keep="a dog"))
            for lines in ("gun -> banana", "knife -> spoon\ngun -> banana")
        )
    assert both.concepts == ("knife", "gun") and torch.equal(both.hints[1], one.hints[0])
    assert not torch.equal(both.named.shifts[1], one.named.shifts[0])


def encoded(words, text):
    with torch.inference_mode():
        return words.encode_from_tokens_scheduled(words.tokenize(text))


def sampled(family, model, positive, negative=None, cfg=1.0):
    import comfy.sample

    shape = {"wan": (1, 16, 1, 8, 8), "qwen": (1, 16, 1, 8, 8), "pixart": (1, 4, 64, 64)}.get(family, (1, 16, 8, 8))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    texts = positive, negative or positive
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, 2, cfg, "euler", "normal", *texts, torch.zeros(shape), disable_pbar=True, seed=0
        )
