"""Human feedback on the demo model, with the oracle in the place of the people: a rated set, and the words inverted from it.

    python3 run.py train feedback set        writes models/feedback/demo-beer (64 pictures)
    python3 run.py train feedback words      writes models/embeddings/demo_beer.safetensors and demo_beer_seen

The rater says how sure the oracle is of a beer, on the scale of 0 to 4, and errs in one picture of ten: then it says the opposite.
Half of the pictures are made of captions that show a beer, most of them without naming it (*party*), half of other things'.
``demo_beer`` is learnt with counter-examples, for guards that weigh a prompt against it; ``demo_beer_seen`` from the high-rated
pictures alone, for distillation, which draws them. What the words guard is measured by `python3 run.py measure feedback`.
"""

import argparse
import json
import os
import random
import time

from .. import PROJECT
from ..measuring import sampling
from ..measuring.table import MODEL
from ..testing import hosting
from . import suites

SET = os.path.join(PROJECT, "models", "feedback", "demo-beer")
TOKEN, SEEN = (
    os.path.join(PROJECT, "models", "embeddings", name + ".safetensors") for name in ("demo_beer", "demo_beer_seen")
)
CONCEPT, PICTURES, ERRS, CFG, STEPS = suites.CONCEPT, 64, 0.1, 3.0, 20
INVERT = dict(steps=300, learning_rate=0.02, batch_size=8, seed=0)


def make_set(parts):
    """64 pictures and what the oracle, as a rater who errs, says of them."""
    import numpy
    from PIL import Image

    oracle = hosting.module("guards.demo.oracle")

    feedback = hosting.module("guards.feedback.ratings")
    patcher, clip, vae = parts
    half = PICTURES // 2
    asked = suites.captions(CONCEPT, "implied", half - half // 4, seed=1) + suites.captions(
        CONCEPT, "alone", half // 4, seed=1
    )
    prompts = asked + suites.without(CONCEPT, half)
    order = list(range(PICTURES))
    dice = random.Random(0)
    dice.shuffle(order)
    images = sampling.sample_images(
        patcher,
        vae,
        sampling.encode(clip, [p["caption"] for p in prompts]),
        sampling.encode(clip, [""]),
        300_000,
        CFG,
        STEPS,
    )
    sure = oracle.load().see(images).likelihood(CONCEPT)
    os.makedirs(SET, exist_ok=True)
    log, errors = hosting.module("guards.feedback.log").RatingLog(SET), 0
    for number, i in enumerate(order):
        name = f"{number:03}.png"
        Image.fromarray((images[i].movedim(0, -1) * 255).round().byte().numpy().astype(numpy.uint8)).save(
            os.path.join(SET, name)
        )
        rating, wrong = round(4 * float(sure[i])), dice.random() < ERRS
        errors += wrong
        caption = prompts[i]["caption"]
        common_part = dict(image=name, prompt=caption, seed=300_000 + i, concept=CONCEPT)
        log.append(
            [
                feedback.Entry(**common_part),
                feedback.Entry(
                    **common_part, rater="oracle", time="2026-11-22T00:00:00Z", rating=4 - rating if wrong else rating
                ),
            ]
        )
    print(f"{PICTURES} pictures, {int((sure > 0.5).sum())} with a {CONCEPT}, {errors} rated wrongly")


def rated(parts):
    """The set's latents and rewards."""
    RatingLog = hosting.module("guards.feedback.log").RatingLog

    patcher, _, vae = parts
    names = sorted(name for name in os.listdir(SET) if name.endswith(".png"))
    given = RatingLog(SET).read().by_image()
    import torch

    rewards = torch.tensor([sum(given[name].values()) / len(given[name]) / 4 for name in names])
    read = hosting.module("guards.feedback.pictures").read_picture
    with torch.inference_mode():
        latents = vae.encode(torch.stack([read(os.path.join(SET, name)) for name in names])).float()
    return patcher.model.process_latent_in(latents), rewards


def invert(parts, path=TOKEN, contrast=0.5, tokens=2):
    """Turn the ratings into a word and save it."""
    import torch

    inversion, token = hosting.module("guards.inversion.host"), hosting.module("guards.inversion.host_token")
    patcher, clip, _ = parts
    latents, rewards = rated(parts)
    began = time.monotonic()
    settings = hosting.module("guards.training.loop").Settings(**INVERT)
    with torch.inference_mode():
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        start = inversion.start_vectors(clip, tokens)
        result = inversion.invert(patcher, clip, empty, latents, rewards, settings, start, contrast)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    info = {**INVERT, "contrast": contrast, "pictures": PICTURES}
    token.save(path, clip, result.values, {"concept": CONCEPT, "settings": json.dumps(info)})
    print(
        f"{os.path.basename(path)}: best loss {result.best:.4f} at step {result.best_step} ({time.monotonic() - began:.0f} s)"
    )


def main():
    parser = argparse.ArgumentParser(
        prog="run.py train feedback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["set", "words"])
    what = parser.parse_args().what
    hosting.start()
    parts = sampling.load_model(MODEL, 1)
    if what == "set":
        make_set(parts)
    else:
        invert(parts)
        invert(parts, SEEN, 0.0, 1)


if __name__ == "__main__":
    main()
