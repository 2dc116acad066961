"""Regular expressions that are compiled when they are first used: the pack is loaded at every start of the host, most texts are not."""

from __future__ import annotations

import functools
import re
from typing import Any


class Pattern:
    """As ``re.compile(pattern, flags)``, of which it has all that one calls."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._given = pattern, flags

    @functools.cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(*self._given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copying and pickling look for
            raise AttributeError(name)
        return getattr(self._compiled, name)
