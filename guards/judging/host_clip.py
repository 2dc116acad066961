"""Pictures and texts as CLIP's embeddings, through the host's CLIP_VISION and CLIP."""

from typing import Any

import torch

from ..feedback.host_vision import embed
from . import zero_shot

TOWERS = ("clip_l", "clip_g", "clip_h")
PAIR = (
    "Load CLIP with clip_l.safetensors (type stable_diffusion) for judge_clip and Load CLIP Vision with CLIP ViT-L/14 for clip_vision. "
    "SDXL's own clip goes with CLIP ViT-bigG/14, SD2's with CLIP ViT-H/14."
)


class Pair:
    """A CLIP_VISION and the text tower trained with it, in one space. Raises ValueError where they are not that, with the mend."""

    def __init__(self, clip_vision, clip):
        kind = getattr(clip_vision, "model_type", "unknown")
        if kind != "clip_vision_model" or not isinstance(
            getattr(clip_vision.model, "visual_projection", None), torch.nn.Module
        ):
            raise ValueError(
                f"clip_vision: a {kind} has no text encoder of its own in ComfyUI, so it cannot be asked in words. {PAIR}"
            )
        self.clip_vision, self._clip = clip_vision, clip
        plain = embed(clip_vision, zero_shot.plain_pictures(clip_vision.image_size))
        self._name, self._tower = self._find(plain.shape[1])
        right = zero_shot.colours_right(plain, self.texts(zero_shot.plain_texts()))
        if right < zero_shot.COLOURS_ENOUGH:
            raise ValueError(
                f"clip_vision and the text encoder do not understand each other: of {len(plain)} pictures of one plain colour "
                f"they name {right}. They are of different models, or one file lacks its projection. {PAIR}"
            )

    def _find(self, width: int) -> tuple[str, Any]:
        """(name, tower) of the text tower whose projection ends in ``width`` numbers."""
        model = self._clip.cond_stage_model
        towers: dict[str, Any] = {name: getattr(model, name, None) for name in TOWERS}
        towers = {
            name: tower
            for name, tower in towers.items()
            if hasattr(getattr(tower, "transformer", None), "text_projection")
        }
        if not towers:
            raise ValueError(f"judge_clip: this text encoder ({type(model).__name__}) holds no CLIP text tower. {PAIR}")
        self._clip.load_model()
        matrices = {name: self._matrix(tower) for name, tower in towers.items()}
        widths = {
            name: matrix.shape[0]
            for name, matrix in matrices.items()
            if matrix is not None and zero_shot.is_projection(matrix)
        }
        if not widths:
            raise ValueError(
                f"judge_clip: {' and '.join(towers)} of this text encoder came without a text projection (checkpoints of "
                f"SD1.x have none), so its texts cannot be compared with pictures. {PAIR}"
            )
        fitting = [name for name, own in widths.items() if own == width]
        if not fitting:
            others = ", ".join(f"{name} {own}" for name, own in widths.items())
            raise ValueError(
                f"clip_vision gives {width} numbers for a picture, the text encoder another count for a text ({others}): they "
                f"are of different models. {PAIR}"
            )
        return fitting[0], towers[fitting[0]]

    def _matrix(self, tower):
        """The projection as the host applies it (patches and quantised weights included), (out, in); None if there is none."""
        projection = tower.transformer.text_projection
        if getattr(projection, "weight", None) is None:
            return None
        with torch.no_grad():
            unit = torch.eye(projection.in_features, device=self._clip.patcher.load_device)
            return projection(unit).T.float().cpu()

    def texts(self, texts):
        """Embeddings (m, d) of texts, float32 on the CPU. Raises ValueError for one that is longer than the encoder reads."""
        rows = []
        self._clip.load_model()
        try:
            # most models of the host leave clip_l's pooled output unprojected, or drop it: the tower itself is asked
            self._tower.reset_clip_options()
            self._tower.set_clip_options({"projected_pooled": True, "execution_device": self._clip.patcher.load_device})
            for text in texts:
                chunks = self._clip.tokenize(text)[self._name.removeprefix("clip_")]
                if len(chunks) > 1:
                    raise ValueError(
                        f"judge_text, judge_against: {text[:60]!r}... is longer than the 75 tokens that CLIP reads: say it "
                        "shorter."
                    )
                with torch.no_grad():
                    rows.append(self._tower.encode_token_weights(chunks)[1].float().cpu())
        finally:
            self._clip.cond_stage_model.reset_clip_options()
        return torch.cat(rows)

    @property
    def trace(self):
        """Changes with the weights."""
        return [*trace(self.clip_vision.model), *trace(self._tower)]


def trace(module):
    """Numbers, as text, that change with a module's weights: the sums of the first and the last one. None has none."""
    weights = [] if module is None else [weight for weight in module.parameters() if weight.ndim]
    return [f"{weight.detach().float().sum().item():.6g}" for weight in (*weights[:1], *weights[-1:])]
