"""pytest plugin of a whole run: the share of the technique's lines, those that need no ComfyUI, that the pure tests run.

It measures from the start to the end of the pure stage and no further: 8 seconds of processor time there (20.6 without, 28.7 with it),
and nothing in the stages that take long. In several processes (pytest-xdist) each measures, and the first one adds up.
"""

from __future__ import annotations

import io

import pytest

from tools import PROJECT

HOST = ["guards/host/*", "guards/**/host*.py"]  # what rule 1 of the house lets import ComfyUI


class PureCoverage:
    """Started before any test file is imported, stopped by the first test of another stage."""

    def __init__(self, config):
        import coverage

        self.config = config
        omitted = [str(PROJECT / pattern) for pattern in HOST]
        self.measuring = coverage.Coverage(
            data_file=None, source=[str(PROJECT / "guards")], omit=omitted, config_file=False
        )
        self.measuring.set_option(
            "run:disable_warnings", ["no-data-collected"]
        )  # the first of several processes runs no test
        self.measuring.start()
        self.on = True

    def stop(self):
        if self.on:
            self.measuring.stop()
            self.on = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        if item.get_closest_marker("pure") is None:
            self.stop()

    def pytest_sessionfinish(self):
        if hasattr(self.config, "workeroutput"):
            self.stop()
            self.config.workeroutput["pure_coverage"] = self.measuring.get_data().dumps()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        import coverage

        self.stop()
        share = coverage.CoverageData(no_disk=True)
        share.loads(node.workeroutput["pure_coverage"])
        self.measuring.get_data().update(share)

    def pytest_terminal_summary(self, terminalreporter):
        self.stop()
        import coverage

        try:
            share = self.measuring.report(file=io.StringIO())
        except coverage.CoverageException:  # no pure test ran
            return
        terminalreporter.write_line(f"Pure tests run {share:.0f} % of the lines in guards/ that need no ComfyUI.")


def pytest_configure(config):
    config.pluginmanager.register(PureCoverage(config), "concept-guards-pure-coverage")
