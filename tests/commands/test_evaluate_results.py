"""Results of `run.py evaluate` on the disk, the figures made of them, and the report; on constructed results with known answers."""

import dataclasses
import errno
import io
import json
import re
import shutil

import pytest
from PIL import Image

from guards import files
from tools.evaluating import __main__ as command
from tools.evaluating import measures, rating, report, tables
from tools.evaluating import plan as plans
from tools.evaluating.errors import PlanError, StoppedError
from tools.evaluating.items import Builder
from tools.evaluating.results import FORMAT, Store, small

KINDS = ("Text", "Sampler", "Show", "PreviewImage", "GuardScore", "GuardMeter", "GuardMeterReading")
EVIL = "<script>alert(1)</script> & 'more'"


def png(shade: int, side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def made(tmp_path):
    """(plan, builder, items, folder): 30 prompts that ask and 30 that do not, two arms, two pictures a prompt."""
    lines = [
        f"{EVIL if place == 0 else f'prompt {place}'}\t{'asks' if place < 30 else 'other'}\tcat" for place in range(60)
    ]
    (tmp_path / "prompts.tsv").write_text("prompt\tkind\tkeep\n" + "\n".join(lines))
    graph = {
        "1": {"class_type": "Text", "inputs": {"text": ""}},
        "2": {"class_type": "Sampler", "inputs": {"text": ["1", 0], "seed": 0, "batch": 2, "guard": 0}},
        "3": {"class_type": "Show", "inputs": {"images": ["2", 0]}},
    }
    plan = {
        "format": plans.FORMAT,
        "name": "made",
        "graph": graph,
        "picture": "3.images",
        "inputs": {"prompt": "1.text", "seed": "2.seed", "batch": "2.batch"},
        "prompts": "prompts.tsv",
        "group": "kind",
        "asks": ["asks"],
        "arms": {"off": {}, "on": {"2.guard": 1}},
        "detectors": [
            {"name": "it", "detector": "demo oracle", "what": "beer"},
            {"name": "own", "role": "kept", "detector": "demo oracle", "what": "{keep}"},
            {"name": "other", "role": "instead", "detector": "demo oracle", "what": "milk"},
            {"name": "a", "role": "class", "detector": "demo oracle", "what": "cat"},
            {"name": "b", "role": "class", "detector": "demo oracle", "what": "dog"},
        ],
        "measures": ["i2p", "attack", "ores", "deviation"],
        "published": {
            "theirs": {"probability": "0.378", "arm": "on", "group": "asks"},
            "others": {"probability": "0.1"},
        },
        "pictures": 2,
        "batch": 2,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    read = plans.read(tmp_path / "plan.json")
    builder = Builder(read, {kind: {"input": {"required": {}}} for kind in KINDS})
    return read, builder, list(builder.items()), tmp_path / "out"


def line(store, item) -> dict:
    """Off: every asking picture shows it, all keep their own. On: the second picture of every third asking prompt shows it, and of the
    others the first ten lose their own."""
    asks, on = item.place < 30, item.arm == "on"
    shown = [0.0, 0.9 if item.place % 3 == 0 else 0.1] if on else [0.9, 0.9]
    scores = {
        "it": shown if asks else [0.2, 0.2],
        "own": [0.1, 0.1] if on and 30 <= item.place < 40 else [0.8, 0.8],
        "other": [0.9, 0.4] if on else [0.0, 0.0],
        "a": [0.9, 0.1 if on else 0.9],
        "b": [0.1, 0.7 if on else 0.2],
    }
    pictures = store.keep(item.id, [png(100), png(200 if on else 100)])
    return {
        "id": item.id,
        "arm": item.arm,
        "prompt": item.place,
        "call": item.call,
        "seed": item.seed,
        "scores": scores,
        "rules": dict.fromkeys(scores, "a rule"),
        "seconds": 4.0 if on else 2.0,
        "sampling": 3.0 if on else 1.5,
        "rows": (120 if asks else 90) if on else 80,
        "memory": 3_000_000 if item.place == 5 else 1_000_000,
        "server": "here",
        "pictures": pictures,
    }


def fill(store, items) -> None:
    for item in items:
        store.add(line(store, item))


def test_the_figures_of_results_with_known_answers(made):
    plan, builder, items, folder = made
    with Store(folder) as store:
        fill(store, reversed(items))  # in whatever order they come
        found = tables.arms(plan, builder, items, store)
    off, on = (found[name].figures() for name in ("off", "on"))
    assert off["shown"][:2] == [60, 60] and on["shown"][:2] == [10, 60]
    assert on["shown"][2:] == pytest.approx(measures.wilson(10, 60), abs=1e-6)
    assert off["alarms"][:2] == on["alarms"][:2] == [0, 60]
    assert on["suppression"] == pytest.approx(5 / 6)
    assert off["kept"][:2] == [120, 120] and on["kept"][:2] == [100, 120]
    assert on["groups"]["asks"]["shown"] == on["shown"] and on["groups"]["other"]["shown"][:2] == [0, 60]
    assert on["groups"]["other"]["own kept"][:2] == [40, 60] and on["groups"]["asks"]["own kept"][:2] == [60, 60]
    assert on["instead"][:2] == [30, 60] == on["groups"]["asks"]["instead"][:2], "of those that showed it, one in two"
    assert off["instead"] is None and "instead" not in on["groups"]["other"]
    assert on["same"][:2] == [60, 120] and on["groups"]["other"]["same"][:2] == [30, 60]
    assert on["groups"]["asks"]["a"][:2] == [30, 60] == on["groups"]["asks"]["b"][:2], "a picture is of one class"
    assert (off["rows"], on["rows"]) == (40, 52.5) and on["group_rows"] == {"asks": 60, "other": 45}
    assert on["probability"] == on["shown"] and on["evasion"][:2] == [50, 60]
    assert off["attack"][:2] == [30, 30] and on["attack"][:2] == [10, 30]
    assert off["maximum"] == [1, 0] and on["maximum"] == pytest.approx([0.5, 0], abs=0.001)
    assert (off["deviation"], on["deviation"]) == (1, 0)
    assert on["changed"] == pytest.approx(0.5 * 100 / 255, abs=1e-5) and on["compared"] == 120
    assert found["on"].seconds == 2 and found["off"].seconds == 1
    assert found["on"].sampling == 1.5 and found["off"].sampling == 0.75 and found["on"].memory == 3_000_000


def test_a_last_line_that_was_cut_off_is_made_again_and_all_others_stay(made):
    _, _, items, folder = made
    with Store(folder) as store:
        fill(store, items[:3])
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:-20])
    with Store(folder) as store:
        assert list(store.done) == [item.id for item in items[:2]]
        fill(store, items[2:3])
        assert store.path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(made):
    _, _, items, folder = made
    with Store(folder) as store:
        fill(store, items[:2])
    rows = store.path.read_text().splitlines()
    store.path.write_text(f"{rows[0]}\nnonsense\n{rows[1]}\n")
    with pytest.raises(StoppedError, match="Line 2 of .*results.jsonl is damaged"), Store(folder):
        pass


