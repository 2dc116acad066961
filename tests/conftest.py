"""Fixtures and stages shared by all tests.

A test's folder is its stage and its marker: `pure` (no host), `host` (the host in this process), `server` (a real
server), `browser` (a Chromium), `lint`. Tests marked `both_hosts` run a second time against the oldest supported host.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path

import hosting
import pytest

STAGES = {
    "pure": "Pure tests: the techniques alone, without ComfyUI",
    "host": "Host tests: ComfyUI inside the test process",
    "exact": "Exactness: against the published pipelines",
    "oldest": "Oldest host: tests marked both_hosts once more, with the oldest supported ComfyUI",
    "server": "Server tests: whole graphs through a real ComfyUI server",
    "browser": "Browser tests: the real front end",
    "lint": "Lint: ruff and the registry's own check",
}
TESTS = Path(__file__).resolve().parent


def stage_of(path: Path) -> str:
    """The folder below tests/ that a test file lies in."""
    parts = Path(path).resolve().relative_to(TESTS).parts
    return parts[0] if len(parts) > 1 else "pure"


def pytest_collection_modifyitems(config, items):
    order = list(STAGES)
    for item in items:
        stage = stage_of(item.path)
        if stage in ("host", "server", "browser"):
            item.add_marker(stage)
    items.sort(key=lambda item: order.index(stage_of(item.path)) if stage_of(item.path) in order else len(order))
    asked_for = config.getoption("markexpr")
    for long, command in (("exact", "exact"), ("soak", "test -m soak")):
        if long not in asked_for:
            reason = f"only run by `run.py {command}`"
            for item in items:
                if item.get_closest_marker(long):
                    item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logstart(nodeid, location):
    """A plain heading where a new stage begins."""
    stage = stage_of(TESTS / nodeid.split("::")[0])
    reporter = _config.pluginmanager.get_plugin("terminalreporter") if _config else None
    if reporter and stage != getattr(reporter, "concept_guards_stage", None):
        reporter.concept_guards_stage = stage
        reporter.ensure_newline()
        reporter.write_line(STAGES.get(stage, stage), bold=True)
        if stage == "browser":
            found = find_chromium()
            reporter.write_line(f"  with {found}" if found else "  no Chromium found (names searched: "
                                f"{', '.join(CHROMIUM_NAMES)}; or set CHROMIUM): browser tests are skipped")


_config = None


def pytest_configure(config):
    global _config
    _config = config


CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHROMIUM_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


def find_chromium() -> str | None:
    """CHROMIUM, else the usual names on the PATH, else the usual places."""
    import shutil
    chosen = os.environ.get("CHROMIUM")
    for name in (chosen,) if chosen else CHROMIUM_NAMES:
        if shutil.which(name):
            return shutil.which(name)
    return next((place for place in CHROMIUM_PLACES if not chosen and Path(place).is_file()), None)


@pytest.fixture(scope="session")
def host_path() -> Path:
    """The ComfyUI checkout under test."""
    path = hosting.host_path()
    if path is None:
        pytest.skip("no ComfyUI to test with: run `python3 run.py test`, or set CONCEPT_GUARDS_HOST")
    return path


@pytest.fixture(scope="session")
def host(host_path) -> Path:
    """The host's modules importable in this process (`import comfy...` inside the test, not at the top of its file)."""
    return hosting.start()


@pytest.fixture(scope="session")
def server(host_path, tmp_path_factory):
    """A real server with the pack, shared by all server and browser tests of the session."""
    from tools.server import Server
    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    found = find_chromium()
    if not found:
        pytest.skip("no Chromium found")
    return found
