"""Label pictures of the demo model for the scale adapter and train it: the shipped models/demo_adapter.safetensors.

    python3 run.py train adapter --examples FILE.safetensors [--count 128] [--out FILE.safetensors]
    python3 run.py train adapter --examples FILE.safetensors --labels beer=-1.75,varga=-2 --count 1024 ...

Every concept gets pictures of prompts with it and of prompts without it. Their labels are found by bisection, which takes
``rounds`` + 2 sampling runs of every picture, or given: one scale for the prompts with the concept, 0 for the others, which
takes one evaluation of the model. Examples are kept after every batch, so that a stopped run goes on. Prompts and seeds are
other ones than those of `run.py evaluate demo_concepts`.
"""

import argparse
import os
import time

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
    parser.add_argument("--concepts", default="beer,varga")
    parser.add_argument("--count", type=int, default=256, help="pictures a concept")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--strongest", type=float, default=-3.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cross-end", type=float, default=1.0, help="share of the steps in which the inhibitor acts")
    parser.add_argument("--examples", required=True)
    parser.add_argument("--labels", help="given labels, such as beer=-1.75,varga=-2; default: bisection")
    parser.add_argument("--cover", type=float, default=0.9)
    parser.add_argument("--out")
    args = parser.parse_args()
    hosting.start()
    import torch
    from safetensors.torch import load_file, save

    files = hosting.module("guards.files")

    oracle = hosting.module("guards.demo.oracle")

    train = hosting.module("guards.inhibitors.host_training")
    text = hosting.module("guards.inhibitors.host_text")
    patcher, clip, vae = sampling.load_model(args.model, 1)
    judge, empty = oracle.load(), sampling.encode(clip, [""])
    done = load_file(args.examples) if os.path.exists(args.examples) else {}
    given = {
        name: float(value)
        for name, _, value in (part.partition("=") for part in (args.labels or "").split(",") if part)
    }
    for number, concept in enumerate(args.concepts.split(",")):
        target = text.target(clip, [concept])
        rows = captions(concept, args.count, 2_000 + 10 * number)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(number)).tolist()
        rows = [rows[i] for i in order]
        wanted = [given.get(concept, 0.0) * promised(r, concept) for r in rows]
        for at in range(0, len(rows), 64):
            key = f"{concept}.{at}"
            if f"{key}.labels" in done:
                continue
            began, part = time.monotonic(), rows[at : at + 64]
            positive = sampling.encode(clip, [r["caption"] for r in part])
            noise = sampling.noise(
                patcher, range(9_000_000 + 10_000 * number + at, 9_000_000 + 10_000 * number + at + len(part))
            )

            def judged(latents, concept=concept):
                return judge.see(vae.decode(latents).float().movedim(-1, 1).clamp(0, 1)).shows(concept)

            if given:
                inputs = train.look(patcher, target, [[positive, {}]], [[empty, {}]], noise, args.cfg)
                done |= {f"{key}.inputs": inputs.contiguous(), f"{key}.labels": torch.tensor(wanted[at : at + 64])}
                files.write(args.examples, save(done))
                continue
            inputs, labels = train.examples(
                patcher,
                target,
                [[positive, {}]],
                [[empty, {}]],
                noise,
                judged,
                cfg=args.cfg,
                steps=args.steps,
                strongest=args.strongest,
                rounds=args.rounds,
                cross_end=args.cross_end,
            )
            done |= {f"{key}.inputs": inputs.contiguous(), f"{key}.labels": labels.contiguous()}
            files.write(args.examples, save(done))
            some = labels[labels < 0]
            print(
                f"{key}: concept found in {len(some)} of {len(labels)}, scales {some.min():.2f} .. {some.median():.2f} .. "
                f"{some.max():.2f}"
                f"  ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
    if args.out:
        concepts = tuple(f"{concept}." for concept in args.concepts.split(","))
        adapter, _, report = train.learn(
            {key: value for key, value in done.items() if key.startswith(concepts)}, cover=args.cover
        )
        adapter.family = "demo"
        folder, name = os.path.split(os.path.abspath(args.out))
        names = ("concepts", "labels", "count", "steps", "cfg", "strongest", "rounds", "cross_end", "cover")
        settings = {key: getattr(args, key) for key in names}
        hosting.module("guards.inhibitors.host_adapters").save(adapter, name, folder, settings, overwrite=True)
        print(report)


if __name__ == "__main__":
    main()
