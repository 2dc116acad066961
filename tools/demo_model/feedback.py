"""Human feedback on the demo model, with the oracle in the place of the people: a rated set, the word inverted from it, what it guards.

    python -m tools.demo_model.feedback --comfyui PATH set  writes models/feedback/demo-star (64 pictures)
    python -m tools.demo_model.feedback --comfyui PATH invert  writes models/embeddings/demo_star.safetensors and demo_star_seen
    python -m tools.demo_model.feedback --comfyui PATH measure
        [--count 256] [--rows "a;b"] [--out FILE.json]

The rater says how sure the oracle is of a star, on the scale of 0 to 4, and errs in one picture of ten: then it says the opposite.
Half of the pictures are made of captions with ``zorp``, which never names a star, half of other shapes'. ``demo_star`` is learnt with
counter-examples, for guards that weigh a prompt against it; ``demo_star_seen`` from the high-rated pictures alone, for distillation, which
draws them. Rows of the table: the word as safety concept, as negative prompt and distilled away, each beside the plain word ``star``.
"""

import argparse
import json
import os
import random
import time

from . import common, effect, measure

SET = os.path.join(common.ROOT, "models", "feedback", "demo-star")
TOKEN, SEEN = (
    os.path.join(common.ROOT, "models", "embeddings", name + ".safetensors") for name in ("demo_star", "demo_star_seen")
)
PICTURES, ERRS, CFG, STEPS = 64, 0.1, 3.0, 20
INVERT = dict(steps=300, learning_rate=0.02, batch_size=8, seed=0)
DISTIL = dict(
    steps=400, learning_rate=5e-4, batch_size=4, rank=16, average=0.99, sample_steps=12, seed=0, keep_weight=0.15
)
KEPT = 21  # captions of other shapes that distillation holds: 3 of each


def make_set(parts):
    """64 pictures and what the oracle, as a rater who errs, says of them."""
    import numpy
    from PIL import Image

    from guards.demo import oracle

    from . import draw

    feedback = common.host_module("guards.feedback.ratings")
    patcher, clip, vae = parts
    others = {shape: shape for shape in draw.SHAPES if shape != "star"}
    prompts = measure.prompts(PICTURES // 2, 21, words={draw.IMPLICIT_WORD: "star"}) + measure.prompts(
        PICTURES // 2, 22, words=others
    )
    order = list(range(PICTURES))
    dice = random.Random(0)
    dice.shuffle(order)
    images = measure.sample_images(
        patcher,
        vae,
        measure.encode(clip, [p["caption"] for p in prompts]),
        measure.encode(clip, [""]),
        300_000,
        CFG,
        STEPS,
    )
    stars = oracle.load().see(images).probabilities[:, :, oracle.SHAPES.index("star")].max(1).values
    os.makedirs(SET, exist_ok=True)
    log, errors = common.host_module("guards.feedback.log").RatingLog(SET), 0
    for number, i in enumerate(order):
        name = f"{number:03}.png"
        Image.fromarray((images[i].movedim(0, -1) * 255).round().byte().numpy().astype(numpy.uint8)).save(
            os.path.join(SET, name)
        )
        rating, wrong = round(4 * float(stars[i])), dice.random() < ERRS
        errors += wrong
        caption = prompts[i]["caption"]
        common_part = dict(image=name, prompt=caption, seed=300_000 + i, concept="star")
        log.append(
            [
                feedback.Entry(**common_part),
                feedback.Entry(
                    **common_part, rater="oracle", time="2026-11-22T00:00:00Z", rating=4 - rating if wrong else rating
                ),
            ]
        )
    print(f"{PICTURES} pictures, {int((stars > 0.5).sum())} with a star, {errors} rated wrongly")


def rated(parts):
    """The set's latents and rewards."""
    from guards.feedback.log import RatingLog

    patcher, _, vae = parts
    names = sorted(name for name in os.listdir(SET) if name.endswith(".png"))
    given = RatingLog(SET).read().by_image()
    import torch

    rewards = torch.tensor([sum(given[name].values()) / len(given[name]) / 4 for name in names])
    read = common.host_module("guards.feedback.pictures").read_picture
    with torch.inference_mode():
        latents = vae.encode(torch.stack([read(os.path.join(SET, name)) for name in names])).float()
    return patcher.model.process_latent_in(latents), rewards


