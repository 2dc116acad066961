"""Fixtures and stages shared by all tests.

A test lies in the folder of the room that it tests. Its stage follows from the fixtures it asks for: none of these: `pure` (no host);
`host` (the host in this process); `server` or `host_path` (a real server, or another process with the host); `chromium` (a browser).
The marker `lint` names one more. Tests marked `both_hosts` run a second time against the oldest supported host (tools/run_tests.py).

Pure tests need torch and pytest and no set-up: `python3 run.py test-pure`, or `python -m pytest -c tests/pytest.ini tests -m pure`.
What needs a library more is skipped there, by name; in the prepared environment all of them are, and none is.

A whole run is in two processes (pytest-xdist), dealt out file by file, so that what a file prepares is prepared once.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path

import pytest

from tools.testing import hosting, models

STAGES = {
    "pure": "Pure tests: the techniques alone, without ComfyUI",
    "host": "Host tests: ComfyUI inside the test process",
    "server": "Server tests: whole graphs through a real ComfyUI server",
    "browser": "Browser tests: the real front end",
    "lint": "Lint: ruff and the registry's own check",
}
pytest_plugins = ["tools.testing.browser"]
# In several processes, the long files start first; the browser's come last, as their event loop stays in the process.
LONGEST_FIRST = ("server", "host", "pure", "lint", "browser")
PREPARED = "CONCEPT_GUARDS_HOST" in os.environ  # run.py has set everything up: nothing may be missing
OWN = {
    "concept_guards",
    "guards",
    "nodes",
    "tools",
    "tests",
    "torch",
    "pytest",
    "comfy",
}  # never missing where a test is pure


def stage_of(item: pytest.Item) -> str:
    """The stage of a test: its marker, else what its fixtures (and theirs) need."""
    if item.get_closest_marker("lint"):
        return "lint"
    fixtures = getattr(item, "fixturenames", ())
    for stage, names in (("browser", {"chromium"}), ("host", {"host"}), ("server", {"server", "host_path"})):
        if names & set(fixtures):
            return stage
    return "pure"


def pytest_collection_modifyitems(config, items):
    order = LONGEST_FIRST if hasattr(config, "workerinput") else list(STAGES)  # that is: a process of pytest-xdist
    for item in items:
        stage = _stages[item.nodeid] = stage_of(item)
        if stage in ("pure", "host", "server", "browser"):
            item.add_marker(stage)
    refuse_mixed_files(items)
    items.sort(key=lambda item: order.index(_stages[item.nodeid]))
    asked_for = config.getoption("markexpr")
    for long, command in (("exact", "exact"), ("soak", "test -m soak")):
        if long not in asked_for:
            reason = f"only run by `run.py {command}`"
            for item in items:
                if item.get_closest_marker(long):
                    item.add_marker(pytest.mark.skip(reason=reason))


def refuse_mixed_files(items: list[pytest.Item]) -> None:
    """A browser leaves its event loop in the process, and several processes get whole files: it would not come last. (Pure tests have a
    pass of their own.) Raises UsageError naming a file that has both."""
    found: dict[Path, set[str]] = {}
    for item in items:
        found.setdefault(item.path, set()).add(_stages[item.nodeid])
    mixed = [str(path) for path, stages in found.items() if "browser" in stages and stages - {"browser", "pure"}]
    if mixed:
        raise pytest.UsageError(f"browser tests need a file of their own: {', '.join(mixed)}")


def pytest_runtest_logstart(nodeid, location):
    """A plain heading where a new stage begins."""
    stage = _stages.get(nodeid)  # unknown where other processes run the tests
    reporter = _config.pluginmanager.get_plugin("terminalreporter") if _config else None
    if stage and reporter and stage != getattr(reporter, "concept_guards_stage", None):
        reporter.concept_guards_stage = stage
        reporter.ensure_newline()
        reporter.write_line(STAGES.get(stage, stage), bold=True)


def pytest_report_header(config):
    found = find_chromium()
    if found:
        return f"Chromium: {found}"
    return f"Chromium: none found (names searched: {', '.join(CHROMIUM_NAMES)}; or set CHROMIUM): browser tests are skipped"


def _missing(error: object) -> str | None:
    """The library that is not there, of an error or its text, where it may be missing."""
    found = re.findall(r"No module named '(\w+)", str(error))
    return found[-1] if found and not PREPARED and found[-1] not in OWN else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    library = _missing(report.longrepr) if report.failed else None
    if library:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"Skipped: needs {library}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    error = call.excinfo.value if call.excinfo else None
    library = _missing(error) if isinstance(error, ModuleNotFoundError) else None
    if library:
        report.outcome, report.longrepr = (
            "skipped",
            (str(item.path), item.location[1] or 0, f"Skipped: needs {library}"),
        )
    return report


_config = None
_stages: dict[str, str] = {}


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
    started = hosting.start()
    hosting.module("guards.host.folders").register()  # as on_load does, for tests of modules that no node has loaded
    import comfy.sd  # noqa: F401 - brings nearly all of the host, torch and transformers

    gc.collect()
    gc.freeze()  # those stay to the end: each full collection would look through them for half a second
    return started


@pytest.fixture(scope="module")
def tiny(host):
    """A MODEL with the layers of Stable Diffusion 1.x, tiny, random weights."""
    return models.sd1()


@pytest.fixture(scope="module")
def clip(host):
    """The CLIP that belongs to ``tiny``."""
    return models.clip()


@pytest.fixture(scope="module")
def demo(host):
    """The demo model: (MODEL, CLIP, VAE)."""
    return hosting.module("guards.demo.host").load()


@pytest.fixture(scope="module")
def schemas(host) -> dict:
    """Node id -> schema."""
    return {name: cls.GET_SCHEMA() for name, cls in hosting.node_classes().items()}


@pytest.fixture(scope="module")
def nodes(host) -> dict[str, type]:
    """Node id -> class, as the host has them after loading the pack."""
    found = hosting.node_classes()
    for cls in found.values():
        cls.GET_SCHEMA()
    return found


@pytest.fixture
def user(host, tmp_path):
    """The host's user directory, empty."""
    import folder_paths

    before = folder_paths.get_user_directory()
    folder_paths.set_user_directory(str(tmp_path / "user"))
    yield tmp_path / "user"
    folder_paths.set_user_directory(before)


@pytest.fixture(scope="session")
def server(host_path, tmp_path_factory):
    """A real server with the pack, shared by all server and browser tests of the session."""
    from tools.serving.server import Server

    with Server(Path(sys.executable), host_path, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    found = find_chromium()
    if not found:
        pytest.skip("no Chromium found")
    return found
