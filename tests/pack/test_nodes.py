"""Every node is explained: tooltips, help page, both languages, and a workflow that shows it."""

import json
import re

import pytest

from tools.testing import hosting

PROJECT = hosting.PROJECT
pytestmark = pytest.mark.both_hosts


def texts(language: str) -> dict:
    return json.loads((PROJECT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_ids_and_categories_follow_the_rule(schemas):
    assert schemas
    wrong = [
        name
        for name, schema in schemas.items()
        if not name.startswith("Guard") or not schema.category.startswith("guards")
    ]
    assert not wrong, wrong


def test_every_node_and_input_says_what_it_is_for(schemas):
    silent = [name for name, schema in schemas.items() if not (schema.description or "").strip()]
    silent += [
        f"{name}.{one.id}"
        for name, schema in schemas.items()
        for one in schema.inputs
        if not (one.tooltip or "").strip()
    ]
    assert not silent, silent


def test_every_node_has_a_help_page(schemas):
    pages = {name: PROJECT / "web" / "docs" / f"{name}.md" for name in schemas}
    missing = [
        name for name, page in pages.items() if not page.is_file() or len(page.read_text(encoding="utf-8")) < 200
    ]
    assert not missing, missing
    unknown = [page.name for page in (PROJECT / "web" / "docs").glob("Guard*.md") if page.stem not in schemas]
    assert not unknown, f"{unknown}: of no node that the pack loads; is its file named in __init__.py?"


def test_the_readme_names_every_node(schemas):
    text = (PROJECT / "README.md").read_text("utf-8")
    unnamed = [
        schema.display_name for schema in schemas.values() if not schema.is_dev_only and schema.display_name not in text
    ]
    assert not unnamed, unnamed


def test_pictures_in_help_pages_exist(schemas):
    pages = list((PROJECT / "web" / "docs").rglob("*.md"))
    assert len(pages) >= len(schemas)
    for page in pages:
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", page.read_text(encoding="utf-8")):
            assert "://" not in target and (page.parent / target).is_file(), f"{page.name}: {target}"


def test_every_node_appears_in_a_workflow(schemas):
    used = {
        node["type"]
        for path in (PROJECT / "workflows").glob("*.json")
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]
    }
    seen = {
        name for name, schema in schemas.items() if not schema.is_dev_only
    }  # others are put in by the server, never by a person
    assert not seen - used, sorted(seen - used)
    assert not (set(schemas) - seen) & used


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_node_and_input_is_translated(schemas, language):
    known, missing = texts(language), []
    for name, schema in schemas.items():
        entry = known.get(name, {})
        missing += [f"{name}.{key}" for key in ("display_name", "description") if not entry.get(key)]
        inputs = entry.get("inputs", {})
        missing += [
            f"{name}.inputs.{one.id}.{key}"
            for one in schema.inputs
            for key in ("name", "tooltip")
            if not inputs.get(one.id, {}).get(key)
        ]
        missing += [
            f"{name}.outputs.{place}"
            for place in range(len(schema.outputs))
            if not entry.get("outputs", {}).get(str(place), {}).get("name")
        ]
    assert not missing, missing
    stale = [
        f"{name}.inputs.{key}"
        for name in known
        for key in known[name].get("inputs", {})
        if name not in schemas or key not in [one.id for one in schemas[name].inputs]
    ]
    assert not stale, f"{stale}: of no node that the pack loads; is its file named in __init__.py?"
