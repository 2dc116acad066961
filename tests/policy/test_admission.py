"""What a graph may hold under a policy, and where the guards are put in."""

import copy

import pytest

from guards.policy import admission
from guards.policy.admission import MODEL_NODE, OUTPUT_NODE, PREFIX, TEXT_NODE, Kind
from guards.policy.rules import Concept, Policy
from guards.policy.sayings import Refusal

KINDS = {
    "Loader": Kind(("MODEL", "CLIP", "VAE")),
    "Lora": Kind(("MODEL", "CLIP")),
    "Encode": Kind(("CONDITIONING",)),
    "Sampler": Kind(("LATENT",)),
    "Efficient": Kind(("MODEL", "LATENT", "IMAGE")),
    "Decode": Kind(("IMAGE",)),
    "Save": Kind((), is_output=True),
    "Cloud": Kind(("IMAGE",), is_cloud=True),
    "Any": Kind(("*",)),
    "Join": Kind(("STRING",)),
}
POLICY = Policy(1, (Concept("gun"), Concept("blood", "refuse")), check_images="block", fingerprint="f")
GRAPH = {
    "1": {"class_type": "Loader", "inputs": {}},
    "2": {"class_type": "Lora", "inputs": {"model": ["1", 0], "clip": ["1", 1]}},
    "3": {"class_type": "Encode", "inputs": {"text": "a farmer", "clip": ["2", 1]}},
    "4": {"class_type": "Encode", "inputs": {"text": "", "clip": ["2", 1]}},
    "5": {
        "class_type": "Sampler",
        "inputs": {"model": ["2", 0], "positive": ["3", 0], "negative": ["4", 0], "steps": 20},
    },
    "6": {"class_type": "Decode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "Save", "inputs": {"images": ["6", 0]}},
}


def names(text):
    return "blood" if "blood" in text else None


def changed(node, **inputs):
    graph = copy.deepcopy(GRAPH)
    graph[node]["inputs"] |= inputs
    return graph


def refused(graph, **policy):
    policy = Policy(**{**{key: getattr(POLICY, key) for key in Policy.__dataclass_fields__}, **policy})
    return admission.refuse(graph, policy, KINDS.get, names)


def test_a_harmless_graph_is_let_in():
    assert refused(GRAPH) is None


@pytest.mark.parametrize(
    "graph, rule, node",
    [
        ([], "graph", ""),
        ({"1": 5}, "graph", "1"),
        ({"1": {"class_type": "Save", "inputs": []}}, "graph", "1"),
        ({"1": {"inputs": {}}}, "graph", "1"),
        ({**GRAPH, "8": {"class_type": "Cloud", "inputs": {}}}, "cloud", "8"),
        ({**GRAPH, "8": {"class_type": MODEL_NODE, "inputs": {}}}, "internal", "8"),
        ({**GRAPH, f"{PREFIX}1": {"class_type": "Save", "inputs": {}}}, "internal", f"{PREFIX}1"),
        (changed("5", model=["2", -3]), "links", "5"),
        (changed("5", model=["2", 0.0]), "links", "5"),
        (changed("5", model=["2", True]), "links", "5"),
        (changed("5", model={"__value__": ["2", 0]}), "links", "5"),
        (changed("3", text="blood on a wall"), "text", "3"),
        (changed("3", text="x" * 200_000), "size", "3"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_name_and_its_node(graph, rule, node):
    found = refused(graph)
    assert (found.rule, found.node) == (rule, node) and found.reason().endswith(".")


def test_lists_of_nodes_and_their_number():
    assert refused(GRAPH, deny=("Lora",)).rule == "nodes"
    assert refused(GRAPH, nodes="listed", allow=tuple(KINDS)) is None
    assert refused(GRAPH, nodes="listed", allow=("Loader",)).class_type == "Lora"
    assert refused(GRAPH, most_nodes=6).rule == "size"
    assert refused({**GRAPH, "8": {"class_type": "Cloud", "inputs": {}}}, cloud=True) is None


def test_a_concept_in_the_negative_prompt_is_no_wish():
    assert refused(changed("4", text="blood")) is None
    both = changed("4", text="blood")
    both["8"] = {"class_type": "Sampler", "inputs": {"model": ["2", 0], "positive": ["4", 0], "negative": ["3", 0]}}
    assert refused(both).node == "4"
    assert refused({**GRAPH, "8": {"class_type": "Encode", "inputs": {"text": "blood"}}}).node == "8"


def test_the_guard_stands_before_whatever_samples_and_nowhere_else():
    woven = admission.guarded(GRAPH, POLICY, KINDS.get)
    made = {name: node for name, node in woven.items() if name.startswith(PREFIX)}
    model = woven["5"]["inputs"]["model"][0]
    assert made[model] == {
        "class_type": MODEL_NODE,
        "inputs": {"model": ["2", 0], "fingerprint": "f en", "clip": ["2", 1]},
    }
    assert woven["2"]["inputs"]["model"] == ["1", 0]
    assert made[woven["7"]["inputs"]["images"][0]]["class_type"] == OUTPUT_NODE and len(made) == 2
    assert GRAPH["5"]["inputs"]["model"] == ["2", 0]  # the submitted graph is not touched


def test_nodes_that_sample_and_patch_and_links_of_any_type_are_guarded_too():
    graph = copy.deepcopy(GRAPH)
    graph["5"] = {"class_type": "Efficient", "inputs": {"model": ["2", 0], "positive": ["3", 0]}}
    graph["8"] = {"class_type": "Any", "inputs": {"anything": ["2", 0]}}
    graph["9"] = {"class_type": "Sampler", "inputs": {"model": ["8", 0], "positive": ["3", 0]}}
    woven = admission.guarded(graph, POLICY, KINDS.get)
    assert all(woven[node]["inputs"]["model"][0].startswith(PREFIX) for node in ("5", "9"))
    assert woven["8"]["inputs"]["anything"][0].startswith(PREFIX)  # whatever comes out of it is guarded already


def test_texts_that_are_made_while_the_graph_runs_are_read():
    graph = changed("3", text=["8", 0])
    graph["8"] = {"class_type": "Join", "inputs": {"a": "bl", "b": "ood"}}
    woven = admission.guarded(graph, POLICY, KINDS.get)
    assert woven[woven["3"]["inputs"]["text"][0]]["class_type"] == TEXT_NODE
    steering = Policy(1, (Concept("gun"),), fingerprint="f")
    assert admission.guarded(graph, steering, KINDS.get)["3"]["inputs"]["text"] == ["8", 0]


def test_a_model_without_a_text_encoder_is_refused():
    graph = {"1": GRAPH["1"], "5": {"class_type": "Sampler", "inputs": {"model": ["1", 0]}}}
    found = admission.guarded(graph, POLICY, KINDS.get)
    assert isinstance(found, Refusal) and (found.rule, found.node) == ("encoder", "5")


def test_a_node_without_prompts_is_guarded_with_the_graphs_own_encoder():
    graph = copy.deepcopy(GRAPH)
    graph["8"] = {"class_type": "Schedule", "inputs": {"model": ["1", 0]}}
    graph["5"]["inputs"]["sigmas"] = ["8", 0]
    woven = admission.guarded(graph, POLICY, {**KINDS, "Schedule": Kind(("SIGMAS",))}.get)
    assert woven[woven["8"]["inputs"]["model"][0]]["inputs"]["clip"] in (["1", 1], ["2", 1])


def test_a_circle_is_refused():
    graph = {**GRAPH, "2": {"class_type": "Lora", "inputs": {"model": ["2", 0], "clip": ["1", 1]}}}
    assert admission.guarded(graph, POLICY, KINDS.get).rule == "graph"


def test_pictures_that_are_brought_along_are_looked_at_before_they_are_used():
    graph = copy.deepcopy(GRAPH)
    graph["8"] = {"class_type": "Upload", "inputs": {"image": "beach.png"}}
    graph["9"] = {"class_type": "Encode image", "inputs": {"pixels": ["8", 0], "vae": ["1", 2]}}
    graph["10"] = {"class_type": "Blend", "inputs": {"a": ["8", 0], "b": ["6", 0]}}
    graph["11"] = {"class_type": "Blur", "inputs": {"image": ["10", 0]}}
    kinds = {**KINDS, "Upload": Kind(("IMAGE", "MASK")), "Encode image": Kind(("LATENT",))}
    kinds |= dict.fromkeys(("Blend", "Blur"), Kind(("IMAGE",)))
    woven = admission.guarded(graph, POLICY, kinds.get)
    gate = woven["9"]["inputs"]["pixels"][0]
    assert woven[gate] == {"class_type": OUTPUT_NODE, "inputs": {"images": ["8", 0], "fingerprint": "f en"}}
    assert woven["10"]["inputs"] == {"a": [gate, 0], "b": ["6", 0]}
    assert woven["11"]["inputs"]["image"] == ["10", 0]  # what the graph has made is looked at where it leaves
    off = Policy(1, (Concept("gun"),), fingerprint="f")
    assert admission.guarded(graph, off, kinds.get)["9"]["inputs"]["pixels"] == ["8", 0]


def test_the_nodes_that_are_put_in_know_the_users_language():
    woven = admission.guarded(GRAPH, POLICY, KINDS.get, "zh")
    stamps = {node["inputs"]["fingerprint"] for name, node in woven.items() if name.startswith(PREFIX)}
    assert stamps == {"f zh"}


def test_the_failing_graph_says_why():
    graph = admission.failing("No. (rule: cloud)")
    assert [node["class_type"] for node in graph.values()] == [OUTPUT_NODE]
    assert graph[f"{PREFIX}1"]["inputs"]["refusal"] == "No. (rule: cloud)"
