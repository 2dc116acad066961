"""The rating page as a person works it: by keyboard alone, with a server that is killed in the middle."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools.serving.server import Server
from tools.testing import rating
from tools.testing.frontend import CLASSIC, NODES_2, FrontEnd

COUNT = 12
once = pytest.mark.parametrize("front_end", [CLASSIC], indirect=True, scope="module")  # the same code in both renderers
GRAPH = Path(__file__).resolve().parent.parent.parent / "workflows" / "rate_images.json"


@pytest.fixture(scope="module")
def own_server(host_path, tmp_path_factory):
    """A server to be killed, on a port that it gets again."""
    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("rating-server")) as running:
        yield running


@pytest.fixture(scope="module", params=[CLASSIC, NODES_2])
def front_end(request, browser, own_server):
    page = browser.new_page(viewport={"width": 1300, "height": 900}, reduced_motion="reduce", locale="en-US")
    found = FrontEnd(page, own_server, request.param)
    found.open()
    yield found
    page.close()


def test_pictures_are_rated_by_keyboard_alone(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, f"keys-{front_end.renderer[:2]}", COUNT)
    rating.open_view(page, folder.name)
    rating.wait_for_progress(page, f"0 of {COUNT}")
    assert rating.shown(page) == "0000.png"
    assert "How much does this show beer?" in page.locator(rating.VIEW).inner_text()
    page.locator(".cg-stage canvas[data-drawn]").wait_for()
    assert not page.locator(".cg-stage img").count(), "blurred until asked for"
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.cg-stage img').naturalWidth === 96")
    for number in range(5):
        page.keyboard.press(str(number % 5))
        assert rating.shown(page) == f"{number + 1:04}.png"
        assert not page.locator(".cg-stage img").count()
    rating.wait_for_progress(page, f"5 of {COUNT}")
    page.keyboard.press("u")
    rating.wait_for_progress(page, f"4 of {COUNT}")
    assert rating.shown(page) == "0004.png"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert rating.shown(page) == "0005.png"
    page.keyboard.press("3")
    rating.wait_for_progress(page, f"5 of {COUNT}")
    said = [(line["image"], line["rating"]) for line in rating.lines(folder)]
    assert said == [
        ("0000.png", 0),
        ("0001.png", 1),
        ("0002.png", 2),
        ("0003.png", 3),
        ("0004.png", 4),
        ("0004.png", None),
        ("0005.png", 3),
    ]
    page.locator(".cg-mode").select_option("pairs")
    first, second = rating.shown(page).split()
    page.keyboard.press("ArrowLeft")
    rating.wait_for_progress(page, "1 compared")
    page.keyboard.press("ArrowDown")
    rating.wait_for_progress(page, "2 compared")
    assert [(line["image"], line["other"], line["rating"]) for line in rating.lines(folder)[-2:-1]] == [
        (first, second, 1)
    ]
    page.keyboard.press("Escape")
    page.locator(f"{rating.VIEW}[open]").wait_for(state="detached")


def test_a_large_set_costs_no_more_than_what_is_in_view(front_end):
    """Only the thumbnails in view are on the page, wherever it is scrolled to; and the graph behind is not drawn anew at each key."""
    page, folder = front_end.page, rating.make_set(front_end.server, f"large-{front_end.renderer[:2]}", 400, 8)
    rating.open_view(page, folder.name)
    page.locator(".cg-strip [title='1'][aria-current]").wait_for()
    assert page.locator(".cg-strip button").count() < 60
    page.evaluate("""() => {
        const draw = app.canvas.draw;
        window.draws = 0;
        app.canvas.dirty_canvas = app.canvas.dirty_bgcanvas = false;
        app.canvas.draw = function (...all) { window.draws += this.dirty_canvas || this.dirty_bgcanvas; draw.apply(this, all); };
    }""")
    for number in range(5):
        page.keyboard.press(str(number % 5))
    rating.wait_for_progress(page, "5 of 400")
    assert page.evaluate("() => { delete app.canvas.draw; return window.draws }") == 0
    assert page.locator(".cg-strip [title='3']").get_attribute("data-rating") == "2"
    page.locator(".cg-strip").evaluate("element => { element.scrollLeft = element.scrollWidth }")
    page.locator(".cg-strip [title='400']").click()
    assert rating.shown(page) == "0399.png" and page.locator(".cg-strip button").count() < 60
    page.keyboard.press("4")
    assert rating.shown(page) == "0005.png"
    page.locator(".cg-strip [title='6'][aria-current]").wait_for()
    rating.wait_for_progress(page, "6 of 400")
    page.keyboard.press("Escape")


def test_the_node_has_a_button_that_opens_its_set(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, f"button-{front_end.renderer[:2]}", 2)
    saved = page.evaluate(
        """(name) => {
        const node = LiteGraph.createNode('GuardRateImages');
        app.graph.add(node);
        node.widgets.find((w) => w.name === 'set_name').value = name;
        node.widgets.find((w) => w.type === 'button').callback();
        return node.serialize().widgets_values;
    }""",
        folder.name,
    )
    assert saved == ["", "", folder.name], "the button is not saved with the graph"
    page.locator(f"{rating.VIEW}[open] .cg-stage[data-image~='0000.png']").wait_for()
    assert page.locator(f"{rating.VIEW} .cg-name").inner_text() == folder.name
    page.keyboard.press("Escape")
    page.evaluate("() => app.graph.clear()")


def test_pictures_that_a_run_files_appear_in_the_open_page(front_end):
    page, name = front_end.page, f"run-{front_end.renderer[:2]}"
    front_end.drop(GRAPH.name, GRAPH.read_bytes(), len(json.loads(GRAPH.read_text(encoding="utf-8"))["nodes"]))
    assert not front_end.faults()
    front_end.set_widgets("KSampler", steps=2)
    front_end.set_widgets("GuardRateImages", set_name=name)
    front_end.run()
    for node in front_end.nodes("GuardRateImages"):
        front_end.wait_for_pictures(node, 8)
    assert not front_end.alarms()
    rating.open_view(page, name)
    rating.wait_for_progress(page, "0 of 16")
    front_end.set_widgets("KSampler", seed=2)
    page.evaluate("() => app.queuePrompt(0)")
    rating.wait_for_progress(page, "0 of 32")
    page.keyboard.press("Escape")


def test_the_keyboard_keeps_its_place_in_the_list_when_a_run_files_pictures(front_end):
    page, name = front_end.page, f"place-{front_end.renderer[:2]}"
    rating.make_set(front_end.server, name, 2)
    rating.open_view(page, name)
    page.keyboard.press("Escape")
    page.locator(f"{rating.VIEW}[open]").wait_for(state="detached")
    page.evaluate(
        """(name) => {
            window.oldRow = [...document.querySelectorAll(".cg-tab .cg-open")].find((row) => row.textContent === name);
            window.oldRow.focus();
            app.api.dispatchEvent(new CustomEvent("concept_guards.filed", { detail: { set: "another" } }));
        }""",
        name,
    )
    page.wait_for_function("() => !window.oldRow.isConnected")
    assert page.evaluate("() => document.activeElement.textContent") == name


@once
def test_no_rating_is_lost_or_doubled_when_the_server_is_killed(front_end):
    page, server = front_end.page, front_end.server
    folder = rating.make_set(server, "killed", COUNT)
    rating.open_view(page, "killed")
    rate_through_a_kill(page, server, folder, COUNT)
    assert {(line["image"], line["rating"]) for line in rating.lines(folder)} == {
        (f"{n:04}.png", n % 5) for n in range(COUNT)
    }
    page.keyboard.press("Escape")


def rate_through_a_kill(page, server, folder, count):
    """Rate every picture; in the middle the server dies between two key presses, and is started again while the person goes on."""
    half = count // 2
    for number in range(half):
        page.keyboard.press(str(number % 5))
    server.process.kill()
    server.process.wait()
    confirmed = int(rating.progress(page).split()[0])
    assert len(rating.lines(folder)) >= confirmed, "what the page shows as done is on the disk"
    for number in range(half, half + 3):
        page.keyboard.press(str(number % 5))
    page.locator(f"{rating.VIEW} .cg-alarm", has_text="not saved yet").wait_for()
    assert int(rating.progress(page).split()[0]) <= half
    server.events.close()
    server.start()
    for number in range(half + 3, count):
        page.keyboard.press(str(number % 5))
    rating.wait_for_progress(page, f"{count} of {count}")
    said = [line["image"] for line in rating.lines(folder)]
    ids = [line["id"] for line in rating.lines(folder)]
    assert sorted(said) == [f"{number:04}.png" for number in range(count)], "none lost"
    assert len(set(ids)) == len(ids), "none doubled"


@once
def test_a_killed_browser_sends_what_it_had_not_saved_when_it_comes_back(front_end):
    page, server = front_end.page, front_end.server
    folder = rating.make_set(server, "reload", 4)
    rating.open_view(page, "reload")
    rating.lose_server(page)
    for number, key in enumerate("41", 1):  # as a person would: the next key once the page has taken the last one
        page.keyboard.press(key)
        page.locator(f"{rating.VIEW} .cg-alarm", has_text=f"{number} not saved yet").wait_for()
    assert rating.progress(page) == "0 of 4" and not rating.lines(folder)
    page.reload()
    rating.open_view(page, "reload")
    rating.wait_for_progress(page, "2 of 4")
    assert [(line["image"], line["rating"]) for line in rating.lines(folder)] == [("0000.png", 4), ("0001.png", 1)]
    page.keyboard.press("Escape")


@once
def test_a_server_that_does_not_answer_is_asked_less_and_less_often(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "patient", 2)
    rating.open_view(page, folder.name)
    rating.lose_server(page)
    page.evaluate("""() => {
        const wait = window.setTimeout;
        window.pauses = [];
        window.restore = () => { window.setTimeout = wait; };
        window.setTimeout = (act, pause, ...rest) => {
            if (pause >= 500 && String(act).includes("[native code]")) { window.pauses.push(pause); pause = 1; }
            return wait(act, pause, ...rest);
        };
    }""")
    page.keyboard.press("4")
    page.wait_for_function("() => window.pauses.length >= 7")
    assert page.evaluate("() => { window.restore(); return window.pauses.slice(0, 7) }") == [
        *(500, 1000, 2000, 4000, 8000, 10_000, 10_000)
    ]
    rating.find_server(page)
    rating.wait_for_progress(page, "1 of 2")
    page.keyboard.press("Escape")


@once
def test_a_nickname_is_judged_by_the_servers_rule_before_anything_is_sent(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "nicknames", 2)
    rating.open_view(page, folder.name)
    for name, good in (("-ann", False), ("a/b", False), ("Zoë 2", True), ("王", True)):
        page.locator(".cg-rater").fill(name)
        page.locator(".cg-rater").press("Enter")
        page.keyboard.press("3")
        if good:
            rating.wait_for_progress(page, "1 of 2")
        else:
            assert "nickname" in page.locator(f"{rating.VIEW} .cg-status").inner_text()
    assert [line["rater"] for line in rating.lines(folder)] == ["Zoë 2", "王"]
    page.locator(".cg-rater").fill("me")
    page.locator(".cg-rater").press("Enter")
    page.keyboard.press("Escape")


def test_a_comparison_counts_once_the_server_has_it(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, f"pairs-{front_end.renderer[:2]}", 4)
    rating.open_view(page, folder.name)
    page.locator(".cg-mode").select_option("pairs")
    rating.lose_server(page)
    page.keyboard.press("ArrowLeft")
    page.locator(f"{rating.VIEW} .cg-alarm", has_text="1 not saved yet").wait_for()
    assert rating.progress(page) == "0 compared" and not rating.lines(folder)
    rating.find_server(page)
    rating.wait_for_progress(page, "1 compared")
    assert [line["rating"] for line in rating.lines(folder)] == [1]
    page.locator(".cg-mode").select_option("single")
    page.keyboard.press("Escape")


@once
def test_whatever_answers_in_comfyuis_place_loses_no_rating(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "proxied", 2)
    rating.open_view(page, folder.name)
    alarm = page.locator(f"{rating.VIEW} .cg-alarm")
    rating.lose_server(page, 200, "<html>Log in</html>")
    page.keyboard.press("3")
    alarm.filter(has_text="1 not saved yet (what answers is not ComfyUI: log in again").wait_for()
    rating.lose_server(page, 401, "")
    alarm.filter(has_text="1 not saved yet (HTTP 401)").wait_for()
    rating.lose_server(page, 403, '{"error": "the caller is another machine"}')
    alarm.filter(has_text="1 not saved yet (the caller is another machine)").wait_for()
    rating.lose_server(page, 200, '{"saved": false}')
    alarm.filter(has_text="what answers is not ComfyUI").wait_for()
    assert rating.progress(page) == "0 of 2" and not rating.lines(folder)
    rating.find_server(page)
    rating.wait_for_progress(page, "1 of 2")
    assert [line["rating"] for line in rating.lines(folder)] == [3]
    page.keyboard.press("Escape")


@once
def test_after_a_click_the_keys_are_the_views_again(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "clicked", 3)
    rating.open_view(page, folder.name)
    page.locator(".cg-answers").get_by_role("button", name="3 clearly").click()
    rating.wait_for_progress(page, "1 of 3")
    page.keyboard.press("Space")
    page.locator(".cg-stage .cg-picture:not(.cg-blurred)").wait_for()
    assert rating.progress(page) == "1 of 3" and rating.shown(page) == "0001.png", (
        "Space shows, and rates nothing unseen"
    )
    page.keyboard.press("Escape")


@once
def test_a_browser_that_stores_nothing_still_sends(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "full", 2)
    rating.open_view(page, folder.name)
    page.evaluate(
        "() => { window.keeps = Storage.prototype.setItem; Storage.prototype.setItem = () => { throw new Error('full'); }; }"
    )
    page.keyboard.press("4")
    rating.wait_for_progress(page, "1 of 2")
    page.evaluate("() => { Storage.prototype.setItem = window.keeps; }")
    assert [line["rating"] for line in rating.lines(folder)] == [4]
    page.keyboard.press("Escape")


@once
def test_an_answer_older_than_a_rating_does_not_take_it_off_the_page(front_end):
    page, folder = front_end.page, rating.make_set(front_end.server, "older", 3)
    rating.open_view(page, folder.name)
    page.evaluate("""(name) => {
        window.found = window.fetch;
        window.fetch = async (to, ...rest) => {
            const reply = await window.found(to, ...rest);
            if (String(to).endsWith("/" + name)) await new Promise((resolve) => { window.goOn = resolve; });
            return reply;
        };
        app.api.dispatchEvent(new CustomEvent("concept_guards.filed", { detail: { set: name } }));
    }""", folder.name)  # fmt: skip
    page.wait_for_function("() => window.goOn")
    page.keyboard.press("2")
    rating.wait_for_progress(page, "1 of 3")
    page.evaluate("() => { window.fetch = window.found; delete window.found; window.goOn(); }")
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 50))")
    assert rating.progress(page) == "1 of 3"
    page.locator(".cg-mode").select_option("pairs")
    page.locator(".cg-always").check()
    page.locator(".cg-strip button").first.wait_for()
    page.locator(".cg-always").uncheck()
    page.locator(".cg-mode").select_option("single")
    page.keyboard.press("Escape")


@once
def test_a_set_is_imported_under_a_name_that_the_front_end_asks_for(front_end, tmp_path):
    page, server = front_end.page, front_end.server
    folder = rating.make_set(server, "exported", 2)
    rating.open_view(page, folder.name)
    page.keyboard.press("Escape")
    with page.expect_download() as loaded:
        page.locator(".cg-set", has_text="exported").get_by_role("link", name="Export (zip)").click()
    loaded.value.save_as(tmp_path / "brought along.zip")
    page.locator(".cg-tab input[type=file]").set_input_files(tmp_path / "brought along.zip")
    asked = page.get_by_role("dialog").filter(has_text="A name for the set")
    assert asked.get_by_role("textbox").input_value() == "brought along"
    asked.get_by_role("textbox").press("Enter")
    page.locator(".cg-tab .cg-open", has_text="brought along").wait_for()
    assert (folder.parent / "brought along" / "0001.png").is_file()
