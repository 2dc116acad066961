"""The record of decisions: every change to it shows, a crash loses at most the line under way, and it is rotated."""

import json
import subprocess
import sys
import threading

import pytest

from guards.policy import audit
from tools import PROJECT


def filled(folder, count=5, **options):
    record = audit.Audit(str(folder), clock=lambda: 0.0, **options)
    for number in range(count):
        record.record(action="admitted", number=number)
    return record


def test_a_whole_record_is_verified_and_counted(tmp_path):
    record = filled(tmp_path)
    record.record(action="refused", rule="cloud")
    assert audit.survey(audit.files(str(tmp_path))).decisions == 6
    assert audit.survey(audit.files(str(tmp_path))).days == {"1970-01-01": {"admitted": 5, "cloud": 1}}


@pytest.mark.parametrize("harm", ["change", "remove", "insert", "swap"])
def test_tampering_shows(tmp_path, harm):
    lines = open(filled(tmp_path).path, encoding="utf-8").read().splitlines()
    if harm == "change":
        lines[2] = lines[2].replace('"number": 2', '"number": 9')
    elif harm == "remove":
        del lines[2]
    elif harm == "insert":
        lines.insert(2, lines[1])
    else:
        lines[2], lines[3] = lines[3], lines[2]
    (tmp_path / audit.NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="audit.jsonl, line [34]"):
        audit.survey(audit.files(str(tmp_path)))


def test_a_line_that_a_crash_left_half_is_cut_off_and_the_chain_goes_on(tmp_path):
    filled(tmp_path)
    with open(tmp_path / audit.NAME, "ab") as file:
        file.write(b'{"action": "adm')
    assert audit.survey(audit.files(str(tmp_path))).decisions == 5
    filled(tmp_path, 2)
    assert audit.survey(audit.files(str(tmp_path))).decisions == 7


def test_a_full_file_is_put_aside_and_the_chain_runs_through(tmp_path):
    filled(tmp_path, 12, full=600)
    paths = audit.files(str(tmp_path))
    assert len(paths) > 2 and paths[-1].endswith(audit.NAME)
    assert audit.survey(paths).decisions == 12 > audit.survey(paths[1:]).decisions
    with pytest.raises(ValueError):
        audit.survey([paths[0], *paths[2:]])


def test_threads_do_not_break_the_chain(tmp_path):
    record = audit.Audit(str(tmp_path))
    threads = [threading.Thread(target=lambda: [record.record(action="admitted") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.survey(audit.files(str(tmp_path))).decisions == 80


def test_a_record_that_cannot_be_written_says_so_and_stays_whole(tmp_path):
    record = filled(tmp_path, 2)
    before = open(record.path, "rb").read()
    record.folder = str(tmp_path / audit.NAME)  # a file where the folder should be
    with pytest.raises(OSError):
        record.record(action="admitted")
    assert open(tmp_path / audit.NAME, "rb").read() == before
    assert json.loads(before.splitlines()[0])["before"] == audit.FIRST


def test_several_servers_keep_one_chain(tmp_path):
    one, other = audit.Audit(str(tmp_path), full=2000), audit.Audit(str(tmp_path), full=2000)
    for number in range(12):
        (one, other)[number % 3 > 0].record(action="admitted", number=number)
    code = (
        "import sys; from guards.policy import audit; record = audit.Audit(sys.argv[1], full=2000)\n"
        "for number in range(20): record.record(action='admitted', number=number)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    one.record(action="admitted", number=0)
    found = audit.survey(audit.files(str(tmp_path)))
    assert found.decisions == 53 and len(audit.files(str(tmp_path))) > 2


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the size of files stands for a full disk")
def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_whole_lines(tmp_path):
    filled(tmp_path, 3)
    room = (tmp_path / audit.NAME).stat().st_size + 100
    code = (
        "import resource, signal, sys; from guards.policy import audit\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "record = audit.Audit(sys.argv[1])\n"
        "for _ in range(2):\n"
        "    try: record.record(action='admitted')\n"
        "    except OSError as error: print('full', error.errno)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("full") == 2, done.stderr
    assert audit.survey(audit.files(str(tmp_path))).decisions == 3
    filled(tmp_path, 1)
    assert audit.survey(audit.files(str(tmp_path))).decisions == 4
