"""The hallway, guards/files.py and graph.py (schedule.py: test_schedule.py): small pure files that every room may use."""

import os
import stat
import subprocess
import sys
import threading

import pytest
import torch

from tools.testing import hosting

files, graph, seeds = (hosting.module(f"guards.{name}") for name in ("files", "graph", "seeds"))


# Writing


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "ä.json"
    files.write(path, b"one")
    files.write(str(path), b"two")
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]


def test_threads_of_one_process_never_meet_in_one_file(tmp_path):
    path, contents, failed = tmp_path / "it", [bytes([n]) * 200_000 for n in range(8)], []
    files.write(path, contents[0])
    start, over = threading.Barrier(9), threading.Event()

    def work(content):
        start.wait()
        try:
            for _ in range(12):
                files.write(path, content)
        except BaseException as error:
            failed.append(error)

    def look():
        start.wait()
        while not over.is_set():
            if path.read_bytes() not in contents:
                failed.append("half a file was seen")

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    reader = threading.Thread(target=look)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    reader.join()
    assert not failed, failed
    assert path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


def test_processes_write_one_file_at_once(tmp_path):
    path = tmp_path / "it"
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('files', sys.argv[1]); f = u.module_from_spec(s)\n"
        "s.loader.exec_module(f)\n"
        "for _ in range(30): f.write(sys.argv[2], sys.argv[3].encode() * 50_000)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, files.__file__, path, letter]) for letter in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert path.read_bytes() in [letter * 50_000 for letter in (b"a", b"b", b"c")] and list(tmp_path.iterdir()) == [
        path
    ]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_in_the_middle_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, step):
    path = tmp_path / "it.json"
    files.write(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="Could not write it.json .No space left on device.: is the disk full"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_stopped_write_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "it", b"new")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named_by_its_file(tmp_path):
    with pytest.raises(OSError, match="Could not write it"):
        files.write(tmp_path / "gone" / "it", b"")


def refusals(monkeypatch, count):
    """Windows' refusal to replace a file that somebody reads, ``count`` times."""
    replace, left = os.replace, [PermissionError(13, "Access is denied")] * count

    def refuse(*names):
        if left:
            raise left.pop()
        replace(*names)

    monkeypatch.setattr(files.os, "replace", refuse)


def test_a_file_that_is_read_for_a_moment_is_waited_for_on_windows(tmp_path, monkeypatch):
    refusals(monkeypatch, 2)
    monkeypatch.setattr(files, "PATIENCE", 2.0)
    files.write(tmp_path / "it", b"new")
    assert (tmp_path / "it").read_bytes() == b"new"


def test_a_file_that_cannot_be_replaced_is_not_waited_for_elsewhere(tmp_path, monkeypatch):
    refusals(monkeypatch, 1)
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    with pytest.raises(OSError, match="Could not write it .Access is denied."):
        files.write(tmp_path / "it", b"new")
    assert not list(tmp_path.iterdir())


def test_a_written_file_may_be_read_by_whom_the_system_lets(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    files.write(tmp_path / "it", b"")
    assert stat.S_IMODE((tmp_path / "it").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_rows_end_where_a_killed_process_tore_the_last_and_go_on_there(tmp_path):
    """What text editors take for the end of a line may stand in a row."""
    path, mine = tmp_path / "rows.jsonl", {"said": "one\u2028two\x85"}
    assert files.rows(path) == files.rows(None) == []
    files.append_row(path, mine)
    files.append_row(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"said": "th')
    assert files.rows(path) == [mine, 2] and path.read_bytes() == whole + b'{"said": "th'
    files.append_row(path, 3)
    assert files.rows(path) == [mine, 2, 3] and path.read_bytes() == whole + b"3\n"
    path.write_bytes(b"torn")
    files.append_row(path, 4)
    assert files.rows(path) == [4]


# Names


@pytest.mark.parametrize("name", ["a", "9", "über 2.0 (new)+", "a" * 20])
def test_plain_names(name):
    assert files.is_plain(name, 20)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 21,
        ".a",
        "-a",
        "_a",
        "a.",
        "a ",
        "a/b",
        "a\\b",
        "..",
        "a\n",
        "a:b",
        "NUL",
        "com1.png",
        "lpt0 .x",
        None,
        3,
    ],
)
def test_names_that_some_system_refuses(name):
    assert not files.is_plain(name, 20)


# The queued graph

GRAPH = {
    "1": {"inputs": {"text": "a beer"}},
    "2": {"inputs": {"text": ["3", 0]}},
    "3": {"inputs": {"concepts": "blood, weapons", "preset": "custom"}},
    "4": {"inputs": {"a": ["1", 0], "b": ["2", 0]}},
    "5": {"inputs": {"concept": ["4", 0], "one": ["1", 0], "none": None, "round": ["6", 0]}},
    "6": {"inputs": {"back": ["6", 0], "text": "  "}},
}


@pytest.mark.parametrize(
    "socket, text",
    [("concept", "a beer | blood, weapons"), ("one", "a beer"), ("none", ""), ("round", ""), ("unknown", "")],
)
def test_the_text_behind_a_socket(socket, text):
    assert graph.text_behind(GRAPH, "5", socket) == text


def test_upstream_is_nearest_first_and_each_node_once():
    assert graph.upstream(GRAPH, "5") == ["5", "4", "1", "6", "2", "3"]
    assert graph.upstream(GRAPH, "6") == ["6"] and graph.upstream(GRAPH, "gone") == graph.upstream(None, "5") == []


@pytest.mark.parametrize("value", [["1"], ["1", "0"], [1, 0], ("1", 0), "1", None, {"1": 0}])
def test_what_is_no_link(value):
    assert graph.is_link(["1", 0]) and not graph.is_link(value)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "7", ["1", 0], None])
