"""The English texts are the nodes' own: the front end shows the translation file's, so an old one there would hide what a node says."""

import json

import pytest

from tools.testing import hosting

NODES = json.loads((hosting.PROJECT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))


def spoken(schema) -> dict:
    """A node's texts as the translation file holds them."""
    texts = {"display_name": schema.display_name, "description": schema.description}
    if schema.inputs:
        texts["inputs"] = {
            one.id: {"name": one.display_name or one.id, "tooltip": one.tooltip} for one in schema.inputs
        }
    if schema.outputs:
        texts["outputs"] = {str(place): {"name": one.display_name} for place, one in enumerate(schema.outputs)}
    return texts


@pytest.mark.parametrize("name", NODES)
def test_the_english_texts_are_those_of_the_node(schemas, name):
    assert NODES[name] == spoken(schemas[name])
