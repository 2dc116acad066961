"""One table of a help page: rows measured one by one, printed as the page prints them, gathered in a file if asked.

Nothing here knows a guard or what the pictures show. A row is a name and a function that gives its figures; a suite is prompts with
what they promise and the seed of its first picture. Every picture has a seed of its own, the same in every row.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import PROJECT
from ..testing import hosting

CFG, STEPS = 3.0, 20
MODEL = PROJECT / "models" / "demo_model.safetensors"
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Suite:
    """Prompts of one kind (dicts with a caption and what it promises), and the seed of the first one's noise."""

    prompts: Sequence[dict]
    seed: int

    @property
    def captions(self) -> list[str]:
        return [prompt["caption"] for prompt in self.prompts]


def parser(name: str, text: str | None, count: int = 256) -> argparse.ArgumentParser:
    """The options that every table has."""
    made = argparse.ArgumentParser(
        prog=f"run.py measure {name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--count", type=int, default=count, help=f"pictures a figure (default: {count})")
    made.add_argument("--rows", help="names separated by semicolons (default: all)")
    made.add_argument("--out", help="file that gathers the rows; several processes may fill one")
    made.add_argument("--cfg", type=float, default=CFG)
    made.add_argument("--steps", type=int, default=STEPS)
    return made


class Studio:
    """The demo model and the classifier that judges its pictures, with the table's sampler settings."""

    def __init__(self, options: argparse.Namespace, model: Path = MODEL):
        hosting.start()
        from . import sampling

        self.sampling, self.cfg, self.steps = sampling, options.cfg, options.steps
        self.model, self.clip, self.vae = sampling.load_model(model, threads=1)
        self.judge = hosting.module("guards.demo.oracle").load()

    def text(self, *captions: str):
        """(n, 77, width)"""
        return self.sampling.encode(self.clip, captions)

    def conditioning(self, *captions: str) -> list:
        return [[self.text(*captions), {}]]

    def images(self, model, positive, negative, seed: int | Sequence[int], cfg: float | None = None):
        """(n, 3, 96, 96) in 0..1. ``positive``: (n, 77, width); ``negative``: (1, 77, width); ``seed``: the first of n, or all."""
        cfg = self.cfg if cfg is None else cfg
        return self.sampling.sample_images(model, self.vae, positive, negative, seed, cfg, self.steps)

    def conditioned(self, model, positive, negative, seeds: Sequence[int], seed: int):
        """As ``images``, for a CONDITIONING that a guard made; ``seed`` is the sampler's own."""
        return self.sampling.sample_conditioned(model, self.vae, positive, negative, seeds, seed, self.cfg, self.steps)

    def see(self, model, suite: Suite, negative=None):
        """What the classifier sees in the suite's pictures."""
        negative = self.text("") if negative is None else negative
        return self.judge.see(self.images(model, self.text(*suite.captions), negative, suite.seed))


class Effects:
    """What a guard does: the share of pictures that show the concept, suite by suite; and how many others it left as they were.

    ``suites``: prompts that ask for the concept; ``other``: prompts that do not; ``judge(seen, prompts)``: per picture a dict of
    whether each attribute is as its caption says (None where it says nothing); ``keys``: the attributes that count as kept.
    """

    def __init__(
        self, studio: Studio, suites: Mapping[str, Suite], other: Suite, concept: str, judge, keys: Sequence[str]
    ):
        self.studio, self.suites, self.other, self.concept = studio, suites, other, concept
        self.judge, self.keys = judge, keys

    def figures(self, model, negative=None, unclear: bool = False) -> Figures:
        """A row: each suite's share (with ``unclear``, also of pictures that show nothing clear), and retention."""
        result = {}
        for name, suite in self.suites.items():
            seen = self.studio.see(model, suite, negative)
            result[name] = seen.contains(self.concept).float().mean().item()
            if unclear:
                result[f"{name}, unclear"] = seen.broken().float().mean().item()
        unguarded = model is self.studio.model and negative is None
        result["retention"] = retention(self.before if unguarded else self._kept(model, negative), self.before)
        return result

    @functools.cached_property
    def before(self) -> list[bool]:
        """Which of the other prompts' pictures are as their captions say without a guard."""
        return self._kept(self.studio.model, None)

    def _kept(self, model, negative) -> list[bool]:
        return kept(self.judge(self.studio.see(model, self.other, negative), self.other.prompts), self.keys)


def kept(judged: Iterable[Mapping[str, bool | None]], keys: Sequence[str]) -> list[bool]:
    """Per picture: whether all of ``keys`` are as its caption says; what it does not say counts as said."""
    return [all(answers[key] is not False for key in keys) for answers in judged]


def retention(now: Sequence[bool], before: Sequence[bool]) -> float:
    """Of the pictures that were as their captions say, the share that still is."""
    return sum(a and b for a, b in zip(now, before, strict=True)) / max(1, sum(before))


def fill(rows: Mapping[str, Callable[[], Figures]], options: argparse.Namespace, title: str = "") -> int:
    """Measure the chosen rows, print each as it is ready, and gather it.

    Raises:
        SystemExit: a name is not a row's.
    """
    names = [name.strip() for name in options.rows.split(";")] if options.rows else list(rows)
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise SystemExit(f"There is no row {unknown[0]!r}. Rows: {'; '.join(rows)}")
    print(f"{title or f'n = {options.count}'}, cfg {options.cfg:g}, {options.steps} steps, euler, normal\n", flush=True)
    wide, began, columns = max(map(len, names)), time.monotonic(), None
    for name in names:
        figures = rows[name]()
        if columns != list(figures):  # rows of another kind begin a table of their own
            columns = list(figures)
            print(
                line("", [column.rjust(5) for column in columns], wide)
                + "\n"
                + line("-" * wide, ["-" * max(5, len(column)) for column in columns], wide)
            )
        print(line(name, [f"{figures[column]:.3f}".rjust(max(5, len(column))) for column in columns], wide), flush=True)
        gather(options.out, name, figures)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


def line(name: str, cells: Iterable[str], wide: int) -> str:
    """A line of a Markdown table."""
    return " | ".join([f"| {name.ljust(wide)}", *cells]) + " |"


def gather(path: str | Path | None, name: str, figures: Figures) -> None:
    """Append a row's figures to a file of JSON lines, so that several processes fill one table; without a path, nothing."""
    if not path:
        return
    from filelock import FileLock  # torch brings it

    with FileLock(f"{path}.lock"), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"row": name, **figures}) + "\n")


def gathered(path: str | Path) -> dict[str, dict[str, float]]:
    """The rows of such a file by name; a row that was measured again counts as last measured."""
    rows: dict[str, dict[str, float]] = {}
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        rows[row.pop("row")] = row
    return rows
