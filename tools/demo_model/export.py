"""Put the trained parts into the one file that the pack ships: models/demo_model.safetensors (half precision).

python3 run.py train export --out FOLDER
"""

import argparse
import json
import os

import torch
from safetensors.torch import load_file, save

from .. import PROJECT
from ..testing import hosting
from . import common


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--to", default=os.path.join(PROJECT, "models", "demo_model.safetensors"))
    args = parser.parse_args()
    trained = common.load_checkpoint(os.path.join(args.out, "unet.ckpt"))
    polished = os.path.join(args.out, "vae_polished.safetensors")
    vae = load_file(polished if os.path.exists(polished) else os.path.join(args.out, "vae.safetensors"))
    tensors = {}
    for name, value in zip(trained["names"], trained["ema"], strict=True):
        tensors["text.table" if name == "table" else name] = value.half().contiguous()
    tensors |= {"vae." + key: value.half().contiguous() for key, value in vae.items()}
    tensors["token_ids"] = torch.tensor(trained["ids"], dtype=torch.int32)
    about = dict(
        format="concept-guards.demo-model/1",
        seed=trained["seed"],
        steps=trained["step"],
        seconds=round(trained["spent"]),
        loss=round(trained["loss"], 4),
        licence="MIT",
    )
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    hosting.module("guards.files").write(args.to, save(tensors, metadata))
    print(f"{args.to}: {os.path.getsize(args.to) / 1e6:.2f} MB, {about}")


if __name__ == "__main__":
    main()
