"""Finding a latent direction: a frozen model learns one vector in its middle block that explains pictures its prompt does not name.

Li et al., CVPR 2024 (arXiv 2311.17216): c* = argmin_c E || eps - eps_theta(x_t, t, y-, h + c) ||^2, where x comes from a prompt y+ with
the concept and y- says all of it but the concept; t uniform, Adam at 0.1, batches of 8.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """The paper's release: 1,000 images, 2,500 steps of 8, Adam at 0.1 (for one concept)."""
    steps: int = 2500
    learning_rate: float = 0.1
    batch_size: int = 8
    seed: int = 0


@dataclass
class Result:
    """The best vector so far, its loss on fixed examples, and what the plot shows: (step, loss) while training, and on those."""
    values: Tensor
    best: float = float("inf")
    best_step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    checks: list[tuple[int, float]] = field(default_factory=list)


def noised(x0: Tensor, noise: Tensor, sigma: Tensor, flow: bool) -> Tensor:
    """Latents (n, c, h, w) at noise levels ``sigma`` (n,), as the host counts them."""
    s = sigma.view(-1, 1, 1, 1)
    return (1 - s) * x0 + s * noise if flow else x0 + s * noise


def errors(denoised: Tensor, x0: Tensor, sigma: Tensor, prediction: str) -> Tensor:
    """The mean squared error of the model's own kind of prediction (eps, v or flow), image by image, (n,), float32.

    In denoised latents: eps is off by (x0 - d) / sigma, v by that times sqrt(1 + sigma^2), the flow's velocity by (x0 - d) / sigma.
    """
    weight = (1 + sigma ** 2 if prediction == "v" else 1) / sigma ** 2
    return (denoised.float() - x0.float()).square().flatten(1).mean(1) * weight.float()


class Examples:
    """Draws (x0, noise, t): in epochs, each image once before any comes again, as the paper's loader does."""

    def __init__(self, images: Tensor, times: int, seed: int):
        self.images, self.times = images, times
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.long)

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` images (n, c, h, w), noise of that shape, time steps (n,) uniform in 0 .. times - 1; on the CPU."""
        while len(self.order) < count:
            self.order = torch.cat([self.order, torch.randperm(len(self.images), generator=self.generator)])
        chosen, self.order = self.order[:count], self.order[count:]
        x0 = self.images[chosen]
        return x0, torch.randn(x0.shape, generator=self.generator), torch.randint(self.times, (count,), generator=self.generator)

    def fixed(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same for checking: always the same ``count`` of them, times evenly spread."""
        generator = torch.Generator().manual_seed(271828)
        x0 = self.images[torch.arange(count) % len(self.images)]
        times = ((torch.arange(count) + 0.5) / count * self.times).long()
        return x0, torch.randn(x0.shape, generator=generator), times


def discover(error: Callable, examples: Examples, start: Tensor, settings: Settings, device, on_step: Callable) -> Result:
    """Train one vector, (C, H, W) or (C,), from ``start``; the best one by the loss on fixed examples is kept.

    ``error(values, x0, noise, times)`` gives the loss image by image, with a gradient to ``values``. ``on_step(done, result)`` is called
    after every step and may raise to stop: ``result`` then holds the best so far, so hand one in by keeping the reference.
    """
    values = start.detach().clone().to(device, torch.float32).requires_grad_(True)
    optimiser = torch.optim.Adam([values], settings.learning_rate)
    fixed = examples.fixed(2 * settings.batch_size)
    every = max(settings.steps // 40, 10)
    result = Result(start.detach().clone().float().cpu())

    def check(step):
        with torch.no_grad():
            parts = [error(values, *(part[i:i + settings.batch_size] for part in fixed))
                     for i in range(0, len(fixed[0]), settings.batch_size)]
        loss = torch.cat(parts).mean().item()
        result.checks.append((step, loss))
        if loss < result.best:
            result.best, result.best_step, result.values = loss, step, values.detach().float().cpu().clone()

    check(0)
    on_step(0, result)
    for step in range(1, settings.steps + 1):
        losses = error(values, *examples.draw(settings.batch_size))
        optimiser.zero_grad(set_to_none=True)
        # A sum, not the mean: with half precision weights the mean's tiny gradients would vanish.
        losses.sum().backward()
        values.grad /= len(losses)
        if not bool(torch.isfinite(values.grad).all()):
            raise FloatingPointError(f"the gradient is no finite number at step {step}")
        optimiser.step()
        result.losses.append((step, losses.detach().mean().item()))
        if step % every == 0 or step == settings.steps:
            check(step)
        on_step(step, result)
    return result
