"""Concept Guards: keep forbidden concepts out of images while they are made. A custom-node pack for ComfyUI."""

from importlib import import_module

from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"


class ConceptGuards(ComfyExtension):
    async def on_load(self):
        """The one moment when the pack makes folders and routes known to the host: importing its modules changes nothing."""
        from .guards.endpoints import host_routes as endpoint_routes
        from .guards.feedback import host_routes
        from .guards.host import folders
        from .guards.policy import host_doors

        folders.register()
        host_routes.register_with_host()
        endpoint_routes.register_with_host()
        host_doors.install_with_host()

    async def get_node_list(self):
        from . import nodes

        names = (
            "demo_model",
            "concepts",
            "safe_latent_diffusion",
            "prompt_intervention",
            "rewriting",
            "rewriters_llm",
            "learn_instruction",
            "directions",
            "discovery",
            "responsible",
            "growth_inhibitor",
            "concept_map",
            "feedback",
            "feedback_token",
            "distillation",
            "erasing",
            "compare",
            "score",
            "metering",
            "policy",
            "concept_guard",
        )
        modules = [import_module(f".{name}", nodes.__name__) for name in names]
        return [node for module in modules for node in module.NODES]


async def comfy_entrypoint():
    return ConceptGuards()
