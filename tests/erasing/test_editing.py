"""The edit on the host's own models: right weights, exact numbers, LoRA files, nothing at strength 0, caches, refusals."""

import numpy
import pytest
import torch

from tools.testing import hosting, models

SETTINGS = {"keep": "a dog\na tree", "templates": "{}\na photo of a {}"}


@pytest.fixture(scope="module")
def erasing(host):
    return hosting.module("guards.erasing.host")


def settings(erasing, concepts="gun -> banana", **changes):
    return erasing.Settings(concepts, **{**SETTINGS, **changes})


def text(clip, words):
    with torch.inference_mode():
        return clip.encode_from_tokens_scheduled(clip.tokenize(words))


def erased(erasing, model, clip, strength=1.0, **changes):
    with torch.inference_mode():
        return erasing.apply(model, erasing.erase(model, clip, settings(erasing, **changes)), strength)


def by_numpy(model, clip, key, pairs, keep, fields=()):
    """Equation 7 for one weight of a UNet, position by position, from the texts alone (all words are one token). ``fields``: the numbers of
    a vector that each of several text encoders gives, which may be told alone: then with nine positions behind the words."""
    weight = model.get_key_patches(key)[key][0][0].detach().double().numpy()
    read = {words: text(clip, words)[0][0][0].double().numpy() for words in (*[w for p in pairs for w in p], *keep)}
    ways = [read]
    for own in fields:
        ways.append({words: read[""][: len(words.split()) + 3 + 8].copy() for words in read})
        for words, vectors in ways[-1].items():
            vectors[:, own] = read[words][: len(vectors), own]
    left, right = 0.1 * weight, 0.1 * numpy.eye(weight.shape[1])
    for told in ways:
        for old, new in pairs:
            c, t = told[old][1:], told[new][1:]
            left, right = left + weight @ t.T @ c, right + c.T @ c
        for words in keep:
            left, right = left + weight @ told[words].T @ told[words], right + told[words].T @ told[words]
    return left @ numpy.linalg.inv(right)


@pytest.mark.both_hosts
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_every_cross_attention_is_edited_exactly_and_nothing_else(host, erasing, family):
    model, clip = {
        "sd1": lambda: (models.sd1(), models.clip()),
        "sd2": lambda: (models.sd2(), models.clip(sd2=True)),
        "sdxl": lambda: (models.sdxl(pooled=8), models.clip(sdxl=True)),
    }[family]()
    edited, lora = erased(erasing, model, clip)
    keys = [key for key in model.model.state_dict() if ".attn2.to_k." in key or ".attn2.to_v." in key]
    assert sorted(edited.patches) == sorted(keys) and keys
    pairs, keep = [("gun", "banana"), ("a photo of a gun", "a photo of a banana")], ["", "a dog", "a tree"]
    for key in keys:
        expected = by_numpy(model, clip, key, pairs, keep, [slice(0, 8), slice(8, 16)] if family == "sdxl" else ())
        actual = edited.patch_weight_to_device(key, return_weight=True).detach().double().numpy()
        assert numpy.abs(actual - expected).max() <= 1e-5 * numpy.abs(expected).max()
    assert {name.split(".attn2.")[0] for name in lora} == {key.split(".attn2.")[0] for key in keys}


@pytest.mark.both_hosts
@pytest.mark.parametrize("told", ["l", "g"])
def test_what_one_of_two_text_encoders_alone_is_told_is_edited_too(host, erasing, told):
    """As by the fields of CLIPTextEncodeSDXL, or of SD3's."""
    gate = hosting.module("guards.erasing.gate")
    with torch.inference_mode():
        model, clip = models.sdxl(context=512, pooled=320), models.clip(width=(192, 320), sdxl=True)
        made = erasing.solve(model, clip, erasing.Settings("gun -> banana"))
        edited = erasing.apply(model, erasing.erase(model, clip, erasing.Settings("gun -> banana")), 1.0)[0]

        def prompt(words):
            return clip.encode_from_tokens({**clip.tokenize(""), told: clip.tokenize(words)[told]})

        gun, banana, dog = map(prompt, ("a man with a gun", "a man with a banana", "a man with a dog"))
        means = made.named.meaning(made.named.change(gun)).amax()
        others = made.named.meaning(made.named.change(dog)).amax()
        limits = gate.Limits(0.5, 0.6)
        read, _ = gate.gated(gun, made.named, made.hints, (limits, limits), [False], made.causal)
        kept, _ = gate.gated(dog, made.named, made.hints, (limits, limits), [False], made.causal)
    assert means > 0.6 and others < 0.3
    assert (read - banana).norm() < 0.6 * (gun - banana).norm() and torch.equal(kept, dog)
    key = next(key for key in edited.patches if ".attn2.to_v." in key)
    weight = edited.patch_weight_to_device(key, return_weight=True)
    base = model.get_key_patches(key)[key][0][0]
    assert ((gun - dog) @ (weight - base).T).norm() > 0.3 * ((gun - dog) @ base.T).norm()


