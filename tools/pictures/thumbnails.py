"""Make the pictures that the template browser shows for the example graphs: each is what its own graph makes on the demo model.

    python3 -m tools.pictures.thumbnails [quick_start ...]

A thumbnail is square, as the template browser shows it: above what the graph makes without its guard, below with it, in the
same order. A graph for the user's own checkpoint is run on the demo model instead, and its thumbnail says so. Graphs with a language
model use that of the tests, and learn from a few samples only. A graph that has no nodes called before and after shows what it makes,
under the name of the node that shows it.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from .. import PROJECT
from ..serving import graph as graphs
from ..setup.cache import SetupError, say
from ..setup.language_model import language_model

SIDE, STRIP, COLUMNS, GAP = 512, 28, 4, 4
MOST_BYTES = 60_000
LANGUAGE, FEW = ("rewrite_with_local_llm", "learn_instruction"), "few.jsonl"
STAND_IN = {
    "EmptyLatentImage": {"width": 96, "height": 96, "batch_size": 8},
    "GuardForbiddenConcepts": {"preset": "custom", "concepts": "beer"},
    "GuardSafeLatentDiffusion": {"preset": "max"},
    "KSampler": {"steps": 20, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"},
}
INK, PAPER = (235, 235, 235), (32, 32, 34)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="workflows without .json (default: all)")
    names = parser.parse_args().names or sorted(path.stem for path in (PROJECT / "workflows").glob("*.json"))
    if "CONCEPT_GUARDS_HOST" not in os.environ:
        from ..setup.prepare import prepare

        return prepare(tests=any(name in LANGUAGE for name in names)).run("tools.pictures.thumbnails", names)
    from ..serving.server import prepared_server

    with (
        tempfile.TemporaryDirectory(prefix="concept-guards-thumbnails-") as folder,
        prepared_server(Path(folder)) as server,
    ):
        if any(name in LANGUAGE for name in names):
            provide(Path(folder) / "models")
        for name in names:
            path = make(server, PROJECT / "workflows" / f"{name}.json")
            say(f"{path.relative_to(PROJECT)}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def provide(models: Path) -> None:
    """The tests' language model, and a few of the included samples, so that learning takes minutes."""
    for folder in "LLM", "concept_guards_samples":
        (models / folder).mkdir(parents=True, exist_ok=True)
    model = language_model()
    shutil.copyfile(model, models / "LLM" / model.name)
    lines = (PROJECT / "models" / "rewrite_samples.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (models / "concept_guards_samples" / FEW).write_text("".join([*lines[:3], lines[-1]]), encoding="utf-8")


def make(server, workflow: Path) -> Path:
    """Run one workflow and write its thumbnail."""
    known = server.object_info()
    graph = graphs.to_api(graphs.load(workflow), known)
    own = bool(graphs.find(graph, type="CheckpointLoaderSimple"))
    if own:
        stand_in(graph)
    if graphs.find(graph, type="GuardLearnInstruction"):
        graphs.change(graph, {"samples": FEW, "epochs": 1}, type="GuardLearnInstruction")
    result = server.run(graph, timeout=1800)
    if result.status != "success":
        raise SetupError(
            f"{workflow.name} ended with: {result.error or result.status} (node {result.error_node})\n{server.log_tail()}"
        )
    target = workflow.with_suffix(".jpg")
    if not graphs.find(graph, title="before"):
        title = known[graph[result.images[0].node]["class_type"]]["display_name"]
        target.write_bytes(draw_one([picture.data for picture in result.images[:: -(-len(result.images) // 9)]], title))
        return target
    sides = {
        side: [picture.data for picture in result.images if picture.node == graphs.find(graph, title=side)[0]]
        for side in ("before", "after")
    }
    preset = graph[graphs.find(graph, type="GuardSafeLatentDiffusion")[0]]["inputs"]["preset"] if own else ""
    note = f"shown with the demo model, preset {preset}" if own else ""
    data = draw(sides["before"], sides["after"], note)
    target.write_bytes(data)
    return target


def stand_in(graph: dict) -> None:
    """A graph for a checkpoint, made to run on the demo model: with words, a canvas and settings that it knows."""
    for kind, values in STAND_IN.items():
        graphs.change(graph, values, type=kind)
    graphs.change(graph, {"text": "a party on the beach"}, title="prompt")
    for key in graphs.find(graph, type="CheckpointLoaderSimple"):
        graph[key].update(class_type="GuardDemoModel", inputs={})


def draw(before: list[bytes], after: list[bytes], note: str = "") -> bytes:
    """Both sides as one square JPEG of at most 60 kB."""
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (SIDE, SIDE), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(19)
    strips = STRIP * (3 if note else 2)
    rows = 2
    cell = min((SIDE - GAP * (COLUMNS + 1)) // COLUMNS, (SIDE - strips - GAP * (2 * rows + 1)) // (2 * rows))
    left = (SIDE - COLUMNS * (cell + GAP) + GAP) // 2
    top = 0
    for title, pictures in (("guard off", before), ("guard on", after)):
        pen.text((SIDE // 2, top + STRIP // 2 + 1), title, INK, font, anchor="mm")
        top += STRIP
        for index, data in enumerate(pictures[: COLUMNS * rows]):
            picture = Image.open(io.BytesIO(data)).convert("RGB").resize((cell, cell), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + index % COLUMNS * (cell + GAP), top + index // COLUMNS * (cell + GAP)))
        top += rows * (cell + GAP)
    if note:
        pen.text((SIDE // 2, SIDE - STRIP // 2 - 1), note, INK, font, anchor="mm")
    return jpeg(sheet)


def draw_one(pictures: list[bytes], title: str, columns: int = 3) -> bytes:
    """Up to nine pictures below one title, as one square JPEG."""
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (SIDE, SIDE), PAPER)
    ImageDraw.Draw(sheet).text((SIDE // 2, STRIP // 2 + 1), title, INK, ImageFont.load_default(19), anchor="mm")
    cell = (SIDE - STRIP - GAP * columns) // columns
    left = (SIDE - columns * (cell + GAP) + GAP) // 2
    for index, data in enumerate(pictures[: columns * columns]):
        picture = Image.open(io.BytesIO(data)).convert("RGB").resize((cell, cell), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + index % columns * (cell + GAP), STRIP + index // columns * (cell + GAP)))
    return jpeg(sheet)


def jpeg(sheet) -> bytes:
    """The best quality that keeps the limit."""
    for quality in (92, 88, 84, 78, 70, 60):
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(f"\n{error}")
