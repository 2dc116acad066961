"""The ways by which a text comes into a model: vectors that the model makes itself are edited as it reads them, and where a text comes
in by another way as well, Concept Guard does not claim to change it."""

import pytest
import torch

from tools.testing import families, hosting, models
from tools.testing.sampling import sld

pytestmark = pytest.mark.both_hosts


class Words:
    """A tiny text encoder that also hands on plain tokens, as Anima's does, or another tensor that differs from text to text."""

    def __init__(self, clip, more="t5xxl_ids"):
        self._clip, self._more = clip, more

    def __getattr__(self, name):
        return getattr(self._clip, name)

    def tokenize(self, text):
        tokens = self._clip.tokenize(text)
        end = tokens["l"][0][-1][0]
        own = [token for token, _ in tokens["l"][0][1:] if token != end]
        return {**tokens, "t5xxl": [[(token % 32_000 + 2, 1.0) for token in own] + [(1, 1.0)]]}

    def encode_from_tokens(self, tokens):
        return self._clip.encode_from_tokens({"l": tokens["l"]})

    def encode_from_tokens_scheduled(self, tokens):
        ids = torch.tensor([token for token, _ in tokens["t5xxl"][0]], dtype=torch.int)
        more = {"t5xxl_ids": ids, "t5xxl_weights": torch.ones(len(ids))}
        if self._more != "t5xxl_ids":
            more = {self._more: ids.float()[None, :, None]}
        return [[self.encode_from_tokens(tokens), {"pooled_output": torch.zeros(1, 8), **more}]]


@pytest.fixture(scope="module")
def words(host):
    with torch.inference_mode():
        return Words(models.clip())


def encoded(words, text):
    with torch.inference_mode():
        return words.encode_from_tokens_scheduled(words.tokenize(text))


def sampled(model, positive, negative):
    import comfy.sample

    noise = torch.randn(1, 16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, 2, 2.0, "euler", "normal", positive, negative, 0 * noise, disable_pbar=True, seed=0
        )


def test_vectors_that_the_model_makes_itself_are_read_as_the_gate_says(words):
    """By hand: Anima's own vectors, changed, given to it without the tokens that it would make others of. The places are the tokens'."""
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    gate, texts = hosting.module("guards.erasing.gate"), hosting.module("guards.erasing.host_texts")
    model, limits = families.anima(), gate.Limits(0.6, 0.8)
    network = model.model.diffusion_model
    with torch.inference_mode():
        held = erasing.Settings("gun -> banana", templates="{}", keep="a dog", preserve=1 / erasing.LOOSE)
        made = erasing.solve(model, words, held)
        guarded = gated.guard(model, made, (limits, limits), [False])
        (vectors, options), *_ = encoded(words, "gun")
        own = network.preprocess_text_embeds(vectors, options["t5xxl_ids"][None], torch.ones(1, 2, 1))
        read, _ = gate.gated(own, made.named, made.hints, (limits, limits), [False], made.causal)
    remaking = hosting.module("guards.erasing.host_ways").remaking(model)
    found = texts.encode(words, ["gun", "a dog"], lambda done: None, remaking)
    assert torch.equal(found["gun"].vectors, own[0]) and [
        len(part[0][0]) for part in (found["gun"].parts, found["a dog"].parts)
    ] == [2, 3]
    assert not torch.equal(read, own) and not read[:, 2:].any()
    dog, by_hand = encoded(words, "a dog"), [[read, {"pooled_output": torch.zeros(1, 8)}]]
    assert torch.equal(sampled(guarded, encoded(words, "gun"), dog), sampled(model, by_hand, dog))
    assert torch.equal(sampled(guarded, dog, dog), sampled(model, dog, dog))
    assert not torch.equal(sampled(guarded, encoded(words, "gun"), dog), sampled(model, encoded(words, "gun"), dog))


def test_what_is_read_twice_is_steered_and_not_said_to_be_changed(words):
    concepts, rail = hosting.module("guards.concepts.host"), hosting.module("guards.host.rail")
    model, twice = models.sd3(), Words(words._clip, "conditioning_llama3")
    with torch.inference_mode():
        guarded, lines = concepts.guard(model, twice, "gun -> banana", "balanced")
        kinds = [type(one).__name__ for one in guarded.model_options["transformer_options"][rail.KEY]]
        assert kinds == ["AlignedGuidance"] and lines[0].startswith("No text is read as something else")
        assert "reads a text twice, also as conditioning_llama3" in lines[0] and lines[1].startswith(
            "Steered away from"
        )
        with pytest.raises(ValueError, match="conditioning_llama3.*choose strictness balanced"):
            concepts.guard(model, twice, "gun", "gentle")
        with pytest.raises(ValueError, match="only things can be guarded there"):
            concepts.guard(model, twice, "{} with a gun -> {}", "strict")