def test_the_values_alone_can_be_edited(erasing, tiny, clip):
    edited, _ = erased(erasing, tiny, clip, keys=False)
    assert edited.patches and all(".to_v." in key for key in edited.patches)


@pytest.mark.both_hosts
def test_strength_0_is_the_model_itself_and_the_strength_scales_model_and_lora_alike(erasing, tiny, clip, nodes):
    before = models.sample(tiny)
    with torch.inference_mode():
        out = nodes["GuardEraseConcept"].execute(tiny, clip, "gun", "", "", "", 1.0, 0.1, True, 0.0).result
    assert out[0] is tiny and out[1] == {} and "strength is 0" in out[2]
    whole, half = (erased(erasing, tiny, clip, strength) for strength in (1.0, 0.5))
    for key in whole[0].patches:
        base, one, two = (m.patch_weight_to_device(key, return_weight=True) for m in (tiny, whole[0], half[0]))
        torch.testing.assert_close(two - base, (one - base) / 2, rtol=1e-3, atol=1e-6)
    assert torch.equal(models.sample(tiny), before), "the model that came in was changed"


@pytest.mark.both_hosts
def test_the_hosts_own_nodes_save_and_load_what_was_edited(erasing, tiny, clip, tmp_path, monkeypatch):
    import folder_paths
    from comfy_extras.nodes_train import LoraModelLoader, SaveLoRA

    from nodes import LoraLoaderModelOnly

    edited, lora = erased(erasing, tiny, clip)
    expected = models.sample(edited)
    assert not torch.allclose(expected, models.sample(tiny), atol=1e-3), "the edit does nothing here: a test of nothing"
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    SaveLoRA.execute(lora, "loras/erased")
    saved = next(tmp_path.rglob("*.safetensors"))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(saved.parent)], {".safetensors"}))
    loaded = LoraLoaderModelOnly().load_lora_model_only(tiny, saved.name, 1.0)[0]
    direct = LoraModelLoader.execute(tiny, lora, 1.0).result[0]
    for model in (loaded, direct):
        assert sorted(model.patches) == sorted(edited.patches)
        torch.testing.assert_close(models.sample(model), expected, rtol=1e-4, atol=1e-4)


def test_a_small_rank_makes_a_thin_lora_and_the_report_says_what_is_lost(erasing, tiny, clip):
    with torch.inference_mode():
        edit = erasing.erase(tiny, clip, settings(erasing, rank=2))
        whole = erasing.erase(tiny, clip, settings(erasing))
    assert all(min(part.shape) == 2 for part in edit.lora.values())
    assert "rank 2, which loses" in edit.lines[-1] and "loses 0.00%" not in edit.lines[-1]
    name = next(iter(whole.lora)).rsplit(".", 1)[0] if next(iter(whole.lora)).endswith(".diff") else None
    if name:
        thin = edit.lora[f"{name}.lora_B.weight"] @ edit.lora[f"{name}.lora_A.weight"]
        full = whole.lora[f"{name}.diff"]
        assert 0 < float((thin - full).norm() / full.norm()) < 1


