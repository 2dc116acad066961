"""Open ComfyUI with the pack in a browser of your own. What you make and save is kept, in output/serve unless you say otherwise."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .. import PROJECT
from ..setup.cache import SetupError, say
from .server import ServerError, need_port, prepared_server


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="run.py serve", description=__doc__, epilog="Further arguments go to ComfyUI as they are."
    )
    parser.add_argument("--port", type=int, default=8188, help="default: %(default)s")
    parser.add_argument(
        "--listen", default="127.0.0.1", help="the address to listen on; anything but the default lets others in"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=PROJECT / "output" / "serve",
        help="where models, pictures and settings are (default: %(default)s)",
    )
    options, further = parser.parse_known_args()
    need_port(options.listen, options.port)  # before torch is loaded for nothing
    arguments = tuple(further) if has_accelerator() or "--cpu" in further else ("--cpu", *further)
    say("Starting ComfyUI with the pack (about half a minute) ...")
    with prepared_server(options.folder, port=options.port, listen=options.listen, arguments=arguments) as server:
        say(f"Open {server.url} in a browser. The example graphs are under Templates, Concept Guards.")
        say(f"Models, pictures and settings: {options.folder}. Ctrl-C stops the server.")
        while server.process.poll() is None:
            time.sleep(0.5)
        raise ServerError(f"ComfyUI ended by itself. {server.log_tail()}")


def has_accelerator() -> bool:
    """Whether torch can compute on something faster than the processor."""
    try:
        import torch
    except ImportError as error:
        raise SetupError(f"This Python cannot import torch ({error}).") from error
    return torch.cuda.is_available() or (hasattr(torch.backends, "mps") and torch.backends.mps.is_available())


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