@pytest.mark.parametrize(
    "known, said", [("REMADE", "whose places are not known"), ("NO_VECTORS", "another way than vectors")]
)
def test_a_model_that_makes_or_needs_something_else_of_a_text_is_told(words, monkeypatch, known, said):
    ways = hosting.module("guards.erasing.host_ways")
    monkeypatch.setattr(ways, known, {"REMADE": {}, "NO_VECTORS": {"Anima"}}[known])
    with torch.inference_mode(), pytest.raises(ways.OtherWayError, match=said):
        hosting.module("guards.erasing.host").solve(
            families.anima(), words, hosting.module("guards.erasing.host").Settings("gun -> banana")
        )


def test_a_run_without_any_text_is_refused(words):
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    limits, model = hosting.module("guards.erasing.gate").Limits(0.6, 0.8), models.sd3()
    with torch.inference_mode():
        made = erasing.solve(
            model, models.Pooled(words._clip, 8), erasing.Settings("gun -> banana", templates="{}", keep="a dog")
        )
    guarded, none = gated.guard(model, made, (limits, limits), [False]), [[None, {"pooled_output": torch.zeros(1, 8)}]]
    with pytest.raises(ValueError, match="Concept Guard: .* is given no text as vectors"):
        models.sample(guarded, none, none, steps=1)


def test_a_prompt_of_another_layer_is_told_and_what_is_no_text_is_not(words, caplog):
    """Clip skip, where the guard has the checkpoint's own CLIP; a conditioning that was zeroed out has no text encoder."""
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    limits, model, clip = hosting.module("guards.erasing.gate").Limits(0.6, 0.8), models.sd1(), words._clip
    with torch.inference_mode():
        made = erasing.solve(model, clip, erasing.Settings("gun -> banana", templates="{}", keep="a dog"))
        other = clip.clone()
        other.clip_layer(-2)
        same, layer = (one.encode_from_tokens_scheduled(one.tokenize("a (dog:1.3)")) for one in (clip, other))
    guarded, zeroed = gated.guard(model, made, (limits, limits), [False]), [[torch.zeros_like(same[0][0]), {}]]
    models.sample(guarded, same, zeroed, steps=2)
    assert "clip skip" not in caplog.text
    models.sample(guarded, layer, zeroed, steps=2)
    assert caplog.text.count("another of its layers (clip skip)") == 1, "once a run, not once a step"


@pytest.mark.parametrize("own", [False, True], ids=["the model's text", "a text of its own"])
@pytest.mark.parametrize("steered", [False, True], ids=["alone", "with rows of ours"])
def test_a_controlnet_is_given_the_text_as_it_is_read(words, own, steered):
    """It is asked before the model, with texts of its own reading; the negative prompt's is left."""
    erasing, gated = hosting.module("guards.erasing.host"), hosting.module("guards.erasing.host_gate")
    gate, clip, model, told = hosting.module("guards.erasing.gate"), words._clip, models.sd1(), []
    limits, kind = gate.Limits(0.6, 0.8), type(models.control())

    class Reading(kind):
        def get_control(self, x, t, cond, batched_number, transformer_options):
            told.append(cond.get("crossattn_controlnet", cond["c_crossattn"]).clone())
            return super().get_control(x, t, cond, batched_number, transformer_options)

    control = Reading()
    with torch.inference_mode():
        made = erasing.solve(model, clip, erasing.Settings("gun -> banana", templates="{}", keep="a dog"))
        gun, dog = (clip.encode_from_tokens(clip.tokenize(text)) for text in ("gun", "a dog"))
        read, _ = gate.gated(gun, made.named, made.hints, (limits, limits), [False], made.causal)
    assert not torch.equal(read, gun)
    more = {"control": control, "control_apply_to_uncond": False}
    positive, negative = ([[text, {**more, **({"cross_attn_controlnet": text} if own else {})}]] for text in (gun, dog))
    guarded = gated.guard(model, made, (limits, limits), [False])
    if steered:
        guarded = sld(guarded, models.conditioning(5, 77))
    models.sample(guarded, positive, negative, steps=2)
    rows = [row for texts in told for row in texts]
    counts = [sum(torch.equal(row, text[0]) for row in rows) for text in (read, dog, gun)]
    # A row of ours has the prompt's own, as all that a prompt brings along, and no row of ours is changed.
    assert counts == [2, 2, 2 * (own and steered)] and len(rows) == 4 + 2 * steered
