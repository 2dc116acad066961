"""The training loop: one small tensor is learnt through a frozen model. Directions and learnt words are trained by it.

For directions it is a vector in the middle block that explains pictures whose prompt does not name what they show:
Li et al., CVPR 2024 (arXiv 2311.17216): c* = argmin_c E || eps - eps_theta(x_t, t, y-, h + c) ||^2, where x comes from a prompt y+ with
the concept and y- says all of it but the concept; t uniform, Adam at 0.1, batches of 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .. import seeds


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
    validation: list[tuple[int, float]] = field(default_factory=list)


def add_noise(x0: Tensor, noise: Tensor, sigma: Tensor, flow: bool) -> Tensor:
    """Latents (n, c, h, w), or of videos (n, c, t, h, w), at noise levels ``sigma`` (n,), as the host counts them."""
    s = sigma.view(-1, *[1] * (x0.ndim - 1))
    return (1 - s) * x0 + s * noise if flow else x0 + s * noise


def errors(denoised: Tensor, x0: Tensor, sigma: Tensor, prediction: str) -> Tensor:
    """The mean squared error of the model's own kind of prediction (eps, v or flow), image by image, (n,), float32.

    In denoised latents: eps is off by (x0 - d) / sigma, v by that times sqrt(1 + sigma^2), the flow's velocity by (x0 - d) / sigma.
    """
    weight = (1 + sigma**2 if prediction == "v" else 1) / sigma**2
    return (denoised.float() - x0.float()).square().flatten(1).mean(1) * weight.float()


class Examples:
    """Draws (x0, noise, t): in epochs, each image once before any comes again, as the paper's loader does; with ``weights`` (n,), every
    image in proportion to its weight instead, which minimises the weighted loss."""

    def __init__(self, images: Tensor, times: int, seed: int, weights: Tensor | None = None):
        self.images, self.times, self.weights = images, times, weights
        self.generator = seeds.generator(seed)
        self.order = torch.empty(0, dtype=torch.long)

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` images (n, c, h, w), noise of that shape, time steps (n,) uniform in 0 .. times - 1; on the CPU."""
        if self.weights is not None:
            self.order = torch.multinomial(self.weights.double(), count, replacement=True, generator=self.generator)
        while len(self.order) < count:
            self.order = torch.cat([self.order, torch.randperm(len(self.images), generator=self.generator)])
        places, self.order = self.order[:count], self.order[count:]
        x0 = self.images[places]
        return (
            x0,
            torch.randn(x0.shape, generator=self.generator),
            torch.randint(self.times, (count,), generator=self.generator),
        )

    def fixed(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same for checking: always the same ``count`` of them, times evenly spread."""
        generator = torch.Generator().manual_seed(271828)
        best = (
            torch.arange(len(self.images))
            if self.weights is None
            else self.weights.argsort(descending=True, stable=True)
        )
        best = best if self.weights is None else best[: max(int((self.weights > 0).sum()), 1)]
        x0 = self.images[best[torch.arange(count) % len(best)]]
        times = ((torch.arange(count) + 0.5) / count * self.times).long()
        return x0, torch.randn(x0.shape, generator=generator), times


class LossScale:
    """Gradients of models that compute in fp16, multiplied on the way so that the small ones do not vanish (Micikevicius et al., ICLR
    2018, arXiv 1710.03740). ``half``: whether the model does; other types are left alone."""

    def __init__(self, half: bool):
        self.value = 4096.0 if half else 1.0

    def backward(self, losses: Tensor) -> None:
        """Add the gradient of the sum of ``losses`` (n,), multiplied by ``value``."""
        (losses.sum() * self.value).backward()

    def finish(self, parameters: list[Tensor], count: int, step: int) -> bool:
        """Make the gradients the mean's of ``count`` losses. False: they overflowed, so leave this step out. Raises FloatingPointError
        when there is no smaller scale to try."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for gradient in gradients:
            gradient /= self.value * count
        largest = torch.stack([gradient.abs().amax() for gradient in gradients])  # one wait for the card, not one each
        if bool(largest.isfinite().all()):
            return True
        if self.value <= 1:
            raise FloatingPointError(f"the gradient is no finite number at step {step}")
        self.value /= 2
        return False


@dataclass(frozen=True)
class Task:
    """What is minimised: ``error(values, x0, noise, times)`` gives the loss image by image, with a gradient to ``values``."""

    examples: Examples
    error: Callable
    weight: float = 1.0


def fit_vector(
    task: Task, keeps: list[Task], start: Tensor, settings: Settings, device, on_step: Callable, half: bool = False
) -> Result:
    """Train one vector, (C, H, W) or (C,), from ``start``; the best one by the loss on fixed examples is kept.

    ``keeps``: tasks of which one takes its turn in each step beside ``task`` (ours: what must stay as it is). ``on_step(done, result)``
    is called after every step and may raise to stop: ``result`` holds the best so far, so keep the reference. ``half``: the model
    computes in fp16. Raises FloatingPointError where the gradient is no finite number.
    """
    values = start.detach().clone().to(device, torch.float32).requires_grad_(True)
    optimiser = torch.optim.Adam([values], settings.learning_rate)
    scale = LossScale(half)
    every = max(settings.steps // 40, 10)
    size = settings.batch_size
    # (task, its fixed examples, what its loss counts)
    validation = [(task, task.examples.fixed(2 * size), 1.0)]
    validation += [
        (keep, keep.examples.fixed(max(2 * size // len(keeps), 2)), keep.weight / len(keeps)) for keep in keeps
    ]
    result = Result(start.detach().clone().float().cpu())

    def validate(step):
        loss = 0.0
        with torch.no_grad():
            for objective, parts, weight in validation:
                batches = [[part[i : i + size] for part in parts] for i in range(0, len(parts[0]), size)]
                loss += weight * torch.cat([objective.error(values, *batch) for batch in batches]).mean().item()
        result.validation.append((step, loss))
        if loss < result.best:
            result.best, result.best_step, result.values = loss, step, values.detach().float().cpu().clone()

    validate(0)
    on_step(0, result)
    for step in range(1, settings.steps + 1):
        losses = task.error(values, *task.examples.draw(size))
        optimiser.zero_grad(set_to_none=True)
        # A sum, not the mean: with half precision weights the mean's tiny gradients would vanish.
        scale.backward(losses)
        loss = losses.detach().mean().item()
        if keeps:
            keep = keeps[step % len(keeps)]
            keep_losses = keep.weight * keep.error(values, *keep.examples.draw(size))
            scale.backward(keep_losses)
            loss += keep_losses.detach().mean().item()
        if scale.finish([values], size, step):
            optimiser.step()
        result.losses.append((step, loss))
        if step % every == 0 or step == settings.steps:
            validate(step)
        on_step(step, result)
    return result
