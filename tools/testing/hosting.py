"""The host inside this process, for tests and tools, and the pack's modules as the host loads them: in a package of their own.

from tools.testing import hosting
sld = hosting.module("guards.sld.formula")            # pure: no host needed
hosting.start()                               # or the fixture `host`
import comfy.samplers                         # now the host's own modules can be imported
demo = hosting.module("guards.demo.host")
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

from tools import PROJECT

PACKAGE = "concept_guards"
_started: Path | None = None


def host_path() -> Path | None:
    """The ComfyUI to test with: CONCEPT_GUARDS_HOST (set by run.py), else the one in the cache, else none."""
    named = os.environ.get("CONCEPT_GUARDS_HOST")
    if named:
        return Path(named)
    from tools.setup.cache import cache_folder
    from tools.setup.host import CURRENT, host_folder

    cached = host_folder(cache_folder(), CURRENT)
    return cached if cached.is_dir() else None


def start(*arguments: str) -> Path:
    """Put the host on the path as `main.py --cpu` would find it, once per process. Its folders point to a temporary place."""
    global _started
    if _started is None:
        path = host_path()
        if path is None:
            raise RuntimeError(
                "No ComfyUI to test with: run `python3 run.py test`, or set CONCEPT_GUARDS_HOST to a checkout."
            )
        sys.path.insert(0, str(path))
        base = tempfile.mkdtemp(prefix="concept-guards-host-")
        atexit.register(shutil.rmtree, base, ignore_errors=True)
        sys.argv = ["main.py", "--cpu", "--use-pytorch-cross-attention", "--base-directory", base, *arguments]
        import comfy.options

        comfy.options.enable_args_parsing(True)
        _started = path
    return _started


def package() -> types.ModuleType:
    """The pack as an empty package: its modules can be imported one by one, before all of them exist and without the host."""
    if PACKAGE not in sys.modules:
        module = types.ModuleType(PACKAGE)
        module.__path__ = [str(PROJECT)]
        sys.modules[PACKAGE] = module
    return sys.modules[PACKAGE]


def module(name: str) -> types.ModuleType:
    """A module of the pack, e.g. `module("guards.sld.formula")`."""
    package()
    return importlib.import_module(f"{PACKAGE}.{name}")


def node_classes() -> dict[str, type]:
    """All node classes of the pack by their id, taken from `comfy_entrypoint()` as the host does. Needs `start()`."""
    import asyncio

    package()
    spec = importlib.util.spec_from_file_location(
        PACKAGE, PROJECT / "__init__.py", submodule_search_locations=[str(PROJECT)]
    )
    entry = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(entry)

    async def collect():
        extension = entry.comfy_entrypoint()
        if asyncio.iscoroutine(extension):
            extension = await extension
        await extension.on_load()
        return await extension.get_node_list()

    classes = asyncio.run(collect())
    return {cls.GET_SCHEMA().node_id: cls for cls in classes}


def run_node(node: str | type, graph: dict | None = None, **inputs):
    """The NodeOutput of a node (its id or class), run as the executor runs it: on a clone of its class with the hidden inputs, in
    inference mode. ``graph``: the queued graph, in which the node is "1"."""
    import asyncio

    import torch
    from comfy_api.latest import io

    cls = node_classes()[node] if isinstance(node, str) else node
    cls.GET_SCHEMA()
    clone = cls.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.prompt: graph or {}, io.Hidden.unique_id: "1"}})
    with torch.inference_mode():
        if cls.FUNCTION == "EXECUTE_NORMALIZED_ASYNC":
            return asyncio.run(clone.EXECUTE_NORMALIZED_ASYNC(**inputs))
        return clone.EXECUTE_NORMALIZED(**inputs)
