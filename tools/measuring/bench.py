"""What the guards cost, each against unguarded sampling in the same run: one table of ratios, on random weights of Stable
Diffusion 1.5's shape (860 million, float32).

Time: seconds per step, from callback to callback within a run (so the first step is left out), the median of all; the runs take
turns (off, on, off, on ...), so that a busy machine disturbs both sides alike. Beside it the same ratio of processor time, which
other programs disturb less: a limit is broken when both ratios are over it by more than two runs of the same thing differ.
Rows: counted where they enter the UNet. Memory: the peak of what torch's own CPU allocator hands out during a run, as its
profiler reports it, in units of what the host itself takes for a third row: (peak - unguarded peak) / (unguarded peak of
DualCFGGuider, which evaluates three rows, - unguarded peak).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

UNGUARDED, THREE, DIFFUSERS = "unguarded", "unguarded, three rows", "diffusers' Safe pipeline"
MEMORY_SLACK = 0.02  # of a row: the guards' own few latents


@dataclass
class Measured:
    """One line of the table: a way to sample, what it must not exceed, and what was measured of it."""

    sample: Callable  # of a number of steps and a callback: one run
    rows: int  # per picture and step
    against: str | None = None  # the line to compare with
    limit: float | None = None  # of the time per step
    slack: float = MEMORY_SLACK  # rows' worth of memory beyond the rows themselves
    wall: list[list[float]] = field(default_factory=list)  # seconds of each step, run by run
    processor: list[list[float]] = field(default_factory=list)
    counted: set[int] = field(default_factory=set)
    peak: int = 0  # bytes

    def median(self, kind: str) -> float:
        return statistics.median(step for run in getattr(self, kind) for step in run)


def table(pair) -> dict[str, Measured]:
    """What is measured. A new guard is a new line: what its node returns for a MODEL and a positive, its limit, its rows."""
    import torch

    from ..testing import hosting, models, twins

    inhibitor = hosting.module("guards.inhibitors.host")
    sld, pure = hosting.module("guards.sld.host"), hosting.module("guards.sld.formula")
    intervention = hosting.module("guards.intervention.host")
    positive, other, concept = (pair.conditioning(words) for words in (*twins.PROMPTS[:2], twins.CONCEPT))
    sigmas = pair.sigmas(50)

    def host(model=pair.model, positive=positive, third=None):
        return lambda steps, callback: pair.sample(
            model, positive, pair.noise(1), sigmas[: steps + 1], callback=callback, third=third
        )

    def guarded(settings):
        return host(sld.guard(pair.model, settings, concept))

    def pipeline(steps, callback):
        pair.published(pure.PRESETS["max"], steps, 1, callback=callback)

    steer, pure_direction = (
        hosting.module("guards.directions.host").steer,
        hosting.module("guards.directions.formula").Direction,
    )
    direction = pure_direction(
        "random", torch.randn(1280, 8, 8, generator=torch.Generator().manual_seed(7)), "sd1", 512
    )
    waiting = replace(pure.PRESETS["weak"], warmup_steps=1000)
    clip = models.clip(twins.SD15.context)

    def inhibited(targets, **options):  # the prompt is a target, so that the gate opens; every step is guarded
        model, prompt, _ = inhibitor.guard(pair.model, clip, "a red weapon", targets, -1.0, cross_end=1.0, **options)
        return host(model, prompt)

    return {
        UNGUARDED: Measured(host(), 2),
        THREE: Measured(host(third=other), 3),
        "SLD, published (max)": Measured(guarded(pure.PRESETS["max"]), 3, UNGUARDED, 1.52),
        "SLD, aligned (strong)": Measured(guarded(pure.ALIGNED["strong"]), 3, UNGUARDED, 1.52),
        "SLD in warm-up, no momentum": Measured(guarded(waiting), 2, UNGUARDED, 1.0),
        "SLD at strength 0": Measured(guarded(replace(waiting, guidance_scale=0)), 2, UNGUARDED, 1.0),
        "steering with a direction": Measured(host(steer(pair.model, direction, 1.0)), 2, UNGUARDED, 1.02),
        "prompt intervention": Measured(host(*intervention.guard(pair.model, positive, other, 0.5)), 2, UNGUARDED, 1.0),
        "inhibitor, aligned": Measured(inhibited("a red weapon", mode="single_pass"), 2, UNGUARDED, 1.1),
        "inhibitor, words": Measured(inhibited("a red weapon", mode="single_pass", variant="words"), 2, UNGUARDED, 1.1),
        "inhibitor, paired": Measured(
            inhibited("a red weapon", mode="paired", self_end=1.0), 4, UNGUARDED, 2.1, 0.25
        ),  # copies q, k, v
        DIFFUSERS: Measured(pipeline, 3),
        "SLD, published, against it": Measured(guarded(pure.PRESETS["max"]), 3, DIFFUSERS, 1.0),
    }


def time_one(line: Measured, steps: int) -> None:
    """One run, timed from step to step."""
    ticks = []
    line.sample(steps + 1, lambda *_: ticks.append((time.perf_counter(), time.process_time())))
    for times, clock in zip((line.wall, line.processor), zip(*ticks, strict=True), strict=True):
        times.append([after - before for before, after in zip(clock, clock[1:], strict=False)])


def peak_memory(sample: Callable) -> int:
    """The most bytes that a run of one step holds at a time, above what there was at its start."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        sample(1, None)
    changes = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def cross_attention(unet, sample: Callable) -> tuple[float, float, float]:
    """Seconds in one step: of the first cross-attention layer (the one with most positions), of all of them, and of the step; from what
    goes into a layer's projections to what comes out of its attention, guards included."""
    blocks = [module for module in unet.modules() if hasattr(module, "attn2")]
    took, hooks, ticks = [0.0] * len(blocks), [], []

    def clock(number, sign):
        def hook(*_):
            took[number] += sign * time.perf_counter()

        return hook

    def step(*_):
        ticks.append((took[0], sum(took), time.perf_counter()))

    for number, block in enumerate(blocks):
        hooks += [
            block.norm2.register_forward_hook(clock(number, -1)),
            block.attn2.to_out.register_forward_pre_hook(clock(number, 1)),
        ]
    try:
        sample(3, step)
    finally:
        for hook in hooks:
            hook.remove()
    first, last = ticks[0], ticks[-1]
    return tuple((after - before) / (len(ticks) - 1) for before, after in zip(first, last, strict=True))


