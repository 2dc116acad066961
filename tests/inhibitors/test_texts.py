"""What the inhibitor asks of the model in every evaluation: its texts' keys and values are made once a run, and never outlive it."""

import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts
KINDS = {"words": ("single_pass", "words"), "aligned": ("single_pass", "aligned"), "paired": ("paired", "words")}


class Copies(TorchDispatchMode):
    """Counts tensors that are brought to another type: on a card, those that are brought to the card."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket in (torch.ops.aten.to, torch.ops.aten._to_copy):
            self.count += out.data_ptr() != args[0].data_ptr()
        return out


@pytest.fixture(scope="module")
def deep(host):
    """A UNet in bfloat16 that is several transformer blocks deep, as SDXL is (there 70 in all)."""
    import comfy.supported_models

    class Tiny(comfy.supported_models.SDXL):
        unet_extra_config = {"num_heads": 2, "num_head_channels": -1}

    config = Tiny(
        models.unet_config(
            adm_in_channels=1280 + 6 * 256,
            num_classes="sequential",
            use_linear_in_transformer=True,
            num_res_blocks=[2, 2, 2],
            channel_mult=[1, 1, 1],
            transformer_depth=[0, 0, 1, 1, 3, 3],
            transformer_depth_output=[0, 0, 0, 1, 1, 1, 3, 3, 3],
            transformer_depth_middle=3,
        )
    )
    config.set_inference_dtype(torch.bfloat16, None)
    model = models.patcher(config.get_model({}, ""))
    model.model.diffusion_model.to(torch.bfloat16)
    return model


def guarded(model, clip, kind, text="a weapon", targets="weapon", scale=-2.0):
    mode, variant = KINDS[kind]
    guard = hosting.module("guards.inhibitors.host").guard
    return guard(model, clip, text, targets, scale, mode, variant=variant, cross_end=1.0)[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_second_evaluation_on_nothing_is_copied_and_no_text_encoded_again(deep, kind):
    layers = [block.attn2 for _, block in hosting.module("guards.host.attention").blocks(deep.model.diffusion_model)]
    assert len(layers) == 23
    pooled, made = {"pooled_output": torch.zeros(1, 1280)}, []
    hooks = [
        part.register_forward_hook(lambda *_: made.append(1)) for layer in layers for part in (layer.to_k, layer.to_v)
    ]
    patched, positive = guarded(deep, models.clip(sdxl=True), kind, targets="weapon, dog")
    try:
        found = []
        for model in (deep, patched):
            seen, copies = [], Copies()
            with copies:
                models.sample(
                    model,
                    [[positive[0][0], {**positive[0][1], **pooled}]],
                    [[torch.zeros(1, 77, models.CONTEXT), pooled]],
                    steps=2,
                    callback=lambda *_, seen=seen, copies=copies: seen.append((copies.count, len(made))),
                )
            found.append([after - before for before, after in zip(seen[-2], seen[-1], strict=True)])
    finally:
        for hook in hooks:
            hook.remove()
    assert found[0][1] == 2 * len(layers) and found[1] == found[0]


@pytest.fixture(scope="module")
def tiny(host):
    return models.sd1()


@pytest.fixture(scope="module")
def clip(host):
    return models.clip()


@pytest.mark.parametrize("stops", [False, True])
def test_keys_and_values_go_with_the_run(tiny, clip, monkeypatch, stops):
    attention, made = hosting.module("guards.host.attention"), []
    keep = attention.Texts.keys_and_values

    def watched(self, *args):
        made.append(weakref.ref(keep(self, *args)[0]))
        return keep(self, *args)

    monkeypatch.setattr(attention.Texts, "keys_and_values", watched)
    patched, positive = guarded(tiny, clip, "words")

    def callback(*_):
        if stops:
            raise RuntimeError("stopped")

    try:
        models.sample(patched, positive, callback=callback)
    except RuntimeError as error:
        assert stops and str(error) == "stopped"
    gc.collect()
    assert made and not any(reference() is not None for reference in made)


def lora(model, strength):
    """A LoRA on the keys and values of every cross-attention."""
    import comfy.sd

    found = {}
    for name, part in model.model.diffusion_model.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            generator = torch.Generator().manual_seed(len(found))
            found[f"diffusion_model.{name}.lora_A.weight"] = torch.randn(2, part.in_features, generator=generator)
            found[f"diffusion_model.{name}.lora_B.weight"] = torch.randn(part.out_features, 2, generator=generator)
    return found, comfy.sd.load_lora_for_models(model, None, found, strength, 0.0)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_change_between_runs_are_those_of_the_run(tiny, clip, kind):
    """The same MODEL, then with a LoRA, then without again."""
    first, positive = guarded(tiny, clip, kind)
    out = models.sample(first, positive)
    with_lora = guarded(lora(tiny, 0.5)[1], clip, kind)[0]
    changed = models.sample(with_lora, positive)
    assert not torch.allclose(changed, out, rtol=1e-3)
    assert torch.equal(models.sample(first, positive), out)
    assert torch.equal(models.sample(with_lora, positive), changed)


@pytest.mark.parametrize("kind", ["words", "aligned"])
def test_a_lora_that_the_host_fades_in_during_the_run_reaches_the_targets_keys(tiny, clip, kind):
    """Hooks with keyframes: weights of the positive that change from step to step. Kept keys would be those of the first step."""
    import comfy.hooks

    attention = hosting.module("guards.host.attention")
    weights, _ = lora(tiny, 1.0)

    def run(forget):
        group = comfy.hooks.create_hook_lora(lora=weights, strength_model=1.0, strength_clip=0.0)
        frames = comfy.hooks.HookKeyframeGroup()
        frames.add(comfy.hooks.HookKeyframe(strength=0.0, start_percent=0.0))
        frames.add(comfy.hooks.HookKeyframe(strength=0.3, start_percent=0.5))
        group.set_keyframes_on_hooks(frames)
        patched, positive = guarded(tiny, clip, kind)
        positive = [[tensor, {**options, "hooks": group}] for tensor, options in positive]
        keep = attention.Texts.keys_and_values

        def fresh(self, *args):
            self._made.clear()
            return keep(self, *args)

        with pytest.MonkeyPatch.context() as patch:
            if forget:
                patch.setattr(attention.Texts, "keys_and_values", fresh)
            return models.sample(patched, positive, steps=6)

    out = run(False)
    assert torch.equal(out, run(True))
    plain = guarded(tiny, clip, kind)
    assert not torch.allclose(out, models.sample(*plain, steps=6), rtol=1e-3), (
        "the LoRA does nothing: a test of nothing"
    )


def test_with_the_multi_gpu_split_each_card_is_asked_for_keys_of_its_own(tiny, host):
    """The host keeps a model for each card; one of another seed stands for the second card's."""
    import comfy.samplers

    attention = hosting.module("guards.host.attention")
    other = models.sd1()
    with torch.no_grad():
        for part in other.model.parameters():
            part.mul_(2.0)
    guider = comfy.samplers.CFGGuider(tiny)
    context, queries = torch.randn(1, 77, models.CONTEXT), torch.randn(1, 4, 32)
    alone = attention.Texts(guider).keys_and_values(0, context, queries)[0]
    guider.model_options["multigpu_clones"] = {queries.device: other}
    assert torch.allclose(attention.Texts(guider).keys_and_values(0, context, queries)[0], 2 * alone, rtol=1e-5)
