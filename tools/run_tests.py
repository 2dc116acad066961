"""The test command: pytest over all stages. Further arguments go to pytest: `run.py test -k sld`, `run.py test tests/sld`.

A whole run has three passes: the pure tests, and the share of the lines that need no ComfyUI that they run; all others; those marked
`both_hosts` once more on the oldest supported ComfyUI. Each is in two processes where there are two cores, dealt out file by file;
`-n 0` runs it in one. A part has its pass on the oldest ComfyUI, too. `--coverage` says what share of all the pack's lines is run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from . import PROJECT

CONFIG = ["--config-file", str(PROJECT / "tests" / "pytest.ini")]
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
NONE_FOUND = 5  # pytest's exit status


class Pass(NamedTuple):
    """One run of pytest."""

    title: str
    arguments: list[str]
    host: str


def passes(given: list[str], hosts: tuple[str, str | None], cores: int) -> list[Pass]:
    """What ``given``, the command's arguments, asks for. ``hosts``: ComfyUI, and the oldest one where there is one."""
    newest, oldest = hosts
    named = any(os.path.exists(argument.split("::")[0]) for argument in given)
    part = named or bool({"-k", "-m", "-s", "--pdb", "--coverage", "--collect-only"} & set(given))
    options = [*given] if named else [*given, str(PROJECT / "tests")]
    if not part and cores > 1 and "-n" not in options:
        options += ["-n", "2"]
    spread = BY_FILE if "-n" in options else []
    chosen = _value(options, "-m")
    if part:
        found = [Pass("Tests", [*options, *spread], newest)]
    else:
        pure = [*options, *spread, "-p", "tools.testing.pure_coverage", "-m", "pure"]
        found = [Pass("Pure tests", pure, newest), Pass("All others", [*options, *spread, "-m", "not pure"], newest)]
    if oldest and chosen != "pure" and not {"--coverage", "--collect-only"} & set(options):
        both = f"({chosen}) and both_hosts" if chosen else "both_hosts"
        found.append(Pass("On the oldest ComfyUI", [*_without(options, "-m"), *spread, "-m", both], oldest))
    return found


def _value(options: list[str], name: str) -> str | None:
    return options[options.index(name) + 1] if name in options[:-1] else None


def _without(options: list[str], name: str) -> list[str]:
    """The options without one and its value."""
    if name not in options:
        return options
    at = options.index(name)
    return [*options[:at], *options[at + 2 :]]


def main() -> int:
    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // 2)))
    given = sys.argv[1:]
    hosts = os.environ["CONCEPT_GUARDS_HOST"], os.environ.get("CONCEPT_GUARDS_OLDEST_HOST")
    if not hosts[1]:
        print("* Only this ComfyUI is tested; unset COMFYUI_PATH to test the oldest supported one as well", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="concept-guards-coverage-") as folder:
        extra = coverage(folder) if "--coverage" in given else []
        for one in passes(given, hosts, cores):
            print(f"* {one.title}: ComfyUI in {one.host}", flush=True)
            arguments = [*(argument for argument in one.arguments if argument != "--coverage"), *extra]
            status = subprocess.run(
                [
                    sys.executable,
                    PROJECT / "tools" / "setup" / "launch.py",
                    "pytest",
                    *CONFIG,
                    "--durations=8",
                    *arguments,
                ],
                cwd=PROJECT,
                env=environment(one.host),
            ).returncode
            if status == NONE_FOUND and one.host == hosts[1]:
                status = 0  # none of the tests asked for is marked both_hosts
            failed = failed or status
            if failed and "-x" in given:
                break
    return failed


def environment(host: str) -> dict[str, str]:
    """This process's variables, for a run on ``host``. Python may keep what it compiles, whatever they say: some fifty processes that
    compile the host, the pack and the tests anew each time take minutes."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "CONCEPT_GUARDS_HOST": host}


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