def test_the_users_own_lora_is_in_the_weights_whatever_else_is_loaded(erasing, tiny, clip):
    """The trap: a model's state dict holds the LoRAs of the clone that was loaded last, and not those of the one that is asked."""
    key = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"
    shape = tiny.model.state_dict()[key].shape
    own, stranger = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    mine, other = tiny.clone(), tiny.clone()
    mine.add_patches({key: ("diff", (own,))}, 0.7)
    other.add_patches({key: ("diff", (stranger,))})
    base = tiny.model.state_dict()[key].clone()
    models.sample(other)
    assert not torch.equal(tiny.model.state_dict()[key], base), "the other's LoRA is not in: a test of nothing"
    edited, lora = erased(erasing, mine, clip)
    plain = erased(erasing, tiny, clip)[1]
    change, without = (part[key.replace(".weight", ".diff")] for part in (lora, plain))
    solution = torch.linalg.lstsq(base.double(), without.double()).solution
    effective = base + 0.7 * own
    if shape[0] >= shape[1]:  # then base tells the solution apart
        torch.testing.assert_close(change, (effective.double() @ solution).float(), rtol=1e-3, atol=1e-4)
    actual = edited.patch_weight_to_device(key, return_weight=True)
    torch.testing.assert_close(actual, effective + change, rtol=1e-5, atol=1e-5)


def test_the_edit_is_kept_until_something_that_it_depends_on_changes(erasing, tiny, clip):
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    with torch.inference_mode():
        first = erasing.erase(tiny, clip, settings(erasing))
        assert erasing.erase(tiny.clone(), clip.clone(), settings(erasing)) is first
        assert erasing.erase(tiny, clip, settings(erasing, preserve=2.0)) is not first
        first = erasing.erase(tiny, clip, settings(erasing))
        patched = tiny.clone()
        patched.add_patches({next(iter(tiny.model.state_dict())): ("diff", (torch.zeros(1),))})
        assert erasing.erase(patched, clip, settings(erasing)) is not first
        first = erasing.erase(tiny, clip, settings(erasing))
        skipped = clip.clone()
        skipped.clip_layer(-2)
        assert erasing.erase(tiny, skipped, settings(erasing)) is not first
        first = erasing.erase(tiny, clip, settings(erasing))
        other = ModelSamplingDiscrete().patch(tiny, "v_prediction", zsnr=False)[
            0
        ]  # what the model was asked about stand-ins
        assert erasing.erase(other, clip, settings(erasing)) is not first


def test_stop_is_heeded_and_leaves_nothing(erasing, tiny, clip):
    import comfy.model_management

    shares = []

    def stop_at(limit):
        def at(share, _):
            shares.append(share)
            if share > limit:
                raise comfy.model_management.InterruptProcessingException

        return at

    with torch.inference_mode():
        for limit in (0.05, 0.6, 0.9):
            with pytest.raises(comfy.model_management.InterruptProcessingException):
                erasing.erase(tiny, clip, settings(erasing, regularise=0.5), stop_at(limit))
        shares.clear()
        erasing.erase(tiny, clip, settings(erasing, regularise=0.5), stop_at(2.0))
    assert shares == sorted(shares) and len(shares) > 10 and not tiny.patches


def test_two_edits_in_a_row_take_both_concepts(erasing, tiny, clip):
    first, _ = erased(erasing, tiny, clip)
    both, _ = erased(erasing, first, clip, concepts="beer -> milk")
    assert all(len(patches) == 2 for patches in both.patches.values())


@pytest.mark.both_hosts
def test_models_and_encoders_that_do_not_fit_are_refused_with_the_way_out(erasing, tiny, clip):
    with torch.inference_mode():
        with pytest.raises(ValueError, match="vectors 32 wide.*reads 16.*connect the CLIP"):
            erasing.erase(tiny, models.clip(32), settings(erasing))
        with pytest.raises(ValueError, match="clip is empty"):
            erasing.erase(tiny, None, settings(erasing))
        with pytest.raises(ValueError, match="longer than the text encoder reads"):
            erasing.erase(tiny, clip, settings(erasing, templates="{} " + "very " * 80))
        stranger = tiny.clone()
        stranger.model = type("Stranger", (), {"diffusion_model": torch.nn.Linear(2, 2), "model_config": None})()
        with pytest.raises(ValueError, match="Stranger has no weights that read a text.*Safe Latent Diffusion"):
            hosting.module("guards.erasing.host_places").find(stranger, True)


def test_weights_that_only_another_pack_can_read_are_refused_by_name(erasing, clip):
    model = models.sd1()
    layer = model.model.diffusion_model.middle_block[1].transformer_blocks[0].attn2.to_k
    layer.weight = torch.nn.Parameter(torch.zeros(layer.weight.shape[0], 9), requires_grad=False)
    with torch.inference_mode(), pytest.raises(ValueError, match="to_k.weight is stored in a form.*GGUF"):
        erasing.erase(model, clip, settings(erasing))