def test_what_is_no_seed_is_passed_over(seed):
    made = {"2": {"inputs": {"from": ["1", 0], "seed": seed}}, "1": {"inputs": {"noise_seed": 2**64 - 1}}}
    assert graph.nearest_seed(made, "2") == 2**64 - 1
    made.pop("1")
    assert graph.nearest_seed(made, "2") is None


def test_a_graph_that_is_not_there_or_broken_has_no_text():
    assert graph.text_behind(None, None, "x") == graph.text_behind({}, "5", "x") == ""
    assert graph.text_behind({"5": {"inputs": {"x": ["gone", 0]}}}, "5", "x") == ""


def test_a_text_that_is_used_twice_is_named_once():
    assert (
        graph.text_behind({**GRAPH, "7": {"inputs": {"x": ["4", 0]}}, "2": {"inputs": {"text": "a beer"}}}, "7", "x")
        == "a beer"
    )


APPLIED = {  # two prompts through a ControlNet, each combined of two or joined of texts, then a sampler of several nodes
    "1": {"inputs": {"text": "a dog", "clip": ["20", 1]}},
    "2": {"inputs": {"text_g": ["11", 0], "text_l": ["11", 0], "clip": ["20", 1]}},
    "3": {"inputs": {"text": "blurry, cat", "clip": ["20", 1]}},
    "4": {"inputs": {"conditioning_1": ["1", 0], "conditioning_2": ["2", 0]}},
    "5": {"inputs": {"positive": ["4", 0], "negative": ["3", 0], "control_net": ["21", 0], "image": ["22", 0]}},
    "6": {"inputs": {"positive": ["5", 0], "negative": ["5", 1], "model": ["20", 0], "seed": 7}},
    "7": {"inputs": {"target": ["5", 0], "base": ["5", 1], "image": ["22", 0]}},
    "11": {"inputs": {"string_a": ["12", 0], "string_b": "in a garden", "delimiter": ", "}},
    "12": {"inputs": {"value": "a bench"}},
    "22": {"inputs": {"samples": ["23", 0]}},
    "23": {"inputs": {"positive": ["24", 0], "seed": 5}},
    "24": {"inputs": {"text": "another picture"}},
}


@pytest.mark.parametrize(
    "node, socket, text",
    [
        ("7", "target", "a dog | a bench | in a garden"),
        ("7", "base", "blurry, cat"),
        ("6", "positive", "a dog | a bench | in a garden"),
        ("6", "negative", "blurry, cat"),
    ],
)
def test_each_side_of_a_node_that_hands_two_prompts_on_has_its_own_text(node, socket, text):
    assert graph.text_behind(APPLIED, node, socket) == text


def test_a_graph_of_many_ways_to_the_same_text_is_walked_once():
    many = {"0": {"inputs": {"text": "a dog"}}}
    many |= {
        str(n): {"inputs": {"conditioning_1": [str(n - 1), 0], "conditioning_2": [str(n - 1), 0]}} for n in range(1, 60)
    }
    assert graph.text_behind({**many, "60": {"inputs": {"x": ["59", 0]}}}, "60", "x") == "a dog"


# Names


@pytest.mark.parametrize("name", ["COM¹", "com².txt", "LPT³", "Con", "nul.tar.gz"])
def test_names_that_windows_takes_for_devices_are_not_plain(name):
    assert not files.is_plain(name, 100)


def test_names_that_differ_in_case_only_are_the_same_on_windows(tmp_path):
    (tmp_path / "Ära.txt").write_text("")
    assert files.same_name(tmp_path, "Ära.txt") == "Ära.txt"
    assert files.same_name(tmp_path, "äRA.TXT") == "Ära.txt"
    assert files.same_name(tmp_path, "other.txt") is None
    assert files.same_name(tmp_path / "nowhere", "other.txt") is None


def test_a_folder_that_somebody_reads_is_moved_as_soon_as_it_can_be(tmp_path, monkeypatch):
    """Windows refuses to move a folder while a file in it is open."""
    calls, move = [], os.replace

    def replace(source, target):
        calls.append(source)
        if len(calls) < 3:
            raise PermissionError(13, "in use")
        move(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    monkeypatch.setattr(files, "PATIENCE", 2.0)
    (tmp_path / "set").mkdir()
    files.rename(tmp_path / "set", tmp_path / "moved")
    assert len(calls) == 3 and (tmp_path / "moved").is_dir()


def test_a_seed_counts_on_past_the_last_one():
    assert [seeds.wrap(seed) for seed in (0, 2**64 - 1, 2**64, 2**64 + 7, -1)] == [0, 2**64 - 1, 0, 7, 2**64 - 1]
    draw = lambda seed: torch.randn(3, generator=seeds.generator(seed)).tolist()
    assert draw(2**64 + 7) == draw(7) != draw(8)


def test_graphs_are_read_without_torch():
    """The tools do so before they have set anything up."""
    code = "import sys; sys.modules['torch'] = None; import tools.serving.graph, tools.pictures.story, guards.files"
    subprocess.run([sys.executable, "-c", code], cwd=hosting.PROJECT, check=True)
