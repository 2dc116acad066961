"""What both variants ask of the texts in a sampling run: which options they share, and which slot says what the concept says."""

import comfy.utils
import torch

from . import formula as sld

# What carries a conditioning's text, area, or time: its own. All else (reference pictures, ControlNets, sizes, hooks ...) the safety
# concept shares with the prompt, or the difference of the two would hold more than their meaning.
OWN = frozenset(
    """cross_attn pooled_output attention_mask t5xxl_ids t5xxl_weights text_input_ids conditioning_llama3 conditioning_mt5xl
    attention_mask_mt5xl conditioning_byt5small conditioning_lyrics lyrics_strength unprocessed_ltxav_embeds
    reference_latents_text_embeds minimax_token_tags area strength set_area_to_bounds mask mask_strength default start_percent
    end_percent clip_start_percent clip_end_percent timestep_start timestep_end uuid model_conds prompt_type""".split()
)
RANGED = frozenset(
    """area strength set_area_to_bounds mask mask_strength default start_percent end_percent clip_start_percent clip_end_percent
    timestep_start timestep_end""".split()
)


def leading(run):
    """The entries whose options a text of ours shares: the positive prompt's, or those of the first slot that the guider fills."""
    return run.guider.conds.get("positive") or next(filter(None, run.guider.conds.values()), [])


def shared_options(run, conditioning) -> dict:
    """What ``conditioning`` takes over from the prompt: all that is not its own."""
    own = OWN.union(*(options for _, options in conditioning))
    return {key: value for key, value in leading(run)[0].items() if key not in own and not key.startswith("guard_")}


def same_text(conditioning, entries) -> bool:
    """Whether a CONDITIONING and a sampler's entries hold the very same text tensors."""
    return len(conditioning) == len(entries) and all(
        _equal(tensor, entry.get("cross_attn")) for (tensor, _), entry in zip(conditioning, entries, strict=True)
    )


def _equal(one, other) -> bool:
    return other is not None and one.shape == other.shape and torch.equal(one.to(other), other)


def standing_for(run, conditioning):
    """The name of a prediction, a slot's or one that another guard has asked for, that ``conditioning`` would have as a row of its own,
    or None."""
    shared = shared_options(run, conditioning)
    for role in sorted(run.guider.conds, key="positive".__eq__):
        entries = run.guider.conds[role]
        if not entries or len(entries) != 1 or not same_text(conditioning, entries):
            continue
        entry, options = entries[0], conditioning[0][1]
        pooled = [value.get("pooled_output") for value in (options, entry)]
        others = {key: value for key, value in entry.items() if key not in OWN}
        if (
            not RANGED & entry.keys()
            and others.keys() == shared.keys()
            and all(others[key] is shared[key] or _plain(others[key], shared[key]) for key in shared)
            and (pooled[0] is pooled[1] or (None not in pooled and _equal(*pooled)))
        ):
            return role
    return None


def _plain(one, other) -> bool:
    """Whether two options are equal numbers or words; what only might be equal is not."""
    return isinstance(one, int | float | str) and type(one) is type(other) and one == other


def names(run, role, conditioning) -> bool:
    """Whether any text in a slot says half of what the concept says, or more."""
    return any(says(entry, conditioning) for entry in run.guider.conds[role] or ())


def says(entry, conditioning) -> bool:
    """Whether any text of an entry says half of what the concept says, or more."""
    return bool((_named([entry], conditioning) >= 0.5).any())


def _named(entries, conditioning):
    """(rows,) of all entries' texts that the concept's encoder made: which share of the concept's words each has."""
    concept = conditioning[0][0]
    texts = [entry.get("cross_attn") for entry in entries or ()]
    shares = [
        sld.named(text.to(concept), concept)
        for text in texts
        if text is not None and text.ndim == 3 and text.shape[-1] == concept.shape[-1]
    ]
    return torch.cat(shares) if shares else torch.zeros(1)


def asked_for(run, conditioning):
    """(rows,) 1 for each text of the run, of any slot, that has more than half of the concept's words, else 0; rows: the run's pictures.

    A text shorter than the batch is every picture's, as the host repeats it.
    """
    found = torch.zeros(run.batch)
    for role, entries in run.guider.conds.items():
        for entry in () if role in run.added else entries or ():
            share = _named([entry], conditioning).float().cpu()
            found = torch.maximum(found, (comfy.utils.repeat_to_batch_size(share, run.batch) > 0.5).float())
    return found
