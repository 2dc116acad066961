"""Commands with a second word, such as `run.py measure memory`: which module each word starts, and what its first line says."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Mapping

from . import PROJECT


def first_line(module: str) -> str:
    """The first line of a module's docstring, without importing it."""
    source = PROJECT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def choose(command: str, modules: Mapping[str, str]) -> None:
    """Run the module named by the first argument as if it had been called alone; with --list or --help, list them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--list"
    if name in modules:
        sys.argv = [f"run.py {command} {name}", *sys.argv[2:]]
        runpy.run_module(modules[name], run_name="__main__")
        return
    wide = max(map(len, modules))
    known = "\n".join(f"  {word.ljust(wide)}  {first_line(module)}" for word, module in modules.items())
    if name in ("--list", "--help", "-h"):
        print(f"python3 run.py {command} NAME [options; --help lists them]\n\n{known}")
        return
    sys.exit(f"There is nothing to {command} by the name of {name!r}. Names:\n{known}")
