"""Measure guards on a model: many prompts, several arms, figures with intervals, one HTML report.

    python3 run.py evaluate PLAN [--server URL ...] [--out FOLDER]

PLAN is a plan's file, or the name of one that comes with the pack (--list). Kill it at any time and run it again: it goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .. import PROJECT
from ..setup.cache import say
from . import plain, rating, taking
from . import plan as plans
from .errors import PlanError
from .items import Builder, Item
from .results import SIDE, Store
from .servers import Crew, Outcome, Remote, reach

BYTES = 60_000  # what a kept picture of the usual size takes at most, about


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", nargs="?", help="a plan's file or name")
    parser.add_argument("--list", action="store_true", help="list the plans that come with the pack")
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="URL",
        help="a running ComfyUI with this pack; give it several times for several",
    )
    parser.add_argument("--servers", type=Path, metavar="FILE", help="addresses, one a line; read again while it runs")
    parser.add_argument(
        "--own", type=int, default=1, metavar="N", help="without --server: start so many of our own, on the processor"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="a Ray cluster (auto, local, or an address); needs the extra 'ray'"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where results go (default: output/evaluations/NAME)"
    )
    parser.add_argument(
        "--rate",
        type=Path,
        metavar="FOLDER",
        help="also file the reference's pictures in a feedback set, for people to rate",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="also write the scale that each picture needs, for Train Scale Adapter",
    )
    parser.add_argument(
        "--pictures-to",
        type=Path,
        metavar="FOLDER",
        help="also copy the reference's pictures that show the concept, such as for Discover Direction",
    )
    parser.add_argument("--check", action="store_true", help="check the plan and the servers, and make nothing")
    parser.add_argument("--report", action="store_true", help="only write the report of what is there")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N prompts")
    parser.add_argument("--pictures", type=int, metavar="N", help="N pictures of each prompt, in one batch")
    parser.add_argument(
        "--arms", metavar="NAMES", help="only these arms, separated by semicolons, beside the reference"
    )
    parser.add_argument("--ways", metavar="NAMES", help="only these of the plan's ways, separated by semicolons")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.list or not options.plan:
        for name, path in plans.shipped().items():
            print(f"{name.ljust(24)}{plans.told(path)}")
        return 0
    path = plans.find(options.plan)
    plan = plans.read(path)
    plan = narrowed(plan, options)
    if options.rate:
        rating.check(plan, options.rate)
    if options.labels:
        taking.check_labels(plan)
    if options.pictures_to:
        taking.check_pictures(options.pictures_to)
    folder = (options.out or PROJECT / "output" / "evaluations" / plan.name).resolve()
    with contextlib.ExitStack() as stack:
        addresses = servers(options, stack) if not options.report else list
        known = folder / "nodes.json"
        if options.report:
            if not known.exists():
                raise PlanError(f"--report: nothing has been made in {folder} yet. Run without --report first.")
            stats, info = [], json.loads(known.read_text(encoding="utf-8"))
        else:
            stats = reach(addresses())
            info = Remote(next(iter(addresses()))).object_info()
        builder = Builder(plan, info)
        items = list(builder.items())
        made = len({item.id for item in items}) * plan.batch
        ways = f"{len(plan.ways)} ways, " if plan.ways else ""
        say(f"{plan.name}: {len(plan.rows)} prompts, {len(plan.arms)} arms, {ways}{made} pictures; in {folder}")
        if options.check:
            return 0
        room(folder, made, plan.side)
        store = stack.enter_context(Store(folder, plan.side))
        if not options.report:
            known.write_text(json.dumps(builder.known()), encoding="utf-8")
            store.add({"run": about(plan, stats)})
            go(builder, items, store, addresses, options.ray)
        if options.rate:
            new = rating.write(plan, items, store, options.rate)
            say(f"{new} new pictures to rate in {options.rate}")
        if options.labels:
            say(taking.write_labels(*taking.labels(plan, builder, items, store), options.labels))
        if options.pictures_to:
            say(taking.write_pictures(plan, builder, items, store, options.pictures_to))
        from .report import write

        target = write(plan, builder, items, store)
        print((folder / plain.NAME).read_text(encoding="utf-8"))
        say(f"The report: {target}")
    return 0


def servers(options: argparse.Namespace, stack: contextlib.ExitStack):
    """A function that gives the addresses as they are now. Raises PlanError where none is named in a file."""
    if options.server or options.servers:

        def named() -> list[str]:
            lines = options.servers.read_text(encoding="utf-8").splitlines() if options.servers else []
            return list(
                dict.fromkeys([*options.server, *(line.strip() for line in lines if line.strip() and line[0] != "#")])
            )

        try:
            found = named()
        except OSError as error:
            raise PlanError(f"--servers: {options.servers} cannot be read ({error.strerror}).") from error
        if not found:
            raise PlanError(f"--servers: {options.servers} names no address. Write one a line.")
        return named
    from ..serving.server import prepared_server

    say(f"No --server: starting {options.own} of our own, on the processor")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // options.own)))  # else each takes all
    place = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="concept-guards-evaluate-", ignore_cleanup_errors=True))
    )
    started = [stack.enter_context(prepared_server(place / str(number))).url for number in range(options.own)]
    return lambda: started


def narrowed(plan: plans.Plan, options: argparse.Namespace) -> plans.Plan:
    """The part of a plan that the command asks for. Raises PlanError for what the plan has not."""
    for name in ("limit", "pictures", "own"):
        given = getattr(options, name)
        if given is not None and given < 1:
            raise PlanError(f"--{name} is {given}: give a number of at least 1.")
    chosen, ways = _chosen("arm", options.arms, plan.arms), _chosen("way", options.ways, plan.ways)
    arms = {name: changed for name, changed in plan.arms.items() if name in (plan.reference, *chosen)}
    made = dataclasses.replace(
        plan,
        rows=plan.rows[: options.limit],
        arms=arms,
        ways={name: plan.ways[name] for name in plan.ways if name in ways},
    )
    if options.pictures is None:
        return made
    if options.pictures > 1 and "batch" not in plan.inputs:
        raise PlanError(f"--pictures: {plan.name} marks no input that sets the batch; see batch in docs/evaluating.md.")
    return dataclasses.replace(made, pictures=options.pictures, batch=options.pictures)


def _chosen(kind: str, names: str | None, known: dict) -> list[str]:
    """The arms or ways that an option names; all without one. Raises PlanError for one that is not there."""
    chosen = [name.strip() for name in names.split(";")] if names else list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise PlanError(f"--{kind}s: there is no {kind} {unknown[0]!r}. There are: {'; '.join(known) or 'none'}.")
    return chosen


def room(folder: Path, pictures: int, side: int = SIDE) -> None:
    """Refuse to begin where the pictures will not fit. Raises PlanError."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    free, needed = shutil.disk_usage(existing).free, pictures * BYTES * max(1, side / SIDE) ** 2 + 10_000_000
    if free < needed:
        raise PlanError(
            f"--out: {pictures} pictures take up to {needed / 1e6:.0f} MB, and {existing} has {free / 1e6:.0f} MB free. Make room, or "
            "choose another --out."
        )


