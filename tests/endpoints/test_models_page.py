"""The models that an endpoint offers, as the page shows them, in both renderers."""

import json

import pytest

from tests.endpoints.test_models import llm, own_server  # noqa: F401 - fixtures
from tools import PROJECT
from tools.testing.browser import new_page
from tools.testing.frontend import CLASSIC, NODES_2

GRAPH = PROJECT / "workflows" / "rewrite_then_guard.json"


@pytest.mark.parametrize("renderer", [CLASSIC, NODES_2])
def test_a_click_lists_the_models_and_another_takes_one(browser, own_server, renderer):  # noqa: F811
    front_end = new_page(browser, own_server, renderer)
    try:
        front_end.drop(GRAPH.name, GRAPH.read_bytes(), len(json.loads(GRAPH.read_text(encoding="utf-8"))["nodes"]))
        front_end.set_widgets("GuardRewriterEndpoint", endpoint="class")
        node = front_end.nodes("GuardRewriterEndpoint")[0]
        front_end.look_at(node)
        page = front_end.page
        # A canvas has no button to find: the widget's own callback stands for the click there.
        page.evaluate(
            "(id) => app.graph.getNodeById(id).widgets.find((one) => one.name === 'List models').callback()", node
        )
        page.locator(".litecontextmenu .litemenu-entry", has_text="second-model").click()
        saved = next(one for one in front_end.graph()["workflow"]["nodes"] if str(one["id"]) == str(node))
        assert "second-model" in saved["widgets_values"] and "List models" not in saved["widgets_values"]
        assert not front_end.alarms()
    finally:
        front_end.page.close()
