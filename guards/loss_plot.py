"""A loss curve as a picture."""
import torch


def draw(losses, width=512, height=320, title="loss"):
    """(1, height, width, 3) in 0..1: the losses (a list of floats) from left to right, labelled with their ends."""
    from PIL import Image, ImageDraw
    page = Image.new("RGB", (width, height), (24, 24, 28))
    pen = ImageDraw.Draw(page)
    values = [float(v) for v in losses] or [0.0]
    low, high = min(values), max(values)
    left, right, top, bottom = 12, width - 12, 34, height - 26
    points = [(left + (right - left) * i / max(1, len(values) - 1), bottom - (bottom - top) * (v - low) / ((high - low) or 1.0))
              for i, v in enumerate(values)]
    pen.rectangle((left, top, right, bottom), outline=(80, 80, 90))
    pen.line(points if len(points) > 1 else points * 2, fill=(110, 190, 255), width=2)
    pen.text((left, 12), f"{title}: {values[0]:.4g} -> {values[-1]:.4g}", fill=(235, 235, 235))
    pen.text((left, bottom + 8), f"{len(values)} steps, lowest {low:.4g}, highest {high:.4g}", fill=(190, 200, 220))
    return torch.frombuffer(bytearray(page.tobytes()), dtype=torch.uint8).view(1, height, width, 3).float() / 255