def test_two_evaluations_do_not_share_a_folder(made):
    folder = made[3]
    with Store(folder), pytest.raises(StoppedError, match="Another evaluation writes into"), Store(folder):
        pass


class FullDisk(io.FileIO):
    """A file on a disk that takes ten more bytes."""

    room = 10

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written, self.room = super().write(data[: self.room]), 0
        return written


def test_a_full_disk_leaves_whole_lines_and_says_so(made, monkeypatch):
    _, _, items, folder = made
    with Store(folder) as store:
        fill(store, items[:2])
        whole = store.path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(files, "open", lambda path, mode, **_: FullDisk(path, mode), raising=False)
            with pytest.raises(StoppedError, match="the disk is full. Make room and run the same command again"):
                fill(store, items[2:3])
        assert store.path.read_bytes() == whole and items[2].id not in store.done
    with Store(folder) as store:
        assert len(store.done) == 2


def test_a_disk_without_room_is_refused_before_the_first_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 5 * 10**6))
    with pytest.raises(PlanError, match="1000 pictures take up to 70 MB, and .* has 5 MB free"):
        command.room(tmp_path / "new" / "folder", 1000)


def test_large_pictures_are_kept_small_and_small_ones_exactly():
    assert Image.open(io.BytesIO(small(png(10, 512)))).size == (256, 256)
    assert Image.open(io.BytesIO(small(png(77, 64)))).getpixel((3, 3)) == (77, 77, 77)
    assert Image.open(io.BytesIO(small(png(10, 512), 512))).size == (512, 512), "a plan can keep them whole"


def test_a_run_that_failed_is_tried_again_and_told(made):
    plan, builder, items, folder = made
    with Store(folder) as store:
        fill(store, items[1:])
        store.add({"id": items[0].id, "arm": "off", "prompt": 0, "failed": "KSampler: out of memory"})
    with Store(folder) as store:
        assert items[0].id not in store.done and items[0].id in store.failed
        text = report.write(plan, builder, items, store).read_text()
        assert "1 runs are missing, 1 of them failed" in text and "out of memory" in text
        fill(store, items[:1])
        assert not store.failed


@pytest.fixture
def page(made):
    """The report's path."""
    plan, builder, items, folder = made
    with Store(folder) as store:
        store.add({"run": {"time": "now", "command": "run.py evaluate", "plan": "", "servers": []}})
        fill(store, items)
        return report.write(plan, builder, items, store)


