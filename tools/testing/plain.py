"""A graph of the host's own nodes, worked as the tests work ours: what that makes the page complain about is not our doing."""

from __future__ import annotations

import json

from tools.testing.frontend import FrontEnd

GRAPH = {
    "last_node_id": 2,
    "last_link_id": 1,
    "version": 0.4,
    "groups": [],
    "config": {},
    "extra": {},
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "pos": [100, 100],
            "size": [300, 130],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "properties": {},
            "widgets_values": [64, 64, 1, 255],
        },
        {
            "id": 2,
            "type": "PreviewImage",
            "pos": [500, 100],
            "size": [300, 300],
            "flags": {},
            "order": 1,
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "properties": {},
        },
    ],
}


def work(front_end: FrontEnd) -> None:
    """Drop it, run it, see its picture, drop that picture, read a help page."""
    front_end.drop("plain.json", json.dumps(GRAPH).encode(), 2)
    front_end.run()
    front_end.wait_for_pictures("2", 1)
    front_end.drop("plain.png", front_end.picture("2"), 2)
    front_end.help_of("1")
