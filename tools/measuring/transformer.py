"""What guards inside a transformer cost, on a narrow Flux (random weights) with the token counts of 1024x1024.

Two double and four single blocks, 256 channels, one picture at cfg 1. Narrow as it is, attention weighs more here than in the real one
(about 70 % of a step): that is where the guards act. Time is the processor's, of a step, the median of all; the arms take turns. Every
step is guarded and the prompt is the target, so that the gate opens.
"""

from __future__ import annotations

import argparse
import statistics
import time

from ..testing import hosting

WIDTH = 256
SHAPE = dict(hidden_size=WIDTH, num_heads=2, mlp_ratio=4.0, depth=2, depth_single_blocks=4, axes_dim=[16, 56, 56])


def arms(text: int, targets: int):
    """({arm: MODEL}, the prompt) of texts of ``text`` tokens."""
    import torch

    from ..testing import dits

    model = dits.build("flux", **SHAPE)
    words, tokens, rail = (
        hosting.module(f"guards.{name}") for name in ("tokens.host_words", "tokens.host", "host.rail")
    )
    directions, formula = hosting.module("guards.directions.host"), hosting.module("guards.directions.formula")
    names = tuple(f"target {number}" for number in range(targets))
    prompt, empty = dits.text("flux", 1, text), dits.text("flux", 2, text)
    encoded = words.Targets(
        names, dict.fromkeys(names, prompt) | {"": empty}, {name: torch.arange(3) for name in names}
    )
    values = torch.randn(WIDTH, generator=torch.Generator().manual_seed(7))
    direction = formula.Direction("random", values, "flux", text, block="double:1")
    guarded = {
        form: rail.attach(model, tokens.Inhibitor(encoded, -1.0, form, 1.0)) for form in ("aligned", "sign_flip")
    }
    return {"unguarded": model, "direction": directions.steer(model, direction, 1.0), **guarded}, prompt


def measure(side: int, text: int, targets: int = 1, rounds: int = 2, steps: int = 3) -> dict[str, list[float]]:
    """{arm: processor's seconds of each step} at latents of ``side``, a token for each 2x2 of them."""
    from ..testing import dits

    models, prompt = arms(text, targets)
    start, took = dits.noise("flux", height=side, width=side), {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            ticks = []
            dits.sample(
                "flux",
                model,
                steps=steps,
                cfg=1.0,
                positive=prompt,
                negative=prompt,
                start=start,
                callback=lambda *_, ticks=ticks: ticks.append(time.process_time()),
            )
            took[name] += [after - before for before, after in zip(ticks, ticks[1:], strict=False)]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="run.py measure transformer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=128, help="side of the latents (default: 128, 4,096 tokens)")
    parser.add_argument("--text", type=int, default=256, help="tokens of a text (default: 256, Flux.1's; Flux 2: 512)")
    parser.add_argument("--targets", type=int, default=1, help="how many are inhibited (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each arm (default: 3)")
    given = parser.parse_args()
    hosting.start()
    took = measure(given.side, given.text, given.targets, given.rounds)
    whole = statistics.median(took["unguarded"])
    for name, times in took.items():
        spread = (max(times) - min(times)) / whole / 2
        print(f"{name:12}{statistics.median(times):8.2f} s{statistics.median(times) / whole:8.3f}  (+- {spread:.3f})")


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
