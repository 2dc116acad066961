"""The slider of Compare in the real front end, in both renderers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools.serving.server import Server
from tools.testing.browser import new_page
from tools.testing.frontend import CLASSIC, NODES_2

PATH = Path(__file__).resolve().parent.parent.parent / "workflows" / "compare_and_score.json"
PAIR = "() => [...document.querySelectorAll('.cg-pair img')].filter((one) => one.complete && one.naturalWidth > 0).length === 2"


@pytest.fixture(scope="module")
def own_server(host_path, tmp_path_factory):
    """A server of its own: what the page leaves on a server is opened again by the next page."""
    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("compare-server")) as running:
        yield running


@pytest.fixture(params=[CLASSIC, NODES_2])
def front_end(request, browser, own_server):
    found = new_page(browser, own_server, request.param)
    yield found
    found.page.close()


def test_the_slider_shows_one_side_or_the_other_and_turns_the_pages(front_end):
    front_end.drop(PATH.name, PATH.read_bytes(), len(json.loads(PATH.read_text(encoding="utf-8"))["nodes"]))
    front_end.set_widgets("GuardCompare", steps=2)
    node = front_end.nodes("GuardCompare")[0]
    front_end.run()
    front_end.page.wait_for_function(PAIR)
    assert not front_end.faults() and not front_end.alarms()
    front_end.look_at(node)
    page = front_end.page
    shown, slider = page.locator(".cg-pair img.cg-on"), page.locator(".cg-slide input")
    assert "50%" in shown.get_attribute("style")
    slider.focus()
    page.keyboard.press("End")
    assert "100%" in shown.get_attribute("style"), "all of it is the side without guards"
    box = page.locator(".cg-pair").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert abs(int(slider.input_value()) - 25) <= 2
    first = shown.get_attribute("src")
    page.locator(".cg-pages button").last.click()
    assert page.locator(".cg-place").inner_text() == "2 / 4" and shown.get_attribute("src") != first
    assert page.locator(".cg-report").inner_text().startswith("all 4: changed")
    saved = next(one for one in front_end.graph()["workflow"]["nodes"] if str(one["id"]) == node)
    assert saved["widgets_values"] == [1, "fixed", 2, 3, "euler", "normal"], "the slider is no part of the graph"
