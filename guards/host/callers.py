"""Who may call the pack's routes: pages of this very server, opened on this machine. Everyone else only those that the operator opens.

The operator's word is a file in the host's user directory, ``concept_guards/settings.json``: {"rating_from_other_machines": true}.
It opens the routes that name this switch, and no other. It is read at every call, so that no restart is needed. No route writes it.
"""

import functools
import ipaddress
import json
import logging
import os
from urllib.parse import urlsplit

import folder_paths
from aiohttp import web

PRIVATE = {  # of answers
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
RATING = "rating_from_other_machines"
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host")


class Refusal(Exception):
    """A request that is not answered: the HTTP status, and the reason in words."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


def others_may(switch: str) -> bool:
    """Whether the operator has opened the routes of a switch to other machines. Anything but a clear yes is a no."""
    path = os.path.join(folder_paths.get_user_directory(), "concept_guards", "settings.json")
    try:
        with open(path, encoding="utf-8-sig") as file:
            settings = json.loads(file.read(100_000))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError) as error:
        logging.warning(
            "concept-guards: settings.json in the user directory cannot be read (%s): other machines stay refused.",
            error,
        )
        return False
    return isinstance(settings, dict) and settings.get(switch) is True


def check(request, switch: str = "") -> None:
    """Raises Refusal for another machine, a name that is not this machine's (DNS rebinding), and another site's page. ``switch``: of the
    operator's settings, with which other machines and names may."""
    headers = request.headers
    host = urlsplit("//" + headers.get("Host", ""))
    if not (switch and others_may(switch)):
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        if not peer or not _loopback(str(peer[0])) or any(name in headers for name in FORWARDED):
            can = "; the operator can allow that in concept_guards/settings.json" if switch else ""
            raise Refusal(403, "the caller is another machine" + can)
        if not _loopback(host.hostname or ""):
            raise Refusal(
                403, "the page was opened under a name that is not this machine's: use 127.0.0.1 or localhost"
            )
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "the call comes from another site's page")
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.netloc.lower():
        raise Refusal(403, "the call comes from another site's page")


def _loopback(name: str) -> bool:
    """127.0.0.0/8, ::1, and localhost. No name is looked up."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def log(request, refusal: Refusal) -> None:
    """One line, in which nothing that the caller sent can break out or flood."""
    logging.warning(
        "concept-guards: refused %s %.120s from %s: %s (%d)",
        request.method,
        ascii(request.path),
        request.remote,
        refusal.reason,
        refusal.status,
    )


def only_here(unless: str = ""):
    """Let a route's handler see only calls that ``check`` lets through; a Refusal, of the check or the handler, is answered with JSON and
    one line in the log. ``unless``: the switch with which other machines may call."""

    def guarded(handler):
        @functools.wraps(handler)
        async def answer(request) -> web.StreamResponse:
            try:
                check(request, unless)
                return await handler(request)
            except Refusal as refusal:
                log(request, refusal)
                return web.json_response({"error": refusal.reason}, status=refusal.status, headers=PRIVATE)

        return answer

    return guarded
