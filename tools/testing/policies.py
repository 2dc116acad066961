"""A policy's file on a server of a test's own, and a graph to try it with."""

from __future__ import annotations

import json
from pathlib import Path


def place(folder: Path) -> Path:
    """Where a server in ``folder`` has its policy and its record."""
    return folder / "user" / "__concept_guards"


def write(folder: Path, policy: dict | str) -> None:
    """Lay a policy, or any text, where that server looks for one."""
    place(folder).mkdir(parents=True, exist_ok=True)
    text = policy if isinstance(policy, str) else json.dumps(policy)
    (place(folder) / "policy.json").write_text(text, encoding="utf-8")


def graph(text: str = "a cat", sampler: str = "KSampler", **inputs) -> dict:
    """One picture of the demo model in API format; ``inputs``: the sampler's, beside or in place of the usual ones."""
    made = {
        "1": {"class_type": "GuardDemoModel", "inputs": {}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": text}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 96, "batch_size": 1}},
        "5": {
            "class_type": sampler,
            "inputs": {"model": ["1", 0], "positive": ["2", 0], "latent_image": ["4", 0], **inputs},
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "p"}},
    }
    if sampler == "KSampler":
        numbers = dict(seed=1, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal", denoise=1.0)
        made["5"]["inputs"] = {**numbers, "negative": ["3", 0], **made["5"]["inputs"]}
    return made
