#!/usr/bin/env python3
"""Concept Guards from one command: set-up, demo, tests, server, measurements. `python3 run.py --help` lists them."""

import argparse
import signal
import sys

COMMANDS = {  # name: (module, needs the test libraries, help)
    "demo": ("tools.pictures.demo", False, "make the before/after sheet: same seeds, guard off and guard on"),
    "test": ("tools.run_tests", True, "run all tests (further arguments go to pytest)"),
    "test-pure": (None, False, "run the tests that need torch and pytest alone, with this Python and no set-up"),
    "serve": ("tools.serving.serve", False, "open ComfyUI with the pack, for clicking"),
    "bench": (
        "tools.measuring.bench",
        True,
        "measure what the guards cost, against unguarded sampling in the same run",
    ),
    "soak": ("tools.measuring.soak", True, "queue 300 prompts in one server: flat memory, identical images"),
    "exact": ("tools.measuring.exact", True, "compare with the published pipelines at full size"),
    "rewrite": (
        "tools.measuring.rewrite_table",
        True,
        "rewrite 100 queries with a local language model and count what is left",
    ),
    "fetch": ("tools.setup.fetch_model", False, "fetch a better language model for `rewrite` into the cache"),
    "measure": ("tools.measuring", False, "fill a help page's table: `measure --list` names them"),
    "evaluate": ("tools.evaluating", False, "measure guards on your own model: many prompts, servers, one report"),
    "train": ("tools.demo_world", False, "make the model in the box, or what comes with it: `train --list`"),
    "policy": (None, False, "explain a policy file, or verify the record of its decisions"),
    "redteam": ("tools.redteam", False, "try to get round a policy on a real server, and count what comes out"),
    "contract": (
        "tools.testing.contract",
        False,
        "write new nodes and inputs into tests/pack/contract.json; refuses what would break saved graphs",
    ),
    "setup": (None, True, "only set up, so that the other commands start at once"),
}
EPILOG = """Environment variables:
  COMFYUI_PATH           use this ComfyUI checkout with its own Python; nothing is installed into it
  COMFYUI_PYTHON         the Python that belongs to it, where it is not found
  CONCEPT_GUARDS_CACHE   where the environment and ComfyUI are kept (default: your cache folder)
  CHROMIUM               the browser for the browser tests, where it is not found"""


def main():
    if sys.version_info < (3, 10):  # noqa: UP036 - this very file must still say so to an older Python
        sys.exit(f"Concept Guards needs Python 3.10 or later; this is {sys.version.split()[0]} ({sys.executable}).")
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, _, text) in COMMANDS.items():
        # The command's own module knows its options (`run.py soak --help`).
        commands.add_parser(name, help=text, add_help=name in ("setup", "test-pure"))
    options, arguments = parser.parse_known_args()
    module, tests, _ = COMMANDS[options.command]
    if options.command == "test-pure":
        from tools.run_tests import pure

        return pure(arguments)
    if options.command == "policy":  # reads a file, and needs nothing for it
        from tools import policy

        return policy.main(arguments)
    if not module and arguments:
        parser.error("setup takes no arguments")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server we started is stopped, too
    from tools.setup.cache import SetupError, say
    from tools.setup.prepare import prepare

    try:
        prepared = prepare(tests)
        if not module:
            say(f"Ready: {prepared.python} with ComfyUI in {prepared.host}")
            return 0
        return prepared.run(module, arguments)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
