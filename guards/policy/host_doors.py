"""Where graphs come in: a middleware refuses, a prompt handler puts the guards in, and routes tell what is in force and was decided.

GET  /concept_guards/policy         whether a policy is in force; its concepts if the operator shows them, message and contact
GET  /concept_guards/policy/audit   decisions by day and rule, and the last ones; this machine only
GET  /concept_guards/policy/replay  ?hash=H: that decision once more, under the policy as it is now; this machine only
GET  /concept_guards/policy/record  the page that shows both; this machine only
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from aiohttp import web

from ..host import callers
from ..host.progress import running_server
from . import admission, audit, host_office
from . import host_tripwire as tripwire
from .host_office import Stopped, office
from .rules import Policy, Refusal

DOORS = ("/prompt", "/api/prompt")
ROUTE = "/concept_guards/policy"
PAGE = Path(__file__).parents[2] / "web" / "record.html"
LAST = 200  # decisions that the page lists
_group: ContextVar[str] = ContextVar("concept_guards_policy_group", default="")  # of whoever sent the request under way


def kind_of(class_type: str) -> admission.Kind | None:
    """What the host knows of a node class."""
    found = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}).get(class_type)  # who runs a server has it
    if found is None:
        return None
    returns = tuple(_type(one) for one in (getattr(found, "RETURN_TYPES", ()) or ()))
    return admission.Kind(returns, bool(getattr(found, "OUTPUT_NODE", False)), bool(getattr(found, "API_NODE", False)))


def _type(said: object) -> str:
    """An output's type; ``*`` for one that follows an input's."""
    if not isinstance(said, str):
        return "COMBO"
    return "*" if "MATCHTYPE" in said.upper() else said


def _renewed(graph: Any, server) -> Any:
    """A copy of the graph as the host will run it: old node classes replaced by their successors."""
    renewed = copy.deepcopy(graph)
    manager = getattr(server, "node_replace_manager", None)
    if manager is not None and isinstance(renewed, dict) and all(isinstance(node, dict) for node in renewed.values()):
        for node in renewed.values():
            node.setdefault("_meta", {})  # the host's replacement needs it
            node.setdefault("inputs", {})
        manager.apply_replacements(renewed)
    return renewed


def _refuse(graph: Any, policy: Policy | None) -> Refusal | None:
    if policy is None:
        return None
    return admission.refuse(graph, policy, kind_of, functools.partial(office.names, policy))


def answer(refusal: Refusal, policy: Policy | None) -> web.Response:
    """400 in the host's own form, so that pages show it on the node."""
    error = {
        "type": f"concept_guards_policy_{refusal.rule}",
        "message": refusal.sentence(policy),
        "details": f"node {refusal.node}, {refusal.class_type}" if refusal.node else "",
        "extra_info": {"rule": refusal.rule, "node": refusal.node},
    }
    on_node = {"errors": [error], "dependent_outputs": [], "class_type": refusal.class_type}
    return web.json_response(
        {"error": error, "node_errors": {refusal.node: on_node} if refusal.node else {}}, status=400
    )


def middleware(server):
    """Refuses, before the host looks at it, a graph that breaks a rule. Whatever goes wrong in here refuses, too."""

    @web.middleware
    async def admit(request, handler):
        if request.method != "POST" or _door(request) not in DOORS:
            return await handler(request)
        _group.set(group_of(request))
        policy, fault = _look(_group.get())
        if policy is None and fault is None:
            return await handler(request)
        try:
            said = await request.json()
            graph = said.get("prompt") if isinstance(said, dict) else None
            refusal = fault or _refuse(_renewed(graph, server), policy)
            office.record(
                "refused" if refusal else "admitted", refusal, graph, policy, client=str(said.get("client_id", ""))[:64]
            )
        except Stopped as stopped:
            refusal = stopped.refusal
        except Exception as error:  # a doubt is a no
            logging.exception("concept-guards: a prompt could not be judged")
            refusal = Refusal("graph", f"The prompt could not be read ({type(error).__name__}).")
        return answer(refusal, policy) if refusal is not None else await handler(request)

    return admit


def group_of(request) -> str:
    """The group that the policy's header names, once; else none, and the policy's own rules hold."""
    policy, _ = office.look()
    said = request.headers.getall(policy.header, []) if policy is not None and policy.header else []
    return said[0] if len(said) == 1 else ""


