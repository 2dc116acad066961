"""The demo: run the graph of the Concept Guard in a real ComfyUI, and lay what it makes without and with the guard side by side."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from .. import PROJECT
from ..serving import graph as graphs
from ..serving.server import Result, prepared_server
from ..setup.cache import SetupError, say
from .story import Story, tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__)
    parser.add_argument(
        "--workflow",
        type=Path,
        default=PROJECT / "workflows" / "concept_guard.json",
        help='a workflow with save nodes titled "before" and "after" (default: %(default)s)',
    )
    parser.add_argument("--prompt", help="another prompt than the workflow's")
    parser.add_argument("--seed", type=int, help="another seed than the workflow's")
    parser.add_argument(
        "--output", type=Path, default=PROJECT / "output" / "demo", help="where the sheet goes (default: %(default)s)"
    )
    options = parser.parse_args()
    if not options.workflow.is_file():
        raise SetupError(f"There is no workflow {options.workflow}.")

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="concept-guards-demo-") as folder:
        say("Starting ComfyUI with the pack (about half a minute) ...")
        with prepared_server(Path(folder)) as server:
            workflow = graphs.load(options.workflow)
            graph = graphs.to_api(workflow, server.object_info())
            if options.seed is not None:
                set_seed(graph, options.seed)
            before, after = save_node(graph, "before"), save_node(graph, "after")
            if options.prompt is not None:
                set_prompt(graph, (before, after), options.prompt)
            say(f"Sampling {options.workflow.name}: the same seeds without and with the guards ...")
            result = server.run(graph, progress=ProgressLine(), workflow=workflow)
            if result.status != "success":
                raise SetupError(
                    f"The graph ended with: {result.error or result.status} (node {result.error_node})\n{server.log_tail()}"
                )
    sheet = make_sheet(result, before, after, tell(graph, after), options.output / "before_after.png")
    say(f"Done in {time.monotonic() - started:.0f} s. The sheet: {sheet}")
    return 0


def set_seed(graph: dict, seed: int) -> None:
    for node in graph.values():
        for name in ("seed", "noise_seed"):
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = seed


def set_prompt(graph: dict, ends: tuple[str, ...], prompt: str) -> None:
    """Put another text into the nodes that the samplers behind ``ends`` have their prompt from. Raises SetupError where one has none."""
    for end in ends:
        made_from = graphs.upstream(graph, end)
        link = next((found for key in made_from if graphs.is_link(found := graph[key]["inputs"].get("positive"))), None)
        behind = graphs.upstream(graph, link[0]) if link else []
        node = next((key for key in behind if isinstance(graph[key]["inputs"].get("text"), str)), None)
        if node is None:
            raise SetupError("--prompt: this workflow has no node with a text behind its sampler's positive input.")
        graph[node]["inputs"]["text"] = prompt


def save_node(graph: dict, word: str) -> str:
    """The output node for one side: titled so, or with the word in its title or file prefix."""
    ids = graphs.find(graph, title=word)
    ids = ids or [
        key
        for key, node in graph.items()
        if "Image" in node["class_type"]
        and is_output(node)
        and word in (node["_meta"]["title"] + str(node["inputs"].get("filename_prefix", ""))).lower()
    ]
    if len(ids) != 1:
        raise SetupError(f'The workflow needs one save node titled "{word}"; it has {len(ids)}.')
    return ids[0]


def is_output(node: dict) -> bool:
    return node["class_type"] in ("SaveImage", "PreviewImage")


def make_sheet(result: Result, before: str, after: str, story: Story, path: Path) -> Path:
    """Both sides as one picture, with what the oracle sees; the same is said on the terminal."""
    from PIL import Image

    from .sheet import Row, draw

    rows = []
    for name, node in (("guard off", before), ("guard on", after)):
        images = [Image.open(io.BytesIO(image.data)).convert("RGB") for image in result.images if image.node == node]
        if not images:
            raise SetupError(f"The graph saved no picture on the side {name!r}.")
        rows.append(Row(name, images, seen(images)))
    notes = [
        f"forbidden: {story.concepts}",
        *rewritten(result),
        f"guards: {' + '.join(story.guards) or 'none found in the graph'}",
        f"sampler: {story.sampler}; the same starting noise in each column",
    ]
    notes += count(story.concepts, rows)
    print()
    for text in (f"prompt: {story.prompt}", *notes):
        print(f"  {text}")
    for row in rows:
        print(f"  {row.name}, as the oracle sees it:")
        for number, caption in enumerate(row.captions, 1):
            print(f"    {number}. {caption}")
    print()
    return draw(f"Prompt: \u201c{story.prompt}\u201d", notes, rows, path)


def rewritten(result: Result) -> list[str]:
    """What a rewriting node made of the prompt, from its report: JSON lines below a sentence."""
    for output in result.outputs.values():
        lines = "".join(part for part in output.get("text", []) if isinstance(part, str)).splitlines()
        for line in lines[1:2]:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and "decision" in found:
                return [f"{found['decision']}: \u201c{found['rewritten']}\u201d"]
    return []


def count(concepts: str, rows: list) -> list[str]:
    """In how many pictures the oracle names a forbidden concept, for each that it knows a word for."""
    said = []
    for concept in filter(None, (part.strip() for part in concepts.replace("\n", ",").split(","))):
        found = [sum(concept in re.findall(r"\w+", caption) for caption in row.captions) for row in rows]
        if any(found):
            said.append(
                f"pictures in which the oracle sees a {concept}: "
                + ", ".join(f"{row.name} {n} of {len(row.images)}" for row, n in zip(rows, found))
            )
    return said


def seen(images: list) -> list[str]:
    """What the oracle sees. Without its file there is still a sheet to look at."""
    import numpy
    import torch

    from ..testing import hosting

    oracle = hosting.module("guards.demo.oracle")

    pixels = (
        torch.stack([torch.from_numpy(numpy.asarray(image).copy()).movedim(-1, 0) for image in images]).float() / 255
    )
    try:
        return oracle.describe(pixels)
    except ValueError as error:
        say(f"The captions stay empty: {error}")
        return [""] * len(images)


class ProgressLine:
    """One line that counts on a terminal; elsewhere a line at each quarter."""

    def __init__(self):
        self.last = -1

    def __call__(self, value: int, maximum: int) -> None:
        if not maximum:
            return
        quarter = 4 * value // maximum
        if sys.stdout.isatty():
            print(f"\r  step {value} of {maximum}   ", end="\n" if value == maximum else "", flush=True)
        elif quarter != self.last:
            print(f"  step {value} of {maximum}", flush=True)
        self.last = quarter


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
