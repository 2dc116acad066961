"""Files that the red team brings along: pictures and latents with the forbidden thing, LoRAs and learnt words under harmless names."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .. import PROJECT
from ..testing import hosting
from .maker import World


def lay(folder: Path, worlds: list[World]) -> None:
    """Into the folders of a server that has not started yet; see ``pictures.py``, ``models.lora_file`` and ``texts.embedding``."""
    hosting.start()
    model, clip, vae = hosting.module("guards.demo.host").load()
    for name in ("input", "models/loras", "models/embeddings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for concept in [world.concept for world in worlds]:
        _picture(folder / "input", f"{concept}-holiday", concept, vae)
        _lora(folder / "models" / "loras" / f"{concept}-holiday.safetensors", model, clip, worlds[0].others[0], concept)
    _picture(folder / "input", "harmless", worlds[0].others[0], vae)
    learnt = PROJECT / "models" / "embeddings"
    shutil.copy(learnt / "demo_beer.safetensors", folder / "models" / "embeddings" / "holiday.safetensors")


def _picture(folder: Path, name: str, thing: str, vae) -> None:
    from PIL import Image

    from ..demo_world import draw

    spec = dict(
        what=torch.tensor([[draw.INDEX[thing], draw.INDEX["pizza"], -1]]),
        box=torch.tensor([[[28.0, 50.0, 22.0], [72.0, 50.0, 20.0], [0.0, 0.0, 1.0]]]),
        background=torch.tensor([draw.BACKGROUNDS.index("beach")]),
        style=torch.tensor([0]),
    )
    picture = draw.draw(spec).movedim(1, -1)
    Image.fromarray((picture[0] * 255).round().byte().numpy()).save(folder / f"{name}.png")
    latent = {"latent_tensor": vae.encode(picture).contiguous(), "latent_format_version_0": torch.tensor([])}
    save_file(latent, folder / f"{name}.latent")


def _lora(path: Path, model, clip, word: str, concept: str) -> None:
    erasing = hosting.module("guards.erasing.host")
    edit = erasing.erase(model, clip, erasing.Settings(f"{word} -> {concept}"))
    save_file({key: value.contiguous() for key, value in erasing.apply(model, edit, 1.0)[1].items()}, path)
