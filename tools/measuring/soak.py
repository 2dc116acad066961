"""The long run: many prompts in one server (guarded, unguarded, interrupted, failing). Memory must stay flat, and every picture
must equal its twin from a fresh server that was never interrupted and saw the prompts in the opposite order."""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

from ..serving import pack
from ..serving.server import Result, Server, prepared_server
from ..setup.cache import SetupError, say

KINDS = ("guarded", "unguarded", "interrupted", "failing")
EXPECTED = {"guarded": "success", "unguarded": "success", "interrupted": "interrupted", "failing": "error"}
WARM, ALLOWED_MB = 30, 30.0


def build(number: int, steps: int = 4) -> dict:
    """The graph of one turn, in API format. Every turn has a seed of its own, so that nothing comes out of the host's cache."""
    kind, turn = KINDS[number % len(KINDS)], number // len(KINDS)
    graph = {
        "model": node("GuardDemoModel"),
        "prompt": node("CLIPTextEncode", clip=["model", 1], text="a beer and a pizza on the beach"),
        "negative": node("CLIPTextEncode", clip=["model", 1], text=""),
        "latent": node("EmptyLatentImage", width=96, height=96, batch_size=1),
        "sampler": node(
            "KSampler",
            model=["model", 0],
            positive=["prompt", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=1000 + number,
            steps=steps,
            cfg=4.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="soak"),
    }
    if kind == "unguarded":
        return graph
    graph["concepts"] = node("GuardForbiddenConcepts", preset="custom", concepts="beer")
    graph["concept"] = node("CLIPTextEncode", clip=["model", 1], text=["concepts", 0])
    graph["sld"] = node(
        "GuardSafeLatentDiffusion",
        model=["model", 0],
        safety_concept=["concept", 0],
        preset=("weak", "medium", "strong", "max")[turn % 4],
        guidance_scale=1000.0,
        warmup_steps=10,
        threshold=0.01,
        momentum_scale=0.3,
        momentum_beta=0.4,
    )
    graph["sampler"]["inputs"]["model"] = ["sld", 0]
    if turn % 3 == 2:  # every third guarded graph has both guards
        graph["rewritten"] = node("CLIPTextEncode", clip=["model", 1], text="a milk and a pizza on the beach")
        graph["intervention"] = node(
            "GuardPromptIntervention", model=["sld", 0], query=["prompt", 0], rewritten=["rewritten", 0], ratio=0.5
        )
        graph["sampler"]["inputs"].update(model=["intervention", 0], positive=["intervention", 1])
    if kind == "interrupted":
        graph["sampler"]["inputs"]["steps"] = 400
    elif kind == "failing" and turn % 2:  # after sampling: the host refuses to save outside its output folder
        graph["save"]["inputs"]["filename_prefix"] = "../../outside"
    elif kind == "failing":  # in the middle of sampling: an area that lies outside the picture
        graph["area"] = node(
            "ConditioningSetArea",
            conditioning=graph["sampler"]["inputs"]["positive"],
            width=96,
            height=96,
            x=4096,
            y=4096,
            strength=1.0,
        )
        graph["sampler"]["inputs"]["positive"] = ["area", 0]
    return graph


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


@dataclass
class Run:
    """What one server did: pictures by turn, memory after each turn in MB, seconds by kind, and what went wrong."""

    pictures: dict[int, bytes] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    faults: list[str] = field(default_factory=list)


def drive(server: Server, turns: list[int]) -> Run:
    """Run the turns one after the other."""
    run, process, shown = Run(), psutil.Process(server.process.pid), time.monotonic()
    for done, number in enumerate(turns, 1):
        kind, began = KINDS[number % len(KINDS)], time.monotonic()
        result = interrupted(server, number) if kind == "interrupted" else server.run(build(number))
        run.seconds[kind].append(time.monotonic() - began)
        run.memory.append(process.memory_info().rss / 1e6)
        if result.status != EXPECTED[kind]:
            run.faults.append(f"turn {number} ({kind}) ended as {result.status}: {result.error}")
        elif kind in ("guarded", "unguarded"):
            run.pictures[number] = Image.open(io.BytesIO(result.images[0].data)).convert("RGB").tobytes()
        if time.monotonic() - shown > 10 or done == len(turns):
            shown = time.monotonic()
            say(f"{done} of {len(turns)} prompts, server memory {run.memory[-1]:.0f} MB")
    return run


def interrupted(server: Server, number: int) -> Result:
    """Run a long graph and interrupt it a few steps into its sampling."""
    sent = []

    def stop(kind: str, data: dict) -> None:
        if kind == "progress" and data.get("value", 0) >= 2 + number % 5 and not sent:
            sent.append(True)
            server.interrupt()

    server.on_event = stop
    try:
        return server.run(build(number))
    finally:
        server.on_event = None


def judge(run: Run, twins: Run) -> list[str]:
    """Everything that is not as it must be."""
    faults = run.faults + twins.faults
    different = [number for number, picture in run.pictures.items() if twins.pictures.get(number) != picture]
    if different:
        faults.append(
            f"{len(different)} of {len(run.pictures)} pictures differ from their twins: turns {different[:10]}"
        )
    if not run.pictures:
        faults.append("no picture was made")
    if len(run.memory) > WARM:
        growth = max(run.memory[WARM:]) - settled(run)
        if growth > ALLOWED_MB:
            faults.append(
                f"memory grew by {growth:.0f} MB after the first {WARM} prompts; {ALLOWED_MB:.0f} MB are allowed"
            )
    return faults


def settled(run: Run) -> float:
    """The memory after the first prompts: the median of a few, as a single reading may be a dip."""
    return statistics.median(run.memory[max(0, WARM - 5) : WARM] or run.memory)


def table(run: Run, twins: Run) -> str:
    """The figures for people."""
    same = sum(twins.pictures.get(number) == picture for number, picture in run.pictures.items())
    lines = [f"{'prompts':<14}{'count':>6}{'seconds each (median)':>24}"]
    lines += [
        f"{kind:<14}{len(times):>6}{statistics.median(times):>24.2f}" for kind, times in run.seconds.items() if times
    ]
    lines += [
        "",
        f"pictures identical to their twins   {same} of {len(run.pictures)}",
        f"server memory after {min(WARM, len(run.memory)):>3} prompts      {settled(run):.0f} MB",
        f"  highest after that                {max(run.memory[WARM:] or run.memory):.0f} MB",
        f"  at the end                        {run.memory[-1]:.0f} MB",
    ]
    return "\n".join(lines)


def soak(count: int, folder: Path) -> tuple[Run, Run]:
    """The run itself, and its twins."""
    say(f"Starting a ComfyUI for {count} prompts ...")
    with prepared_server(folder / "long") as server:
        run = drive(server, list(range(count)))
    say("Starting a fresh ComfyUI for the twins ...")
    with prepared_server(folder / "twins") as server:
        twins = drive(server, sorted(run.pictures, reverse=True))
    return run, twins


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py soak", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many prompts (default: %(default)s)")
    options = parser.parse_args()
    if options.count < len(KINDS):
        raise SetupError(f"--count must be at least {len(KINDS)}: one prompt of each kind.")
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # the model is so small that more threads only get into each other's way
    before = pack.state()
    with tempfile.TemporaryDirectory(prefix="concept-guards-soak-") as folder:
        run, twins = soak(options.count, Path(folder))
    if changed := sorted(path for path, _ in before.items() ^ pack.state().items()):
        raise SetupError(
            f"The pack was edited during the run, which says nothing then; run it again. Changed: {changed[0]}"
        )
    faults = judge(run, twins)
    print(f"\n{table(run, twins)}\n")
    for fault in faults:
        print(f"FAILED: {fault}")
    if not faults:
        print("passed")
    return 1 if faults else 0


if __name__ == "__main__":
    from ..setup.command import run as command

    command(main)
