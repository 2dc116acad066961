"""The Python that runs the host: one virtual environment in the cache, or the user's own when COMFYUI_PATH names a checkout."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .cache import SetupError, discard, need_space, say, scratch
from .process import CommandFailed, run_logged

TOOLS = Path(__file__).resolve().parent
LOCK, TEST_LOCK = TOOLS / "lock.txt", TOOLS / "lock-test.txt"
STAMP = "concept-guards-complete"
# Measured: the finished environment takes 7.3 GB on Linux (torch brings its CUDA libraries along, the registry has no other
# build), pip needs the downloads beside it while it installs.
SPACE_GB = 11.0 if sys.platform == "linux" else 4.0
TEST_SPACE_GB = 1.0


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes().replace(b"\r\n", b"\n") for file in files)).hexdigest()[:10]


def venv_python(folder: Path) -> Path:
    """The interpreter inside a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def venv_folder(cache: Path) -> Path:
    """One environment for each Python version and set of pinned libraries."""
    return cache / f"venv-py{sys.version_info[0]}.{sys.version_info[1]}-{_digest(LOCK)}"


def venv_ready(folder: Path) -> bool:
    """Finished, and its base Python still there."""
    if not (folder / STAMP).is_file():
        return False
    try:
        return subprocess.run([venv_python(folder), "-c", ""], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def make_venv(cache: Path) -> Path:
    """Make the environment with everything the host requires. Call with the cache's lock held."""
    folder = venv_folder(cache)
    if venv_ready(folder):
        return venv_python(folder)
    discard(folder)
    need_space(cache, SPACE_GB, "the Python environment (torch and what ComfyUI requires)")
    say(f"Making a Python environment in {folder}")
    _create(folder, cache)
    say("Installing torch and what ComfyUI requires (about 3 GB to download on Linux, less elsewhere) ...")
    pip_install(venv_python(folder), cache, ["-r", str(LOCK)], "Installing the environment")
    (folder / STAMP).write_text(f"Python {sys.version}\n", encoding="utf-8")
    return venv_python(folder)


def pip_install(python: Path, cache: Path, arguments: list[str], what: str) -> None:
    """`pip install` with its temporary files in the cache: /tmp is often a small memory disk."""
    with scratch(cache, "pip") as temporary:
        run_logged(
            [*pip_command(python), "install", "--no-input", "--disable-pip-version-check", *arguments],
            what,
            cache / "setup.log",
            pip_environment(temporary),
        )


def pip_command(python: Path) -> list[str]:
    """How to run pip for an interpreter; environments made by `uv` have none of their own, then ours works on them from outside."""
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [str(python), "-m", "pip"]
    if _has("pip"):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    raise SetupError(
        f"Neither {python} nor {sys.executable} has pip. Install it, for example:\n    {python} -m ensurepip"
    )


def pip_environment(temporary: Path) -> dict[str, str]:
    """This process's variables, with the temporary folder named and no stray Python settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER")
    }
    return {**kept, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}


def _create(folder: Path, cache: Path) -> None:
    """`python -m venv`, also where Debian has split pip out of it."""
    if _has("ensurepip") and _has("venv"):
        try:
            return _create_plainly(folder, cache)
        except CommandFailed as error:
            say(f"`python -m venv` did not work; trying another way. {error}")
            discard(folder)
    if _has("venv") and _has("pip"):
        return _create_with_own_pip(folder, cache)
    raise SetupError(_by_hand())


def _has(module: str) -> bool:
    """Whether this Python has a module; an empty folder of that name does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _create_plainly(folder: Path, cache: Path) -> None:
    run_logged([sys.executable, "-m", "venv", folder], "Making the environment", cache / "setup.log")


def _create_with_own_pip(folder: Path, cache: Path) -> None:
    """No ensurepip, but this Python has a pip of its own: let it put pip into the new environment."""
    run_logged([sys.executable, "-m", "venv", "--without-pip", folder], "Making the environment", cache / "setup.log")
    found = subprocess.run(
        [venv_python(folder), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    pip_install(Path(sys.executable), cache, ["--target", found.stdout.strip(), "pip"], "Installing pip")


def _by_hand() -> str:
    """What to run where the system's Python has neither ensurepip nor pip; a command of ours changes nothing outside the cache."""
    if not shutil.which("apt-get"):
        return (
            f"This Python ({sys.executable}) has neither `ensurepip` nor `pip`.\n"
            "Install the venv and pip packages of your system for it, or use another Python."
        )
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    sudo = "" if os.geteuid() == 0 else "sudo "
    return (
        f"This Python ({sys.executable}) cannot make virtual environments. On Debian and Ubuntu, install what is missing and run "
        f"the same command again:\n    {sudo}apt-get install {package}"
    )


def make_test_libraries(python: Path, cache: Path) -> Path:
    """pytest and friends in a folder of their own, so that nothing is installed into an environment that may be the user's."""
    tag = subprocess.run(
        [python, "-c", "import sys, sysconfig; print('py%d.%d-' % sys.version_info[:2] + sysconfig.get_platform())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    folder = cache / f"testlibs-{tag}-{_digest(TEST_LOCK)}"
    if folder.is_dir():
        return folder
    need_space(cache, TEST_SPACE_GB, "the test libraries")
    say("Installing the test libraries (pytest, ruff, diffusers, comfy-cli, playwright, a small language model) ...")
    with scratch(cache, "testlibs") as place:
        pip_install(
            python,
            cache,
            ["--no-deps", "--target", str(place / "libs"), "-r", str(TEST_LOCK)],
            "Installing the test libraries",
        )
        os.replace(place / "libs", folder)
    return folder


# Found without importing them: torch alone takes seconds.
HAS_LIBRARIES = (
    "import sys; from importlib.util import find_spec; sys.exit(not (find_spec('torch') and find_spec('aiohttp')))"
)


def own_python(checkout: Path) -> Path:
    """The Python that the user's ComfyUI runs with."""
    chosen = os.environ.get("COMFYUI_PYTHON")
    if chosen:
        if not shutil.which(chosen):
            raise SetupError(f"COMFYUI_PYTHON is {chosen}, but there is no such program.")
        return Path(shutil.which(chosen))
    beside = [venv_python(place / name) for place in (checkout, checkout.parent) for name in ("venv", ".venv")]
    beside += [checkout.parent / name / "python.exe" for name in ("python_embeded", "python_embedded")]
    candidates = [python for python in beside if python.is_file()] + [Path(sys.executable)]
    for python in candidates:
        if subprocess.run([python, "-c", HAS_LIBRARIES], capture_output=True).returncode == 0:
            return python
    tried = "\n".join(f"    {python}" for python in candidates)
    raise SetupError(
        f"COMFYUI_PATH is {checkout}, but none of these has torch and aiohttp, which ComfyUI needs:\n{tried}\n"
        "Set COMFYUI_PYTHON to the Python that you start ComfyUI with, or unset COMFYUI_PATH to use a ComfyUI of our own."
    )
