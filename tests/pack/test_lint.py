"""Style and registry checks, with the tools that the registry and reviewers use."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
PROJECT = Path(__file__).resolve().parent.parent.parent
# `python -m` finds the test libraries through PYTHONPATH, except in ComfyUI's portable build; the launcher finds them everywhere.
LAUNCH = [sys.executable, PROJECT / "tools" / "setup" / "launch.py"]


def run(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*LAUNCH, module, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DO_NOT_TRACK": "1", "NO_COLOR": "1", "COLUMNS": "140", **variables},
        timeout=300,
    )


def test_ruff_finds_nothing():
    result = run("ruff", "check", "--output-format", "concise", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_is_formatted():
    result = run("ruff", "format", "--check", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_commits_hook_and_the_checks_use_the_same_ruff():
    locked = re.search(r"^ruff==(\S+)", (PROJECT / "tools" / "setup" / "lock-test.txt").read_text(), re.MULTILINE)
    assert f"rev: v{locked[1]}\n" in (PROJECT / ".pre-commit-config.yaml").read_text()
    for name in ("CONTRIBUTING.md", ".github/workflows/test.yml"):
        assert f"ruff=={locked[1]}" in (PROJECT / name).read_text(encoding="utf-8"), name


def test_the_types_fit(host_path):
    """pyright, with this environment's libraries and the host's own modules; what is checked is in pyproject.toml."""
    path = os.pathsep.join(filter(None, [str(host_path), os.environ.get("PYTHONPATH")]))
    result = run("pyright", "--project", "pyproject.toml", "--pythonpath", sys.executable, PYTHONPATH=path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_registry_accepts_the_pack():
    result = run("comfy_cli", "--skip-prompt", "--no-enable-telemetry", "node", "validate")
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "warning" not in said.lower() and "error" not in said.lower(), said
