"""How every command ends: errors that the user can mend as one message, Ctrl-C and a request to stop as a clean stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from .cache import SetupError


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and exit with its code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
