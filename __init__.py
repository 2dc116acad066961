"""Concept Guards: keep forbidden concepts out of images while they are made. A custom-node pack for ComfyUI."""
from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"


class ConceptGuards(ComfyExtension):
    async def get_node_list(self):
        from .nodes import concept_map, concepts, demo_model, growth_inhibitor, prompt_intervention, safe_latent_diffusion
        modules = (demo_model, concepts, safe_latent_diffusion, prompt_intervention, growth_inhibitor, concept_map)
        return [node for module in modules for node in module.NODES]


async def comfy_entrypoint():
    return ConceptGuards()
