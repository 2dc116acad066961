"""What many conversations begin with (an instruction, a question's examples), read by a language model once.

A beginning is always read apart from what follows it, remembered or not: so an answer does not depend on what was asked before.
"""

import copy
from collections import OrderedDict

import torch

MOST = 6  # beginnings that are remembered; one of 300 tokens takes some ten megabytes


def places(ids, messages, prompt_ids):
    """How many of the tokens ``ids`` (1, n) the first message and all but the last take, each where it is a beginning of its own.

    ``prompt_ids(messages)``: the tokens of a part, without the opening of an answer.
    """
    found = set()
    for part in {1, len(messages) - 1} - {0, len(messages)}:
        try:
            begun = prompt_ids(messages[:part]).to(ids.device)
        except Exception:  # a template may refuse a conversation that ends so: then it is read whole
            begun = ids
        if begun.shape[1] < ids.shape[1] and torch.equal(begun, ids[:, : begun.shape[1]]):
            found.add(begun.shape[1])
    return sorted(found - {0})


class Beginnings:
    """The states of one language model behind the last few beginnings."""

    def __init__(self):
        self._known = OrderedDict()

    def inputs(self, model, asked, found, pad):
        """What `generate` takes for conversations, each of them token ids (1, n) with its `places`.

        What all begin with is read once; the shorter ones are filled up behind it, with tokens that are not looked at.
        """
        shared = [n for n in found[0] if all(n in one for one in found)]
        shared = [n for n in shared if all(torch.equal(ids[:, :n], asked[0][:, :n]) for ids in asked)]
        cache, longest = self.after(model, asked[0], shared), max(ids.shape[1] for ids in asked)
        start = 0 if cache is None else shared[-1]
        rows, masks = [], []
        for ids in asked:
            fill = torch.full_like(ids[:, :1], pad).expand(1, longest - ids.shape[1])
            rows.append(torch.cat([ids[:, :start], fill, ids[:, start:]], 1))
            looked = [torch.ones_like(ids[:, :start]), torch.zeros_like(fill), torch.ones_like(ids[:, start:])]
            masks.append(torch.cat(looked, 1))
        made = {"inputs": torch.cat(rows), "attention_mask": torch.cat(masks)}
        if cache is None:
            return made
        if len(asked) > 1:
            cache.batch_repeat_interleave(len(asked))
        return {**made, "past_key_values": cache}

    def after(self, model, ids, lengths):
        """A cache for `generate` that holds ``ids`` (1, n) up to the last of ``lengths``, to be written into; None where the model's
        cache is of a kind that cannot be taken up again."""
        cache, done = None, 0
        for length in lengths:
            key = tuple(ids[0, :length].tolist())
            known = self._known.get(key)
            if known is None:
                known = model(
                    input_ids=ids[:, done:length],
                    attention_mask=torch.ones_like(ids[:, :length]),
                    past_key_values=copy.deepcopy(cache),
                    use_cache=True,
                ).past_key_values
                if not _plain(known, length):
                    return None
                self._known[key] = known
            self._known.move_to_end(key)
            cache, done = known, length
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return copy.deepcopy(cache)


def _plain(cache, length):
    """Whether a cache keeps all it was given, layer by layer: neither windows nor states of another kind, nor an older library's."""
    layers = getattr(cache, "layers", None)
    return (
        bool(layers)
        and cache.get_seq_length() == length
        and {type(layer).__name__ for layer in layers} == {"DynamicLayer"}
    )
