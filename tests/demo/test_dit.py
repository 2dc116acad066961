"""The demo model's transformer twin: the shipped files, through the host's own sampler."""

import shutil

import pytest
import torch

from tools.demo_world import prompts
from tools.measuring import sampling
from tools.testing import hosting

pytestmark = pytest.mark.both_hosts
SEED = 4_000


@pytest.fixture(scope="module")
def dit(host):
    """(MODEL, CLIP, VAE)."""
    return hosting.module("guards.demo.host_dit").load()


@pytest.fixture(scope="module")
def see(dit):
    """(model, captions, cfg, steps) -> the names that the oracle sees in each caption's picture."""
    _, clip, vae = dit
    oracle = hosting.module("guards.demo.oracle").load()

    def look(model, captions, cfg=3.0, steps=20, scheduler="normal"):
        texts, empty = sampling.encode(clip, captions), sampling.encode(clip, [""])
        found = oracle.see(
            sampling.sample_images(model, vae, texts, empty, SEED, cfg, steps, scheduler=scheduler)
        ).things
        return [[thing.name for thing in things] for things in found]

    return look


def test_draws_what_is_asked_for(dit, see):
    rows = prompts.things(24, 1, 5)
    found = see(dit[0], [row["caption"] for row in rows])
    assert sum(row["things"][0] in names for row, names in zip(rows, found)) >= 16


def test_a_concept_guard_takes_a_thing_out_of_a_scene_and_leaves_the_rest(dit, see):
    captions = ["a party on the beach"] * 8
    before = see(dit[0], captions)
    guarded, _ = hosting.module("guards.concepts.host").guard(*dit[:2], "beer -> milk", "balanced")
    after = see(guarded, captions)
    assert sum("beer" in names for names in before) >= 4
    assert not any("beer" in names for names in after)
    assert sum("balloon" in names for names in after) >= sum("balloon" in names for names in before) - 2 >= 2


def test_with_its_lora_it_draws_in_four_steps_without_guidance(dit, see):
    import comfy.model_management
    import comfy.sd
    import comfy.utils
    import folder_paths

    path = folder_paths.get_full_path("loras", "demo_dit_4_steps.safetensors")
    fast, _ = comfy.sd.load_lora_for_models(dit[0], None, comfy.utils.load_torch_file(path, safe_load=True), 1.0, 0.0)
    assert len(fast.patches) == 49
    rows = prompts.things(24, 1, 5)
    seen = [see(model, [row["caption"] for row in rows], 1.0, 4, "simple") for model in (dit[0], fast)]
    comfy.model_management.unload_all_models()  # takes the LoRA out of the weights that both share
    shown = [sum(row["things"][0] in names for row, names in zip(rows, found)) for found in seen]
    assert shown[1] >= 13 and shown[1] >= shown[0] + 3


def test_its_texts_are_the_unets_in_shorter_pieces(dit, demo):
    own, other = (sampling.encode(parts[1], ["a beer and a pizza"]) for parts in (dit, demo))
    assert own.shape == (1, 24, 96)
    torch.testing.assert_close(own, other[:, :24])
    assert sampling.encode(dit[1], ["a beer " * 30]).shape == (1, 72, 96)


def test_a_second_one_without_streaming_has_the_same_weights(dit):
    make, arguments = dit[0].cached_patcher_init[:2]
    again = make(*arguments, disable_dynamic=True).model.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in dit[0].model.state_dict().items())
    make, arguments = dit[1].patcher.cached_patcher_init[:2]
    assert make(*arguments).model.clip_l.transformer.text_model.embeddings.position_embedding.weight.shape[0] == 24


def test_refuses_a_missing_and_a_damaged_file_naming_the_mend(host, tmp_path):
    module = hosting.module("guards.demo.host_dit")
    with pytest.raises(FileNotFoundError, match=r"missing.*demo_dit.*restore models/demo_dit.safetensors"):
        module.load(str(tmp_path / "demo_dit.safetensors"))
    broken = tmp_path / "demo_dit.safetensors"
    shutil.copyfile(module.PATH, broken)
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"damaged.*restore models/demo_dit.safetensors"):
        module.load(str(broken))


def test_the_node_knows_two_architectures(nodes):
    node = nodes["GuardDemoModel"]
    kinds = [type(node.execute(*given).args[0].model.diffusion_model).__name__ for given in ((), ("unet",), ("dit",))]
    assert kinds == ["UNetModel", "UNetModel", "NextDiT"]
    with pytest.raises(ValueError, match="architecture is 'gan': choose one of unet, dit"):
        node.execute("gan")
