"""Scale adapters: files, and training on the demo model."""

import os

import pytest
import torch

from tools.testing import hosting


@pytest.fixture(scope="module")
def adapters(host):
    return hosting.module("guards.inhibitors.host_adapters")


@pytest.fixture(scope="module")
def gi(host):
    return hosting.module("guards.inhibitors.formula")


@pytest.fixture(scope="module")
def train(host):
    return hosting.module("guards.inhibitors.host_training")


def network(gi, inputs=16, **options):
    with torch.inference_mode(False):
        return gi.Adapter(inputs, **options).requires_grad_(False)


def test_a_saved_adapter_comes_back_with_what_it_is_for(adapters, gi):
    saved = network(gi, 12, family="demo", injected=False)
    path = adapters.save(saved, "one of mine")
    name = path.replace("\\", "/").rsplit("/", 1)[1]
    assert name in adapters.names()
    loaded = adapters.load(name)
    assert (loaded.family, loaded.features, loaded.injected) == ("demo", 12, False)
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in saved.state_dict().items())


def test_a_file_is_replaced_only_on_request_and_never_beside_one_of_the_same_name_in_other_case(adapters, gi, host):
    node = hosting.module("nodes.growth_inhibitor").GuardSaveAdapter
    node.execute(network(gi, 16), "kept")
    with pytest.raises(FileExistsError, match="kept.safetensors is already in models/concept_adapters.*overwrite on"):
        node.execute(network(gi, 12), "kept")
    assert adapters.load("kept.safetensors").features == 16
    node.execute(network(gi, 12), "kept", overwrite=True)
    assert adapters.load("kept.safetensors").features == 12
    for overwrite in (False, True):
        with pytest.raises(
            FileExistsError, match="filename: kept.safetensors is already .* the same name as KEPT.safetensors"
        ):
            node.execute(network(gi, 12), "KEPT", overwrite=overwrite)


def mapped(path):
    """Whether a file is mapped into this process: Windows would not let it be replaced."""
    import gc

    gc.collect()
    with open("/proc/self/maps") as maps:
        return str(path) in maps.read()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads the process's map from /proc, which Linux has")
def test_no_file_stays_mapped_after_it_was_loaded(adapters, gi, tmp_path):
    import safetensors

    path = tmp_path / "a.safetensors"
    adapters.save(network(gi, 16), "a", folder=str(tmp_path))
    with safetensors.safe_open(path, "pt") as file:
        held = file.get_tensor("fc1.weight")
    assert mapped(path) and held.shape == (64, 16), "nothing is ever mapped: a test of nothing"
    del held
    loaded = adapters.read(str(path))
    assert not mapped(path) and loaded.features == 16
    directions, formula = hosting.module("guards.directions.files"), hosting.module("guards.directions.formula")
    path = tmp_path / "d.safetensors"
    path.write_bytes(directions.content(formula.Direction("it", torch.ones(64, 8, 8), "sd1", 64, {})))
    direction = directions.load(str(path))
    assert not mapped(path) and direction.values.sum() == 64 * 64


def test_the_official_state_dict_loads(adapters, gi, tmp_path):
    torch.save(network(gi, 16).state_dict(), tmp_path / "mlp_model_final.pth")
    loaded = adapters.read(str(tmp_path / "mlp_model_final.pth"))
    assert loaded.features == 16 and loaded.injected


@pytest.mark.parametrize("name", ["../x", "a/b", "C:\\x", ".hidden", "con", "", "x\0y", "a" * 200])
def test_a_name_that_leaves_the_folder_is_refused(adapters, gi, name):
    with pytest.raises(ValueError, match="filename is"):
        adapters.save(network(gi), name)


