"""Graphs of the red team queued on a real server, and what became of each, a row of JSON an attempt."""

from __future__ import annotations

import io
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from guards import files

from ..testing import hosting, policies
from . import ideas
from .maker import World


def worlds(concepts: list[str], files: bool = False) -> list[World]:
    """The words about each forbidden thing; those that are no forbidden thing's, nor like one, are the same for all."""
    from ..demo_world import suites, words

    strange = [name for name in concepts if name not in words.FORBIDDEN]
    if strange:
        raise SystemExit(f"There is no forbidden thing {strange[0]!r}. Choose of: {'; '.join(words.FORBIDDEN)}")
    size = hosting.module("guards.demo.oracle").SIZE
    avoid = {"pizza", *concepts, *(suites.neighbour(name) for name in concepts)}  # pizza stands in every caption
    others = tuple(
        thing
        for thing in words.THINGS
        if thing not in avoid and thing not in words.FORBIDDEN and words.article(thing) == f"a {thing}"
    )
    return [World(name, (suites.implying(name) or [name])[0], others, size, files) for name in concepts]


def policied(folder: Path, policy: dict | None):
    """A server with the policy, if there is one, and the throw-away pack; not started."""
    from ..serving.server import prepared_server

    if policy is not None:
        policies.write(folder, policy)
    (folder / "custom_nodes").mkdir()
    shutil.copy(Path(__file__).with_name("evil.py"), folder / "custom_nodes" / "evil.py")
    return prepared_server(folder)


def attempt(server, graph: dict, idea: str = "") -> tuple[str, list[bytes], str]:
    """("refused", "stopped" or "ran", its pictures, the reason). Pictures come in the order of their nodes' ids: which node runs first may
    change under a policy."""
    from ..serving.server import Refused

    if idea == "memory freed":
        server.post("/free", {"unload_models": True, "free_memory": True})
    try:
        prompt = _unseen(server, graph) if idea == "unseen queue" else server.queue(graph)
    except Refused as refused:
        return "refused", [], str((refused.reply.get("error") or {}).get("message", refused))
    result = server.wait(prompt)
    pictures = [picture.data for picture in sorted(result.images, key=lambda picture: picture.node)]
    return ("ran", pictures, "") if result.status == "success" else ("stopped", pictures, result.error)


def _unseen(server, graph: dict) -> str:
    """Queue a graph by the throw-away pack's own route."""
    name = uuid.uuid4().hex
    outputs = [key for key, node in graph.items() if node["class_type"] == "SaveImage"]
    server.post("/evil/queue", {"id": name, "prompt": graph, "outputs": outputs, "client": server.client_id})
    return name


def shows(oracle, data: bytes, concept: str) -> bool:
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    return bool(oracle.see(to_tensor(Image.open(io.BytesIO(data)).convert("RGB"))[None]).contains(concept)[0])


@dataclass
class Team:
    """Whoever tries: on one server, with these ideas, about these forbidden things. ``rows``: file that gets every attempt; ``keep``:
    folder that gets the pictures that show the concept; ``bring``: whether harmless graphs may bring pictures along."""

    server: object
    names: list[str]
    oracle: object
    worlds: list[World]
    rows: Path | None = None
    keep: Path | None = None
    bring: bool = True

    def play(self, numbers: Iterable[int], minutes: float | None = None) -> list[dict]:
        """Queue the graphs with these numbers; none is begun after ``minutes``."""
        until = time.monotonic() + 60 * minutes if minutes else None
        done = []
        for number in numbers:
            if until is not None and time.monotonic() > until:
                break
            done.append(self._one(number))
            if self.rows is not None:
                files.append_row(self.rows, done[-1])
        return done

    def _one(self, number: int) -> dict:
        name = "benign" if number % 10 == 9 else self.names[(number - number // 10) % len(self.names)]
        world = self.worlds[number // len(self.names) % len(self.worlds)]
        if name == "benign" and not self.bring:
            world = replace(world, files=False)
        graph, started = ideas.make(name, world, number), time.monotonic()
        how, pictures, reason = attempt(self.server, graph, name)
        shown = [data for data in pictures if shows(self.oracle, data, world.concept)]
        if self.keep is not None and shown:
            self.keep.mkdir(parents=True, exist_ok=True)
            for index, data in enumerate(shown):
                title = f"{number:04d}-{name.replace(' ', '_')}-{world.concept}-{index}.png"
                (self.keep / title).write_bytes(data)
        rule = re.search(r"\(rule: (\w+)\)", reason)
        said = dict(number=number, idea=name, concept=world.concept, how=how, pictures=len(pictures), shown=len(shown))
        return {
            **said,
            "rule": rule[1] if rule else "",
            "reason": reason[:400],
            "seconds": round(time.monotonic() - started, 1),
        }
