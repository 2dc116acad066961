"""Muon (Jordan et al. 2024) in float32.

``torch.optim.Muon`` works in bfloat16, which takes 10 s a step of the demo model's UNet on a processor without it; this takes 0.3 s.
"""

import torch

A, B, C = 3.4445, -4.775, 2.0315  # the quintic's coefficients, as in torch.optim.Muon


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Five Newton-Schulz steps from ``matrix`` (m, n) towards the nearest matrix whose singular values are 1.

    Every step multiplies from the small side, so the steps are taken on its products alone, and the large matrix is needed twice."""
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    gram, whole = wide @ wide.T, torch.eye(len(wide), dtype=wide.dtype)
    for _ in range(5):
        step = B * gram + C * (gram @ gram)
        step.diagonal().add_(A)
        gram, whole = step @ gram @ step, step @ whole
    out = whole @ wide
    return out.T if len(matrix) > matrix.shape[1] else out


class Muon(torch.optim.Muon):
    """As ``torch.optim.Muon`` with Nesterov's momentum and match_rms_adamw; goes on from its state, too."""

    def __init__(self, params, lr: float, weight_decay: float) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group["lr"], group["momentum"], group["weight_decay"])

    def _move(self, p, lr: float, momentum: float, decay: float) -> None:
        if not self.state[p]:
            self.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)
        mean = self.state[p]["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        update = orthogonal(p.grad.lerp(mean, momentum))
        p.mul_(1 - lr * decay).add_(update, alpha=-0.2 * max(p.shape) ** 0.5 * lr)
