"""Which tokens are whose in a transformer's attention: of the text, of the picture, of reference pictures.

All families call their attention through one function of the host's, with queries, keys and values of all tokens in a row; what stands
where is the family's own. A network that is not in LAYOUTS is not known.
"""

from math import prod
from typing import NamedTuple

from ..host import checks

JOINT, CROSS = (
    "joint",
    "cross",
)  # text and picture attend to all tokens in one go; the picture attends to the text by itself


class Layout(NamedTuple):
    """A family's attention."""

    kind: str
    whole: bool = False  # whether a text's keys and values depend so much on the picture that they need all of it
    steady: bool = False  # whether they are the same at every noise level
    last: bool = False  # whether the picture's own tokens are the last ones, and not those behind the text's
    front: bool = False  # whether what the host adds to a text comes before it, and not behind


LAYOUTS = {  # the host's network class -> its layout, which its subclasses have too
    "Flux": Layout(JOINT, front=True),  # that is, Flux 2
    "Chroma": Layout(JOINT),
    "OpenAISignatureMMDITWrapper": Layout(JOINT),
    "QwenImageTransformer2DModel": Layout(JOINT, whole=True),  # the text's positions, too, depend on the picture's size
    "MageFlowTransformer2DModel": Layout(JOINT),
    "NextDiT": Layout(JOINT, last=True),
    "HunyuanVideo": Layout(JOINT, last=True),
    "MMDiT": Layout(
        JOINT, last=True, front=True
    ),  # AuraFlow's; SD3's class of that name is found by its subclass above
    "SingleStreamDiT": Layout(JOINT),  # Krea 2
    "OmniGen2Transformer2DModel": Layout(JOINT, last=True),
    "Kandinsky5": Layout(CROSS),
    "LTXVModel": Layout(CROSS),
    "LTXAVModel": None,  # it makes other tokens of the text before its attention sees them
    "WanModel": Layout(CROSS, steady=True),
    "MiniTrainDIT": Layout(CROSS, steady=True),  # Cosmos Predict2
    "Anima": None,  # it makes other tokens of the text before its attention sees them
    **dict.fromkeys(
        ("HumoWanModel", "WanModel_S2V", "AnimateWanModel", "SCAILWanModel", "WanDancerModel")
    ),  # not tried
    "CausalWanModel": None,  # its sampler goes round the host's attention options, frame by frame
}


def layout(model) -> Layout | None:
    """A MODEL's layout; None where it is not known."""
    kind = checks.kind(model, LAYOUTS)
    return LAYOUTS[kind] if kind else None


def known(model) -> Layout:
    """The same. Raises ValueError where it is not known."""
    found = layout(model)
    if found is None:
        raise ValueError(f"the attention of {checks.model_name(model)} is not known")
    return found


def patch(network) -> tuple[int, int, int]:
    """Frames, rows and columns of latents that make one token."""
    size = getattr(network, "patch_size", getattr(network, "patch", 1))
    frames, rows, columns = (1, size, size) if isinstance(size, int) else (1, *size)[-3:]
    return frames, rows, columns


class Places(NamedTuple):
    """Of one evaluation: how many tokens picture and text have, as the network counts them."""

    layout: Layout
    picture: int  # the picture's own
    padded: int  # with what the network appends
    text: int

    @classmethod
    def of(cls, model, x, context):
        """For latents ``x`` (rows, c, h, w) or (rows, c, frames, h, w) and a text ``context`` (rows, tokens, c)."""
        network = checks.network(model)
        sizes = (1, *x.shape[-2:]) if x.ndim == 4 else x.shape[-3:]
        picture = prod(-(-size // step) for size, step in zip(sizes, patch(network), strict=True))
        multiple = getattr(network, "pad_tokens_multiple", None) or 1
        padded, text = (-(-count // multiple) * multiple for count in (picture, context.shape[1]))
        return cls(known(model), picture, padded, text)

    def between(self, queries, keys):
        """Whether an attention of so many tokens is one between text and picture; only sure where the picture is a single token."""
        if self.layout.kind == CROSS:
            return keys == self.text and queries != keys
        return queries == keys >= self.text + self.padded

    def find(self, queries, keys, extra) -> tuple[slice, slice]:
        """(the text's keys, the picture's queries) as slices, of an attention between them; ``extra``: its transformer options. Patches of
        the input may put tokens of theirs before the text (Flux's USO style reference)."""
        if self.layout.kind == CROSS:
            return slice(0, self.text), slice(0, queries)
        first = keys - self.padded if self.layout.last else self.text
        if "post_input" in extra.get("patches", {}) and not self.layout.last:
            first = keys - self.padded - sum(extra.get("reference_image_num_tokens", ()))
        return slice(0, first), slice(first, first + self.picture)
