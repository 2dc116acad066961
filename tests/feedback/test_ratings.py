"""Ratings as lines on the disk: what counts, what survives a killed server, how far raters agree."""

import json
import re
import subprocess
import sys
import threading
import time
import unicodedata

import pytest

from tools.testing import hosting

feedback = hosting.module("guards.feedback.ratings")
agreement, RatingLog = (
    hosting.module("guards.feedback.agreement").agreement,
    hosting.module("guards.feedback.log").RatingLog,
)
nearest_seed, Entry = hosting.module("guards.graph").nearest_seed, feedback.Entry


def rated(image, rating, rater="ann", **more):
    return Entry(image, "a prompt", 7, "beer", rater, rating, feedback.now(), **more)


def test_the_last_line_of_a_rater_counts_and_null_takes_it_back(tmp_path):
    log = RatingLog(str(tmp_path))
    log.append(
        [
            Entry("a.png", "p", 3, "beer"),
            rated("a.png", 4),
            rated("a.png", 1),
            rated("a.png", 2, "bob"),
            rated("b.png", 3),
        ]
    )
    assert log.read().by_image() == {"a.png": {"ann": 1, "bob": 2}, "b.png": {"ann": 3}}
    log.append([rated("a.png", None)])
    assert log.read().by_image() == {"a.png": {"bob": 2}, "b.png": {"ann": 3}}
    assert len((tmp_path / "ratings.jsonl").read_text().splitlines()) == 6, "nothing is ever removed"
    assert RatingLog(str(tmp_path)).read().by_image() == log.read().by_image()


def test_lines_hold_what_the_contract_names(tmp_path):
    RatingLog(str(tmp_path)).append([rated("a.png", 4, id="12345678")])
    line = json.loads((tmp_path / "ratings.jsonl").read_text())
    assert {"image", "prompt", "seed", "concept", "rater", "rating", "time"} <= line.keys()


def test_a_comparison_means_the_same_whichever_picture_is_named_first(tmp_path):
    log = RatingLog(str(tmp_path))
    log.append([rated("b.png", 1, other="a.png")])
    assert log.read().compared == {("a.png", "b.png", "ann"): 0}
    log.append([rated("a.png", 0.5, other="b.png")])
    assert log.read().compared == {("a.png", "b.png", "ann"): 0.5}
    log.append([rated("b.png", None, other="a.png")])
    assert not log.read().compared


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_tolerated_and_closed_off_by_the_next_append(tmp_path, cut):
    log = RatingLog(str(tmp_path))
    log.append([rated("a.png", 4)])
    path = tmp_path / "ratings.jsonl"
    path.write_bytes(path.read_bytes() + rated("b.png", 3).line()[:cut])
    again = RatingLog(str(tmp_path))
    assert again.read().by_image() == {"a.png": {"ann": 4}}
    again.append([rated("c.png", 2)])
    for reader in (again, log, RatingLog(str(tmp_path))):
        assert reader.read().by_image() == {"a.png": {"ann": 4}, "c.png": {"ann": 2}}
        assert reader.read().damaged == 1


def test_a_line_asked_for_twice_is_written_once(tmp_path):
    log, entry = RatingLog(str(tmp_path)), rated("a.png", 4, id="abcdefgh-1")
    assert [log.append([entry]), log.append([entry, entry]), RatingLog(str(tmp_path)).append([entry])] == [1, 0, 0]
    assert len((tmp_path / "ratings.jsonl").read_text().splitlines()) == 1


