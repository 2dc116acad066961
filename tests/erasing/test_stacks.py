"""Other guards on an edited model: their own texts are read as before the edit, so that they look for the concept and not for what took
its place."""

from dataclasses import dataclass, field

import pytest
import torch

from tools.testing import hosting, models


def edited(model, clip, lines, **changes):
    erasing = hosting.module("guards.erasing.host")
    with torch.inference_mode():
        return erasing.apply(model, erasing.erase(model, clip, erasing.Settings(lines, **changes)), 1.0)[0]


def text(clip, words):
    with torch.inference_mode():
        return clip.encode_from_tokens_scheduled(clip.tokenize(words))


def watching(model, conditioning):
    """(the MODEL with a guard that only looks, what it sees: the first evaluation's predictions by name)"""
    rail = hosting.module("guards.host.rail")

    @dataclass(frozen=True)
    class Watching(rail.Guard):
        seen: dict = field(default_factory=dict, compare=False)

        def begin(self, run):
            return run.add(conditioning)

        def wants(self, run, state):
            return (state, "positive")

        def correct(self, run, state, predictions):
            self.seen.setdefault("own", predictions[state].clone())
            self.seen.setdefault("positive", predictions["positive"].clone())

    guard = Watching()
    return rail.attach(model, guard), guard.seen


@pytest.mark.both_hosts
@pytest.mark.parametrize("lines", ["gun -> banana", "gun -> banana\n{} with a gun -> {}"])
@pytest.mark.parametrize("prompt", ["a gun", "a gun, " + "a very long prompt, " * 30])
def test_a_guards_own_text_is_read_as_before_the_edit_and_the_prompt_is_not(host, tiny, clip, lines, prompt):
    found = []
    for model in (tiny, edited(tiny, clip, lines, keep="a dog")):
        model, seen = watching(model, text(clip, "a gun"))
        models.sample(model, text(clip, prompt), text(clip, ""), steps=1)
        found.append(seen)
    before, after = found
    torch.testing.assert_close(after["own"], before["own"], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(after["positive"], before["positive"], rtol=1e-2, atol=1e-2)


def test_two_edits_in_a_row_are_both_left_out(tiny, clip):
    twice = edited(edited(tiny, clip, "gun -> banana", keep="a dog"), clip, "beer -> milk", keep="a dog", rank=8)
    for words in ("a gun", "a beer"):
        found = []
        for model in (tiny, twice):
            model, seen = watching(model, text(clip, words))
            models.sample(model, text(clip, "a dog"), text(clip, ""), steps=1)
            found.append(seen["own"])
        torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


def test_the_inhibitors_texts_are_read_as_before_the_edit(tiny, clip):
    from types import SimpleNamespace

    import comfy.model_management

    attention = hosting.module("guards.host.attention")
    context, found = text(clip, "a gun")[0][0], []
    for model in (tiny, edited(tiny, clip, "gun -> banana", keep="a dog")):
        with torch.inference_mode():
            comfy.model_management.load_models_gpu([model])
            texts = attention.Texts(SimpleNamespace(model_options=model.model_options, model_patcher=model))
            unet = model.model.diffusion_model
            layer = attention.blocks(unet)[2][1].attn2
            found.append((*texts.keys_and_values(2, context, context), layer.to_v(context)))
    (keys, values, _), (same, alike, raw) = found
    torch.testing.assert_close(same, keys, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alike, values, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(raw, values, atol=1e-2), "the edit does nothing here: a test of nothing"


def test_what_took_the_concepts_place_is_not_taken_out_by_the_next_guard(demo):
    """Without that care, SLD for beer on a model to which a beer is a glass of milk takes out milk."""
    model, clip, vae = demo
    sld, formula = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    oracle = hosting.module("guards.demo.oracle").load()

    def see(guarded, thing):
        latents = models.sample(guarded, text(clip, f"a {thing}"), text(clip, ""), steps=12, cfg=3.0, batch=8)
        with torch.inference_mode():
            return oracle.see(vae.decode(latents).float().movedim(-1, 1).clamp(0, 1))

    both = sld.guard(edited(model, clip, "beer -> milk"), formula.ALIGNED["strong"], text(clip, "beer"))
    milk, beer = see(both, "milk"), see(both, "beer")
    assert int(milk.contains("milk").sum()) >= 7
    assert int(beer.contains("beer").sum()) == 0 and int(beer.contains("milk").sum()) >= 7
    without = see(sld.guard(model, formula.ALIGNED["strong"], text(clip, "milk")), "milk")
    assert int(without.contains("milk").sum()) <= 1, "a guard for milk takes none out: a test of nothing"


def test_the_prompts_of_an_intervention_are_the_users_and_read_as_edited(tiny, clip):
    intervention = hosting.module("guards.intervention.host")
    model, gun = edited(tiny, clip, "gun -> banana", keep="a dog"), text(clip, "a gun")
    guarded, switched = intervention.guard(model, gun, text(clip, "a gun"), 0.5)
    assert guarded is not model
    torch.testing.assert_close(models.sample(guarded, switched), models.sample(model, gun), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(models.sample(tiny, gun), models.sample(model, gun), atol=1e-2)
