"""Run a long command quietly: its output goes to a log, the user sees one line of progress, and the log's tail when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cache import SetupError


class CommandFailed(SetupError):
    """A command that ended with an error; `output` is all it printed."""

    def __init__(self, what: str, log: Path, output: str):
        self.output = output
        tail = "\n".join("    " + line for line in output.strip().splitlines()[-12:])
        hint = ""
        if "No space left" in output:
            hint = "\nThe disk is full: free some space, or set CONCEPT_GUARDS_CACHE to a folder on a larger disk."
        elif "No matching distribution" in output or "Could not find a version" in output:
            hint = (
                "\nEither the package registry could not be reached, or it has no build for this Python "
                f"({sys.version.split()[0]}) on this system. Python 3.10 to 3.13 are known to work."
            )
        super().__init__(f"{what} failed. The end of its output:\n{tail}\nThe whole output: {log}{hint}")


def run_logged(command: Sequence[str | os.PathLike], what: str, log: Path, env: Mapping[str, str] | None = None) -> str:
    """Run `command` to its end and return what it printed."""
    started, lines = time.monotonic(), []
    process = subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env) if env is not None else None,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    done = threading.Event()
    ticker = threading.Thread(target=_tick, args=(what, started, lines, done), daemon=True)
    ticker.start()
    try:
        with open(log, "a", encoding="utf-8") as out:
            for line in process.stdout:
                lines.append(line)
                out.write(line)
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        done.set()
        ticker.join()
    if code:
        raise CommandFailed(what, log, "".join(lines))
    return "".join(lines)


def _tick(what: str, started: float, lines: list[str], done: threading.Event) -> None:
    """Every few seconds on a terminal, every half minute elsewhere: what is being done now, and for how long already."""
    terminal = sys.stdout.isatty()
    while not done.wait(2 if terminal else 30):
        last = lines[-1].strip()[:70] if lines else ""
        text = f"  {what}: {time.monotonic() - started:.0f} s  {last}"
        if terminal:
            print("\r" + text.ljust(110), end="", flush=True)
        else:
            print(text, flush=True)
    if terminal and time.monotonic() - started > 2:
        print("\r" + " " * 110 + "\r", end="", flush=True)
