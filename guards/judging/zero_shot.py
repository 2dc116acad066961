"""Zero-shot judging with CLIP: how likely a picture shows a concept rather than something else, from a text encoder and its image encoder.

CLIP (arXiv 2103.00020) is trained so that the cosine of a picture's embedding with a text's, times 100, is a logit. That a concept is
judged against neutral texts unless the user names alternatives, and the check with plain colours, are ours.
"""

import torch

LOGIT_SCALE = 100.0  # where CLIP's own learnt scale is cut off, and ends
NEUTRAL = ("a picture", "a picture of something else", "an abstract pattern")
COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 0.7, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
}
COLOURS_ENOUGH = 3  # of six; a guess gets one right


def texts(concept, text="", against=""):
    """[the text that is looked for, the others]. ``text``: in the user's words, else made of the concept; ``against``: one a line."""
    others = [line.strip() for line in against.splitlines() if line.strip()]
    return [text.strip() or f"a picture of {concept}", *(others or NEUTRAL)]


def probability(pictures, texts):
    """(n,): how likely each picture (n, d) belongs to the first of the texts (m, d). The softmax of CLIP's logits."""
    return (LOGIT_SCALE * _cosines(pictures, texts)).softmax(1)[:, 0]


def plain_pictures(size):
    """(6, size, size, 3): one of each colour."""
    return torch.tensor(list(COLOURS.values()))[:, None, None].expand(-1, size, size, -1).contiguous()


def plain_texts():
    return [f"a plain {colour} picture" for colour in COLOURS]


def colours_right(pictures, texts):
    """How many of the plain pictures (6, d) lie closest to their own text (6, d). Encoders that do not match get about one."""
    return int((_cosines(pictures, texts).argmax(1) == torch.arange(len(pictures), device=pictures.device)).sum())


def is_projection(matrix):
    """Whether a matrix (out, in) can be a learnt projection: no identity, no dead or broken rows, as where a file had none."""
    if not bool(matrix.isfinite().all()):
        return False
    rows, columns = matrix.norm(dim=1), matrix.norm(dim=0)
    if min(float(rows.min()), float(columns.min())) <= 1e-3 * max(float(rows.median()), float(columns.median())):
        return False
    beside = matrix - torch.diag_embed(matrix.diagonal()) if matrix.shape[0] == matrix.shape[1] else matrix
    return float(beside.norm()) > 0.05 * float(matrix.norm())


def _cosines(pictures, texts):
    pictures, texts = (torch.nn.functional.normalize(one.float(), dim=1) for one in (pictures, texts))
    return pictures @ texts.T
