"""Saved graphs go on working: the nodes are what tests/pack/contract.json says, but for what was added at the end.

After adding a node or an optional input, `python3 run.py contract` writes it into the file. It refuses every other change.
"""

import copy

import pytest

from tools.testing import contract, hosting


@pytest.fixture(scope="module")
def now(host):
    return {name: contract.promise(cls.GET_SCHEMA()) for name, cls in hosting.node_classes().items()}


@pytest.mark.both_hosts
def test_the_contract_with_saved_graphs_holds(now):
    broken = contract.breaks(contract.read(), now)
    assert not broken, "\n".join(broken)


@pytest.mark.both_hosts
def test_every_node_and_input_is_in_the_contract(now):
    missing = contract.unwritten(contract.read(), now)
    assert not missing, f"run `python3 run.py contract`: {missing}"


@pytest.mark.both_hosts
def test_lists_that_the_machine_fills_are_named_and_no_others(now):
    for node, inputs in contract.LISTED.items():
        there = {one["id"]: one for one in now[node]["inputs"]}
        assert all(there[name]["type"] == "COMBO" for name in inputs)
    free = [
        f"{node}.{one['id']}"
        for node, promise in now.items()
        for one in promise["inputs"]
        if one["type"] == "COMBO" and "options" not in one and one["id"] not in contract.LISTED.get(node, ())
    ]
    assert not free, free


NODE = "GuardSafeLatentDiffusion"


def change(node=NODE, place=None, **facts):
    def apply(promises):
        (promises[node] if place is None else promises[node]["inputs"][place]).update(facts)

    return apply


def without(node, key, place):
    return lambda promises: promises[node][key].pop(place)


BREAKS = {
    "a node is gone": lambda promises: promises.pop(NODE),
    "its name": change(display_name="SLD"),
    "its category": change(category="other"),
    "it is run for itself no more": change("GuardSaveDirection", is_output_node=False),
    "an input is gone": without(NODE, "inputs", 3),
    "the last input is gone": without(NODE, "inputs", -1),
    "inputs have changed places": lambda promises: promises[NODE]["inputs"].insert(3, promises[NODE]["inputs"].pop(4)),
    "an optional input was put in the middle": lambda promises: promises[NODE]["inputs"].insert(
        3, {"id": "new", "type": "INT", "optional": True}
    ),
    "an input must be given now": change(place=9, optional=False),
    "an input's id": change(place=3, id="scale"),
    "an input's type": change(place=3, type="INT"),
    "a default": change(place=3, default=999.0),
    "a default's type": change(place=3, default=1000),
    "a minimum": change(place=3, min=1.0),
    "a maximum": change(place=3, max=10.0),
    "a step": change(place=3, step=2.0),
    "an option is gone": change(place=2, options=["weak", "medium", "strong", "custom"]),
    "options have changed places": change(place=2, options=["medium", "weak", "strong", "max", "custom"]),
    "a text has one line now": change("GuardForbiddenConcepts", 1, multiline=False),
    "a new input must be given": lambda promises: promises[NODE]["inputs"].append(
        {"id": "new", "type": "INT", "optional": False}
    ),
    "an output is gone": without("GuardRewritePrompt", "outputs", 1),
    "outputs have changed places": lambda promises: promises["GuardRewritePrompt"]["outputs"].reverse(),
    "an output's name": lambda promises: promises[NODE]["outputs"][0].update(name="guarded"),
    "an output's type": lambda promises: promises[NODE]["outputs"][0].update(type="LATENT"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_contract_sees_each_kind_of_break(what):
    changed = copy.deepcopy(contract.read())
    BREAKS[what](changed)
    assert changed != contract.read() or what == "a default's type"
    assert contract.breaks(contract.read(), changed)


def test_a_new_node_and_an_optional_input_at_the_end_break_nothing_and_are_asked_for():
    changed = copy.deepcopy(contract.read())
    changed["GuardNew"] = copy.deepcopy(changed[NODE])
    changed[NODE]["inputs"].append({"id": "new", "type": "INT", "optional": True})
    assert not contract.breaks(contract.read(), changed)
    assert contract.unwritten(contract.read(), changed) == ["GuardNew", f"{NODE}.new"]


def test_an_option_at_the_end_breaks_nothing_and_is_asked_for():
    changed = copy.deepcopy(contract.read())
    changed[NODE]["inputs"][2]["options"].append("new")
    assert not contract.breaks(contract.read(), changed)
    assert contract.unwritten(contract.read(), changed) == [f"{NODE}.{changed[NODE]['inputs'][2]['id']}'s options"]


@pytest.mark.parametrize("step, fine", [(16, True), (24, False), (128, False), (0, False), (16.0, False)])
def test_a_finer_step_breaks_nothing_where_all_values_that_there_were_are_left(step, fine):
    """Of whole numbers, counted from the same minimum."""
    written = {NODE: copy.deepcopy(contract.read()[NODE])}
    written[NODE]["inputs"].append({"id": "size", "type": "INT", "optional": True, "min": 64, "step": 64})
    changed = copy.deepcopy(written)
    changed[NODE]["inputs"][-1]["step"] = step
    assert (not contract.breaks(written, changed)) == fine
    assert contract.unwritten(written, changed) == ([f"{NODE}.size's step"] if fine else [])
