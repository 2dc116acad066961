"""The server with a policy that the tests of this folder share: a policy is read again when its file changes."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from guards.policy import audit
from tools import PROJECT
from tools.serving.server import Server
from tools.testing.policies import place, write

PACK = """
from server import PromptServer

def handler(said):
    texts = str(said.get("prompt"))
    if "raise {name}" in texts:
        raise RuntimeError("a fault of another pack")
    if "unguard {name}" in texts:
        said["prompt"] = {{name: node for name, node in said["prompt"].items() if not node["class_type"].startswith("GuardPolicy")}}
        for node in said["prompt"].values():
            if "model" in node["inputs"]:
                node["inputs"]["model"] = ["1", 0]
    if "wish {name}" in texts:
        said["prompt"]["2"]["inputs"]["text"] = "a zorp"
    return said

async def last(app):
    PromptServer.instance.on_prompt_handlers.append(handler)

if "{name}" == "first":
    PromptServer.instance.on_prompt_handlers.insert(0, handler)
else:
    PromptServer.instance.app.on_startup.append(last)
NODE_CLASS_MAPPINGS = {{}}
"""


@pytest.fixture(scope="session")
def policed(host_path, tmp_path_factory):
    """A server that starts under a policy, with a pack that tries to get round it and packs whose handlers come before and after ours."""
    folder = tmp_path_factory.mktemp("policed")
    (folder / "custom_nodes").mkdir()
    shutil.copy(PROJECT / "tools" / "redteam" / "evil.py", folder / "custom_nodes" / "evil.py")
    for name in ("first", "last"):
        (folder / "custom_nodes" / f"{name}.py").write_text(PACK.format(name=name), encoding="utf-8")
    write(folder, {"version": 1, "concepts": ["knife"]})
    with Server(Path(sys.executable), host_path, folder) as running:
        yield running


@pytest.fixture(scope="module")
def ruled(policed, request):
    """The server under the ``POLICY`` of the test's file, with nothing queued and nothing on record."""
    while any(policed.get("/queue").values()):  # what the file before has left
        time.sleep(0.05)
    for path in audit.files(str(place(policed.folder))):
        Path(path).unlink()
    write(policed.folder, request.module.POLICY)
    return policed
