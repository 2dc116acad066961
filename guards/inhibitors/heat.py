"""Heat maps as pictures. Everything here is (n, height, width) floats or pictures (n, height, width, 3) in 0..1."""

import torch

STOPS = torch.tensor(
    [[0.05, 0.03, 0.20], [0.45, 0.05, 0.45], [0.90, 0.25, 0.20], [1.00, 0.70, 0.10], [1.00, 1.00, 0.75]]
)


def normalise(maps):
    """Each map from its lowest value (0) to its highest (1); a flat one is all 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high - low > 1e-8, (maps - low) / (high - low).clamp(min=1e-8), torch.zeros_like(maps))


def resize(maps, height, width):
    """Maps (n, h, w) of any type as float32 maps (n, height, width), bilinear between the middles of the places."""
    return torch.nn.functional.interpolate(
        maps[:, None].float(), (height, width), mode="bilinear", align_corners=False
    )[:, 0]


def colours(maps):
    """Maps (n, h, w) as pictures (n, h, w, 3), dark to bright along STOPS; what is out of 0..1 takes the colour of the end."""
    place = maps.clamp(0, 1) * (len(STOPS) - 1)
    below = place.floor().clamp(max=len(STOPS) - 2).long()
    share = (place - below)[..., None]
    stops = STOPS.to(maps)
    return stops[below] * (1 - share) + stops[below + 1] * share


def overlay(maps, pictures, strength=0.7):
    """Maps over pictures of the same size, the more opaque the hotter."""
    cover = (0.25 + 0.75 * maps[..., None]) * strength
    grey = pictures.mean(-1, keepdim=True)
    return (grey * (1 - cover) + colours(maps) * cover).clamp(0, 1)
