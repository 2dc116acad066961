"""Latent directions as nodes: load, save, combine, steer, steer fairly."""

from comfy_api.latest import io, ui

from ..guards import files
from ..guards.directions import fairness
from ..guards.directions import files as direction_files
from ..guards.directions import host as directions
from ..guards.directions import host_library as library
from ..guards.directions.formula import combine
from ..guards.host import checks, folders

Direction = io.Custom("GUARD_DIRECTION")


class GuardLoadDirection(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardLoadDirection",
            display_name="Load Direction",
            category="guards/directions",
            description="Reads a latent direction: one that Discover Direction found and Save Direction wrote, or a column of the paper's "
            "released unet.pth. Directions of the demo model come with the pack.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folders.files(library.FOLDER),
                    tooltip="A file in models/concept_directions. A unet.pth needs its concept_dict.json beside it.",
                ),
                io.String.Input(
                    "concept",
                    default="",
                    tooltip="Which of the file's directions, by name. Empty: the only or first one.",
                ),
            ],
            outputs=[Direction.Output(display_name="direction")],
        )

    @classmethod
    def fingerprint_inputs(cls, file, concept):
        return folders.fingerprint(library.FOLDER, file)

    @classmethod
    def execute(cls, file, concept):
        return io.NodeOutput(library.load(file, concept))


class GuardSaveDirection(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardSaveDirection",
            display_name="Save Direction",
            category="guards/directions",
            is_output_node=True,
            description="Writes a direction to models/concept_directions, where Load Direction finds it (press R to read the list again).",
            inputs=[
                Direction.Input("direction", tooltip="The direction to keep."),
                io.String.Input(
                    "filename",
                    default="my_direction",
                    tooltip="A plain name, without a folder. The ending .safetensors is added.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    optional=True,
                    tooltip="Off: a file of that name is never replaced; the node says so instead.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, direction, filename, overwrite=False):
        path = folders.new_file(library.FOLDER, filename, ".safetensors", overwrite)
        files.write(path, direction_files.content(direction))
        return io.NodeOutput(ui=ui.PreviewText(f"Saved {direction.concept} as {library.FOLDER}/{filename}"))


class GuardCombineDirections(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardCombineDirections",
            display_name="Combine Directions",
            category="guards/directions",
            description="Adds two directions into one: weight_a x a + weight_b x b. Steering with the sum is steering with both.",
            inputs=[
                Direction.Input("a", tooltip="The first direction."),
                Direction.Input("b", tooltip="The second direction, of the same model family and size."),
                io.Float.Input(
                    "weight_a",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.05,
                    tooltip="How much of a. Below 0 pushes away, which the paper leaves undefined: minus female is not male.",
                ),
                io.Float.Input("weight_b", default=1.0, min=-100.0, max=100.0, step=0.05, tooltip="How much of b."),
            ],
            outputs=[Direction.Output(display_name="direction")],
        )

    @classmethod
    def execute(cls, a, b, weight_a, weight_b):
        checks.inputs(cls, **locals())
        return io.NodeOutput(combine(a, b, weight_a, weight_b))


class GuardSteerDirection(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardSteerDirection",
            display_name="Steer with Direction",
            category="guards/directions",
            description="Adds a latent direction behind the model's middle block while sampling, for the prompt's own rows alone. Costs "
            "nothing to speak of. Several of these in a row add up.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A model of the direction's family: SD1.x, SD2.x, SDXL, the demo model; Flux, Chroma, SD3, Qwen-Image, "
                    "Lumina2, Z-Image or Wan.",
                ),
                Direction.Input("direction", tooltip="From Load, Discover or Combine Directions."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.05,
                    tooltip="1 is what the direction was found with. Less mixes in less, much more breaks the picture, 0 "
                    "switches the guard off.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where in the diffusion schedule it sets in (0: from the start), counted as in the host's "
                    "ControlNet nodes.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where it ends (1: never). With few steps, no step may fall into a short range.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, direction, strength, start_percent, end_percent):
        checks.inputs(cls, **locals())
        return io.NodeOutput(directions.steer(model, direction, strength, start_percent, end_percent))


class GuardFairSteer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardFairSteer",
            display_name="Steer Fairly",
            category="guards/directions",
            description="Gives every image of a batch one of up to four directions, in given shares: exactly, wherever the number of "
            "images allows it. For attributes that a model shows one-sidedly.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A model of the directions' family: SD1.x, SD2.x, SDXL, the demo model; Flux, Chroma, SD3, Qwen-Image, "
                    "Lumina2, Z-Image or Wan.",
                ),
                Direction.Input("a", tooltip="One side of the attribute, such as female."),
                Direction.Input("b", tooltip="Another side, such as male."),
                Direction.Input("c", optional=True, tooltip="A third side, if there is one."),
                Direction.Input("d", optional=True, tooltip="A fourth side, if there is one."),
                io.String.Input(
                    "shares",
                    default="",
                    optional=True,
                    tooltip="A number for each connected direction, such as 1:1, 0.7, 0.3 or 50% 30% 20%. Empty: equal.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.05,
                    optional=True,
                    tooltip="As in Steer with Direction. 0 switches the guard off.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    optional=True,
                    tooltip="Seeds who gets what. With batches of one, let it change from run to run, or every picture gets the "
                    "same side.",
                ),
                io.Int.Input(
                    "images",
                    default=64,
                    min=1,
                    max=4096,
                    optional=True,
                    tooltip="How many lines the assignment lists. The first image has the first line, however large the batch.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model"), io.String.Output(display_name="assignment")],
        )

    @classmethod
    def execute(cls, model, a, b, c=None, d=None, shares="", strength=1.0, seed=0, images=64):
        checks.inputs(cls, **locals())
        sides = [side for side in (a, b, c, d) if side is not None]
        parts = fairness.parse_shares(shares, len(sides))
        guarded = directions.steer_fairly(model, sides, parts, strength, seed)
        drawn = fairness.assign(parts, images, directions.draw_name(sides, seed))
        lines = [f"{number} {sides[side].concept}" for number, side in enumerate(drawn, 1)]
        return io.NodeOutput(guarded, "\n".join(lines) if strength else "no steering: strength is 0")


NODES = [GuardLoadDirection, GuardSaveDirection, GuardCombineDirections, GuardSteerDirection, GuardFairSteer]
