"""The test command: pytest over all stages. Further arguments go to pytest: `run.py test -k sld`, `run.py test tests/sld`.

A whole run says what share of the lines that need no ComfyUI its pure tests run. `-n 2` runs it in two processes (see
tests/conftest.py), `--coverage` says what share of all the pack's lines it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import PROJECT

CONFIG = ["--config-file", str(PROJECT / "tests" / "pytest.ini")]
PARTS = {
    "-k",
    "-m",
    "-n",
    "--coverage",
    "--collect-only",
}  # with these it is no whole run, or coverage is measured already
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]


def main() -> int:
    import pytest

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="concept-guards-coverage-") as folder:
        if "-n" in given:
            given = [*given, *BY_FILE]
        whole = not PARTS & set(given)
        if "--coverage" in given:
            given = [argument for argument in given if argument != "--coverage"] + coverage(folder)
        if not any(os.path.exists(argument.split("::")[0]) for argument in given):
            if whole:
                given = ["-p", "tools.testing.pure_coverage", *given]
            given = [str(PROJECT / "tests"), *given]
        print(f"* Testing with ComfyUI in {os.environ['CONCEPT_GUARDS_HOST']}", flush=True)
        if not os.environ.get("CONCEPT_GUARDS_OLDEST_HOST"):
            print(
                "* Only this ComfyUI is tested; unset COMFYUI_PATH to test the oldest supported one as well", flush=True
            )
        return pytest.main([*CONFIG, "--durations=8", *given])


def coverage(folder: str) -> list[str]:
    """Options that print what share of the pack's lines the tests run, as one number (the bound only has it printed)."""
    os.environ["COVERAGE_FILE"] = str(Path(folder) / "coverage")
    return [*(f"--cov={PROJECT / name}" for name in ("guards", "nodes")), "--cov-report=", "--cov-fail-under=1"]


def pure(arguments: list[str]) -> int:
    """`run.py test-pure`: the pure tests with this very Python, which needs torch and pytest only. No set-up."""
    needed = (
        "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(n) is None for n in ('torch', 'pytest')))"
    )
    if subprocess.run([sys.executable, "-c", needed]).returncode:
        print(
            f"{sys.executable} has no torch or no pytest. Install both, or run: python3 run.py test -m pure",
            file=sys.stderr,
        )
        return 1
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONCEPT_GUARDS_HOST")}
    command = [sys.executable, "-m", "pytest", *CONFIG, str(PROJECT / "tests"), "-m", "pure", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