def noise(lines: dict[str, Measured], kind: str) -> float:
    """By how much two runs of the same thing, one after the other, typically differ."""
    runs = [statistics.median(run) for run in getattr(lines[UNGUARDED], kind)]
    return statistics.median(abs(b / a - 1) for a, b in zip(runs, runs[1:], strict=False))


def report(lines: dict[str, Measured]) -> list[str]:
    """Print the table; return what is over its limit."""
    wander = {kind: noise(lines, kind) for kind in ("wall", "processor")}
    row = lines[THREE].peak - lines[UNGUARDED].peak
    print(f"{'':29}{'s / step':>9}{'ratio':>8}{'proc.':>8}{'limit':>7}{'rows':>6}{'memory':>9}")
    failed = []
    for name, line in lines.items():
        ratios, faults = [], []
        if line.against:
            ratios = [line.median(kind) / lines[line.against].median(kind) for kind in wander]
            if all(ratio > line.limit * (1 + spread) for ratio, spread in zip(ratios, wander.values(), strict=True)):
                faults.append("time")
        if line.counted != {line.rows}:
            faults.append("rows")
        extra = (line.peak - lines[UNGUARDED].peak) / row
        if line.against and extra > line.rows - lines[UNGUARDED].rows + line.slack:
            faults.append("memory")
        shown = "".join(f"{ratio:8.3f}" for ratio in ratios) + f"{line.limit:7.2f}" if line.against else " " * 23
        print(
            f"{name:29}{line.median('wall'):9.2f}{shown}{'/'.join(map(str, sorted(line.counted))):>6}{extra:+9.3f}"
            f"{'   too much: ' + ', '.join(faults) if faults else ''}"
        )
        failed += [f"{name} ({', '.join(faults)})"] if faults else []
    print(
        f"\nOne row's activations: {row / 1e6:.0f} MB. Two unguarded runs one after the other differ by {wander['wall']:.1%} in time and "
        f"{wander['processor']:.1%} in processor time."
    )
    return failed


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(text.split(":", 1)[1].strip() for text in info if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="run.py bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, default=32, help="side of the latents, a multiple of 8 (default: %(default)s)"
    )
    parser.add_argument(
        "--full", action="store_const", const=64, dest="size", help="latents 64x64: a picture of 512x512"
    )
    parser.add_argument("--steps", type=int, default=4, help="timed steps in a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each line (default: %(default)s)")
    parser.add_argument(
        "--lines", default="", help="only lines whose names contain this, and those they are compared with"
    )
    options = parser.parse_args()
    if options.size < 8 or options.size % 8 or options.steps < 1 or options.rounds < 2:
        parser.error("--size must be a multiple of 8, --steps at least 1, --rounds at least 2")

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's remarks about a missing GPU
    from ..testing import hosting

    hosting.start()
    import diffusers
    import torch
    from comfyui_version import __version__ as host_version

    from ..testing import twins

    with torch.inference_mode():
        pair = twins.Twins(twins.SD15, options.size, options.size)
    print(
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python {platform.python_version()}, torch "
        f"{torch.__version__}, ComfyUI {host_version} with PyTorch attention, diffusers {diffusers.__version__}\n"
        f"float32, latents {options.size}x{options.size}, one picture, {options.rounds} x {options.steps} timed steps\n",
        flush=True,
    )

    lines, current = table(pair), None
    chosen = {name for name in lines if options.lines.lower() in name.lower()}
    chosen |= {UNGUARDED, THREE, *(lines[name].against for name in chosen)}
    lines = {name: line for name, line in lines.items() if name in chosen}
    for unet in (pair.unet, pair.model.model.diffusion_model):
        unet.register_forward_pre_hook(lambda _, inputs: current.counted.add(inputs[0].shape[0]))
    for current in lines.values():
        current.peak = peak_memory(current.sample)
    for turn in range(options.rounds):
        for line in lines.values():
            for current in (lines[line.against], line) if line.against else ():
                time_one(current, options.steps)
        print(f"round {turn + 1} of {options.rounds} done", file=sys.stderr, flush=True)
    current = lines[THREE]
    time_one(current, options.steps)
    failed = report(lines)
    print("\nCross-attention in a step: the first layer, all layers, their share of the step")
    for name in (name for name in lines if name == UNGUARDED or name.startswith("inhibitor")):
        first, every, step = cross_attention(pair.model.model.diffusion_model, lines[name].sample)
        print(f"{name:29}{1000 * first:6.0f} ms{1000 * every:7.0f} ms{every / step:9.1%}")
    if failed:
        print(f"Over the limit: {'; '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
