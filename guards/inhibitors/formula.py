"""Growth inhibitors (GIE): a concept is suppressed through its own attention.

"Growth Inhibitors for Suppressing Inappropriate Image Concepts in Diffusion Models", ICLR 2025 (arXiv 2408.01014); read
against the authors' code, a modified Prompt-to-Prompt. Where paper and code differ, the code is followed (``inject``).

A guarded picture has a second prompt: its own with the target words appended. Its cross-attention takes the maps of the
untouched twin for the prompt's tokens and re-weighted maps of the target words alone for the appended ones:
    out = A_twin[..., mapper] * alpha @ V  +  (M*[..., erase] * scale) * (1 - alpha) @ V
No map needs to be held for that: the first part is the twin's attention over values moved to the twin's positions
(``fold``), the second one attention over the target words' text with weighted values, zero for the other tokens.
"""

from dataclasses import dataclass

import torch

from ..lists.written import split


def split_targets(text: str, name: str = "targets") -> list[str]:
    """``"van gogh, weapon"`` -> ``["van gogh", "weapon"]``, see `lists.written.split`. Raises ValueError when nothing is left."""
    targets = split(text, name, embeddings=True)
    if not targets:
        raise ValueError(f"{name} is empty: name at least one concept, such as: weapon, van gogh style.")
    return targets


def find(sequence, part):
    """Where ``part`` occurs in ``sequence`` as an unbroken run: the first positions. Both are lists of hashable tokens."""
    length = len(part)
    return [i for i in range(len(sequence) - length + 1) if length and sequence[i : i + length] == part]


# ---- two prompts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alignment:
    """How the positions of the prompt with targets (row 1) relate to those of the prompt (row 0) and of the targets' text."""

    mapper: torch.Tensor  # (T,) long: the position in row 0, -1 for an inserted token
    alpha: torch.Tensor  # (T,) float: 1 where row 0's map counts, 0 for an inserted token
    erase: torch.Tensor  # (T,) long: the position in the targets' own text, 0 where none

    @property
    def inserted(self):
        """(n,) long: the inserted positions of row 1, in order."""
        return (self.alpha == 0).nonzero()[:, 0]

    @property
    def moves(self):
        """Two (n,) long: the positions of row 1 whose maps are row 0's, and where those stand in row 0."""
        kept = self.alpha.nonzero()[:, 0]
        return kept, self.mapper[kept]


def align(at, end, count, length):
    """The alignment of ``count`` target tokens appended at position ``at`` of row 1.

    ``end``: the position of row 0's end token, not before ``at`` (later, if the prompt's tail was trimmed to make room);
    ``length``: positions in all. The result is that of the official Needleman-Wunsch alignment (gap 0, match 1, mismatch
    -1, insertions first), which always finds the appended copy: row 1's end token belongs to row 0's, the padding after
    it to the same position.
    """
    if at + count >= length:
        raise ValueError(f"{count} target tokens do not fit at position {at} of {length}")
    mapper = torch.arange(length)
    mapper[at : at + count] = -1
    mapper[at + count] = end
    erase = torch.zeros(length, dtype=torch.long)
    erase[at : at + count] = torch.arange(1, count + 1)
    return Alignment(mapper, (mapper >= 0).float(), erase)


def longer(alignment, more):
    """The alignment of texts with ``more`` positions behind, which are those of row 0."""
    length = len(alignment.mapper)
    mapper = torch.cat([alignment.mapper, torch.arange(length, length + more)])
    return Alignment(mapper, (mapper >= 0).float(), torch.cat([alignment.erase, alignment.erase.new_zeros(more)]))


