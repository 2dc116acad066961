"""Everything a command needs before it can start: an environment, a host, and for tests their libraries."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .. import PROJECT
from . import environment, host
from .cache import SetupError, only_one, open_cache, say, sweep


@dataclass(frozen=True)
class Prepared:
    """What set-up found or made."""

    python: Path
    host: Path
    oldest_host: Path | None = None
    test_libraries: Path | None = None

    def variables(self) -> dict[str, str]:
        """The environment variables under which the commands run."""
        new = {"CONCEPT_GUARDS_HOST": str(self.host), "PYTHONIOENCODING": "utf-8"}
        if self.oldest_host:
            new["CONCEPT_GUARDS_OLDEST_HOST"] = str(self.oldest_host)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCEPT_GUARDS_HOST")}
        if self.test_libraries:
            new["CONCEPT_GUARDS_TEST_LIBRARIES"] = str(self.test_libraries)
            new["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), str(self.test_libraries)]))
        return {**kept, **new}

    def run(self, module: str, arguments: list[str]) -> int:
        """Run a module of this project in the prepared environment, from the folder that the user is in: paths mean what they say."""
        process = subprocess.Popen(
            [self.python, PROJECT / "tools" / "setup" / "launch.py", module, *arguments], env=self.variables()
        )
        while True:
            try:
                return _told(process.wait())
            except KeyboardInterrupt:
                continue  # Ctrl-C reaches the child as well; it stops cleanly and we report how it ended
            except SystemExit:
                process.terminate()
                process.wait()
                raise


def _told(code: int) -> int:
    """A process that was killed says nothing itself, so it is said here; the usual reason is a machine that ran out of memory."""
    if code < 0:
        say(
            f"The command was ended from outside, by signal {-code}" + (" (often: out of memory)" if code == -9 else "")
        )
        return 128 - code
    return code


def prepare(tests: bool = False) -> Prepared:
    """Set up what is missing. Instant when nothing is; safe to interrupt and to run twice at once."""
    try:
        return _prepare(tests)
    except OSError as error:  # a disk that fills up, a folder that loses its rights, a file that another program holds
        raise SetupError(
            f"Set-up failed: {error}\nMend that and run the same command again; what is half-made is made anew."
        ) from error


def _prepare(tests: bool) -> Prepared:
    cache = open_cache()
    checkout = host.users_checkout()
    if checkout:
        python = environment.own_python(checkout)
        say(f"Using your ComfyUI in {checkout} with {python} (nothing is installed into it)")
        libraries = None
        if tests:
            with only_one(cache):
                sweep(cache)
                libraries = environment.make_test_libraries(python, cache)
        return Prepared(python, checkout, None, libraries)
    with only_one(cache):
        sweep(cache)
        python = environment.make_venv(cache)
        current = host.fetch(cache, host.CURRENT, python)
        oldest = host.fetch(cache, host.OLDEST, python) if tests else None
        libraries = environment.make_test_libraries(python, cache) if tests else None
    return Prepared(python, current, oldest, libraries)
