"""Find the demo model's directions as the node does.

    python3 run.py train directions [NAME ...]       writes models/directions/NAME.safetensors

What they do is measured by `python3 run.py measure directions`.
"""

import argparse
import os
import time

from .. import PROJECT
from ..measuring import sampling
from ..measuring.table import MODEL
from ..testing import hosting
from . import measure

FOLDER = os.path.join(PROJECT, "models", "directions")
# name: (base, target, negative, images, steps, prompts to keep a shape, keep_weight)
RECIPES = {
    "toy-circle": ("toy", "circle", "", 64, 300, 0, 0.0),
    "toy-square": ("toy", "square", "", 64, 800, 0, 0.0),
    "no-star": ("zorp", "circle", "", 64, 600, 8, 10.0),
}
CFG, STEPS, SEED = 3.0, 20, 90_000


def make(name, parts):
    """Discover one direction and write it."""
    from . import draw

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
            64,
            64,
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
    for i, shape in enumerate(s for s in draw.SHAPES if s != "star" and each):
        prompt = conditioning(*(p["caption"] for p in measure.prompts(each, 99 + i, words={shape: shape})))
        keep.append((prompt, pictures(prompt, each, SEED + 1000 * (i + 1))))
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
        info |= {"keep": f"{each} captions of every other shape", "keep_weight": weight}
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
    parts = sampling.load_model(MODEL, 1)
    for name in names:
        make(name, parts)


if __name__ == "__main__":
    main()
