"""Human feedback on the demo model, with the oracle in the place of the people: a rated set, and the words inverted from it.

    python3 run.py evaluate demo_feedback --rate models/feedback/demo-beer        makes and files its 64 pictures
    python3 run.py train feedback rate       rates them
    python3 run.py train feedback words      writes models/embeddings/demo_beer.safetensors and demo_beer_seen

The rater says how sure the oracle is of a beer, on the scale of 0 to 4, and errs in one picture of ten: then it says the opposite.
Half of the pictures are made of captions that show a beer, most of them without naming it (*party*), half of other things'.
``demo_beer`` is learnt with counter-examples, for guards that weigh a prompt against it; ``demo_beer_seen`` from the high-rated
pictures alone, for distillation, which draws them. What the words guard is measured by `python3 run.py evaluate demo_words`.
"""

import argparse
import json
import os
import random
import sys
import time

from .. import PROJECT
from ..measuring import sampling
from ..testing import hosting
from . import suites

SET = os.path.join(PROJECT, "models", "feedback", "demo-beer")
TOKEN, SEEN = (
    os.path.join(PROJECT, "models", "embeddings", name + ".safetensors") for name in ("demo_beer", "demo_beer_seen")
)
CONCEPT, PICTURES, ERRS, FIRST = suites.CONCEPT, 64, 0.1, 300_000
INVERT = dict(steps=300, learning_rate=0.02, batch_size=8, seed=0)


def asked():
    """The prompts of the set's pictures, in the order in which they are filed: (caption, seed)."""
    half = PICTURES // 2
    shown = suites.captions(CONCEPT, "implied", half - half // 4, seed=1) + suites.captions(
        CONCEPT, "alone", half // 4, seed=1
    )
    rows = [(row["caption"], FIRST + place) for place, row in enumerate(shown + suites.without(CONCEPT, half))]
    random.Random(0).shuffle(rows)
    return rows


def rate(folder=SET):
    """What the oracle, as a rater who errs, says of the pictures of a set."""
    import torch

    oracle, feedback = hosting.module("guards.demo.oracle"), hosting.module("guards.feedback.ratings")
    read = hosting.module("guards.feedback.pictures").read_picture
    log = hosting.module("guards.feedback.log").RatingLog(folder)
    filed = log.snapshot().filed
    if not filed:
        sys.exit(f"There is no picture in {folder}. Make them: python3 run.py evaluate demo_feedback --rate {folder}")
    pictures = torch.stack([read(os.path.join(folder, name)) for name in filed]).movedim(-1, 1)
    sure, dice, errors, entries = oracle.load().see(pictures).likelihood(CONCEPT), random.Random(0), 0, []
    dice.shuffle(list(range(PICTURES)))  # as the prompts were
    for entry, value in zip(filed.values(), sure.tolist(), strict=True):
        rating, wrong = round(4 * value), dice.random() < ERRS
        errors += wrong
        given = dict(rater="oracle", time="2026-11-22T00:00:00Z", rating=4 - rating if wrong else rating)
        entries.append(feedback.Entry(entry.image, entry.prompt, entry.seed, entry.concept, **given))
    log.append(entries)
    print(f"{len(filed)} pictures, {int((sure > 0.5).sum())} with a {CONCEPT}, {errors} rated wrongly")


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
    parser.add_argument("what", choices=["rate", "words"])
    what = parser.parse_args().what
    hosting.start()
    if what == "rate":
        rate()
        return
    parts = sampling.load_model(sampling.MODEL, 1)
    invert(parts)
    invert(parts, SEEN, 0.0, 1)


if __name__ == "__main__":
    main()
