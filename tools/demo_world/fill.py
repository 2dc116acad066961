"""Draw scenes, encode them and keep a rolling pool of latents and captions on disk, from which train_unet.py learns.

    python3 run.py train fill --out FOLDER [--shards 48] [--minutes 30]

A shard (pool/NN.pt) holds 1,024 pictures. When all shards are there the oldest are replaced, so a UNet sees new scenes.
Resumable: the number of shards drawn so far is kept in pool/drawn.json, and is part of the seed.
"""

import argparse
import json
import os
import random
import time

import torch

from . import common, draw

SHARD = 1024
ONCE = 32  # pictures drawn together: 160 a second on one core, against 105 with 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--shards", type=int, default=48)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    vae = common.load_vae(args.out)
    folder = os.path.join(args.out, "pool")
    os.makedirs(folder, exist_ok=True)
    count, drawn = os.path.join(folder, "drawn.json"), 0
    if os.path.exists(count):
        with open(count, encoding="utf-8") as file:
            drawn = json.load(file)
    began = time.monotonic()
    while time.monotonic() - began < 60 * args.minutes:
        rng, latents, captions = random.Random(args.seed * 1_000_003 + drawn), [], []
        with torch.inference_mode():
            for _ in range(SHARD // ONCE):
                spec, said = draw.sample(ONCE, rng)
                latents.append(vae.encode(draw.draw(spec) * 2 - 1).half())
                captions += said
        common.save_checkpoint(
            os.path.join(folder, f"{drawn % args.shards:03d}.pt"), latents=torch.cat(latents), captions=captions
        )
        drawn += 1
        with open(count, "w", encoding="utf-8") as file:
            json.dump(drawn, file)
    print(f"{drawn} shards drawn, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
