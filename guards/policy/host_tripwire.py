"""No diffusion model of the host runs outside a live guarded run, whoever started it.

Torch calls a hook when a module is given to a parent; where the host gives a BaseModel its ``diffusion_model``, that one gets a hook
before its forward, which looks for the token of a run that is under way. Copies of a model keep the hook. Official hooks only.
"""

from __future__ import annotations

import gc
import secrets

import comfy.model_base
import torch
from torch.nn.modules.module import register_module_module_registration_hook

from .. import looking
from .host_office import Stopped, office
from .sayings import LANGUAGES, Refusal

TOKEN = "concept_guards_policy_run"  # noqa: S105 - a key in the transformer options
_live: set[str] = set()
_hook = None


def begin() -> str:
    """The token of a run that starts now; put it into the run's transformer options."""
    token = secrets.token_hex(16)
    _live.add(token)
    return token


def end(token: str) -> None:
    _live.discard(token)


def check(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
    """Before a forward of a diffusion model. Raises Stopped outside a guarded run."""
    options = kwargs.get("transformer_options")
    if options is None:
        options = next((one for one in args if isinstance(one, dict) and TOKEN in one), {})
    if options.get(TOKEN) in _live or looking.is_for_ourselves():
        return
    policy, fault = office.look()
    if policy is None and fault is None:
        return
    refusal = fault or Refusal("tripwire", "tripwire")
    office.record("tripped", refusal)
    raise Stopped(refusal, policy, *LANGUAGES)  # whose run this is cannot be known here


def _given(parent: torch.nn.Module, name: str, child: torch.nn.Module | None) -> None:
    if name == "diffusion_model" and isinstance(parent, comfy.model_base.BaseModel) and child is not None:
        _watch(child)


def _watch(module: torch.nn.Module) -> None:
    if check not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(check, with_kwargs=True)


def install() -> None:
    """Watch every model that will be built, and those that are there. Safe to call again."""
    global _hook
    looking.watch()
    if _hook is None:
        _hook = register_module_module_registration_hook(_given)
        for found in gc.get_objects():
            if (
                issubclass(type(found), comfy.model_base.BaseModel)
                and getattr(found, "diffusion_model", None) is not None
            ):
                _watch(found.diffusion_model)
