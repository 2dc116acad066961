"""Concept Guards: keep forbidden concepts out of images while they are made. A custom-node pack for ComfyUI."""
from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"


class ConceptGuards(ComfyExtension):
    async def get_node_list(self):
        from .nodes import concepts, demo_model, learn_instruction, prompt_intervention, rewriters_llm, rewriting, safe_latent_diffusion
        modules = (demo_model, concepts, safe_latent_diffusion, prompt_intervention, rewriting, rewriters_llm, learn_instruction)
        return [node for module in modules for node in module.NODES]


async def comfy_entrypoint():
    return ConceptGuards()
