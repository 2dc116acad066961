"""Every node is explained: tooltips, help page, both languages, and a workflow that shows it."""

import json
import re

import pytest

from tools.testing import hosting

PROJECT = hosting.PROJECT
pytestmark = [
    pytest.mark.both_hosts,
    pytest.mark.skipif(not (PROJECT / "__init__.py").is_file(), reason="the pack has no __init__.py yet"),
]
# Names that users and saved graphs depend on; see the README's table of nodes.
FROZEN = {
    "GuardDemoModel": [],
    "GuardForbiddenConcepts": ["preset", "concepts"],
    "GuardSafeLatentDiffusion": [
        "model",
        "safety_concept",
        "preset",
        "guidance_scale",
        "warmup_steps",
        "threshold",
        "momentum_scale",
        "momentum_beta",
    ],
    "GuardPromptIntervention": ["model", "query", "rewritten", "ratio"],
    "GuardRewritePrompt": ["rewriter", "query", "concepts", "instruction", "on_failure", "attempts", "seed"],
    "GuardRewriterEndpoint": ["endpoint", "model_name", "max_length", "temperature", "timeout"],
    "GuardRewriterRules": ["rules"],
    "GuardLoadDirection": ["file", "concept"],
    "GuardSaveDirection": ["direction", "filename"],
    "GuardCombineDirections": ["a", "b", "weight_a", "weight_b"],
    "GuardSteerDirection": ["model", "direction", "strength", "start_percent", "end_percent"],
    "GuardFairSteer": ["model", "a", "b"],
    "GuardDiscoverDirection": [
        "model",
        "target",
        "base",
        "negative",
        "name",
        "images",
        "steps",
        "learning_rate",
        "batch_size",
        "seed",
        "sampler_name",
        "scheduler",
        "cfg",
        "sample_steps",
        "width",
        "height",
    ],
    "GuardRateImages": ["images", "prompt", "concept", "set_name"],
    "GuardLoadFeedback": ["set_name"],
    "GuardResponsiblePrompt": ["model", "prompt", "mapping", "strength", "seed", "remove_words"],
    "GuardInvertFeedback": ["model", "clip", "vae", "feedback", "name", "tokens", "steps", "learning_rate", "seed"],
    "GuardLoadFeedbackToken": ["clip", "token", "template"],
    "GuardSelfDistill": [
        "model",
        "concept",
        "empty",
        "steps",
        "learning_rate",
        "rank",
        "batch_size",
        "sample_steps",
        "width",
        "height",
        "seed",
    ],
    "GuardGrowthInhibitor": ["model", "clip", "text", "targets", "scale", "mode", "adapter", "cross_end", "self_end"],
    "GuardLoadAdapter": ["adapter_name"],
    "GuardSaveAdapter": ["adapter", "filename"],
}


@pytest.fixture(scope="module")
def schemas(host):
    return {name: cls.GET_SCHEMA() for name, cls in hosting.node_classes().items()}


def texts(language: str) -> dict:
    path = PROJECT / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def test_ids_and_categories_follow_the_rule(schemas):
    assert schemas
    wrong = [
        name
        for name, schema in schemas.items()
        if not name.startswith("Guard") or not schema.category.startswith("guards")
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("name", FROZEN)
def test_the_contract_with_saved_graphs_holds(schemas, name):
    if name not in schemas:
        pytest.fail(f"{name} is gone: saved graphs that hold it no longer load")
    names = [one.id for one in schemas[name].inputs]
    assert names[: len(FROZEN[name])] == FROZEN[name], "inputs may only be added at the end"
    assert all(one.optional for one in schemas[name].inputs[len(FROZEN[name]) :])


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
    if not any(page.is_file() for page in pages.values()):
        pytest.skip("no help pages yet")
    missing = [
        name for name, page in pages.items() if not page.is_file() or len(page.read_text(encoding="utf-8")) < 200
    ]
    assert not missing, missing
    unknown = [page.name for page in (PROJECT / "web" / "docs").glob("Guard*.md") if page.stem not in schemas]
    assert not unknown, unknown


def test_pictures_in_help_pages_exist(schemas):
    for page in (PROJECT / "web" / "docs").rglob("*.md"):
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", page.read_text(encoding="utf-8")):
            assert "://" not in target and (page.parent / target).is_file(), f"{page.name}: {target}"


def test_every_node_appears_in_a_workflow(schemas):
    used = {
        node["type"]
        for path in (PROJECT / "workflows").glob("*.json")
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]
    }
    if not used:
        pytest.skip("no workflows yet")
    missing = sorted(set(schemas) - used)
    assert not missing, missing


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_node_and_input_is_translated(schemas, language):
    known, missing = texts(language), []
    if not (PROJECT / "locales" / "en" / "nodeDefs.json").is_file():
        pytest.skip("no locales yet")
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
    assert not stale, stale
