"""Scale adapters as files: those in models/concept_adapters and the demo model's, which comes with the pack."""

import json
import os

import comfy.utils
import folder_paths
import safetensors
import safetensors.torch

from .. import files
from ..host import folders
from . import formula as inhibitors

FOLDER, FORMAT, SHIPPED = "concept_adapters", "concept-guards.adapter/1", "demo_adapter.safetensors (shipped)"
SHIPPED_PATH = os.path.join(folders.SHIPPED, "demo_adapter.safetensors")


def names():
    """All adapters by name, the shipped one first."""
    return [SHIPPED, *folder_paths.get_filename_list(FOLDER)]


def load(name):
    """The Adapter of a name. Raises ValueError or FileNotFoundError, saying what is wrong with which file."""
    return read(SHIPPED_PATH if name == SHIPPED else folders.find(FOLDER, name, "adapter_name"))


def read(path):
    """The Adapter in a file: ours (safetensors) or the official state dict (.pth)."""
    name = os.path.basename(path)
    try:
        family, injected = "", True
        if path.endswith(".safetensors"):
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
            family, injected = metadata.get("family", ""), metadata.get("measured", "injected") == "injected"
        state = comfy.utils.load_torch_file(path, safe_load=True)
        return inhibitors.load_adapter(
            state.get("state_dict", state) if isinstance(state, dict) else state, family, injected
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The adapter {name} is missing.") from error
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(
            f"The adapter {name} cannot be used: {reason}. Choose a file saved by Save Scale Adapter or the official "
            ".pth state dict."
        ) from error


def save(adapter, filename, folder=None, settings=None, overwrite=False):
    """Write an adapter to models/concept_adapters, or to ``folder``; returns its path. Raises ValueError for names that could land
    elsewhere, and FileExistsError for one that is there, unless ``overwrite`` is on."""
    path = folders.new_file(FOLDER, filename, ".safetensors", overwrite, folder)
    metadata = {
        "format": FORMAT,
        "family": adapter.family,
        "features": str(adapter.features),
        "measured": "injected" if adapter.injected else "plain",
        "settings": json.dumps(settings or {}),
    }
    files.write(
        path, safetensors.torch.save({key: value.contiguous() for key, value in adapter.state_dict().items()}, metadata)
    )
    return path


def examples_folder():
    """Where training keeps its examples, so that a stopped one can go on."""
    return os.path.join(folder_paths.get_user_directory(), "concept_guards", "adapter_examples")


def relative(path):
    """A saved file's path as users know it: from the models folder on."""
    return os.path.relpath(path, folder_paths.models_dir).replace(os.sep, "/")


def fingerprint(name):
    """Changes when the file does."""
    return folders.stamp(SHIPPED_PATH) if name == SHIPPED else folders.fingerprint(FOLDER, name)
