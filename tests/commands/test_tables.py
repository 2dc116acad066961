"""The skeleton of the help's tables: nothing that was measured is lost, and names that do not exist are told."""

import argparse
import re
import subprocess
import sys

import pytest

from tools import PROJECT, choose
from tools.evaluating import plan as plans
from tools.measuring import __main__ as measuring
from tools.measuring import table

FILL = """
import sys
from tools.measuring.table import gather
for number in range(20):
    gather(sys.argv[1], f"{sys.argv[2]} {number}", {"figure": number / 20})
"""


def test_processes_that_fill_one_file_lose_no_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", FILL, path, str(n)], cwd=PROJECT) for n in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(path.read_text().splitlines()) == 80
    assert table.gathered(path) == {f"{n} {i}": {"figure": i / 20} for n in range(4) for i in range(20)}


def test_a_row_that_was_measured_again_counts_as_last_measured(tmp_path):
    path = tmp_path / "rows.jsonl"
    for figure in (0.25, 0.5):
        table.gather(path, "off", {"shown": figure})
    assert table.gathered(path) == {"off": {"shown": 0.5}}
    table.gather(None, "off", {"shown": 1.0})  # nobody asked for a file


def test_kept_counts_what_the_caption_does_not_say_as_said():
    judged = [
        {"shape": True, "colour": None, "texture": False},
        {"shape": True, "colour": False, "texture": True},
        {"shape": False, "colour": True, "texture": True},
    ]
    assert table.kept(judged, ("shape", "colour")) == [True, False, False]
    assert table.retention([True, False, True], [True, True, False]) == 0.5
    assert table.retention([True], [False]) == 0.0


def options(**given) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(table.parser("it", "").parse_args([])), **given})


def test_rows_are_printed_as_markdown_and_gathered(tmp_path, capsys):
    rows = {"off": lambda: {"shown": 1.0}, "on": lambda: {"shown": 0.125}, "slow": lambda: 1 / 0}
    assert table.fill(rows, options(rows="off; on", out=tmp_path / "rows")) == 0
    printed = capsys.readouterr().out
    assert "n = 256, cfg 3, 20 steps, euler, normal" in printed
    assert "|     | shown |\n| --- | ----- |\n| off | 1.000 |\n| on  | 0.125 |\n" in printed
    assert table.gathered(tmp_path / "rows") == {"off": {"shown": 1.0}, "on": {"shown": 0.125}}


def test_a_row_that_does_not_exist_is_told_before_anything_is_measured(tmp_path):
    with pytest.raises(SystemExit, match="no row 'of'. Rows: off; on"):
        table.fill({"off": lambda: 1 / 0, "on": lambda: 1 / 0}, options(rows="off;of"))


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


def test_what_a_training_keeps_grows_with_the_picture_and_with_how_far_it_goes_back(host):
    """Counted where nothing is computed; the figure is of SD1.5, whose weights are not in it."""
    from tools.measuring import memory

    discover, invert, distil = (memory.kept("SD1.5", 256, training) for training in ("Discover", "Invert", "Distil"))
    assert 50e6 < discover < invert < distil < 300e6
    assert 3.5 < memory.kept("SD1.5", 512, "Discover") / discover < 4.5
    assert memory.change("SD1.5", 16)[1] < 0.02 < memory.change("SD1.5", 0)[1]


def test_a_whole_run_says_what_share_of_the_lines_its_pure_tests_run():
    pytest.importorskip("coverage")
    launch = [sys.executable, str(PROJECT / "tools" / "setup" / "launch.py"), "pytest", "-c", "tests/pytest.ini", "-q"]
    plugin = ["-p", "tools.testing.pure_coverage", "-p", "no:cacheprovider", "tests/words/test_lists.py"]
    said = subprocess.run([*launch, *plugin], cwd=PROJECT, capture_output=True, text=True, timeout=120).stdout
    share = re.search(r"Pure tests run (\d+) % of the lines in guards/ that need no ComfyUI\.", said)
    assert share and 3 < int(share[1]) < 40, said  # of one file's tests
