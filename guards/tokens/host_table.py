"""Which guards know the inside of which of the host's model families, as a table for the help page."""

from typing import NamedTuple

from ..directions import host_discovery
from ..host import checks, dit
from .host_layouts import layout


class Row(NamedTuple):
    """What is claimed of a family; empty texts: refused by name."""

    directions: str  # by which methods they are discovered
    inhibitor: str  # what the targets' keys are read off


def row(model) -> Row:
    """For one MODEL."""
    known = layout(model)
    directions = "" if dit.stack(model) is None else "means"
    if directions and not host_discovery.backward_fails(model):
        directions = "gradient, means"
    return Row(directions, "" if known is None else "the whole latents" if known.whole else "one token")


def markdown(models: dict) -> str:
    """A table of MODELs by name, one line for all of one name and row."""
    lines = ["| model | directions are discovered by | Growth Inhibitor reads its keys off |", "|---|---|---|"]
    found = dict.fromkeys((checks.model_name(model), *row(model)) for model in models.values())
    lines += [
        f"| {name} | {directions or 'refused'} | {keys or 'refused'} |" for name, directions, keys in sorted(found)
    ]
    return "\n".join(lines)
