"""Loading, saving, combining and prompting directions through their nodes, in the host's own folders."""

import os

import pytest
import torch

from tools.demo_world.directions import RECIPES
from tools.testing import hosting, models

pytestmark = pytest.mark.both_hosts


@pytest.fixture
def folder(nodes, tmp_path, monkeypatch):
    """The first of the registered folders, empty; the pack's own stays behind it."""
    import folder_paths

    paths, extensions = folder_paths.folder_names_and_paths["concept_directions"]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "concept_directions", ([str(tmp_path), *paths[1:]], extensions)
    )
    folder_paths.filename_list_cache.pop("concept_directions", None)
    yield tmp_path
    folder_paths.filename_list_cache.pop("concept_directions", None)


def a_direction(name="no violence", seed=0):
    values = torch.randn(64, 4, 4, generator=torch.Generator().manual_seed(seed))
    return hosting.module("guards.directions.formula").Direction(name, values, "sd1", 64, {"steps": 5})


def test_what_is_saved_is_listed_and_loads_again(nodes, folder):
    save, load = nodes["GuardSaveDirection"], nodes["GuardLoadDirection"]
    out = save.execute(a_direction(), " kept one ")
    assert "no violence" in out.ui.as_dict()["text"][0]
    listed = next(one for one in load.GET_SCHEMA().inputs if one.id == "file").options
    assert "kept one.safetensors" in listed and "doctor-woman.safetensors" in listed
    again = load.execute("kept one.safetensors", "").args[0]
    assert torch.equal(again.values, a_direction().values) and again.info == {"steps": 5}
    assert [path.name for path in folder.iterdir()] == ["kept one.safetensors"]
    before = load.fingerprint_inputs("kept one.safetensors", "")
    os.utime(folder / "kept one.safetensors", (1, 1))
    assert (
        load.fingerprint_inputs("kept one.safetensors", "") != before
        and load.fingerprint_inputs("gone", "") == "missing"
    )


def test_a_file_is_replaced_only_when_told(nodes, folder):
    save = nodes["GuardSaveDirection"]
    save.execute(a_direction(), "it")
    with pytest.raises(
        FileExistsError, match="filename: it.safetensors is already in models/concept_directions.*overwrite"
    ):
        save.execute(a_direction(seed=1), "it.safetensors")
    save.execute(a_direction(seed=1), "it", overwrite=True)
    assert torch.equal(
        nodes["GuardLoadDirection"].execute("it.safetensors", "").args[0].values, a_direction(seed=1).values
    )


@pytest.mark.parametrize(
    "name", ["", " ", "../it", "a/b", "a\\b", "C:it", "CON", "nul.x", ".hidden", "it.", "x" * 101, "a\0b", "~", "a\nb"]
)
def test_names_that_could_land_elsewhere_are_refused(nodes, folder, name):
    with pytest.raises(ValueError, match="filename is"):
        nodes["GuardSaveDirection"].execute(a_direction(), name)
    assert not list(folder.iterdir())


def test_a_failed_save_leaves_the_old_file_and_no_other(nodes, folder, monkeypatch):
    save = nodes["GuardSaveDirection"]
    save.execute(a_direction(), "it")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="Could not write it.safetensors .No space left"):
        save.execute(a_direction(seed=1), "it", overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["it.safetensors"]
    assert torch.equal(nodes["GuardLoadDirection"].execute("it.safetensors", "").args[0].values, a_direction().values)


def test_a_file_that_is_not_there_or_lies_elsewhere_is_refused(nodes, folder):
    (folder.parent / "outside.safetensors").write_bytes(b"x")
    for name in ("gone.safetensors", "../outside.safetensors", "/etc/passwd"):
        with pytest.raises(FileNotFoundError, match="file: there is no file"):
            nodes["GuardLoadDirection"].execute(name, "")


def test_combining_through_the_node_checks_its_numbers(nodes):
    out = nodes["GuardCombineDirections"].execute(a_direction("a"), a_direction("b", 1), 0.5, 2.0).args[0]
    assert torch.allclose(out.values, 0.5 * a_direction().values + 2 * a_direction(seed=1).values)
    with pytest.raises(ValueError, match="weight_b is nan"):
        nodes["GuardCombineDirections"].execute(a_direction(), a_direction(), 1.0, float("nan"))


def test_words_in_the_prompt_switch_on_their_directions(nodes, folder):
    save, prompt = nodes["GuardSaveDirection"], nodes["GuardResponsiblePrompt"]
    for file, concept, seed in (("one", "female", 1), ("two", "male", 2), ("three", "calm", 3)):
        save.execute(a_direction(concept, seed), file)
    model = models.sd1()
    mapping = "gender-balanced -> female | male\nno violence -> three:0.5"
    guarded, rest, report = prompt.execute(model, "a gender-balanced office, no violence", mapping, 1.0, 7, True).args
    assert rest == "an office" and report.splitlines() == [
        "gender-balanced: female x 1 | male x 1",
        "no violence: three x 0.5",
    ]
    host_side, fairness = hosting.module("guards.directions.host"), hosting.module("guards.directions.fairness")
    expected = host_side.steer_fairly(
        model, [a_direction("female", 1), a_direction("male", 2)], fairness.parse_shares("", 2), 1.0, 7
    )
    expected = host_side.steer(expected, a_direction("calm", 3), 0.5)
    same = models.sample(guarded, batch=4) - models.sample(expected, batch=4)
    assert same.abs().max() < 1e-4
    untouched, whole, report = prompt.execute(model, "an office", mapping, 1.0, 7, True).args
    assert untouched is model and whole == "an office" and "no phrase of the mapping" in report
    assert prompt.execute(model, "no violence", mapping, 1.0, 7, False).args[1] == "no violence"
    assert prompt.execute(model, "no violence", mapping, 0.0, 7, True).args[0] is model
    with pytest.raises(ValueError, match="no direction is called 'nothing'.*there are: .*three"):
        prompt.execute(model, "peace", "peace -> nothing", 1.0, 0, True)
    (folder / "broken.safetensors").write_bytes(b"no")
    assert prompt.execute(model, "no violence", "no violence -> calm", 1.0, 0, True).args[0] is not model


def test_the_shipped_directions_are_those_of_the_demo_model(nodes):
    demo = hosting.module("guards.demo.host")
    with torch.inference_mode():
        model, _, _ = demo.load()
    for name, (base, target, negative, *_) in RECIPES.items():
        direction = nodes["GuardLoadDirection"].execute(name + ".safetensors", "").args[0]
        assert (direction.concept, direction.family, direction.trained_size) == (name, "demo", 96)
        assert direction.info["steps_done"] == direction.info["steps"]
        assert direction.info["prompts"] == {"base": base, "target": target, "negative": negative}
        assert hosting.module("guards.directions.host").steer(model, direction, 1.0) is not model
