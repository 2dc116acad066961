"""The test command: pytest over all stages. Further arguments go to pytest: `run.py test -k sld`, `run.py test tests/pure`."""

from __future__ import annotations

import os
import sys

from . import PROJECT


def main() -> int:
    import pytest

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    given = sys.argv[1:]
    if not any(os.path.exists(argument.split("::")[0]) for argument in given):
        given = [str(PROJECT / "tests"), *given]
    print(f"* Testing with ComfyUI in {os.environ['CONCEPT_GUARDS_HOST']}", flush=True)
    if not os.environ.get("CONCEPT_GUARDS_OLDEST_HOST"):
        print("* Only this ComfyUI is tested; unset COMFYUI_PATH to test the oldest supported one as well", flush=True)
    return pytest.main(["--config-file", str(PROJECT / "tests" / "pytest.ini"), "--durations=8", *given])


if __name__ == "__main__":
    sys.exit(main())
