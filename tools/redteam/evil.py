"""A throw-away pack that tries to get round the policy; tests put it into a server's custom_nodes."""

import comfy.sample
import comfy.samplers
import torch
from aiohttp import web
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer


def noise_like(model, latent, seed=0):
    samples, channels = latent["samples"], model.model.latent_format.latent_channels
    return torch.randn((len(samples), channels, *samples.shape[2:]), generator=torch.Generator().manual_seed(seed))


class Direct:
    """Calls the model itself, without options."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("LATENT",), "run", "evil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "positive": ("CONDITIONING",), "latent_image": ("LATENT",)}}

    def run(self, model, positive, latent_image):
        x = noise_like(model, latent_image)
        out = model.model.apply_model(x, torch.full((len(x),), 1.0), c_crossattn=positive[0][0])
        return ({"samples": out},)


class Stripped(Direct):
    """Samples a clone whose options were thrown away."""

    def run(self, model, positive, latent_image):
        bare = model.clone()
        bare.model_options = {"transformer_options": {}}
        bare.wrappers = {}
        x = noise_like(model, latent_image)
        out = comfy.sample.sample(bare, x, 2, 1.0, "euler", "normal", positive, positive, torch.zeros_like(x), seed=0)
        return ({"samples": out},)


class Expanding(Direct):
    """Becomes a KSampler while the graph runs, with numbers that no check has seen."""

    def run(self, model, positive, latent_image):
        bare = model.clone()
        bare.model_options, bare.wrappers = {"transformer_options": {}}, {}
        graph = GraphBuilder()
        sampler = graph.node(
            "KSampler",
            model=bare,
            positive=positive,
            negative=positive,
            latent_image=latent_image,
            seed=0,
            steps=2,
            cfg=-2.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        return {"result": (sampler.out(0),), "expand": graph.finalize()}


class Leak(Direct):
    """Keeps the options of a guarded run and uses them afterwards."""

    def run(self, model, positive, latent_image):
        kept = {}

        def spy(apply, args):
            kept["options"] = args["c"]["transformer_options"]
            return apply(args["input"], args["timestep"], **args["c"])

        spied = model.clone()
        spied.set_model_unet_function_wrapper(spy)
        x = noise_like(model, latent_image)
        comfy.sample.sample(spied, x, 2, 1.0, "euler", "normal", positive, positive, torch.zeros_like(x), seed=0)
        out = model.model.apply_model(
            x, torch.full((len(x),), 1.0), c_crossattn=positive[0][0], transformer_options=kept["options"]
        )
        return ({"samples": out},)


class Joined:
    """Makes a text while the graph runs."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STRING",), "run", "evil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("STRING", {"default": ""}), "b": ("STRING", {"default": ""})}}

    def run(self, a, b):
        return (a + b,)


class Any:
    """Passes anything on as anything."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("*",), "run", "evil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"anything": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, anything):
        return (anything,)


class Adapter:
    """Gives every cross-attention the rows of another text beside the prompt's, as adapters for pictures do."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "run", "evil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "conditioning": ("CONDITIONING",)}}

    def run(self, model, conditioning):
        more, worn = conditioning[0][0], model.clone()

        def attend(q, k, v, extra):
            rows = more.to(k).expand(len(k), -1, -1)
            return q, torch.cat((k, rows), 1), torch.cat((v, rows), 1)

        worn.set_model_attn2_patch(attend)
        return (worn,)


class Swap(Adapter):
    """Has the model read another text in every evaluation, as packs that schedule prompts do."""

    def run(self, model, conditioning):
        other, worn = conditioning[0][0], model.clone()

        def swap(apply, args):
            rows = args["c"]["c_crossattn"]
            return apply(
                args["input"], args["timestep"], **{**args["c"], "c_crossattn": other.to(rows).expand_as(rows)}
            )

        worn.set_model_unet_function_wrapper(swap)
        return (worn,)


class Style:
    """A style model that adds the rows of a text, for the host's own StyleModelApply."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STYLE_MODEL", "CLIP_VISION_OUTPUT"), "run", "evil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"conditioning": ("CONDITIONING",)}}

    def run(self, conditioning):
        self.rows = conditioning[0][0]
        return self, None

    def get_cond(self, _):
        return self.rows


class Cloud:
    """Would ask a service far away for a picture."""

    RETURN_TYPES, FUNCTION, CATEGORY, API_NODE = ("IMAGE",), "run", "evil", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": ""})}}

    def run(self, text):
        return (torch.rand(1, 96, 96, 3),)


@PromptServer.instance.routes.post("/evil/queue")
async def queue(request):
    """Queues a graph that no door has seen."""
    said = await request.json()
    server = PromptServer.instance
    server.number += 1
    server.prompt_queue.put(
        (server.number, said["id"], said["prompt"], {"client_id": said["client"]}, said["outputs"], {})
    )
    return web.json_response({})


NODE_CLASS_MAPPINGS = {
    "EvilDirect": Direct,
    "EvilStripped": Stripped,
    "EvilExpanding": Expanding,
    "EvilLeak": Leak,
    "EvilJoined": Joined,
    "EvilAny": Any,
    "EvilAdapter": Adapter,
    "EvilSwap": Swap,
    "EvilStyle": Style,
    "EvilCloud": Cloud,
}
