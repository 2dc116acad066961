"""Scale adapters as files: those in models/concept_adapters and the demo model's, which comes with the pack."""
import json
import os
import re

import comfy.utils
import folder_paths
import safetensors
import safetensors.torch

from .. import inhibitors

FOLDER, FORMAT, SHIPPED = "concept_adapters", "concept-guards.adapter/1", "demo_adapter.safetensors (shipped)"
SUFFIXES = {".safetensors", ".pth", ".pt"}
SHIPPED_PATH = os.path.join(os.path.dirname(__file__), "..", "..", "models", "demo_adapter.safetensors")


def register():
    """Make models/concept_adapters known to the host, with the folders that its configuration may already name."""
    own = os.path.join(folder_paths.models_dir, FOLDER)
    paths, _ = folder_paths.folder_names_and_paths.get(FOLDER, ([], set()))
    folder_paths.folder_names_and_paths[FOLDER] = ([*paths, *([] if own in paths else [own])], SUFFIXES)
    return own


def names():
    """All adapters by name, the shipped one first."""
    register()
    return [SHIPPED, *folder_paths.get_filename_list(FOLDER)]


def load(name):
    """The Adapter of a name. Raises ValueError or FileNotFoundError, saying what is wrong with which file."""
    register()
    return read(SHIPPED_PATH if name == SHIPPED else folder_paths.get_full_path_or_raise(FOLDER, name))


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
        return inhibitors.load_adapter(state.get("state_dict", state) if isinstance(state, dict) else state, family, injected)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The adapter {name} is missing.") from error
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(f"The adapter {name} cannot be used: {reason}. Choose a file saved by Save Scale Adapter or the official "
                         ".pth state dict.") from error


def save(adapter, filename, folder=None, settings=None, replace=False):
    """Write an adapter to models/concept_adapters; returns its path. Never leaves the folder, never overwrites unasked."""
    name = filename.strip().removesuffix(".safetensors")
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)\d)(\..*)?", name)
    if not re.fullmatch(r"[\w][\w .\-]{0,119}", name) or name.endswith((".", " ")) or reserved:
        raise ValueError(f"filename is {filename!r}: use letters, digits, spaces, dots, - and _ only, no folder.")
    folder = register() if folder is None else folder
    os.makedirs(folder, exist_ok=True)
    path, number = os.path.join(folder, name + ".safetensors"), 1
    while os.path.exists(path) and not replace:
        number += 1
        path = os.path.join(folder, f"{name}_{number}.safetensors")
    metadata = {"format": FORMAT, "family": adapter.family, "features": str(adapter.features),
                "measured": "injected" if adapter.injected else "plain", "settings": json.dumps(settings or {})}
    safetensors.torch.save_file({key: value.contiguous() for key, value in adapter.state_dict().items()}, path + ".tmp", metadata)
    os.replace(path + ".tmp", path)
    return path


def examples_folder():
    """Where training keeps its examples, so that a stopped one can go on."""
    return os.path.join(folder_paths.get_user_directory(), "concept_guards", "adapter_examples")


def relative(path):
    """A saved file's path as users know it: from the models folder on."""
    return os.path.relpath(path, folder_paths.models_dir).replace(os.sep, "/")


def fingerprint(name):
    """Changes when the file does."""
    register()
    path = SHIPPED_PATH if name == SHIPPED else folder_paths.get_full_path(FOLDER, name)
    return f"{os.path.getmtime(path)}:{os.path.getsize(path)}" if path and os.path.exists(path) else "missing"
