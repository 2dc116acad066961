"""The demo world's autoencoder: pictures to latents of 24 channels at 1/8 of their size, and back.

Convolutions that overlap at every level (no layer works block by block), so that no block grid shows in flat areas.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK, CHANNELS = 8, 24


class _Mix(nn.Module):
    """x + a narrow 3x3 convolution between two over channels."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.enter, self.near = nn.Conv2d(width, narrow, 1), nn.Conv2d(narrow, narrow, 3, padding=1)
        self.down = nn.Conv2d(narrow, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.silu(self.near(F.silu(self.enter(x)))))


class _Conv(nn.Module):
    """x + two dense 3x3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.silu(self.up(F.silu(x))))


class DemoVAE(nn.Module):
    """encode: (n, 3, h, w) in -1..1 -> (n, 24, h/8, w/8); decode: the way back, in -1..1. h and w are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, 96, 3, padding=1),
            _Conv(96),
            nn.Conv2d(96, 256, 2, stride=2),
            _Mix(256, 96),
            _Mix(256, 96),
            nn.SiLU(),
            nn.Conv2d(256, 2 * CHANNELS, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CHANNELS, 256, 3, padding=1),
            _Mix(256, 96),
            _Mix(256, 96),
            _Mix(256, 96),
            nn.Conv2d(256, 4 * 96, 1),
            nn.PixelShuffle(2),
            _Conv(96),
            _Conv(96),
            nn.Conv2d(96, 4 * 40, 3, padding=1),
            nn.PixelShuffle(2),
            _Conv(40),
            nn.SiLU(),
            nn.ConvTranspose2d(40, 3, 4, stride=2, padding=1),
        )

    def moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent, (n, 24, h/8, w/8) each."""
        mean, logvar = self.encoder(image).chunk(2, 1)
        return mean, logvar.clamp(-12, 4)

    def encode(self, image: Tensor) -> Tensor:
        return self.moments(image)[0]

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent)

    @torch.no_grad()
    def normalise(self, mean: Tensor, std: Tensor) -> None:
        """Give every latent channel zero mean and unit deviation, exactly, inside the first and last layers."""
        last, first = cast(nn.Conv2d, self.encoder[-1]), cast(nn.Conv2d, self.decoder[0])
        assert last.bias is not None and first.bias is not None
        last.weight[:CHANNELS].div_(std.view(-1, 1, 1, 1))
        last.bias[:CHANNELS].sub_(mean).div_(std)
        last.bias[CHANNELS:].sub_(2 * std.log())
        # The decoder's border is padded with zeros, which stand for another value now: fill it with the mean instead.
        first.bias.add_((first.weight * mean.view(1, -1, 1, 1)).sum((1, 2, 3)))
        first.weight.mul_(std.view(1, -1, 1, 1))
