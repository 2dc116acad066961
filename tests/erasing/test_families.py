"""Wan's cross-attention and the one matrix by which text enters an MMDiT, on the host's own classes with random weights."""

import pytest
import torch

from tools.testing import hosting, models
from tools.testing.models import CONTEXT


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


FAMILIES = {
    "wan": (wan, ".cross_attn."),
    "sd3": (models.sd3, ".context_embedder."),
    "flux": (models.flux, ".txt_in."),
    "qwen": (qwen, ".txt_in."),
    "lumina": (lumina, ".cap_embedder.1."),
}


class Pooled:
    """A CLIP whose pooled vector has the model's width, and says nothing."""

    def __init__(self, clip, width):
        self._clip, self._width = clip, width

    def __getattr__(self, name):
        return getattr(self._clip, name)

    def encode_from_tokens_scheduled(self, tokens):
        return [[self._clip.encode_from_tokens(tokens), {"pooled_output": torch.zeros(1, self._width)}]]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_edited_model_predicts_for_the_concept_is_what_it_predicted_for_the_replacement(clip, family):
    erasing = hosting.module("guards.erasing.host")
    make, place = FAMILIES[family]
    model, words = make(), Pooled(clip, 8)
    settings = erasing.Settings("gun -> banana", templates="{}", keep="a dog", regularise=1e-4)
    with torch.inference_mode():
        edit = erasing.erase(model, words, settings)
        edited, lora = erasing.apply(model, edit, 1.0)
    assert lora and all(place in name for name in lora) and all(place in key for key in edited.patches)

    def predicted(which, text):
        with torch.inference_mode():
            positive = words.encode_from_tokens_scheduled(words.tokenize(text))
        shape = (1, 16, 1, 8, 8) if family == "wan" else (1, 16, 8, 8)
        return models.sample(which, positive, positive, steps=2, cfg=1.0, latent=torch.zeros(shape))

    concept, target, dog = (predicted(model, text) for text in ("gun", "banana", "a dog"))
    apart = (concept - target).norm()
    assert apart > 0, "the text does nothing here: a test of nothing"
    assert (predicted(edited, "gun") - target).norm() < 0.05 * apart
    assert (predicted(edited, "a dog") - dog).norm() < 0.05 * apart