def _door(request) -> str:
    """The route's own path: no spelling of the URL gets round it."""
    resource = getattr(request.match_info.route, "resource", None)
    return getattr(resource, "canonical", request.path)


def handler(server, said: dict) -> dict:
    """Put the guards into a graph that the host is about to take. Never raises: whatever is in doubt becomes a graph that only fails."""
    policy: Policy | None = None
    try:
        policy, fault = _look(_group.get())
        if policy is None and fault is None:
            return said
        graph = said.get("prompt")
        renewed = _renewed(graph, server)
        refusal = fault or _refuse(renewed, policy)
        if refusal is None and policy is not None:
            made = admission.guarded(renewed, policy, kind_of)
            if isinstance(made, dict):
                if not policy.previews:
                    said["extra_data"] = {**(said.get("extra_data") or {}), "preview_method": "none"}
                said["prompt"] = made
                return said
            refusal = made
        office.record("refused", refusal, graph, policy)
    except Exception as error:
        logging.exception("concept-guards: a prompt could not be guarded")
        refusal = Refusal("graph", f"The prompt could not be guarded ({type(error).__name__}).")
    return {**said, "prompt": admission.failing(refusal or Refusal("graph", "The prompt was refused."), policy)}


async def tell(request) -> web.Response:
    """What anyone may know."""
    policy, fault = office.look(group_of(request))
    said: dict = {"in_force": policy is not None or fault is not None}
    if policy is not None:
        said |= {"message": policy.message, "contact": policy.contact, "strictness": policy.strictness}
        said |= {"concepts": list(policy.texts)} if policy.show_concepts else {}
    if fault is not None:
        said["fault"] = fault.reason
    return web.json_response(said, headers={"Cache-Control": "no-store"})


def _record(answer_):
    """A route about the record, for whoever sits at this machine: ``answer_(request, the record's files)``."""

    @functools.wraps(answer_)
    async def route(request) -> web.StreamResponse:
        try:
            callers.check(request)
            place = host_office.path()
            paths = audit.files(os.path.dirname(os.path.abspath(place))) if place else []
            return answer_(request, paths)
        except callers.Refusal as refusal:
            callers.log(request, refusal)
            return web.json_response({"error": refusal.reason}, status=refusal.status)
        except (OSError, ValueError, json.JSONDecodeError) as error:
            return web.json_response({"error": f"the record is damaged: {error}"}, status=500)

    return route


@_record
def count(request, paths: list[str]) -> web.Response:
    said = {"decisions": audit.verify(paths), "days": audit.tally(paths), "last": audit.newest(paths, LAST)}
    return web.json_response(said, headers={"Cache-Control": "no-store"})


@_record
def replay(request, paths: list[str]) -> web.Response:
    entry = audit.find(paths, request.query.get("hash", ""))
    if entry is None:
        return web.json_response({"error": "the record has no such decision"}, status=404)
    if "prompt" not in entry:
        why = 'this decision was recorded without its prompt: the policy says so, unless "audit" is "with_prompts"'
        return web.json_response({"error": why}, status=409)
    policy, fault = office.look()
    refusal = fault or _refuse(entry["prompt"], policy)
    now = {"rule": refusal.rule, "node": refusal.node, "reason": refusal.reason} if refusal else {"action": "admitted"}
    said = {"then": {key: entry[key] for key in ("action", "rule", "node", "policy") if key in entry}, "now": now}
    return web.json_response(
        {**said, "same_policy": policy is not None and policy.fingerprint == entry.get("policy")},
        headers={"Cache-Control": "no-store"},
    )


@_record
def page(request, paths: list[str]) -> web.StreamResponse:
    return web.FileResponse(PAGE, headers={"Cache-Control": "no-store"})


def _look(group: str = "") -> tuple[Policy | None, Refusal | None]:
    """As the office says of a group; where there is a policy the tripwire stands, from the first moment on. None: no cost."""
    policy, fault = office.look(group)
    if policy is not None or fault is not None:
        tripwire.install()
    return policy, fault


def install(server) -> None:
    """Set up the doors on a server that has not started yet. Without a policy they let everything pass."""
    server.app.middlewares.append(middleware(server))
    server.add_on_prompt_handler(functools.partial(handler, server))
    server.routes.get(ROUTE)(tell)
    for name, route in (("audit", count), ("replay", replay), ("record", page)):
        server.routes.get(f"{ROUTE}/{name}")(route)
    _look()


def install_with_host() -> None:
    """On the running server, if there is one."""
    server = running_server()
    if server is not None:
        install(server)
