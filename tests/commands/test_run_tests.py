"""Which passes of pytest the test command makes of its arguments."""

import pytest

from tools import PROJECT
from tools.run_tests import environment, passes

HERE = str(PROJECT / "tests" / "commands")
HOSTS = ("new", "old")


def asked(arguments, hosts=HOSTS, cores=2):
    """[(host, what -m says, processes)] of each pass."""
    found = []
    for one in passes(arguments, hosts, cores):
        options = one.arguments
        marked = options[options.index("-m") + 1] if "-m" in options else None
        found.append((one.host, marked, options[options.index("-n") + 1] if "-n" in options else None))
    return found


def test_a_whole_run_has_three_passes_in_two_processes():
    assert asked(["-q"]) == [("new", "pure", "2"), ("new", "not pure", "2"), ("old", "both_hosts", "2")]
    for one in passes(["-q"], HOSTS, 2):
        assert one.arguments[:2] == ["-q", str(PROJECT / "tests")]
        assert ("--dist" in one.arguments) == ("-n" in one.arguments)


def test_on_one_core_and_where_asked_there_is_one_process():
    assert [processes for *_, processes in asked([], cores=1)] == [None] * 3
    assert [processes for *_, processes in asked(["-n", "0"])] == ["0", "0", "0"]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([HERE], [("new", None, None), ("old", "both_hosts", None)]),
        ([HERE + "::test_x", "-m", "host"], [("new", "host", None), ("old", "(host) and both_hosts", None)]),
        (["-k", "sld"], [("new", None, None), ("old", "both_hosts", None)]),
        (["-m", "soak", "-s"], [("new", "soak", None), ("old", "(soak) and both_hosts", None)]),
        (["-m", "pure"], [("new", "pure", None)]),
        (["--coverage"], [("new", None, None)]),
    ],
)
def test_a_part_is_one_pass_and_its_tests_for_both_once_more(arguments, expected):
    assert asked(arguments) == expected


def test_without_an_oldest_host_it_is_left_out():
    assert asked([HERE], ("new", None)) == [("new", None, None)]


def test_a_run_keeps_what_python_compiles_and_names_its_host(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said = environment("new")
    assert (said["CONCEPT_GUARDS_HOST"], said["OMP_NUM_THREADS"]) == ("new", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in said
