"""A Chromium for the session, and one page for each renderer."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest
from browser.frontend import CLASSIC, FLAGS, NODES_2, FrontEnd


@pytest.fixture(scope="session")
def browser(chromium):
    with pytest.importorskip("playwright.sync_api", reason="playwright is not installed").sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


def new_page(browser, server, renderer: str) -> FrontEnd:
    page = browser.new_page(viewport={"width": 1500, "height": 1000}, reduced_motion="reduce", locale="en-US")
    front_end = FrontEnd(page, server, renderer)
    front_end.open()
    return front_end


@pytest.fixture(scope="session", params=[CLASSIC, NODES_2])
def front_end(request, browser, server):
    """The page that all tests of one renderer share, with the template browser open at first."""
    opened = new_page(browser, server, request.param)
    yield opened
    opened.page.close()


@pytest.fixture(scope="session")
def complaints_without_the_pack(browser, host_path, tmp_path_factory):
    """What the same page complains about on a server without the pack: user files that are not there yet, and the like."""
    from browser.plain import work

    from tools.server import Server
    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("plain-server"), with_pack=False) as plain:
        front_end = new_page(browser, plain, CLASSIC)
        work(front_end)
        front_end.page.close()
    return set(front_end.complaints)
