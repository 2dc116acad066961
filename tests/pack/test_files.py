"""The pack as files: what the registry and a reader of the source expect of it."""

import ast
import json
import struct
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parent.parent.parent
SHIPPED_CODE = sorted([*PROJECT.glob("guards/**/*.py"), *PROJECT.glob("nodes/**/*.py"), *PROJECT.glob("__init__.py")])
HOST_MODULES = {
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_execution",
    "comfy_extras",
    "comfy_config",
    "folder_paths",
    "server",
    "execution",
    "nodes",
    "app",
    "api_server",
    "latent_preview",
    "node_helpers",
    "protocol",
    "utils",
}
NEVER_IMPORTED = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "pip",
    "ensurepip",
    "subprocess",
    "pty",
}


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def imports(tree: ast.AST):
    """(line, top-level module) of every absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module.split(".")[0]


def forbidden(tree: ast.AST):
    """(line, what) of every construct that must not run on a user's machine."""
    for line, module in imports(tree):
        if module in NEVER_IMPORTED:
            yield line, f"imports {module}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in (
            "eval",
            "exec",
            "compile",
            "__import__",
            "os.system",
            "os.popen",
            "os.startfile",
        ) or called.startswith("os.exec"):
            yield node.lineno, f"calls {called}"
        if called == "torch.load" and not any(
            k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords
        ):
            yield node.lineno, "calls torch.load without weights_only=True"


@pytest.mark.parametrize(
    "source, what",
    [
        ("eval(x)", "calls eval"),
        ("import pickle", "imports pickle"),
        ("from pickle import loads", "imports pickle"),
        ("torch.load(f)", "torch.load"),
        ("torch.load(f, weights_only=False)", "torch.load"),
        ("import subprocess", "imports subprocess"),
        ("os.system('pip install x')", "calls os.system"),
    ],
)
def test_the_search_finds_what_is_forbidden(source, what):
    assert any(what in found for _, found in forbidden(ast.parse(source)))


def test_the_search_leaves_harmless_code_alone():
    assert not list(
        forbidden(ast.parse("model.eval(); re.compile('a'); torch.load(f, weights_only=True); import json"))
    )


def test_no_forbidden_construct_in_what_is_shipped():
    found = [
        f"{name_of(path)}:{line} {what}"
        for path in SHIPPED_CODE
        for line, what in forbidden(ast.parse(path.read_bytes()))
    ]
    assert not found, "\n".join(found)


def test_slow_libraries_are_imported_where_they_are_used_and_not_when_the_pack_loads():
    slow = {"transformers", "tokenizers", "gguf", "accelerate", "jinja2", "diffusers"}
    found = []
    for path in SHIPPED_CODE:
        tree = ast.parse(path.read_bytes())
        first = {node.lineno for node in tree.body}
        found += [
            f"{name_of(path)}:{line} imports {module}"
            for line, module in imports(tree)
            if module in slow and line in first
        ]
    assert not found, "\n".join(found)


def test_inside_the_pack_imports_are_relative():
    """An absolute `import guards` would work here and fail in ComfyUI."""
    own = {"guards", "nodes", "tools", "tests", "demo_world", "concept_guards"}
    found = [
        f"{name_of(path)}:{line} imports {module}"
        for path in SHIPPED_CODE
        for line, module in imports(ast.parse(path.read_bytes()))
        if module in own
    ]
    assert not found, "\n".join(found)


def test_source_files_stay_small():
    ours = [path for folder in ("tools", "tests") for path in (PROJECT / folder).rglob("*.py")]
    files = [*SHIPPED_CODE, *ours, PROJECT / "run.py"]
    large = [f"{name_of(path)}: {path.stat().st_size} bytes" for path in files if path.stat().st_size > 20_000]
    assert not large, "\n".join(large)


def test_the_project_file_is_complete():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    basics, comfy = project["project"], project["tool"]["comfy"]
    assert basics["name"] == "concept-guards" and basics["dependencies"] == []
    assert [part.isdigit() for part in basics["version"].split(".")] == [True, True, True]
    assert basics["requires-python"] == ">=3.10" and len(basics["description"]) > 40
    assert (PROJECT / basics["license"]["file"]).is_file() and (PROJECT / basics["readme"]).is_file()
    assert basics["urls"]["Repository"].startswith("https://github.com/")
    assert "Operating System :: OS Independent" in basics["classifiers"]
    assert comfy["PublisherId"] == "concept-guards" and comfy["DisplayName"] == "Concept Guards"
    assert comfy["requires-comfyui"] == ">=0.16.3"
    assert "web" not in comfy, "WEB_DIRECTORY in __init__.py already names the web folder"
    assert (PROJECT / comfy["Icon"].split("/main/")[1]).is_file()


def test_the_pack_installs_no_library():
    assert (PROJECT / "requirements.txt").read_text().strip() == ""


def test_the_icon_is_a_square_png():
    data = (PROJECT / "web" / "icon.png").read_bytes()
    assert data.startswith(b"\x89PNG") and struct.unpack(">II", data[16:24]) == (400, 400)


def test_the_archive_keeps_what_the_nodes_need():
    """`.comfyignore` is gitignore syntax."""
    import pathspec

    from tools.serving.pack import SHIPPED

    lines = (PROJECT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines).match_file
    paths = [path for name in SHIPPED for path in [PROJECT / name, *(PROJECT / name).rglob("*")]]
    lost = [
        name_of(path) for path in paths if path.is_file() and "__pycache__" not in path.parts and ignored(name_of(path))
    ]
    assert len(paths) > 100 and not lost, lost
    for folder in ("tests", "tools", ".ci", ".github", "output", "docs"):
        assert ignored(f"{folder}/file.py"), folder


def workflows() -> list[Path]:
    return sorted((PROJECT / "workflows").glob("*.json"))


def test_every_workflow_has_a_thumbnail_of_its_name():
    missing = [
        path.name for path in workflows() if not path.with_suffix(".jpg").read_bytes().startswith(b"\xff\xd8\xff")
    ]
    assert not missing, missing
    orphans = [path.name for path in (PROJECT / "workflows").glob("*.jpg") if not path.with_suffix(".json").is_file()]
    assert not orphans, orphans


def test_workflows_hold_no_trace_of_the_machine_they_were_made_on():
    for path in workflows():
        text = path.read_text(encoding="utf-8")
        assert not any(
            trace in text for trace in ("/home/", "/root/", "/Users/", "C:\\\\", "127.0.0.1", "localhost")
        ), path.name


def flatten(tree, path=()):
    """Every leaf of nested dictionaries by its path."""
    if isinstance(tree, dict):
        return {key: leaf for name, inner in tree.items() for key, leaf in flatten(inner, (*path, name)).items()}
    return {path: tree}


def test_chinese_and_english_texts_have_the_same_keys():
    files = sorted((PROJECT / "locales" / "en").glob("*.json"))
    assert files
    for path in files:
        english = flatten(json.loads(path.read_text(encoding="utf-8")))
        chinese = flatten(json.loads((PROJECT / "locales" / "zh" / path.name).read_text(encoding="utf-8")))
        assert english.keys() == chinese.keys(), f"{path.name}: {sorted(english.keys() ^ chinese.keys())}"
        empty = [
            key
            for key, text in {**english, **{(*k, "zh"): v for k, v in chinese.items()}}.items()
            if not str(text).strip()
        ]
        assert not empty, empty
