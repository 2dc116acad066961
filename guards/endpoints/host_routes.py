"""The models that an endpoint of this server's profiles lists, for the page's drop-down.

GET /concept_guards/endpoint_models?endpoint=NAME   {"models": [...]}, or {"error": "..."}; this machine only
"""

from aiohttp import web

from ..host import callers
from ..host.progress import running_server
from ..rewriters.protocol import RewriterError
from . import host

ROUTE = "/concept_guards/endpoint_models"
TIMEOUT = 10.0  # seconds


@callers.only_here()
async def models(request: web.Request) -> web.Response:
    """Only profiles can be asked for, never an address."""
    try:
        endpoint = host.rewriter(request.query.get("endpoint", ""), "", 1, 0.0, TIMEOUT)
        return web.json_response({"models": await endpoint.listed()}, headers={"Cache-Control": "no-store"})
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    except RewriterError as error:
        return web.json_response({"error": str(error)}, status=502)


def register_with_host() -> None:
    """On the running server, if there is one."""
    server = running_server()
    if server is not None:
        server.routes.get(ROUTE)(models)
