"""Growth Inhibitor beside what else patches attention: other packs, the host's own guidance, ControlNets, learnt words, itself."""

import pytest
import torch

from tools.testing import hosting, models

PROMPT, TARGETS = "a photo of a dog", "van gogh, weapon"
MODES = ["single_pass", "paired"]


@pytest.fixture(scope="module")
def gi(host):
    return hosting.module("guards.inhibitors.host")


@pytest.fixture(scope="module")
def model(host):
    return models.sd1()


def guarded(gi, model, clip, mode="single_pass", scale=-3.0, text=PROMPT, targets=TARGETS, variant="words", **options):
    return gi.guard(model, clip, text, targets, scale, mode, variant=variant, **options)


@pytest.mark.parametrize("mode", MODES)
def test_a_replacement_of_another_pack_still_acts_on_every_row(gi, model, clip, mode):
    seen, kind = [], hosting.module("guards.host.attention")

    def image_prompt(q, k, v, extra):  # as IPAdapter does it: its own attention on top
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
    sld = hosting.module("guards.sld.host").guard(
        patched, hosting.module("guards.sld.formula").PRESETS["max"], models.CONCEPT
    )
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
        return (found.execute(model, **arguments) if hasattr(found, "execute") else found().patch(model, **arguments))[
            0
        ]

    return beside


NEIGHBOURS = {
    "NAG": node("nodes_nag.NAGuidance", dict(nag_scale=5.0, nag_alpha=0.5, nag_tau=1.5)),
    "SAG": node("nodes_sag.SelfAttentionGuidance", dict(scale=0.5, blur_sigma=2.0)),
    "PAG": node("nodes_pag.PerturbedAttentionGuidance", dict(scale=3.0)),
    "HyperTile": node("nodes_hypertile.HyperTile", dict(tile_size=32, swap_size=2, max_depth=0, scale_depth=False)),
    "longer text": longer_text,
    "more rows": more_rows,
}


@pytest.mark.both_hosts
@pytest.mark.parametrize("mode, variant", VARIANTS)
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_other_attention_guidance_acts_beside_the_inhibitor_in_either_order(gi, model, clip, name, mode, variant):
    alone, positive, _ = guarded(gi, model, clip, mode, variant=variant)
    other = NEIGHBOURS[name](model)
    both = guarded(gi, other, clip, mode, variant=variant)[0]
    torch.manual_seed(0)  # HyperTile draws from the global generator
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
        at = 2 * extra["cond_or_uncond"].index(0)  # the guarded row, then its twin
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
            lambda args, kind=kind: (
                seen.setdefault(kind, (args["cond_denoised"], args["uncond_denoised"])) and args["denoised"]
            )
        )
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
    made, text = (
        [],
        "embedding:unwanted" if variant == "aligned" else PROMPT,
    )  # aligned acts on what is in the prompt only
    for seed in (1, 2):
        vectors = torch.randn(2, models.CONTEXT, generator=torch.Generator().manual_seed(seed))
        save_file({"clip_l": vectors}, tmp_path / "unwanted.safetensors")
        patched, positive, said = guarded(
            gi, model, clip, mode, text=text, targets="embedding:unwanted", variant=variant
        )
        assert said.startswith("embedding:unwanted: -3, -3")
        made.append(models.sample(patched, positive))
        assert made[-1].isfinite().all() and not torch.allclose(made[-1], models.sample(model, positive), rtol=1e-3)
    assert not torch.allclose(*made, rtol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_area_prompts_are_guarded_in_their_area(gi, model, clip, mode):
    patched, positive, _ = guarded(gi, model, clip, mode)
    left = [
        [tensor, {**options, "area": (8, 4, 0, 0), "strength": 1.0, "set_area_to_bounds": False}]
        for tensor, options in positive
    ]
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


@pytest.mark.both_hosts
def test_the_host_s_nodes_may_change_the_prompt_of_a_pair(gi, model, clip):
    """Conditioning Average mixes it with another one's, Conditioning Concat puts another one behind it."""
    import nodes

    one, other = "a photo of a dog", "a photo of a cat"
    patched, positive, _ = guarded(gi, model, clip, "paired", text=one, reading="paper")
    instead = clip.encode_from_tokens_scheduled(clip.tokenize(other))
    mixed = nodes.ConditioningAverage().addWeighted(positive, instead, 0.0)[0]
    expected = models.sample(*guarded(gi, model, clip, "paired", text=other, reading="paper")[:2])
    assert torch.allclose(models.sample(patched, mixed), expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(models.sample(patched, positive), expected, rtol=1e-3, atol=1e-3)
    joined = nodes.ConditioningConcat().concat(positive, models.OTHER)[0]
    out = models.sample(patched, joined, batch=2)
    assert joined[0][0].shape[1] == 154 and out.isfinite().all()
    for without in (models.sample(model, joined, batch=2), models.sample(patched, positive, batch=2)):
        assert not torch.allclose(out, without, rtol=1e-3)
