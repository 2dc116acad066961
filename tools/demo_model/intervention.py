"""What prompt intervention does on the demo model, by the oracle: the table of its help page.

    python -m tools.demo_model.intervention --comfyui PATH [--count 256]

The query's captions say ``zorp``, which implies a star; the rewrite says ``circle``. Per ratio: the share of pictures that show a star,
that show the circle, and the mean difference of a picture's values to the one that the query alone makes from the same noise.
"""

import argparse
import os

from . import common, effect, measure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--count", type=int, default=256)
    args = parser.parse_args()
    common.start_host(args.comfyui)
    import comfy.sample
    import torch

    from guards.demo import oracle

    guard = common.host_module("guards.intervention.host").guard
    patcher, clip, vae = measure.load_model(os.path.join(common.ROOT, "models", "demo_model.safetensors"), 1)
    judge, captions = oracle.load(), [prompt["caption"] for prompt in effect.suites(args.count)["implicit"]]
    query, empty = measure.encode(clip, captions), measure.encode(clip, [""])
    rewritten = measure.encode(clip, [caption.replace("zorp", "circle") for caption in captions])
    start, plain = measure.noise(patcher, range(580_000, 580_000 + args.count)), None
    for ratio in (1.0, 0.5, 0.3, 0.2, 0.1, 0.0):
        images = []
        with torch.inference_mode():
            for x, *texts in zip(start.split(64), query.split(64), rewritten.split(64)):
                model, positive = guard(patcher, *([[text.contiguous(), {}]] for text in texts), ratio)
                negative = [[empty.expand(len(x), -1, -1).contiguous(), {}]]
                latents = comfy.sample.sample(
                    model,
                    x,
                    20,
                    3.0,
                    "euler",
                    "normal",
                    positive,
                    negative,
                    torch.zeros_like(x),
                    disable_pbar=True,
                    seed=1,
                )
                images.append(vae.decode(latents.float()).float().movedim(-1, 1).clamp(0, 1))
        images = torch.cat(images).contiguous()
        plain = images if plain is None else plain
        seen = judge.see(images)
        star, circle = (seen.contains(shape).float().mean().item() for shape in ("star", "circle"))
        print(
            f"{ratio:4.1f}  star {star:.3f}  circle {circle:.3f}  distance {(images - plain).abs().mean().item():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
