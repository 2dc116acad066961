"""Responsible prompts: words in the prompt switch on the matching directions."""

from comfy_api.latest import io

from ..guards.directions import fairness
from ..guards.directions import host as directions
from ..guards.directions import host_library as direction_library
from ..guards.directions import phrases as responsible
from ..guards.host import checks

EXAMPLE = "# phrase -> direction, or several that are shared out fairly\nno beer -> no-beer\nbalanced -> doctor-man | doctor-woman"


class GuardResponsiblePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardResponsiblePrompt",
            display_name="Responsible Prompt",
            category="guards/directions",
            description="Words in the prompt, such as gender-balanced or no violence, switch on the directions that belong to them. The "
            "rest of the prompt goes on to CLIP Text Encode.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A model of the directions' family: SD1.x, SD2.x, SDXL, the demo model; Flux, Chroma, SD3, Qwen-Image, "
                    "Lumina2, Z-Image or Wan.",
                ),
                io.String.Input("prompt", multiline=True, default="", tooltip="The prompt as the user wrote it."),
                io.String.Input(
                    "mapping",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="A line for each phrase: phrase -> direction (a name in models/concept_directions, or "
                    "name:strength). Several, as in one | other, are shared out among the images of a batch.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.05,
                    tooltip="Multiplies every strength of the mapping. 0 switches the guard off.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Seeds which image gets which of several directions.",
                ),
                io.Boolean.Input(
                    "remove_words",
                    default=True,
                    tooltip="On: the phrases are taken out of the prompt. A model that reads no violence may well think of "
                    "violence.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.String.Output(display_name="prompt"),
                io.String.Output(display_name="report"),
            ],
        )

    @classmethod
    def execute(cls, model, prompt, mapping, strength, seed, remove_words):
        checks.inputs(cls, **locals())
        rules = responsible.parse_rules(mapping)
        found, rest = responsible.find(prompt, rules)
        lines = []
        for rule in found:
            sides = [direction_library.by_name(name) for name, _ in rule.sides]
            scaled = [directions.scaled(side, own) for side, (_, own) in zip(sides, rule.sides, strict=True)]
            model = directions.steer_fairly(model, scaled, fairness.parse_shares("", len(sides)), strength, seed)
            lines.append(f"{rule.phrase}: {' | '.join(f'{name} x {own * strength:g}' for name, own in rule.sides)}")
        if not found:
            lines.append(f"no phrase of the mapping is in the prompt ({len(rules)} looked for); the model is unchanged")
        return io.NodeOutput(model, rest if remove_words else prompt, "\n".join(lines))


NODES = [GuardResponsiblePrompt]
