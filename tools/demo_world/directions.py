"""Find the demo model's directions as the node does.

    python3 run.py train directions [NAME ...]       writes models/directions/NAME.safetensors

What they do is measured by `python3 run.py evaluate demo_fair` and `demo_anti_concept`.
"""

import argparse
import os
import time

from .. import PROJECT
from ..measuring import sampling
from ..testing import hosting
from . import suites

FOLDER = os.path.join(PROJECT, "models", "directions")
# name: (base, target, negative, images, steps, other prompts to keep, keep_weight)
RECIPES = {
    "doctor-man": ("a doctor", "a man doctor", "", 64, 300, 0, 0.0),
    "doctor-woman": ("a doctor", "a woman doctor", "", 64, 600, 0, 0.0),
    "no-beer": ("a beer", "a milk", "", 64, 600, 48, 10.0),
}
CFG, STEPS, SEED, SIDE = 3.0, 20, 90_000, 96


def make(name, parts):
    """Discover one direction and write it."""
    host, pure = hosting.module("guards.directions.host_discovery"), hosting.module("guards.training.loop")
    files = hosting.module("guards.directions.files")
    patcher, clip, _ = parts
    base, target, negative, images, steps, each, weight = RECIPES[name]

    def conditioning(*texts):
        return [[sampling.encode(clip, texts), {}]]

    def pictures(prompt, count, seed):
        return hosting.module("guards.training.host").make_images(
            patcher,
            prompt,
            conditioning(negative),
            count,
            SIDE,
            SIDE,
            "euler",
            "normal",
            STEPS,
            CFG,
            seed,
            lambda done: None,
            16,
        )

    began = time.monotonic()
    keep = []
    others = [row["caption"] for row in suites.without(suites.CONCEPT, each)]
    for at in range(0, each, 8):
        prompt = conditioning(*others[at : at + 8])
        keep.append((prompt, pictures(prompt, len(prompt[0][0]), SEED + 1000 + at)))
    latents = pictures(conditioning(target), images, SEED)
    result = host.discover(
        patcher,
        conditioning(base),
        conditioning(negative),
        latents,
        pure.Settings(steps),
        keep=keep,
        keep_weight=weight,
    )
    info = {
        "prompts": {"base": base, "target": target, "negative": negative},
        "images": images,
        "steps": steps,
        "learning_rate": 0.1,
        "batch_size": 8,
        "seed": 0,
        "cfg": CFG,
        "sample_steps": STEPS,
    }
    if keep:
        info |= {"keep": f"{each} captions of other things", "keep_weight": weight}
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, name + ".safetensors"), "wb") as file:
        file.write(files.content(host.as_direction(patcher, result, name, latents, info)))
    print(
        f"{name}: best loss {result.best:.4f} at step {result.best_step} of {steps} ({time.monotonic() - began:.0f} s)",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        prog="run.py train directions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"default: {' '.join(RECIPES)}")
    names = parser.parse_args().names or list(RECIPES)
    hosting.start()
    parts = sampling.load_model(sampling.MODEL, 1)
    for name in names:
        make(name, parts)


if __name__ == "__main__":
    main()
