"""What a closed-form edit has changed in a UNet's cross-attentions, kept beside the weights: guards read their own texts without it.

To an edited model a concept's words mean something harmless. A guard that knows the concept by its words would look for the harmless thing
and take that out of pictures. So the texts of guards, and no others, are read as the model read them before: what the edit adds to their
keys and values is taken off again, which is exact, since W' c = W c + B A c.
"""

from dataclasses import dataclass

import torch

from . import checks, roles, strangers

KEY = "concept_guards_edits"
GROUND = "diffusion_model."


@dataclass(frozen=True, eq=False)
class Edit:
    """``lora``: LORA_MODEL as it was applied; its keys are those of `guards/erasing`."""

    lora: dict

    def taken(self, name: str, context: torch.Tensor) -> torch.Tensor | None:
        """What the edit adds to the projection ``name`` of ``context`` (b, T, c): (b, T, out), float32; None if it leaves it alone."""
        whole = self.lora.get(f"{GROUND}{name}.diff")
        if whole is not None:
            return torch.nn.functional.linear(context.float(), whole.to(context.device))
        thin = self.lora.get(f"{GROUND}{name}.lora_A.weight")
        if thin is None:
            return None
        inner = torch.nn.functional.linear(context.float(), thin.to(context.device))
        return torch.nn.functional.linear(inner, self.lora[f"{GROUND}{name}.lora_B.weight"].to(context.device))


def note(patcher, lora: dict) -> None:
    """Say on a patcher of one's own, a clone, that this has been added to its weights."""
    options = patcher.model_options.setdefault("transformer_options", {})
    options[KEY] = (*options.get(KEY, ()), Edit(lora))


def of(model_options: dict) -> tuple[Edit, ...]:
    """The edits of a MODEL, by its options."""
    return model_options.get("transformer_options", {}).get(KEY, ())


class Before:
    """Of one sampling run: the keys and values of guards' texts without the edits."""

    def __init__(self, guider) -> None:
        self.edits = of(guider.model_options)
        self._guider, self._names, self._made = guider, {}, {}

    def unedited(self, attention, context, made):
        """``made``: keys and values (b, T, out) of ``context`` (b, T, c) by an attention layer; the same without the edits."""
        if not self.edits:
            return made
        if attention not in self._names:
            network = checks.network(self._guider.model_patcher)
            self._names = {part: name for name, part in network.named_modules()} | self._names
        name = self._names.get(attention)
        return tuple(
            self._without(f"{name}.{kind}", context, part) for kind, part in zip(("to_k", "to_v"), made, strict=True)
        )

    def _without(self, name, context, made):
        for edit in self.edits:
            taken = edit.taken(name, context)
            if taken is not None:
                made = (made.float() - taken).to(made)
        return made

    def around(self, run, attention):
        """For `attention.wrap_cross`: a cross-attention of a batch in which the rows that guards have added are read as before."""
        return lambda q, k, v, extra, inner: inner(q, *self._rows(run, attention, q, k, v, extra), extra)

    def _rows(self, run, attention, q, k, v, extra):
        copied = False
        for role, at, uuid in _added(run, strangers.own_rows(q.shape[0], extra), extra):
            context = _context(run.guider.conds[role], uuid)
            if context is None:
                continue
            key = (attention, uuid, q.device)
            if key not in self._made:
                moved = context.to(q.device)
                nothing = tuple(torch.zeros(*moved.shape[:2], part.shape[-1], device=q.device) for part in (k, v))
                self._made[key] = self.unedited(attention, moved, nothing)
            if not copied:
                k, v, copied = k.clone(), v.clone(), True
            for part, change in zip((k, v), self._made[key], strict=True):
                # The host repeats a text where another one in the batch is longer.
                part[at] += change.repeat(1, part.shape[1] // change.shape[1], 1).to(part)
        return k, v


def _added(run, total, extra):
    """[(name, slice, uuid)] of the ``total`` rows of a joined batch that belong to what guards have added."""
    return [
        (name, at, uuid)
        for name in run.added
        for at, uuid in roles.rows(total, extra, run.slots, run.shown, frozenset((name,)))
    ]


def _context(entries, uuid):
    """(1, T, c) of the entry with this uuid, as the host hands it to the model."""
    entry = next((one for one in entries if one.get("uuid") == uuid), entries[0] if len(entries) == 1 else None)
    found = (entry or {}).get("model_conds", {}).get("c_crossattn")
    return None if found is None else found.cond
