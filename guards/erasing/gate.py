"""The closed-form edit of a text where the text means the concept, and nowhere else.

The edit of `formula` multiplies every map that reads a text by I + P; so does (I + P) c for a text's vectors c, with the weights as they
are. A vector means concept k by how far P moves it along the way on which it moves the concept's own vector, s_k:

    m_k = max over the text's vectors of <P c, s_k> / |s_k|^2     about 1 where the concept is named, less where implied, near 0 elsewhere
    e = max over k of ramp(m_k; low_k, high_k)
    c' = c + e P c

so a text that does not mean a concept is left as it is, bit for bit. A word that implies it among other things would lose those, too, if it
were moved the whole way: there m_k tells the local gate (`local`) to look for it in the picture. Ours.
"""

from collections.abc import Sequence

import torch

from ..local.formula import Limits, ramp


def meaning(change: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """m (b, T, n) of what the map changes, ``change`` (b, T, c); ``shifts`` (n, c): how far it moves each concept's own vector."""
    return (change @ shifts.T) / shifts.square().sum(1).clamp(min=1e-12)


def gated(
    text: torch.Tensor, left: torch.Tensor, right: torch.Tensor, shifts: torch.Tensor, limits: Sequence[Limits]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(``text`` (b, T, c) with the texts changed that mean a concept, in its own type; m of every text and concept (b, n)). ``left``
    (c, r), ``right`` (r, c), ``shifts`` (n, c), float32 on its device; ``limits``: of each concept."""
    change = (text.float() @ right.T) @ left.T
    means = meaning(change, shifts).amax(1)
    each = [ramp(one, own.low, own.high) for one, own in zip(means.unbind(1), limits, strict=True)]
    found = torch.stack(each).amax(0)[:, None, None]
    return torch.where(found > 0, (text.float() + found * change).to(text), text), means
