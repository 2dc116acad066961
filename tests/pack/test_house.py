"""The three rules of the house, read from the imports of every file in guards/ and nodes/ (see guards/__init__.py)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools import PROJECT

HOST = {
    "comfy",
    "comfy_api",
    "comfy_extras",
    "comfy_execution",
    "execution",
    "folder_paths",
    "latent_preview",
    "node_helpers",
    "nodes",
    "server",
}
FLOORS = (  # each floor may import the floors below it, no room may import a neighbour; a new room gets a floor here
    {"schedule", "files", "graph", "seeds", "looking", "words"},
    {"host", "lists"},
    {"sld", "intervention", "rewriters", "feedback", "demo", "training", "local"},
    {"rewriting", "endpoints", "directions", "inversion", "distillation", "judging"},
    {"inhibitors", "erasing", "instructions"},
    {"tokens", "concepts"},
    {"policy"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
CORRIDOR = 12  # files that a newcomer can still take in at a glance


def is_host_file(place: tuple[str, ...]) -> bool:
    """Whether a file of the pack, as the parts of its module's name, may import the host (rule 1)."""
    return place[0] == "nodes" or place[:2] == ("guards", "host") or place[-1].startswith("host")


def imports(place: tuple[str, ...], source: str):
    """(line, absolute parts of the module) of every import; relative ones are resolved, one entry for each imported name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = place[: len(place) - node.level] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                yield node.lineno, (*module, alias.name)


def faults(place: tuple[str, ...], source: str, modules: set[tuple[str, ...]]) -> list[str]:
    """What a file does against the rules. ``modules``: every module of the pack, to tell a module from a name in one."""
    found = []
    for line, target in imports(place, source):
        where = f"{'.'.join(place)}:{line} imports {'.'.join(target)}"
        if target[0] in HOST and target[0] != "nodes" and not is_host_file(place):
            found.append(f"{where}: the host, from a file that is not named host*")
        if target[0] not in ("guards", "nodes") or place[0] == "nodes":
            continue
        module = target if target in modules else target[:-1]
        if module[0] == "nodes":
            found.append(f"{where}: guards/ takes nothing from nodes/")
            continue
        if not is_host_file(place) and is_host_file(module):
            found.append(f"{where}: a pure file takes nothing from a host file")
        room, other = place[1], module[1] if len(module) > 1 else place[1]
        if not {room, other} <= set(FLOOR):
            found.append(f"{where}: give {', '.join({room, other} - set(FLOOR))} a floor in {Path(__file__).name}")
        elif room != other and FLOOR[other] >= FLOOR[room] and not {room, other} <= FLOORS[0]:
            found.append(f"{where}: {other} is not on a lower floor than {room}")
    return found


def pack() -> dict[tuple[str, ...], str]:
    """Module name, in parts, of every file of guards/ and nodes/ -> its text. A package goes by its folder's name."""
    texts = {}
    for path in sorted([*PROJECT.glob("guards/**/*.py"), *PROJECT.glob("nodes/**/*.py")]):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        texts[parts] = path.read_text(encoding="utf-8")
    return texts


def test_the_three_rules_hold():
    texts = pack()
    found = [
        fault
        for place, source in texts.items()
        if place != ("guards", "__init__")
        for fault in faults(place, source, set(texts))
    ]
    assert not found, "\n".join(found)


MODULES = {
    ("guards", "sld", "formula"),
    ("guards", "sld", "host"),
    ("guards", "host", "rail"),
    ("guards", "demo", "vae"),
    ("nodes", "x"),
    ("guards", "directions", "formula"),
    ("guards", "inhibitors", "host"),
}


@pytest.mark.parametrize(
    "place, source, fault",
    [
        ("guards.sld.formula", "import comfy.samplers", "not named host*"),
        ("guards.sld.formula", "def f():\n    from folder_paths import models_dir", "not named host*"),
        ("guards.sld.formula", "from . import host", "takes nothing from a host file"),
        ("guards.sld.formula", "from ..host.rail import Guard", "takes nothing from a host file"),
        ("guards.sld.host", "from ...nodes import x", "takes nothing from nodes/"),
        ("guards.sld.host", "from ..demo.vae import DemoVAE", "not on a lower floor"),
        ("guards.sld.host", "from ..inhibitors import host", "not on a lower floor"),
        ("guards.host.rail", "from ..sld.formula import guidance", "not on a lower floor"),
        ("guards.attic.host", "from ..host.rail import Guard", "give attic a floor"),
    ],
)
def test_the_reading_sees_each_fault(place, source, fault):
    assert [found for found in faults(tuple(place.split(".")), source, MODULES) if fault in found], (
        "a fault that the test does not see"
    )


@pytest.mark.parametrize(
    "place, source",
    [
        ("guards.sld.host", "import comfy.samplers\nfrom ..host import rail\nfrom .formula import guidance"),
        ("guards.inhibitors.host", "from ..directions.formula import fitted"),
        ("guards.sld.formula", "import torch\nfrom ..schedule import step_index"),
    ],
)
def test_the_reading_leaves_good_imports_alone(place, source):
    assert not faults(tuple(place.split(".")), source, MODULES)


def test_every_room_has_a_floor_and_none_is_a_corridor():
    rooms = {path.name for path in (PROJECT / "guards").iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert rooms - set(FLOOR) == set(), "give the room a floor in this file"
    assert {room for room in set(FLOOR) - rooms if not (PROJECT / "guards" / f"{room}.py").is_file()} == set(), (
        "a floor without its room"
    )
    crowded = {
        str(folder.relative_to(PROJECT)): count
        for folder in (PROJECT / "guards", *(PROJECT / "guards" / room for room in rooms))
        if (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > CORRIDOR
    }
    assert not crowded, crowded


def test_the_maps_name_every_room():
    """guards/__init__.py, what each is for; docs/architecture.md, on which floor it is, in the order of FLOORS."""
    text = (PROJECT / "guards" / "__init__.py").read_text("utf-8")
    rows = re.findall(
        r"^\| [\w: ]*\| (`.*) \|$", (PROJECT / "docs" / "architecture.md").read_text("utf-8"), re.MULTILINE
    )
    floors = [{name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", row)} for row in rows]
    assert [floor for floor in floors if floor & set(FLOOR)][: len(FLOORS)] == list(FLOORS)[::-1]
    unnamed = {room for room in FLOOR if not re.search(rf"\b{room}(/|\.py)", text)}
    assert not unnamed, "name the room in guards/__init__.py"


def test_no_function_of_the_guards_is_longer_than_a_screen():
    long = [
        f"{'.'.join(place)}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for place, source in pack().items()
        if place[0] == "guards"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    assert not long, "\n".join(long)


def done_at_import(source: str) -> list[str]:
    """Calls that a file makes for what they do, and not for what they give, when it is imported."""
    return [
        ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]


def test_importing_a_file_changes_nothing_elsewhere():
    found = {".".join(place): calls for place, source in pack().items() if (calls := done_at_import(source))}
    assert not found, f"the entry's on_load is the place for it: {found}"
    assert done_at_import("X = f()\nfolders.register(X)") == ["folders.register(X)"]


def test_tests_lie_in_the_folder_of_a_room():
    rooms = {path.name for path in (PROJECT / "guards").iterdir() if path.is_dir()} | {"pack", "commands", "gpu"}
    folders = {path.parent.name for path in Path(PROJECT / "tests").rglob("test_*.py")}
    assert folders <= rooms, folders - rooms
