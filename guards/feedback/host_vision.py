"""Pictures as embeddings of the host's CLIP_VISION."""

import torch


def embed(clip_vision, pictures):
    """Features (n, d) of pictures (n, h, w, 3) of 0 to 1, float32 on the CPU, of any encoder that the host loads."""
    with torch.no_grad():
        output = clip_vision.encode_image(pictures)
    embedding = output["image_embeds"]
    if embedding is None:  # encoders without a projection
        embedding = output["last_hidden_state"].mean(1)
    return embedding.float().cpu().reshape(len(pictures), -1)
