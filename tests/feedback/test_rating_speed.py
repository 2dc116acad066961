"""How fast the rating page answers in a set of 1,000 pictures. Takes some minutes:

    python3 run.py test tests/feedback/test_rating_speed.py -m soak -s

First picture: from the Enter that opens the set. Key press: from the event's own time to the frame after the one in which the next
picture stands ready on the page (two requestAnimationFrame); `presented` is what the browser itself says of the same key presses (Event
Timing, in steps of 8 ms). The empty page's figures, taken before and after with the same browser, are the machine's own part.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tools.serving.server import Server
from tools.testing import rating
from tools.testing.frontend import CLASSIC, NODES_2, FrontEnd

pytestmark = pytest.mark.soak
PICTURES, SIDE, PRESSES, PACE = 1000, 512, 200, 0.2
FIRST, ANSWER = 2000.0, 100.0  # milliseconds: what a rater should wait for at most
FRAMES = 34.0  # two frames, which the empty page takes on an idle machine

WATCH = """() => {
    const speed = window.speed = {shown: [], presented: [], first: null, opened: null};
    const picture = () => {
        const stage = document.querySelector('.cg-rating[open] .cg-stage');
        const one = stage?.querySelector('canvas[data-drawn], .cg-picture img');
        return one && (one.dataset.drawn || one.complete && one.naturalWidth) ? stage.dataset.image : null;
    };
    const first = () => {
        if (!picture()) requestAnimationFrame(first);
        else requestAnimationFrame(() => { speed.first = performance.now() - speed.opened; });
    };
    requestAnimationFrame(first);
    window.addEventListener('keydown', (event) => {
        if (event.key === 'Enter') speed.opened = event.timeStamp;
        if (!/^[0-4]$/.test(event.key)) return;
        const before = document.querySelector('.cg-stage')?.dataset.image;
        const look = () => {
            if (before !== undefined && [null, before].includes(picture())) requestAnimationFrame(look);
            else requestAnimationFrame(() => speed.shown.push(performance.now() - event.timeStamp));
        };
        requestAnimationFrame(look);
    }, {capture: true});
    const keys = (list) => list.getEntries().filter((one) => one.name === 'keydown').map((one) => one.duration);
    new PerformanceObserver((list) => speed.presented.push(...keys(list))).observe({type: 'event', durationThreshold: 16});
}"""


@pytest.fixture(scope="module")
def own_server(host_path, tmp_path_factory):
    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("speed-server")) as running:
        yield running


def make_set(server, name: str, count: int, side: int) -> Path:
    """A set of pictures that take as long to decode as real ones: few of them, under many names."""
    folder = rating.make_set(server, name, count, 8)
    for number in range(min(count, 20)):
        Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)).resize((side, side), Image.Resampling.BICUBIC).save(
            folder / "new.png"
        )
        data = (folder / "new.png").read_bytes()
        for path in sorted(folder.glob("0*.png"))[number::20]:
            path.write_bytes(data)
    (folder / "new.png").unlink()
    return folder


def press(page, count: int) -> dict[str, list[float]]:
    """What so many key presses at a person's pace took, in milliseconds."""
    page.evaluate("() => { window.speed.shown.length = window.speed.presented.length = 0 }")
    for number in range(count):
        due = time.monotonic() + PACE
        page.keyboard.press(str(number % 5))
        page.wait_for_timeout(max(1.0, 1000 * (due - time.monotonic())))
    page.wait_for_function("count => window.speed.shown.length === count", arg=count)
    return page.evaluate("() => ({shown: window.speed.shown, presented: window.speed.presented})")


def high(times: list[float]) -> float:
    """The 95th percentile."""
    return sorted(times)[max(0, round(0.95 * len(times)) - 1)]


def empty_page(browser, count: int) -> list[float]:
    page = browser.new_page()
    page.set_content("<!doctype html><p>empty")
    page.evaluate(WATCH)
    times = press(page, count)["shown"]
    page.close()
    return times


def line(name: str, times: list[float]) -> str:
    if not times:
        return f"  {name:<22} nothing measured"
    return f"  {name:<22} p50 {statistics.median(times):6.1f}  p95 {high(times):6.1f}  max {max(times):6.1f} ms  ({len(times)})"


@pytest.mark.parametrize("renderer", [CLASSIC, NODES_2])
def test_a_set_of_1000_pictures_is_rated_without_waiting(browser, own_server, renderer):
    folder = make_set(own_server, f"speed-{renderer[:2]}", PICTURES, SIDE)
    page = browser.new_page(viewport={"width": 1500, "height": 1000}, reduced_motion="reduce", locale="en-US")
    front_end = FrontEnd(page, own_server, renderer)
    front_end.open()
    machine = empty_page(browser, PRESSES // 4)
    page.bring_to_front()
    page.evaluate(WATCH)
    rating.open_view(page, folder.name)
    page.wait_for_function("() => window.speed.first !== null")
    first = page.evaluate("() => window.speed.first")
    veiled = press(page, PRESSES)
    page.keyboard.press("b")
    page.locator(".cg-stage img").wait_for()
    shown = press(page, PRESSES)
    rating.wait_for_progress(page, f"{2 * PRESSES} of {PICTURES}")
    assert [said["image"] for said in rating.lines(folder)] == [f"{number:04}.png" for number in range(2 * PRESSES)]
    page.close()
    machine += empty_page(browser, PRESSES // 4)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"\n{renderer}, {PICTURES} pictures of {SIDE} x {SIDE}{load}")
    print(f"  first picture after    {first:.0f} ms")
    for name, times in (("blurred", veiled), ("not blurred", shown)):
        print(line(name, times["shown"]))
        print(line("  presented", times["presented"]))
    print(line("empty page", machine), flush=True)
    allowed = ANSWER + max(0.0, high(machine) - FRAMES)
    assert first <= FIRST
    assert max(high(veiled["shown"]), high(shown["shown"])) <= allowed
