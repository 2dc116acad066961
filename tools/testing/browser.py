"""Fixtures of the browser tests: a Chromium for the session, and one page for each renderer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .frontend import CLASSIC, FLAGS, NODES_2, FrontEnd
from .plain import work


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def front_end_server(host_path, tmp_path_factory):
    """A server of the browser's own: the front end brings back what earlier runs of the same workflow left on a server."""
    from ..serving.server import Server

    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("browser-server")) as running:
        yield running


def new_page(browser, server, renderer: str) -> FrontEnd:
    page = browser.new_page(viewport={"width": 1500, "height": 1000}, reduced_motion="reduce", locale="en-US")
    front_end = FrontEnd(page, server, renderer)
    front_end.open()
    return front_end


@pytest.fixture(scope="session", params=[CLASSIC, NODES_2])
def renderer(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def opened() -> list[FrontEnd]:
    """The page in use, if any."""
    return []


@pytest.fixture
def front_end(renderer, browser, front_end_server, opened) -> FrontEnd:
    """The page that all tests of one renderer share; a new one where it has crashed, as it may on a machine short of memory."""
    if not opened or opened[0].renderer != renderer or opened[0].crashed:
        for old in opened:
            old.page.close()
        opened[:] = [new_page(browser, front_end_server, renderer)]
    return opened[0]


@pytest.fixture(scope="session")
def complaints_without_the_pack(browser, host_path, tmp_path_factory):
    """What the same page complains about on a server without the pack: user files that are not there yet, and the like."""
    from ..serving.server import Server

    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("plain-server"), with_pack=False) as plain:
        front_end = new_page(browser, plain, CLASSIC)
        work(front_end)
        front_end.page.close()
    return set(front_end.complaints)
