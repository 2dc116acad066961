"""Put the trained parts into the files that the pack ships (half precision): demo_model, demo_oracle and demo_dit.safetensors.

    python3 run.py train export --out FOLDER --to FOLDER

Where the folder trained no UNet, the demo model that is in --to stays, with the folder's autoencoder.
"""

import argparse
import json
import os
import shutil

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from . import common


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--to", required=True)
    args = parser.parse_args()
    path = os.path.join(args.to, "demo_model.safetensors")
    trained = common.load_checkpoint(os.path.join(args.out, "unet.ckpt"))
    polished = os.path.join(args.out, "vae_polished.safetensors")
    vae = load_file(polished if os.path.exists(polished) else os.path.join(args.out, "vae.safetensors"))
    if trained:
        tensors = {"token_ids": torch.tensor(trained["ids"], dtype=torch.int32)}
        for name, value in zip(trained["names"], trained["ema"], strict=True):
            tensors["text.table" if name == "table" else name] = value.half().contiguous()
        about = dict(format="concept-guards.demo-model/2", art="Fluent Emoji Flat, Microsoft, MIT", licence="MIT")
        about |= {key: json.dumps(round(trained[key], 4)) for key in ("seed", "step", "spent", "loss")}
    else:
        with safe_open(path, "pt") as file:
            tensors, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    tensors |= {"vae." + key: value.half().contiguous() for key, value in vae.items()}
    os.makedirs(args.to, exist_ok=True)
    save_file(tensors, path + ".tmp", metadata=about)
    os.replace(path + ".tmp", path)
    written = [path]
    for name, ships_as in (("oracle", "demo_oracle"), ("demo_dit", "demo_dit")):  # those that were trained here
        source = os.path.join(args.out, f"{name}.safetensors")
        if os.path.exists(source):
            written.append(shutil.copyfile(source, os.path.join(args.to, f"{ships_as}.safetensors")))
    for file in written:
        print(f"{file}: {os.path.getsize(file) / 1e6:.2f} MB")
    print(about)


if __name__ == "__main__":
    main()