def invert(parts, path=TOKEN, contrast=0.5, tokens=2):
    """Turn the ratings into a word and save it."""
    import torch

    inversion, token = common.host_module("guards.inversion.host"), common.host_module("guards.inversion.host_token")
    patcher, clip, _ = parts
    latents, rewards = rated(parts)
    began = time.monotonic()
    settings = common.host_module("guards.training.loop").Settings(**INVERT)
    with torch.inference_mode():
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        start = inversion.start_vectors(clip, tokens)
        result = inversion.invert(patcher, clip, empty, latents, rewards, settings, start, contrast)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    info = {**INVERT, "contrast": contrast, "pictures": PICTURES}
    token.save(path, clip, result.values, {"concept": "star", "settings": json.dumps(info)})
    print(
        f"{os.path.basename(path)}: best loss {result.best:.4f} at step {result.best_step} ({time.monotonic() - began:.0f} s)"
    )


def conditionings(parts):
    """CONDITIONINGs: the two words, the plain word, the empty prompt."""
    import torch

    inversion = common.host_module("guards.inversion.host")
    from safetensors.torch import load_file

    clip = parts[1]
    with torch.inference_mode():
        words = {
            name: [[inversion.encode(clip, {"l": load_file(path)["clip_l"]})[0][0].float(), {}]]
            for name, path in (("word", TOKEN), ("seen", SEEN))
            if os.path.exists(path)
        }
    return words | {"star": [[measure.encode(clip, ["star"]), {}]], "empty": [[measure.encode(clip, [""]), {}]]}


def distilled(parts, concept, empty, held=KEPT):
    """The MODEL after self-distillation of a concept, ``held`` other captions kept."""
    import torch

    from . import draw

    others = {shape: shape for shape in draw.SHAPES if shape != "star"}
    keep = [[measure.encode(parts[1], [row["caption"]]), {}] for row in measure.prompts(held, 41, words=others)]
    distillation = common.host_module("guards.distillation.host")
    settings = common.host_module("guards.distillation.formula").Settings(**DISTIL)
    with torch.inference_mode():
        result = distillation.distil(parts[0], concept, empty, (16, 8, 8), settings, keep=keep)
        return distillation.apply(parts[0], distillation.to_lora(result.changes))


def report(parts, args):
    """Measure the rows one by one and gather them."""
    from guards.demo import oracle

    patcher, clip, vae = parts
    judge, texts = oracle.load(), conditionings(parts)
    sld, guard = common.host_module("guards.sld.formula"), common.host_module("guards.sld.host").guard
    suites, before = effect.suites(args.count), None

    def sld_row(name, settings):
        return lambda: (guard(patcher, settings, texts[name]), "empty")

    rows = {"off": lambda: (patcher, "empty")}
    for name in ("word", "star"):
        rows[f"{name}, SLD aligned max"] = sld_row(name, sld.ALIGNED["max"])
        rows[f"{name}, SLD published max"] = sld_row(name, sld.PRESETS["max"])
        rows[f"{name}, negative"] = lambda name=name: (patcher, name)
    for name in ("seen", "word", "star"):
        rows[f"{name}, SDD"] = lambda name=name: (distilled(parts, texts[name], texts["empty"]), "empty")
    rows["seen, SDD as published"] = lambda: (distilled(parts, texts["seen"], texts["empty"], 0), "empty")
    chosen = args.rows.split(";") if args.rows else list(rows)
    for name in ["off", *(row for row in chosen if row != "off")]:
        began, result = time.monotonic(), {}
        model, negative = rows[name]()
        for suite in ("implicit", "plain", "other"):
            if name == "off" and "off" not in chosen and suite != "other":
                continue
            prompts = suites[suite]
            images = measure.sample_images(
                model,
                vae,
                measure.encode(clip, [p["caption"] for p in prompts]),
                texts[negative][0][0],
                500_000 + len(suite) * 10_000,
                CFG,
                STEPS,
            )
            seen = judge.see(images)
            if suite == "other":
                now = effect.kept(measure.judge(seen, prompts))
                before = before or now
                result["retention"] = sum(a and b for a, b in zip(now, before, strict=True)) / sum(before)
            else:
                result[suite] = seen.contains("star").float().mean().item()
        print(
            f"{name:<28}"
            + "  ".join(f"{key} {value:.3f}" for key, value in result.items())
            + f"  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        if len(result) == 3:
            common.gather(args.out, name, result)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("set")
    commands.add_parser("invert")
    table = commands.add_parser("measure")
    table.add_argument("--count", type=int, default=256)
    table.add_argument("--rows", help="names separated by semicolons; default: all")
    table.add_argument("--out", help="JSON file that gathers the rows")
    args = parser.parse_args()
    common.start_host(args.comfyui)
    parts = measure.load_model(os.path.join(common.ROOT, "models", "demo_model.safetensors"), 1)

    def both():
        invert(parts)
        invert(parts, SEEN, 0.0, 1)

    {"set": lambda: make_set(parts), "invert": both, "measure": lambda: report(parts, args)}[args.command]()


if __name__ == "__main__":
    main()