def test_the_report_asks_nothing_of_the_network_and_runs_nobodys_text(page):
    text = page.read_text()
    assert len(text.encode()) < report.MOST_BYTES
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text) and "http" not in text.replace("http://www.w3.org", "")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert "n = 60, too few" in text, "sixty pictures are few"
    assert text.count("<svg") >= 4 and "on: still shown (10)" in text and "on: not kept (20)" in text
    assert "<td>52.5</td>" in text and "<td>1.50</td>" in text and "<td>3</td>" in text, "rows, seconds, memory"
    beside = re.search(r"<td>theirs</td><td>0.378</td><td>on</td><td>(.*?)</td><td>(.*?)</td>", text)
    assert beside and beside[1].count("0.167 ") and beside[2] == "0.500 ± 0.000", "published figures and ours"
    assert "<td>others</td><td>0.1</td><td>–</td><td>–</td><td>–</td>" in text
    plain = (page.parent / "tables.md").read_text()
    assert re.search(r"\| on +\| 120 +\| 0.167 \(60\)", plain) and re.search(r"\| on +\| 60.0 +\| 45.0", plain)
    assert re.search(r"\*deviation ratio\*\* \| all +\| asks +\| other", plain)
    figures = json.loads((page.parent / "figures.json").read_text())
    assert figures["arms"]["on"]["shown"][:2] == [10, 60]


def test_the_report_stays_below_its_limit(made, monkeypatch):
    plan, builder, items, folder = made
    monkeypatch.setattr(report, "MOST_BYTES", report.ROOM + 25_000)
    with Store(folder) as store:
        fill(store, items)
        text = report.write(plan, builder, items, store).read_text()
    assert 0 < text.count("<figure>") < 12 and len(text.encode()) < report.MOST_BYTES


def test_the_report_opens_in_a_browser_without_an_error(browser, page):
    tab, said = browser.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(page.as_uri())
    pair = tab.locator(".pair").first
    blur = lambda: pair.locator("img").first.evaluate("(one) => getComputedStyle(one).filter")
    assert "blur" in blur() and pair.get_attribute("aria-pressed") == "false"
    pair.focus()
    tab.keyboard.press("Enter")
    assert blur() == "none" and pair.get_attribute("aria-pressed") == "true"
    pair.click()
    assert "blur" in blur()
    tab.close()
    assert not said


def test_pictures_are_filed_once_for_people_to_rate(made):
    from guards.feedback.log import RatingLog

    plan, builder, items, folder = made
    chosen = folder.parent / "sets" / "beers"
    rating.check(plan, chosen)
    with Store(folder, side=16) as store:
        fill(store, items[:50])
        first = rating.write(plan, items, store, chosen)
        assert rating.write(plan, items, store, chosen) == 0, "nothing twice"
        fill(store, items[50:])
        rest = rating.write(plan, items, store, chosen)
    filed = RatingLog(str(chosen)).read().filed
    assert first > 0 < rest and first + rest == 120 == len(filed), "two of each prompt, without the guard alone"
    one = next(entry for entry in filed.values() if entry.prompt == "prompt 7")
    assert (one.seed, one.concept, one.rating) == (plan.first_seed(7), "beer", None)
    assert Image.open(chosen / one.image).size == (16, 16)


def test_a_set_that_cannot_be_made_is_refused_before_the_first_picture(made, tmp_path):
    plan, *_ = made
    (tmp_path / "file").write_text("")
    with pytest.raises(PlanError, match="--rate: .*file is a file. Name a folder"):
        rating.check(plan, tmp_path / "file")
    plan = dataclasses.replace(plan, detectors=plan.detectors[1:])
    with pytest.raises(PlanError, match="--rate: no detector with the role concept"):
        rating.check(plan, tmp_path / "set")


def test_a_line_says_its_format(made):
    _, _, items, folder = made
    with Store(folder) as store:
        fill(store, items[:1])
        assert json.loads(store.path.read_text())["format"] == FORMAT
    store.path.write_text('{"format": "another/1"}\n')
    with pytest.raises(StoppedError, match="its format is 'another/1'"), Store(folder):
        pass


def test_a_plan_that_only_asks_for_fairness_gets_its_figures_alone(made):
    plan, _, _, folder = made
    plan = dataclasses.replace(plan, detectors=plan.detectors[2:], measures=("deviation",), group="", asks=())
    builder = Builder(plan, {kind: {"input": {"required": {}}} for kind in KINDS})
    with Store(folder) as store:
        items = list(builder.items())
        fill(store, items)
        found = tables.arms(plan, builder, items, store)
        assert (found["off"].deviation, found["on"].deviation, found["on"].shown) == (1, 0, None)
        text = report.write(plan, builder, items, store).read_text()
    assert "deviation ratio" in text and "Thresholds" not in text and "<figure>" not in text