def inject(row, target, alignment):
    """The context that row 1 gives its values: row[mapper] * alpha + target[erase] * (1 - alpha).

    ``row``: (b, T, c), what the prompt's positions are gathered from. The authors' code gathers from row 1's own encoding
    (prompt with targets), although ``mapper`` counts in row 0's positions; the paper injects into the prompt's own encoding.
    ``target``: (1, t, c), the targets' words alone.
    """
    alpha = alignment.alpha.to(row).view(1, -1, 1)
    erase = alignment.erase.clamp(max=target.shape[1] - 1)
    return row[:, alignment.mapper] * alpha + target[:, erase].to(row) * (1 - alpha)


def fold(values, alignment, moves=None):
    """Values of row 1 moved to row 0's positions, so that A_row0 @ fold(v) equals (A_row0[..., mapper] * alpha) @ v.

    ``values``: (b, T, c), or (b, k * T, c) where the host repeated a shorter text k times; what lies beyond stays. ``moves``:
    alignment.moves, where they are on the values' device already.
    """
    length = len(alignment.mapper)
    whole = values.shape[1] // length * length
    pages = values[:, :whole].unflatten(1, (-1, length))
    kept, places = (part.to(values.device) for part in (moves or alignment.moves))
    moved = torch.zeros_like(pages).index_add_(2, places, pages[:, :, kept])
    return torch.cat([moved.flatten(1, 2), values[:, whole:]], 1)


# ---- ours -----------------------------------------------------------------------------------------------------------

OPENS, OPEN = 0.6, 0.75  # shares at which the gate starts to open and is fully open


def contained(prompt, target):
    """How much of a target is in a prompt, in one layer: (b,), 1 where it is there whole, about 0 where nothing of it is.

    ``prompt``, ``target``: (b, positions, c), what attention to the prompt and to the target's text adds to attention to an
    empty text: the coefficient of the one's projection on the other. A prompt for the concept scores high whatever its words,
    and whatever else it says.
    """
    prompt, target = prompt.flatten(1).float(), target.flatten(1).float()
    return (prompt * target).sum(1) / target.square().sum(1).clamp(min=1e-12)


def gate(shares):
    """(b, targets) from 0 to 1 of the shares (b, targets, layers): by their median, so that no single layer decides."""
    return ((shares.median(-1).values - OPENS) / (OPEN - OPENS)).clamp(0, 1)


# ---- scale ----------------------------------------------------------------------------------------------------------


def windows(steps, cross_end=0.8, self_end=0.4):
    """The first executed steps without the cross- and the self-attention part: 20 steps, published: (16, 8)."""
    return int(cross_end * (steps + 1)), int(self_end * steps)


SELF_POSITIONS = 256  # self-attention maps are shared where they have at most 16x16 positions


class Adapter(torch.nn.Module):
    """The scale of a target token from its mean attention in every cross-attention layer: in -> 64 -> 32 -> 1, ReLU.

    ``injected``: whether the means are those of an evaluation with all scales 1 (published) or of an unguarded one (ours).
    """

    def __init__(self, features, family="", injected=True):
        super().__init__()
        self.features, self.family, self.injected = features, family, injected
        self.fc1, self.fc2, self.fc3 = torch.nn.Linear(features, 64), torch.nn.Linear(64, 32), torch.nn.Linear(32, 1)

    def forward(self, means):
        """(..., features) -> (...): no output activation, so a scale may be negative or above 1."""
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(means)))))[..., 0]

    def scales(self, means, shares=None):
        """Scales (b, n) of n tokens from their means (b, n, layers) in the order of execution.

        An adapter of 5 inputs for a model of 16 layers takes the official choice, layers 5 to 9. One of twice the layers is
        ours: every token's means, then the shares (b, n, layers) of its target that the prompt contains (``contained``).
        """
        layers = means.shape[-1]
        if (self.features, layers) == (5, 16):
            means = means[..., 5:10]
        elif self.features == 2 * layers and shares is not None:
            means = torch.cat([means, shares], -1)
        elif self.features != layers:
            raise ValueError(
                f"This adapter was trained for a model with {self.trained_layers} cross-attention layers, this one has "
                f"{layers}: load an adapter of this model's family, or use a fixed scale."
            )
        with torch.inference_mode(False), torch.no_grad():
            return self(means.float().clone())

    @property
    def trained_layers(self):
        return self.features if self.injected else self.features // 2


