"""Workflow files become API graphs as the front end would make them."""

import pytest

from tools.pictures import demo
from tools.pictures.story import tell
from tools.serving import graph as graphs
from tools.setup.cache import SetupError

INFO = {
    "Load": {"input": {"required": {"name": ["COMBO", {"options": ["a"]}]}}, "display_name": "Load Model"},
    "Text": {"input": {"required": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}}},
    "KSampler": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "seed": ["INT", {"control_after_generate": True}],
                "steps": ["INT", {}],
                "cfg": ["FLOAT", {}],
                "sampler_name": [["euler", "ddim"]],
                "positive": ["CONDITIONING"],
                "negative": ["CONDITIONING"],
            },
            "optional": {"note": ["STRING", {"forceInput": True}], "denoise": ["FLOAT", {}]},
        }
    },
    "GuardX": {"input": {"required": {"model": ["MODEL"], "strength": ["FLOAT", {}]}}, "display_name": "Guard X"},
    "SaveImage": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}}},
}


def node(id, type, inputs=(), outputs=(), values=(), mode=0, **more):
    return {
        "id": id,
        "type": type,
        "mode": mode,
        "widgets_values": list(values),
        **more,
        "inputs": [{"name": name, "type": kind, "link": link} for name, kind, link in inputs],
        "outputs": [{"name": kind, "type": kind, "links": []} for kind in outputs],
    }


def workflow(guard_mode=0, reroute_mode=0):
    return {
        "nodes": [
            node(1, "Load", outputs=["MODEL", "CLIP"], values=["a"]),
            node(2, "GuardX", [("model", "MODEL", 1)], ["MODEL"], [0.5], mode=guard_mode),
            node(3, "Reroute", [("", "*", 2)], ["*"], mode=reroute_mode),
            node(4, "Text", [("clip", "CLIP", 3)], ["CONDITIONING"], ["a beer on the beach"]),
            node(
                5,
                "KSampler",
                [("model", "MODEL", 4), ("positive", "CONDITIONING", 5), ("negative", "CONDITIONING", 6)],
                ["IMAGE"],
                [7, "randomize", 20, 4.5, "euler", 1.0],
            ),
            node(6, "SaveImage", [("images", "IMAGE", 7)], [], ["x"], title="After"),
            node(7, "Note", values=["hello"]),
        ],
        "links": [
            [1, 1, 0, 2, 0, "MODEL"],
            [2, 2, 0, 3, 0, "MODEL"],
            [3, 1, 1, 4, 0, "CLIP"],
            [4, 3, 0, 5, 0, "MODEL"],
            [5, 4, 0, 5, 1, "CONDITIONING"],
            [6, 4, 0, 5, 2, "CONDITIONING"],
            [7, 5, 0, 6, 0, "IMAGE"],
        ],
    }


def test_widgets_are_read_by_position_past_the_control_field():
    graph = graphs.to_api(workflow(), INFO)
    values = {k: v for k, v in graph["5"]["inputs"].items() if not graphs.is_link(v)}
    assert values == {"seed": 7, "steps": 20, "cfg": 4.5, "sampler_name": "euler", "denoise": 1.0}


def test_links_pass_through_reroutes_and_notes_vanish():
    graph = graphs.to_api(workflow(), INFO)
    assert graph["5"]["inputs"]["model"] == ["2", 0]
    assert set(graph) == {"1", "2", "4", "5", "6"}


def test_a_bypassed_node_is_routed_around():
    graph = graphs.to_api(workflow(guard_mode=graphs.BYPASSED), INFO)
    assert graph["5"]["inputs"]["model"] == ["1", 0] and "2" not in graph


def test_a_muted_node_leaves_its_readers_without_input():
    graph = graphs.to_api(workflow(guard_mode=graphs.MUTED), INFO)
    assert "model" not in graph["5"]["inputs"] and "2" not in graph


def test_links_written_as_objects_are_read_too():
    changed = workflow()
    changed["links"] = [
        dict(id=a, origin_id=b, origin_slot=c, target_id=d, target_slot=e, type=f)
        for a, b, c, d, e, f in changed["links"]
    ]
    assert graphs.to_api(changed, INFO) == graphs.to_api(workflow(), INFO)


def test_unknown_nodes_and_sub_graphs_are_refused_by_name():
    with pytest.raises(graphs.GraphError, match="node 1 is a Load"):
        graphs.to_api(workflow(), {name: info for name, info in INFO.items() if name != "Load"})
    with pytest.raises(graphs.GraphError, match="sub-graphs"):
        graphs.to_api({**workflow(), "definitions": {"subgraphs": [{}]}}, INFO)


def test_values_change_by_title_or_type_and_mistakes_are_told():
    graph = graphs.to_api(workflow(), INFO)
    assert graphs.change(graph, {"steps": 3}, type="KSampler") == ["5"] and graph["5"]["inputs"]["steps"] == 3
    assert graphs.change(graph, {"filename_prefix": "y"}, title="after") == ["6"]
    with pytest.raises(graphs.GraphError, match="no node"):
        graphs.change(graph, {"steps": 3}, type="Nothing")
    with pytest.raises(graphs.GraphError, match="no input stepz"):
        graphs.change(graph, {"stepz": 3}, type="KSampler")


def test_the_story_names_prompt_guard_and_sampler():
    story = tell(graphs.to_api(workflow(), INFO), "6")
    assert story.prompt == "a beer on the beach"
    assert story.guards == ["Guard X (strength 0.5)"]
    assert story.sampler == "steps 20, cfg 4.5, euler, seed 7"


def test_the_story_names_what_a_concept_guard_is_told_without_arrows_and_notes():
    concepts = "# what must not appear\nbeer -> milk\nbomb"
    graph = {
        "1": {"class_type": "GuardConcepts", "inputs": {"concepts": concepts}, "_meta": {"title": "Concept Guard"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}, "_meta": {"title": "after"}},
    }
    assert tell(graph, "2").concepts == "beer, bomb"


def test_the_demo_s_prompt_is_written_over_where_its_samplers_have_it_from():
    graph = {
        "1": {"inputs": {"text": "a party", "clip": ["9", 1]}},
        "2": {"inputs": {"text": "", "clip": ["9", 1]}},
        "3": {"inputs": {"positive": ["1", 0], "negative": ["2", 0], "seed": 1}},
        "4": {"inputs": {"samples": ["3", 0]}},
        "5": {"inputs": {"images": ["4", 0]}},
    }
    demo.set_prompt(graph, ("5",), "a dog")
    assert graph["1"]["inputs"]["text"] == "a dog" and graph["2"]["inputs"]["text"] == ""
    with pytest.raises(SetupError, match="--prompt: this workflow has no node"):
        demo.set_prompt({"5": graph["5"], "4": {"inputs": {}}}, ("5",), "a dog")