def test_threads_that_append_at_the_same_time_lose_nothing(tmp_path):
    logs = [RatingLog(str(tmp_path)) for _ in range(2)]  # as two servers on one folder would

    def work(number):
        for index in range(25):
            logs[number % 2].append([rated(f"{index}.png", index % 5, f"rater {number}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    found = logs[0].read()
    assert len(found.given) == 150 and found.damaged == 0


WRITER = """
import importlib.util, sys, types
package = types.ModuleType("g"); package.__path__ = [sys.argv[1]]; sys.modules["g"] = package
import importlib; feedback = importlib.import_module("g.feedback.log")
log = feedback.RatingLog(sys.argv[2])
for index in range(100000):
    log.append([feedback.Entry(f"{index}.png", "p" * 200, 1, "beer", "ann", index % 5)])
    print(index, flush=True)
"""


def test_what_was_confirmed_before_a_kill_is_there_after_it(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, hosting.PROJECT / "guards", tmp_path], stdout=subprocess.PIPE, text=True
    )
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.05)
    process.kill()
    confirmed = 4 + len(process.stdout.read().split("\n")) - 1
    process.wait()
    log = RatingLog(str(tmp_path))
    log.append([rated("after.png", 4, "bob")])
    images = [image for image, rater in log.read().given if rater == "ann"]
    assert images[: confirmed + 1] == [f"{index}.png" for index in range(confirmed + 1)]
    assert len(images) == len(set(images)) and len(images) <= confirmed + 2
    assert ("after.png", "bob") in log.read().given


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"image":"../a.png"}',
        b'{"image":"a.png","rater":"ann","rating":5}',
        b'{"image":"a.png","rater":"ann","rating":true}',
        b'{"image":"a.png","rater":"ann","rating":1.5}',
        b'{"image":"a.png","rater":"ann","rating":1,"other":"a.png"}',
        b'{"image":"a.png","rater":["ann"]}',
        b'{"image":"a.png","rater":"","rating":3}',
        b'{"image":"a.png","seed":-1}',
        b'{"image":"a.png","seed":"7"}',
        b'{"image":1}',
        b'{"image":"a.png","prompt":7}',
        b'{"image":"a.png","rater":"ann","rating":0.25,"other":"b.png"}',
        b'{"image":"a.png","rater":"ann","rating":NaN}',
        b'{"image":"a.png","rater":"ann","rating":Infinity,"other":"b.png"}',
        b'{"image":"a.png","rater":"ann","rating":NaN,"other":"b.png"}',
        b'{"image":"a.png","rater":"ann","rating":1e999,"other":"b.png"}',
        b'{"image":"a.png","seed":NaN}',
        b'{"image":"a.png","seed":18446744073709551616}',
        b'{"image":"a.png","seed":' + b"9" * 10_000 + b"}",
        b"[" * 100_000,
        b'"\xff"',
    ],
)
def test_a_line_that_no_rater_can_have_written_is_left_out(line):
    assert feedback.parse(line) is None


def test_names_that_lead_elsewhere_or_that_some_system_refuses_are_no_names():
    for name in (
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        ".hidden",
        "con",
        "COM1.x",
        "a.",
        "a ",
        "a\nb",
        "a\0",
        "C:",
        "x" * 61,
        None,
        7,
    ):
        assert not feedback.is_set_name(name), name
    for name in ("my_feedback", "Stars 2", "ästhetik", "星"):
        assert feedback.is_set_name(name), name
    for name in ("a.jpg", "../a.png", "a/b.png", ".a.png", "a.png\n", "nul.png", "a\0.png", None, "ratings.jsonl"):
        assert not feedback.is_image_name(name), name


def test_agreement_is_krippendorffs_alpha():
    """The interval-data example by hand: two raters, four pictures."""
    given = {
        "a": {"x": 0, "y": 0},
        "b": {"x": 4, "y": 4},
        "c": {"x": 1, "y": 2},
        "d": {"x": 3, "y": 3},
        "alone": {"x": 4},
    }
    values = [0, 0, 4, 4, 1, 2, 3, 3]
    expected = sum((a - b) ** 2 for a in values for b in values) / (8 * 7)
    observed = 2 * (1 - 2) ** 2 / 8
    found = agreement(given)
    assert found.pictures == 4 and found.within_one == 1
    assert found.alpha == pytest.approx(1 - observed / expected)


def test_agreement_without_doubles_or_differences_is_not_defined():
    assert agreement({}).alpha is None
    assert agreement({"a": {"x": 1}}).alpha is None
    assert agreement({"a": {"x": 2, "y": 2}, "b": {"x": 2, "y": 2}}).alpha is None


def test_the_seed_of_the_nearest_sampler_is_found():
    graph = {
        "1": {"inputs": {"images": ["2", 0]}},
        "2": {"inputs": {"samples": ["3", 0]}},
        "3": {"inputs": {"seed": 42, "model": ["4", 0]}},
        "4": {"inputs": {"seed": 9}},
    }
    assert nearest_seed(graph, "1") == 42
    assert nearest_seed({"1": {"inputs": {"images": ["1", 0]}}}, "1") is None
    assert nearest_seed(None, "1") is None


def test_browsers_are_sent_the_nickname_rule_that_the_server_goes_by():
    """Python's classes of characters in the browsers' words: letters and digits are the Unicode categories L and N."""
    first, rest = re.fullmatch(r"\[(.+?)\]\[(.+?)\]\{0,29\}", feedback.RATER_IN_BROWSERS).groups()
    assert (first, rest) == (r"\p{L}\p{N}", r"\p{L}\p{N}_\-. ")
    for code in range(0x110000):
        character = chr(code)
        known = unicodedata.category(character)[0] in "LN"
        assert bool(feedback.RATER.fullmatch(character)) == known, hex(code)
        assert bool(feedback.RATER.fullmatch("a" + character)) == (known or character in "_-. "), hex(code)
