"""What a graph from the API, a link or a script may bring into a node: every number and choice outside the schema is refused by name."""

import asyncio
import inspect
import math

import pytest

from tools.testing import contract, hosting

NUMBERS = [
    (node, one["id"])
    for node, promise in contract.read().items()
    for one in promise["inputs"]
    if one["type"] in ("INT", "FLOAT")
]
CHOICES = [
    (node, one["id"]) for node, promise in contract.read().items() for one in promise["inputs"] if one.get("options")
]
pytestmark = pytest.mark.both_hosts


def inputs(node) -> dict:
    """A value for each input: its default, the first of a list, and for a socket something that no node can use."""
    values = {}
    for one in node.define_schema().inputs:
        default = getattr(one, "default", None)
        values[one.id] = default if default is not None else next(iter(getattr(one, "options", None) or [object()]))
    return values


def run(node, **changed):
    done = node.execute(**(inputs(node) | changed))
    return asyncio.run(done) if inspect.iscoroutine(done) else done


def limits(node, name):
    return next((one.min, one.max) for one in node.define_schema().inputs if one.id == name)


def test_every_number_of_every_node_is_here(nodes):
    """Guards the two lists above, which come from a file."""
    found = [
        (name, one.id)
        for name, node in nodes.items()
        for one in node.define_schema().inputs
        if one.get_io_type() in ("INT", "FLOAT")
    ]
    assert sorted(found) == sorted(NUMBERS) and len(NUMBERS) > 70
    assert all(None not in limits(nodes[node], name) for node, name in NUMBERS), "a number without a range"


@pytest.mark.parametrize("node, name", NUMBERS)
def test_a_number_that_the_schema_does_not_allow_is_refused_by_name(nodes, node, name):
    low, high = limits(nodes[node], name)
    beyond = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf)) if isinstance(low, float) else ()
    for bad in (float("nan"), float("inf"), -float("inf"), low - 1, high + 1, *beyond, 10**30, None, "many"):
        if bad is None and next(one.optional for one in nodes[node].define_schema().inputs if one.id == name):
            continue
        with pytest.raises(ValueError, match=f"^{name} is "):
            run(nodes[node], **{name: bad})


@pytest.mark.parametrize("node, name", CHOICES)
def test_a_choice_that_is_not_on_the_list_is_refused_by_name(nodes, node, name):
    with pytest.raises(ValueError, match=f"^{name} is 'no such thing': choose one of "):
        run(nodes[node], **{name: "no such thing"})


def test_the_bounds_themselves_are_allowed(nodes):
    checks = hosting.module("guards.host.checks")
    for node, name in NUMBERS:
        for good in limits(nodes[node], name):
            checks.inputs(nodes[node], **{name: good})


def test_a_number_that_is_not_whole_is_no_count(nodes):
    with pytest.raises(ValueError, match="steps is 2.5: give a whole number"):
        run(nodes["GuardSelfDistill"], steps=2.5)


def test_an_optional_input_that_is_not_connected_is_no_error(nodes):
    hosting.module("guards.host.checks").inputs(nodes["GuardFairSteer"], strength=None, seed=0)
