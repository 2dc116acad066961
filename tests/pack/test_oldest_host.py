"""The tests marked `both_hosts` once more, in a process of their own with the oldest supported ComfyUI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.oldest
TESTS = Path(__file__).resolve().parent.parent
PROJECT = TESTS.parent


def test_everything_marked_both_hosts_passes_on_the_oldest_host(pytestconfig):
    oldest = os.environ.get("CONCEPT_GUARDS_OLDEST_HOST")
    if not oldest:
        pytest.skip("no second ComfyUI here: `run.py test` without COMFYUI_PATH fetches it")
    arguments = ["--config-file", TESTS / "pytest.ini", TESTS, "-m", "both_hosts", "-q", "-p", "no:cacheprovider"]
    if pytestconfig.getoption("keyword"):
        arguments += ["-k", pytestconfig.getoption("keyword")]
    result = subprocess.run(
        [sys.executable, PROJECT / "tools" / "setup" / "launch.py", "pytest", *arguments],
        cwd=PROJECT,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "CONCEPT_GUARDS_HOST": oldest},
    )
    last = (result.stdout.strip().splitlines() or ["no output"])[-1]
    print(last)
    if result.returncode == 5 and pytestconfig.getoption("keyword"):
        pytest.skip("-k left none of the tests marked both_hosts")
    assert result.returncode == 0, result.stdout + result.stderr
