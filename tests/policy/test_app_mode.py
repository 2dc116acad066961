"""The example graph for a class or an event, in the front end's App Mode: one text box, one button; and the reason of a refusal."""

import json

import pytest

from tools import PROJECT

POLICY = {
    "version": 1,
    "concepts": ["beer", {"text": "zorp", "action": "refuse"}],
    "message": "This is a class.",
    "contact": "room 12",
}
LOADED = "() => window.app?.graph && !document.querySelector('.p-blockui-mask')"
PICTURES = "() => [...document.querySelectorAll('img')].filter((i) => i.src.includes('class_or_event') && i.naturalWidth > 0).length > 0"


@pytest.fixture(scope="module")
def school(ruled):
    ruled.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Workflow.Persist": False})
    return ruled


def app(browser, server, locale):
    page = browser.new_page(viewport={"width": 1500, "height": 1000}, locale=locale)
    page.set_default_timeout(120_000)
    page.goto(server.url)
    page.wait_for_function(LOADED)
    workflow = json.loads((PROJECT / "workflows" / "class_or_event.json").read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "EmptyLatentImage":
            node["widgets_values"][2] = 1
    page.evaluate("async (workflow) => { await app.loadGraphData(workflow) }", workflow)
    return page


def test_one_box_and_one_button_make_a_picture(school, browser):
    page = app(browser, school, "en-US")
    try:
        boxes = page.locator("textarea:visible")
        boxes.first.wait_for()
        assert boxes.count() == 1 and not page.evaluate("() => app.canvas.canvas.checkVisibility()")
        boxes.fill("a cat on the beach")
        page.get_by_test_id("linear-run-button").or_(page.get_by_role("button", name="Run", exact=True)).last.click()
        page.wait_for_function(PICTURES)
    finally:
        page.close()


def test_a_refused_wish_is_explained_in_the_pages_language(school, browser):
    page = app(browser, school, "zh-CN")
    try:
        box = page.locator("textarea:visible").first
        box.fill("a zorp")
        page.get_by_role("button", name="运行", exact=True).last.click()
        page.get_by_text("要求生成“zorp”").first.wait_for()
        page.get_by_text("This is a class.").first.wait_for()
    finally:
        page.close()