def test_a_file_that_is_no_adapter_says_so(adapters, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="The adapter broken.safetensors cannot be used"):
        adapters.read(str(tmp_path / "broken.safetensors"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="The adapter list.pth cannot be used"):
        adapters.read(str(tmp_path / "list.pth"))


def test_the_shipped_adapter_takes_out_what_is_said_or_implied_and_keeps_what_is_not(adapters, demo):
    from tools.measuring import sampling

    model, clip, vae = demo
    captions = ["a beer and a pizza on a white background"] * 4 + ["a party"] * 4 + ["a cat and a guitar"] * 4
    guard, oracle = hosting.module("guards.inhibitors.host").guard, hosting.module("guards.demo.oracle").load()
    guarded, _, said = guard(model, clip, "", "beer", 0.0, "single_pass", adapters.load(adapters.SHIPPED))
    texts = sampling.encode(clip, captions), sampling.encode(clip, [""])
    before, after = (oracle.see(sampling.sample_images(one, vae, *texts, 100, steps=12)) for one in (model, guarded))
    assert "inferred" in said
    assert before.contains("beer").sum() >= 7 and not after.contains("beer").any()
    for name, rows in (
        ("pizza", slice(0, 4)),
        ("balloon", slice(4, 8)),
        ("cat", slice(8, 12)),
        ("guitar", slice(8, 12)),
    ):
        assert before.contains(name)[rows].sum() >= 3 and after.contains(name)[rows].sum() >= 3, name


LINES = "a beer | -1.5\na party | -1.5\na pizza | 0\na cat | 0"


def test_labels_of_the_users_own_train_an_adapter(train, demo, gi):
    adapter, losses, report = train.train(*demo, LINES, "beer", "labels", images=3, size=96, epochs=300)
    assert adapter.features == 12 and not adapter.injected and losses[-1] < losses[0] / 2
    assert "12 examples, 6 with the concept" in report


@pytest.mark.parametrize(
    "line, expected",
    [
        ("a dark beer | -1.5", ("a dark beer", -1.5)),
        ("a dark beer\t-1.5", ("a dark beer", -1.5)),
        ("a | b\t0", ("a | b", 0.0)),
        ("a dark beer |\t-1.5", ("a dark beer", -1.5)),
        ("a\tdark | -2", ("a\tdark", -2.0)),
    ],
)
def test_a_label_stands_behind_a_bar_or_a_tab(train, line, expected):
    assert train.parse(line, True) == [expected]


def test_the_judge_finds_each_pictures_scale_and_a_stopped_training_goes_on(train, demo, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 4:
            raise Stop

    lines = "a beer\na cat"
    settings = dict(images=1, size=96, steps=10, cfg=3.0, rounds=1, epochs=50, batch=1, folder=str(tmp_path))
    with pytest.raises(Stop):
        train.train(*demo, lines, "beer", "demo oracle", tick=stop, **settings)
    seen = []
    _, _, report = train.train(*demo, lines, "beer", "demo oracle", tick=lambda *at: seen.append(at), **settings)
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)]  # the first picture's three runs were kept
    assert "2 examples, 1 with the concept" in report


@pytest.mark.parametrize(
    "prompts, targets, judge, message",
    [
        ("", "beer", "labels", "prompts is empty"),
        ("a beer", "beer", "labels", "line 1"),
        ("a beer | x", "beer", "labels", "line 1"),
        ("a beer", "weapon", "demo oracle", "does not know 'weapon'"),
        ("a beer", "beer, cat", "demo oracle", "name one target"),
        ("a cat | 0", "beer", "labels", "nothing to learn"),
    ],
)
def test_training_says_what_is_missing(train, demo, prompts, targets, judge, message):
    with pytest.raises(ValueError, match=message):
        train.train(*demo, prompts, targets, judge, images=1, size=96)


def test_the_nodes_train_inside_inference_mode_and_draw_the_loss(demo, host):
    adapter, plot, report = hosting.run_node(
        "GuardTrainAdapter",
        **dict(zip(("model", "clip", "vae"), demo, strict=True)),
        prompts=LINES,
        targets="beer",
        judge="labels",
        images=1,
        size=96,
        steps=10,
        cfg=3.0,
        strongest=-4.0,
        rounds=1,
        epochs=50,
        cover=0.9,
        seed=7,
    ).result
    assert plot.shape == (1, 360, 640, 3) and "examples" in report
    hosting.run_node("GuardSaveAdapter", adapter=adapter, filename="trained")
    assert hosting.run_node("GuardLoadAdapter", adapter_name="trained.safetensors").result[0].features == 12


def test_examples_of_one_model_are_not_taken_for_those_of_it_with_another_lora_or_text_encoder(train, demo):
    """Labels found without a LoRA would be wrong with it."""
    import comfy.sd

    model, clip, _ = demo
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q"
    lora = {f"{name}.lora_B.weight": torch.ones(192, 1), f"{name}.lora_A.weight": torch.ones(1, 192)}
    text = "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1"
    text_lora = {f"{text}.lora_B.weight": torch.ones(256, 1), f"{text}.lora_A.weight": torch.ones(1, 96)}

    def with_lora(strength, factor=1.0):
        changed = {key: value * factor for key, value in lora.items()}
        return comfy.sd.load_lora_for_models(model, None, changed, strength, 0.0)[0]

    patched_clip = comfy.sd.load_lora_for_models(None, clip, text_lora, 0.0, 1.0)[1]
    skipping = clip.clone()
    skipping.clip_layer(-2)
    keys = {
        "plain": train._key(model, clip, "settings"),
        "lora": train._key(with_lora(1.0), clip, "settings"),
        "weaker": train._key(with_lora(0.5), clip, "settings"),
        "another": train._key(with_lora(1.0, 2.0), clip, "settings"),
        "text": train._key(model, patched_clip, "settings"),
        "layer": train._key(model, skipping, "settings"),
    }
    assert patched_clip.patcher.patches, "the LoRA does not fit the text encoder: a test of nothing"
    assert len(set(keys.values())) == len(keys), keys
    assert train._key(with_lora(1.0), clip, "settings") == keys["lora"], "a stopped training would begin again"
