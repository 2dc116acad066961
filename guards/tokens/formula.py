"""Growth inhibition in a transformer's attention, where one soft-max goes over the tokens of text and picture alike.

Two forms, for the picture's queries q of the positive rows alone; K and V are keys and values, c those of the concept's own text, e of
an empty one, s the scale (negative suppresses), g a gate from 0 to 1:

  aligned    softmax(q K) V + s g (softmax(q Kc) Vc - softmax(q Ke) Ve)      ours, as in the UNet's cross-attention
  sign flip  softmax(q [K; Kc]) [V; s Vc]                                    Value Sign Flip, arXiv 2508.10931, without its bias and masks

The sign flip needs no gate: where the picture's queries do not look at the concept's keys, nothing is taken away.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def parts(count: int, inner: slice) -> list[slice]:
    """What is left of ``count`` places outside ``inner``: none, one or two slices."""
    return [part for part in (slice(0, inner.start), slice(inner.stop, count)) if part.start < part.stop]


def masked(mask: Tensor | None, rows: slice, queries: list[slice] | None = None, more: int = 0) -> Tensor | None:
    """An attention mask, (rows or 1, [heads,] queries or 1, keys) or (queries, keys), cut to ``rows`` and ``queries``, with ``more`` keys
    at the end that everything may see. Boolean, or added to the scores."""
    if mask is None:
        return None
    if mask.ndim > 2 and mask.shape[0] > 1:
        mask = mask[rows]
    if queries is not None and mask.shape[-2] > 1:
        mask = torch.cat([mask[..., part, :] for part in queries], -2)
    return torch.nn.functional.pad(mask, (0, more), value=True if mask.dtype == torch.bool else 0.0) if more else mask


class Tensors:
    """Queries, keys and values of one attention: (rows, heads, tokens, d) each where the host says ``skip_reshape``, else
    (rows, tokens, heads * d); and how to attend with parts of them.

    ``attend(q, k, v, mask)``: the attention itself; ``split``: whether its output is (rows, heads, tokens, d), not (rows, tokens,
    heads * d).
    """

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, attend: Callable, split: bool):
        self.q, self.k, self.v, self.mask, self.attend = q, k, v, mask, attend
        self.axis, self.out_axis = (2 if q.ndim == 4 else 1), (2 if split else 1)

    def take(self, tensor: Tensor, rows: slice, places: list[slice]) -> Tensor:
        """Tokens of some rows of q, k or v."""
        return torch.cat([tensor[rows].narrow(self.axis, p.start, p.stop - p.start) for p in places], self.axis)

    def out(self, out: Tensor, rows: slice, place: slice) -> Tensor:
        """A view of an output."""
        return out[rows].narrow(self.out_axis, place.start, place.stop - place.start)

    def flipped(self, groups: list[tuple[slice, slice, Tensor, Tensor]]) -> Tensor:
        """The attention in which, for every (rows, picture's queries, keys, values) of ``groups``, the picture's queries see these further
        keys (1 or rows, ...) and values. Nothing is computed twice: rows without, the text's queries, and the picture's go apart.
        """
        out, start = self._empty(), 0

        def put(made, rows, places):
            at = 0
            for place in places:
                length = place.stop - place.start
                self.out(out, rows, place).copy_(made.narrow(self.out_axis, at, length))
                at += length

        count = self.q.shape[self.axis]
        for rows, picture, keys, values in sorted(groups, key=lambda group: group[0].start):
            if start < rows.start:
                self._some(put, slice(start, rows.start), [slice(0, count)])
            rest = parts(count, picture)
            if rest:
                self._some(put, rows, rest)
            self._some(put, rows, [picture], (keys, values))
            start = rows.stop
        if start < self.q.shape[0]:
            self._some(put, slice(start, self.q.shape[0]), [slice(0, count)])
        return out

    def _empty(self) -> Tensor:
        """An output, not filled yet."""
        rows, count = self.q.shape[0], self.q.shape[self.axis]
        if self.q.ndim == 3:
            return self.q.new_empty(rows, count, self.q.shape[2])
        heads, wide = self.q.shape[1], self.v.shape[3]
        return self.q.new_empty((rows, heads, count, wide) if self.out_axis == 2 else (rows, count, heads * wide))

    def _some(self, put, rows, places, further: tuple[Tensor, Tensor] | None = None):
        k, v, more = self.k[rows], self.v[rows], 0
        if further is not None:
            keys, values = further
            k = torch.cat([k, keys.expand(k.shape[0], *keys.shape[1:])], self.axis)
            v = torch.cat([v, values.expand(v.shape[0], *values.shape[1:])], self.axis)
            more = keys.shape[self.axis]
        put(self.attend(self.take(self.q, rows, places), k, v, masked(self.mask, rows, places, more)), rows, places)
