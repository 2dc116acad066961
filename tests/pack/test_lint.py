"""Style and registry checks, with the tools that the registry and reviewers use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
PROJECT = Path(__file__).resolve().parent.parent.parent
# `python -m` finds the test libraries through PYTHONPATH, except in ComfyUI's portable build; the launcher finds them everywhere.
LAUNCH = [sys.executable, PROJECT / "tools" / "setup" / "launch.py"]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*LAUNCH, module, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DO_NOT_TRACK": "1", "NO_COLOR": "1", "COLUMNS": "140"},
        timeout=300,
    )


def test_ruff_finds_nothing():
    result = run("ruff", "check", "--output-format", "concise", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_registry_accepts_the_pack():
    result = run("comfy_cli", "--skip-prompt", "--no-enable-telemetry", "node", "validate")
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "warning" not in said.lower() and "error" not in said.lower(), said
