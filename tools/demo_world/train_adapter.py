"""Label pictures of the demo model for the scale adapter and train it: the shipped models/demo_adapter.safetensors.

    python3 run.py evaluate demo_scales --labels FILE.txt          which scale the pictures need
    python3 run.py train adapter --examples FILE.safetensors --labels beer=-2,varga=-2 [--count 1024] [--out FILE.safetensors]

Every concept gets prompts with it, which get its label, and prompts without it, which get 0: one evaluation of the model each.
Examples are kept after every batch, so that a stopped run goes on. Prompts and seeds are other ones than those of `run.py evaluate
demo_concepts`.
"""

import argparse
import os

from .. import PROJECT
from ..measuring import sampling
from ..testing import hosting
from . import suites


def captions(concept: str, count: int, seed: int) -> list[dict]:
    """``count`` prompts, half of them with the concept: alone, in scenes, and (where a word implies it) implied."""
    half, kinds = count // 2, ["alone", "scenes", *(["implied"] if suites.implying(concept) else [])]
    there = [row for kind in kinds for row in suites.captions(concept, kind, half // len(kinds), seed)]
    return there + suites.captions(concept, "others", count - len(there), seed)


def promised(row: dict, concept: str) -> bool:
    """Whether a row's caption promises a thing or an artist's style."""
    return concept in row["things"] or concept in row["caption"].split()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.path.join(PROJECT, "models", "demo_model.safetensors"))
    parser.add_argument("--count", type=int, default=256, help="prompts a concept")
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--cross-end", type=float, default=1.0, help="share of the steps in which the inhibitor acts")
    parser.add_argument("--examples", required=True)
    parser.add_argument("--labels", required=True, help="the concepts and their scales, such as beer=-2,varga=-2")
    parser.add_argument("--cover", type=float, default=0.9)
    parser.add_argument("--out")
    args = parser.parse_args()
    hosting.start()
    import torch
    from safetensors.torch import load_file, save

    files = hosting.module("guards.files")
    train = hosting.module("guards.inhibitors.host_training")
    text = hosting.module("guards.inhibitors.host_text")
    patcher, clip, _ = sampling.load_model(args.model, 1)
    empty = sampling.encode(clip, [""])
    done = load_file(args.examples) if os.path.exists(args.examples) else {}
    given = {name: float(value) for name, _, value in (part.partition("=") for part in args.labels.split(","))}
    for number, (concept, label) in enumerate(given.items()):
        target = text.target(clip, [concept])
        rows = captions(concept, args.count, 2_000 + 10 * number)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(number)).tolist()
        rows = [rows[i] for i in order]
        for at in range(0, len(rows), 64):
            key, part = f"{concept}.{at}", rows[at : at + 64]
            if f"{key}.labels" in done:
                continue
            positive = sampling.encode(clip, [r["caption"] for r in part])
            first = 9_000_000 + 10_000 * number + at
            noise = sampling.noise(patcher, range(first, first + len(part)))
            inputs = train.look(patcher, target, [[positive, {}]], [[empty, {}]], noise, args.cfg)
            labels = torch.tensor([label * promised(r, concept) for r in part])
            done |= {f"{key}.inputs": inputs.contiguous(), f"{key}.labels": labels}
            files.write(args.examples, save(done))
    if args.out:
        concepts = tuple(f"{concept}." for concept in given)
        adapter, _, report = train.learn(
            {key: value for key, value in done.items() if key.startswith(concepts)}, cover=args.cover
        )
        adapter.family = "demo"
        folder, name = os.path.split(os.path.abspath(args.out))
        settings = {key: getattr(args, key) for key in ("labels", "count", "cfg", "cross_end", "cover")}
        hosting.module("guards.inhibitors.host_adapters").save(adapter, name, folder, settings, overwrite=True)
        print(report)


if __name__ == "__main__":
    main()
