"""Unified Concept Editing: what linear maps of a text make of a concept becomes what they make of another text, in closed form.

Gandikota et al., "Unified Concept Editing in Diffusion Models", WACV 2024 (arXiv 2308.14761), equation 7. With c a vector of a concept's
text, t the one that takes its place, p one to keep, w how much those count, l how much the weights themselves do:

    W' = W (sum t c^T + w sum p p^T + l I) (sum c c^T + w sum p p^T + l I)^-1  =  W (I + P),
    P = sum (t - c) c^T  M^-1,    M = sum c c^T + w sum p p^T + l I

P does not depend on W: one factorisation serves every map that reads the same text, whatever the model.
"""

import torch

LOSSLESS = 1e-7  # of what the edit changes: below it a thin pair is as good as the whole matrix in float32
CHUNK = 4096  # vectors that are summed at once


class Sums:
    """The two sums of the equation, (width, width) in float64, gathered text by text."""

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self.change = torch.zeros(width, width, dtype=torch.float64, device=device)
        self.gram = torch.zeros_like(self.change)

    def times(self, weight: float) -> "Sums":
        """Others, in which all that was gathered counts ``weight`` times."""
        sums = Sums(len(self.gram), self.gram.device)
        sums.change, sums.gram = weight * self.change, weight * self.gram
        return sums

    def edit(self, concept: torch.Tensor, target: torch.Tensor) -> None:
        """``concept`` (n, width) is to be read as ``target`` (n, width)."""
        for old, new in zip(concept.split(CHUNK), target.split(CHUNK), strict=True):
            old, new = (vectors.to(self.gram) for vectors in (old, new))
            self.change += (new - old).T @ old
            self.gram += old.T @ old

    def keep(self, vectors: torch.Tensor, weight: float) -> None:
        """``vectors`` (n, width) are to be read as they are; ``weight`` is w."""
        for part in vectors.split(CHUNK):
            part = part.to(self.gram)
            self.gram += weight * part.T @ part

    def solve(self, regularise: float) -> torch.Tensor:
        """P (width, width), float64. ``regularise`` is l, above 0. Raises ValueError for sums that have no solution."""
        matrix = self.gram + regularise * torch.eye(len(self.gram), dtype=self.gram.dtype, device=self.gram.device)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if bool(failed) or not bool(torch.isfinite(self.change).all()):
            raise ValueError(
                "Erase Concept: the text encoder gave numbers that are too large or not finite, and the edit has no solution. Load the "
                "text encoder that belongs to this model, in fp16, bf16 or fp32, or raise regularise."
            )
        return torch.cholesky_solve(self.change.T, factor).T  # M is symmetric


def thin(solution: torch.Tensor, rank: int = 0) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(left (width, r), right (r, width), lost): P as a product, by its singular vectors.

    ``rank``: the most that r may be; 0: as many as it takes to lose nothing that float32 would show. ``lost``: what is missing, as a
    share of P (Frobenius norm).
    """
    squares, vectors = torch.linalg.eigh(solution.T @ solution)  # ascending
    squares = squares.clamp(min=0).flip(0)
    left_over = squares.flip(0).cumsum(0).flip(0)  # [r]: what is lost by keeping the first r
    whole = left_over[0].clamp(min=torch.finfo(squares.dtype).tiny)
    enough = int((left_over > LOSSLESS**2 * whole).sum())
    kept = max(1, min(enough, rank) if rank else enough)
    right = vectors.flip(1)[:, :kept].T.contiguous()
    lost = float((left_over[kept] / whole).sqrt()) if kept < len(squares) else 0.0
    return solution @ right.T, right, lost


def positions(old: list, new: list, length: int) -> tuple[list[int], list[int]]:
    """Which of a text's positions take which of another's: ([position in the old], [position in the new]).

    ``old``, ``new``: their tokens with start and end, without padding; ``length``: positions with padding. The texts are alike but for
    a few words: what stands before them goes to itself, what stands behind them to the same words in the new text, and the words
    themselves to the new words in order, the last one taking what is left over; where there is none, to what follows. Places may
    lie behind the new text's end: then its last padding is meant.
    """
    before = alike(old, new)
    behind = min(alike(old[::-1], new[::-1]), len(old) - before, len(new) - before)
    words, theirs = len(old) - behind - before, len(new) - behind - before
    goes = list(range(before))
    goes += [before + min(i, max(theirs - 1, 0)) for i in range(words)]
    goes += list(range(len(new) - behind, len(new)))
    goes += list(range(len(new), len(new) + length - len(old)))
    return list(range(length)), goes[:length]


def alike(one, other) -> int:
    """How many of their first entries are the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
