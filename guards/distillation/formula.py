"""Safe self-distillation (SDD): a model learns to predict for a concept what it predicts for the empty prompt.

Kim et al., "Towards Safe Self-Distillation of Internet-Scale Text-to-Image Diffusion Models", ICML 2023 workshop (arXiv 2307.05977):
L = || sg(eps_student(x_t, t, "")) - eps_student(x_t, t, c) ||^2, where the teacher, a moving average of the student, samples x_t
with guidance 3 on the concept from pure noise down to a random step. The teacher is the result. As in the paper, only parameters of the
cross-attention change. HFI (arXiv 2407.21032) draws the step from Beta(3, 3).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

ROLES = ("readme", "code")
TIMES = ("uniform", "beta(3, 3)")


@dataclass(frozen=True)
class Settings:
    """The authors': 1,500 steps of 1, AdamW 1e-5, weight decay 1e-4, gradient clipped to 1, average 0.999, 50 DDIM steps at guidance 3."""

    steps: int = 1500
    learning_rate: float = 1e-5
    batch_size: int = 1
    rank: int = 16  # of the change; 0 is a full one
    average: float = 0.999
    sample_steps: int = 50
    guidance: float = 3.0
    times: str = "uniform"
    roles: str = "readme"
    seed: int = 0
    keep_weight: float = 1.0  # of what holds the kept prompts; ours


def roles(variant: str, step: int, concepts: int) -> tuple[str, str]:
    """(prompt that the teacher samples, prompt in the loss) as names ``concept i`` or ``all``, by the authors' README or their program.

    README: one concept, in turn, is sampled and all joined are in the loss; program: the other way round. One concept: no difference.
    """
    if concepts == 1:
        return "concept 0", "concept 0"
    one = f"concept {step % concepts}"
    return (one, "all") if variant == "readme" else ("all", one)


def stop_step(times: str, sample_steps: int, draw: random.Random) -> int:
    """How many of ``sample_steps`` the teacher takes before the student learns from what it has: 0 .. sample_steps - 1."""
    share = draw.betavariate(3, 3) if times == TIMES[1] else draw.random()
    return min(int(share * sample_steps), sample_steps - 1)


class Change:
    """What is added to one parameter: a full tensor, or for a matrix a product of two thin ones. The teacher follows the student."""

    def __init__(
        self, shape: torch.Size, rank: int, generator: torch.Generator, device, start: list[Tensor] | None = None
    ):
        if rank and len(shape) == 2:
            rank = min(rank, *shape)
            up, down = torch.zeros(shape[0], rank), torch.randn(rank, shape[1], generator=generator) / shape[1] ** 0.5
            parts = [up, down]
        else:
            parts = [torch.zeros(shape)]
        if start is not None and [p.shape for p in start] == [p.shape for p in parts]:
            parts = start
        self.teacher = [p.float().to(device) for p in parts]
        self.student = [p.clone().requires_grad_(True) for p in self.teacher]

    def value(self, of: str) -> Tensor:
        """The change, of the shape of its parameter."""
        parts = getattr(self, of)
        return parts[0] if len(parts) == 1 else parts[0] @ parts[1]

    @torch.no_grad()
    def follow(self, average: float) -> None:
        """teacher <- average * teacher + (1 - average) * student"""
        for teacher, student in zip(self.teacher, self.student, strict=True):
            teacher.lerp_(student, 1 - average)
