"""The developers' pages: the guide's guard works as written, and no link leads nowhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tools import PROJECT

GUIDE = PROJECT / "docs" / "adding_a_guard.md"
BLOCK = re.compile(r"^```(\w+) (file|merge)=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
NOT_OURS = {".git", "output", ".cache", "node_modules", ".venv", "venv"}
MUST_PASS = (
    "tests/scaling",
    *(f"tests/pack/test_{name}.py" for name in ("house", "locales", "nodes", "contract", "inputs")),
)


def add(text: str, block: str) -> str:
    """A text with the lines of ``block`` that begin with + behind those that begin with a space, which it must hold once."""
    lines = block.splitlines()
    above = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    added = "".join(f"{line[1:]}\n" for line in lines if line.startswith("+"))
    assert above and text.count(above) == 1, f"these lines are there {text.count(above)} times:\n{above}"
    return text.replace(above, above + added)


def follow(guide: str, folder: Path) -> list[Path]:
    """Do what a guide's blocks say in a copy of the pack; the files that are new."""
    new = []
    for language, what, name, block in BLOCK.findall(guide):
        path = folder / name
        if what == "merge":
            path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **json.loads(block)}), "utf-8")
        elif language == "diff":
            path.write_text(add(path.read_text("utf-8"), block), "utf-8")
        else:
            assert not path.exists(), f"{name} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, "utf-8")
            new.append(path)
    return new


def copy_of_the_pack(folder: Path) -> Path:
    """What the guide changes is copied, the rest is linked or copied."""
    ignore = shutil.ignore_patterns("__pycache__", ".*", "output")
    for path in PROJECT.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name != "output":
            shutil.copytree(path, folder / path.name, ignore=ignore)
        elif path.is_file() and path.suffix in (".py", ".toml", ".txt", ".md", ""):
            shutil.copy2(path, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    folder = copy_of_the_pack(tmp_path_factory.mktemp("followed"))
    return folder, follow(GUIDE.read_text("utf-8"), folder)


def test_the_guide_makes_a_guard_with_everything_that_belongs_to_one(followed):
    folder, new = followed
    assert {path.relative_to(folder).parts[0] for path in new} == {"guards", "nodes", "tests", "web", "workflows"}


def test_the_guides_guard_passes_its_tests_and_the_houses_in_the_host(followed, host_path):
    folder, _ = followed

    def run(*command):
        done = subprocess.run(
            [sys.executable, folder / "tools" / "setup" / "launch.py", *command],
            cwd=folder,
            env={**os.environ, "CONCEPT_GUARDS_HOST": str(host_path)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    run("tools.testing.contract")
    done = run("tools.run_tests", "-v", "-p", "no:cacheprovider", *(str(folder / name) for name in MUST_PASS))
    assert re.search(r"test_factor_two_is_twice_the_cfg PASSED", done.stdout), done.stdout
    assert "GuardScaleGuidance" in done.stdout, "the pack's own tests do not see the new node"


def test_the_guides_graph_is_made_of_its_nodes_and_whole(followed):
    folder, _ = followed
    graph = json.loads((folder / "workflows" / "scale_guidance.json").read_text("utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link, source, output, target, slot, kind in graph["links"]:
        assert link in nodes[source]["outputs"][output]["links"] and nodes[source]["outputs"][output]["type"] == kind
        assert nodes[target]["inputs"][slot]["link"] == link and nodes[target]["inputs"][slot]["type"] == kind


@pytest.mark.lint
def test_the_guides_code_is_in_the_projects_style(followed):
    folder, new = followed
    code = [str(path) for path in new if path.suffix == ".py"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, folder / "tools" / "setup" / "launch.py", "ruff", *command, *code],
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_lines_are_added_only_where_the_place_is_certain():
    assert add("a\nb\nc\n", " b\n+new\n") == "a\nb\nnew\nc\n"
    for text in ("a\n", "b\nb\n"):
        with pytest.raises(AssertionError, match="times"):
            add(text, " b\n+new\n")


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def dead_links(page: Path) -> list[str]:
    """Relative links of a Markdown file that lead to no file, or to no heading of one."""
    dead = []
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    pictures = re.findall(r"!\[[^\]\n]*\]\(([^)\s]+)\)", text)
    for link in [*LINK.findall(text), *pictures]:
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, fragment = link.partition("#")
        target = page.parent / unquote(name) if name else page
        if not target.exists():
            dead.append(link)
        elif fragment and target.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            if fragment not in map(anchor, headings):
                dead.append(link)
    return dead


def test_no_page_links_to_what_is_not_there():
    pages = [path for path in PROJECT.rglob("*.md") if not NOT_OURS & set(path.relative_to(PROJECT).parts)]
    assert len(pages) > 20
    found = {str(page.relative_to(PROJECT)): dead for page in pages if (dead := dead_links(page))}
    assert not found, found


def test_a_dead_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](gone.md) [b](#a-heading) [c](#no) [d](page.md#a-heading) ![e](no.png)", "utf-8")
    assert dead_links(page) == ["gone.md", "#no", "no.png"]
