"""The demo model's autoencoder: 64x64 pictures to 8x8 latents of 16 channels and back.

The decoder paints each block of 8x8 pixels as a few flat layers: it gives every pixel a soft choice among three colours,
and the colours themselves per block. Flat shapes therefore come back with crisp edges from a very small network.
"""

import torch
from torch import Tensor, nn

BLOCK, CHANNELS, LAYERS, WIDTH = 8, 16, 3, 256


class _Residual(nn.Module):
    """x + MLP(norm(x)) over channels, with a light look at the neighbouring blocks."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.near = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.up = nn.Conv2d(width, width, 1)
        self.down = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape."""
        return x + self.down(nn.functional.silu(self.up(self.near(self.norm(x)))))


class DemoVAE(nn.Module):
    """Pictures (n, 3, h, w), -1 to 1, to latents (n, 16, h/8, w/8) and back. ``h`` and ``w`` are multiples of 8."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3 * BLOCK**2, WIDTH, 1),
            _Residual(WIDTH),
            _Residual(WIDTH),
            nn.SiLU(),
            nn.Conv2d(WIDTH, 2 * CHANNELS, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CHANNELS, WIDTH, 3, padding=1),
            _Residual(WIDTH),
            _Residual(WIDTH),
            _Residual(WIDTH),
            nn.SiLU(),
            nn.Conv2d(WIDTH, LAYERS * (BLOCK**2 + 3), 1),
        )

    def moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (clamped to -12 .. 4) of a picture's latent, (n, 16, h/8, w/8) each; ``image``: (n, 3, h, w), -1 to 1."""
        mean, logvar = self.encoder(nn.functional.pixel_unshuffle(image, BLOCK)).chunk(2, 1)
        return mean, logvar.clamp(-12, 4)

    def encode(self, image: Tensor) -> Tensor:
        """The latent's mean, (n, 16, h/8, w/8), of pictures (n, 3, h, w), -1 to 1. Nothing is drawn at random."""
        return self.moments(image)[0]

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures (n, 3, 8 h, 8 w) of latents (n, 16, h, w), of the latents' type; about -1 to 1, not clamped. Mixed in float32."""
        out = self.decoder(latent)
        n, _, h, w = out.shape
        choice, colour = out.split([LAYERS * BLOCK**2, LAYERS * 3], 1)
        choice = choice.view(n, LAYERS, 1, BLOCK**2, h, w).float().softmax(1)
        colour = colour.view(n, LAYERS, 3, 1, h, w).float()
        blocks = (choice * colour).sum(1).reshape(n, 3 * BLOCK**2, h, w)
        return nn.functional.pixel_shuffle(blocks, BLOCK).to(latent.dtype)

    def normalise(self, mean: Tensor, std: Tensor) -> None:
        """Give every latent channel zero mean and unit deviation, exactly, inside the first and last layers.

        ``mean``, ``std``: (16,), of the latents as they are; ``std`` is above 0. Changes the weights in place; call it once.
        """
        with torch.no_grad():
            last, first = self.encoder[-1], self.decoder[0]
            assert isinstance(last, nn.Conv2d) and isinstance(first, nn.Conv2d)
            assert last.bias is not None and first.bias is not None
            last.weight[:CHANNELS].div_(std.view(-1, 1, 1, 1))
            last.bias[:CHANNELS].sub_(mean).div_(std)
            last.bias[CHANNELS:].sub_(2 * std.log())
            # The decoder's border is padded with zeros, which stand for another value now: fill it with the mean instead.
            first.bias.add_((first.weight * mean.view(1, -1, 1, 1)).sum((1, 2, 3)))
            first.weight.mul_(std.view(1, -1, 1, 1))