def weakest(found, count, strongest, rounds):
    """By bisection, per picture, the weakest scale at which ``found(scales (n,)) -> (n,) bool`` no longer finds the concept.

    0 where it is not found at scale 0, ``strongest`` (negative) where it is still found there. Makes rounds + 2 calls; the
    result is exact to strongest / 2 ** rounds, on the side where the concept is gone.
    """
    weak, strong = torch.zeros(count), torch.full((count,), float(strongest))
    there, stays = found(weak), found(strong)
    for _ in range(rounds):
        middle = (weak + strong) / 2
        seen = found(middle)
        weak, strong = torch.where(seen, middle, weak), torch.where(seen, strong, middle)
    strong = torch.where(stays, torch.full_like(strong, float(strongest)), strong)
    return torch.where(there, strong, torch.zeros_like(strong))


def fit(inputs, labels, epochs=2000, cover=0.9, rate=3e-3, decay=1e-2, seed=0, tick=None):
    """(Adapter, losses): a network whose scale is at least as strong as the label for the share ``cover`` of the examples.

    inputs: (n, features) float; labels: (n,) scales, 0 or negative. The loss is the quantile (pinball) loss: the official
    one is not public. Inputs are brought to zero mean and unit variance for training, which then goes into the first layer.
    ``tick(epoch, loss)`` is called after every epoch, of all examples at once.
    """
    with torch.inference_mode(False), torch.enable_grad():
        inputs, labels = inputs.detach().clone().float(), labels.detach().clone().float()
        generator = torch.Generator().manual_seed(seed)
        mean, std = inputs.mean(0), inputs.std(0).clamp(min=1e-4)
        adapter = Adapter(inputs.shape[1], injected=False)
        with torch.no_grad():
            for p in adapter.parameters():
                p.copy_(
                    torch.randn(p.shape, generator=generator) * p.shape[-1] ** -0.5
                    if p.ndim > 1
                    else torch.zeros(p.shape)
                )
        optimizer = torch.optim.AdamW(adapter.parameters(), rate, weight_decay=decay)
        losses, normal = [], (inputs - mean) / std
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - epoch / epochs)
            over = adapter(normal) - labels  # positive: too weak
            loss = torch.maximum(cover * over, (cover - 1) * over).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if tick is not None:
                tick(epoch, losses[-1])
        with torch.no_grad():
            weight = adapter.fc1.weight / std
            adapter.fc1.bias -= weight @ mean
            adapter.fc1.weight.copy_(weight)
    return adapter.eval().requires_grad_(False), losses


SHAPES = {
    "fc1.weight": (64, None),
    "fc1.bias": (64,),
    "fc2.weight": (32, 64),
    "fc2.bias": (32,),
    "fc3.weight": (1, 32),
    "fc3.bias": (1,),
}


def load_adapter(state, family="", injected=True):
    """An Adapter from a state dict (ours or the official one). Raises ValueError saying what is wrong."""
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not a state dict")
    missing = [name for name in SHAPES if not isinstance(state.get(name), torch.Tensor)]
    if missing:
        raise ValueError(f"it has no tensor {', '.join(missing)}; an adapter has {', '.join(SHAPES)}")
    for name, shape in SHAPES.items():
        found = tuple(state[name].shape)
        if len(found) != len(shape) or any(b is not None and a != b for a, b in zip(found, shape)):
            raise ValueError(f"{name} has the shape {found}, not {shape}")
        if not state[name].isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
    with torch.inference_mode(False):
        adapter = Adapter(state["fc1.weight"].shape[1], family, injected)
        adapter.load_state_dict({name: state[name].detach().clone().float() for name in SHAPES})
    return adapter.eval().requires_grad_(False)
