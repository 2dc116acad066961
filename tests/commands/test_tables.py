"""The commands behind the help's figures exist, and names that do not are told."""

import re
import subprocess
import sys

import pytest

from tools import PROJECT, choose
from tools.evaluating import plan as plans
from tools.measuring import __main__ as measuring


def test_every_table_says_what_it_measures_and_a_wrong_name_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--list"])
    choose.choose("measure", measuring.TABLES)
    listed = capsys.readouterr().out
    assert all(
        f"  {name} " in listed and choose.first_line(module) in listed for name, module in measuring.TABLES.items()
    )
    monkeypatch.setattr(sys, "argv", ["run.py", "sdl"])
    with pytest.raises(SystemExit, match="nothing to measure by the name of 'sdl'"):
        choose.choose("measure", measuring.TABLES)


def test_every_table_and_training_named_in_the_help_exists():
    from tools.demo_world import __main__ as training

    pages = [PROJECT / "README.md", PROJECT / "models" / "README.md", *(PROJECT / "web" / "docs").glob("*.md")]
    named = [
        found
        for page in pages
        for found in re.findall(r"run\.py (measure|train|evaluate) (\w+)", page.read_text(encoding="utf-8"))
    ]
    known = {"measure": measuring.TABLES, "train": training.TRAININGS, "evaluate": plans.shipped()}
    assert len(named) > 10 and not [pair for pair in named if pair[1] not in known[pair[0]]]


def test_the_readme_lists_every_command():
    import run

    listed = re.findall(r"^\| `([\w-]+)`", (PROJECT / "README.md").read_text(encoding="utf-8"), re.M)
    assert not [name for name in run.COMMANDS if name not in listed]


def test_what_a_training_keeps_grows_with_the_picture_and_with_how_far_it_goes_back(host):
    """Counted where nothing is computed; the figure is of SD1.5, whose weights are not in it."""
    from tools.measuring import memory

    discover, invert, distil = (memory.kept("SD1.5", 256, training) for training in ("Discover", "Invert", "Distil"))
    assert 50e6 < discover < invert < distil < 300e6
    assert 3.5 < memory.kept("SD1.5", 512, "Discover") / discover < 4.5
    assert memory.change("SD1.5", 16)[1] < 0.02 < memory.change("SD1.5", 0)[1]


def test_the_cost_in_a_transformer_is_taken_of_guards_that_act(host):
    """Small, where nothing is said of the cost; every arm but the first makes another picture."""
    from tools.measuring import transformer
    from tools.testing import dits

    took = transformer.measure(side=8, text=4, rounds=1)
    assert set(took) == {"unguarded", "direction", "aligned", "sign_flip"}
    assert all(len(times) == 2 and min(times) > 0 for times in took.values())
    models, prompt = transformer.arms(text=4, targets=2)
    pictures = {name: dits.sample("flux", model, cfg=1.0, positive=prompt) for name, model in models.items()}
    assert not [name for name in pictures if name != "unguarded" and pictures[name].equal(pictures["unguarded"])]


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_whole_run_says_what_share_of_the_lines_its_pure_tests_run(processes):
    pytest.importorskip("coverage")
    launch = [sys.executable, str(PROJECT / "tools" / "setup" / "launch.py"), "pytest", "-c", "tests/pytest.ini", "-q"]
    plugin = [
        "-p",
        "tools.testing.pure_coverage",
        "-p",
        "no:cacheprovider",
        "-n",
        processes,
        "tests/lists/test_lists.py",
    ]
    said = subprocess.run([*launch, *plugin], cwd=PROJECT, capture_output=True, text=True, timeout=120).stdout
    share = re.search(r"Pure tests run (\d+) % of the lines in guards/ that need no ComfyUI\.", said)
    assert share and 3 < int(share[1]) < 40, said  # of one file's tests
