"""Language models on this machine that rewrite prompts, as nodes."""

from comfy_api.latest import io

from ..guards.host import checks
from ..guards.rewriters import host_clip as host_llm
from ..guards.rewriters import host_local as local_llm
from ..guards.rewriters import host_local_folder as llm_folder


def _max_length():
    return io.Int.Input(
        "max_length",
        default=96,
        min=8,
        max=2048,
        tooltip="The longest answer in tokens; a prompt of 60 words has about 80. Thinking models need several hundred.",
    )


def _temperature():
    return io.Float.Input(
        "temperature",
        default=0.0,
        min=0.0,
        max=2.0,
        step=0.05,
        tooltip="0: the likeliest answer, always the same. Higher: more varied, from the seed of Rewrite Prompt. "
        "Attempts after a failed one are made at a higher temperature in any case.",
    )


class GuardRewriterHost(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRewriterHost",
            display_name="Rewriter: Host LLM",
            category="guards/rewriters",
            description="Rewrites prompts with a language model that ComfyUI itself loads as a text encoder: all that Generate Text "
            "can use.",
            inputs=[
                io.Clip.Input(
                    "clip",
                    tooltip="A language model from Load CLIP: Qwen 3, Qwen 2.5-VL, Gemma 2, 3 or 4, Ministral. The "
                    "CLIP of a Stable Diffusion checkpoint cannot write text.",
                ),
                _max_length(),
                _temperature(),
            ],
            outputs=[io.Custom("GUARD_REWRITER").Output(display_name="rewriter")],
        )

    @classmethod
    def execute(cls, clip, max_length, temperature):
        checks.inputs(cls, **locals())
        return io.NodeOutput(host_llm.rewriter(clip, max_length, temperature))


class GuardRewriterLocal(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRewriterLocal",
            display_name="Rewriter: Local LLM",
            category="guards/rewriters",
            description="Rewrites prompts with a language model from models/LLM, on this machine: a folder of safetensors or a GGUF file. "
            "Nothing is downloaded.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=llm_folder.names(),
                    tooltip="A folder with config.json and .safetensors weights, or a .gguf file, in models/LLM. GGUF files "
                    "need the Python packages gguf and accelerate.",
                ),
                _max_length(),
                _temperature(),
                io.Boolean.Input(
                    "keep_loaded",
                    default=False,
                    optional=True,
                    tooltip="Off: the model is freed after each rewrite. On: it stays for the next one; ComfyUI moves it "
                    "off the graphics card when it needs the room.",
                ),
            ],
            outputs=[io.Custom("GUARD_REWRITER").Output(display_name="rewriter")],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name, max_length, temperature, keep_loaded=False):
        return llm_folder.state(model_name), max_length, temperature, keep_loaded

    @classmethod
    def execute(cls, model_name, max_length, temperature, keep_loaded=False):
        checks.inputs(cls, max_length=max_length, temperature=temperature)  # model_name has an error of its own
        return io.NodeOutput(local_llm.rewriter(model_name, max_length, temperature, keep_loaded))


NODES = [GuardRewriterHost, GuardRewriterLocal]