def about(plan: plans.Plan, stats: list[tuple[str, dict]]) -> dict:
    """What a start of the evaluation says of itself, for the report."""
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": " ".join(["python3 run.py evaluate", *sys.argv[1:]]),
        "plan": hashlib.sha256(plan.text.encode()).hexdigest(),
        "python": platform.python_version(),
        "servers": [
            {
                "address": address,
                "comfyui": found["system"].get("comfyui_version", ""),
                "torch": found["system"].get("pytorch_version", ""),
                "device": found["devices"][0]["name"],
            }
            for address, found in stats
        ],
    }


def go(builder: Builder, items: list[Item], store: Store, addresses, ray: str | None) -> None:
    """Everything that is not there yet."""
    missing = {item.id: item for item in items if item.id not in store.done}
    progress = Progress(len({item.id for item in items}), len(missing), builder.plan.batch)

    def keep(outcome: Outcome) -> None:
        if outcome.error:
            store.add(
                {"id": outcome.item.id, "arm": outcome.item.arm, "prompt": outcome.item.place, "failed": outcome.error}
            )
        else:
            store.add({**outcome.line, "pictures": store.keep(outcome.item.id, list(outcome.pictures))})
        progress.one(bool(outcome.error))

    progress.show()
    try:
        if ray:
            from .ray_servers import RayCrew

            RayCrew(builder, addresses, ray).run(list(missing.values()), keep)
        else:
            Crew(builder, addresses).run(list(missing.values()), keep)
    finally:
        progress.end()


class Progress:
    """A bar with the time left; on a terminal one line that is written over, elsewhere a line every half minute."""

    def __init__(self, total: int, missing: int, batch: int):
        self.total, self.before, self.batch, self.done, self.failed = total, total - missing, batch, 0, 0
        self.began = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()

    def one(self, failed: bool) -> None:
        self.done, self.failed = self.done + 1, self.failed + failed
        if time.monotonic() - self.shown > (0.2 if self.live else 30):
            self.show()

    def text(self) -> str:
        at, spent = self.before + self.done, time.monotonic() - self.began
        share = at / self.total if self.total else 1.0
        bar = "#" * int(24 * share) + "-" * (24 - int(24 * share))
        text = f"[{bar}] {at * self.batch} of {self.total * self.batch} pictures"
        if self.done:
            left = spent / self.done * (self.total - at)
            text += f", {self.done * self.batch / max(spent, 1e-9):.1f} a second, {clock(left)} left"
        return text + (f", {self.failed} runs failed" if self.failed else "")

    def show(self) -> None:
        self.shown = time.monotonic()
        print(
            f"\r\033[K{self.text()}" if self.live else self.text(),
            end="" if self.live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        self.show()
        if self.live:
            print(file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as people say them."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
