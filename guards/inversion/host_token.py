"""Learnt words in the host: saved as ordinary textual-inversion embeddings, and loaded so that one that does not fit is an error."""

import os
from typing import cast

import comfy.utils
import folder_paths
import safetensors.torch
import torch

from .. import files
from ..host import folders
from . import host as inversion

FOLDER = "embeddings"
EXTENSION = ".safetensors"


def path_for(name, overwrite=False):
    """Where a word called ``name`` will be saved. Raises ValueError or FileExistsError naming the input."""
    if any(letter.isspace() or letter in "()[]<>,:" for letter in name.strip()):
        raise ValueError(
            f"name is {name[:80]!r}: a word that stands in prompts as embedding:name cannot hold spaces, commas, colons or "
            f"brackets."
        )
    return folders.new_file(FOLDER, name, EXTENSION, overwrite)


def save(path, clip, values, info):
    """Write vectors (n, sum of widths) as a standard embedding: clip_l, clip_g or clip_h, each (n, width), float32."""
    tensors = {
        f"clip_{key}": part.float().contiguous()
        for key, part in inversion.split(inversion.widths(clip), values).items()
    }
    files.write(path, safetensors.torch.save(tensors, {"format": "concept-guards.token/1", **info}))
    folder_paths.filename_list_cache.pop(FOLDER, None)


def vectors(clip, token):
    """Encoder -> (n, width) of an embedding file. Raises FileNotFoundError, or ValueError when it does not fit this text encoder: the host
    would drop such a word without a word."""
    path = folders.find(FOLDER, token, "token")
    sizes = inversion.widths(clip)
    try:
        stored = cast(dict, comfy.utils.load_torch_file(path, safe_load=True))
    except Exception as error:  # of many kinds; nothing in the file is executed
        raise ValueError(
            f"token: {token} cannot be read as an embedding ({type(error).__name__}). Choose another, or save it again."
        ) from error
    stored = stored.get("string_to_param", stored)
    tensors = {
        key: value.reshape(-1, value.shape[-1]).clone()  # Windows does not let a file be replaced that is still mapped
        for key, value in stored.items()
        if torch.is_tensor(value) and value.ndim in (1, 2)
    }
    if {"clip_l", "clip_g"} <= tensors.keys() and list(sizes) == ["l"]:
        raise ValueError(
            f"token: {token} was made for SDXL, whose two text encoders share its meaning; with this one half of the word "
            "would be left out. Use it with an SDXL model, or invert the feedback again with this model."
        )
    parts = {}
    for key, width in sizes.items():
        value = tensors.get(f"clip_{key}")
        if value is None and len(sizes) == 1 and len(tensors) == 1:
            value = next(iter(tensors.values()))  # files of other trainers name it otherwise
        if value is None or value.shape[1] != width:
            holds = ", ".join(f"{name} {value.shape[1]} wide" for name, value in tensors.items()) or "no vectors"
            raise ValueError(
                f"token: {token} holds {holds}; this text encoder needs clip_{key}, {width} wide. It was made for another "
                "model: use it with that model, or invert the feedback again with this one."
            )
        if not bool(torch.isfinite(value.float()).all()):
            raise ValueError(
                f"token: {token} holds values that are no finite numbers. Invert the feedback again with a lower learning "
                f"rate."
            )
        parts[key] = value
    if len({len(value) for value in parts.values()}) != 1:
        raise ValueError(f"token: {token} holds another number of vectors for each text encoder. Save it again.")
    return parts


def encode(clip, token, template):
    """(CONDITIONING, text) of a template with the word in it. The text can be typed anywhere as it is."""
    parts = vectors(clip, token)
    if template.count("{token}") != 1:
        raise ValueError(f"template is {template!r}: it must hold {{token}} once, where the learnt word goes.")
    name = os.path.splitext(token)[0].replace("\\", "/")
    if any(letter.isspace() for letter in name):
        raise ValueError(f"token: {token} has a space in its name, which ends a word in a prompt. Rename the file.")
    before, after = template.split("{token}")
    text = (
        before
        + (" " if before and not before[-1].isspace() and before[-1] != "(" else "")
        + f"embedding:{name}"
        + after
    )
    tokens = clip.tokenize(text)
    for key, value in parts.items():
        placed = sum(torch.is_tensor(entry[0]) for chunk in tokens[key] for entry in chunk)
        if placed != len(value):
            raise ValueError(
                f"token: {token} did not reach the text encoder ({placed} of {len(value)} vectors): this clip does not "
                "look for embeddings in models/embeddings, or the template is too long. Load the model with a node of "
                "ComfyUI's own."
            )
    return clip.encode_from_tokens_scheduled(tokens), text
