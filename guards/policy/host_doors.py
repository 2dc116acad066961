"""Where graphs come in: a middleware refuses, a prompt handler puts the guards in, and routes tell what is in force and was decided.

GET  /concept_guards/policy         whether a policy is in force; its concepts if the operator shows them, message and contact
GET  /concept_guards/policy/audit   decisions by day and rule, and the last ones; this machine only
GET  /concept_guards/policy/replay  ?hash=H: that decision once more, under the policy as it is now; this machine only
GET  /concept_guards/policy/record  the page that shows both; this machine only
"""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from ..host import callers
from ..host.progress import running_server
from . import admission, audit, host_office, permitted, uploads
from . import host_tripwire as tripwire
from .host_office import Stopped, office, sentence
from .rules import Policy
from .sayings import ENGLISH, Refusal, spoken

DOORS = ("/prompt", "/api/prompt")
ROUTE = "/concept_guards/policy"
PAGE = Path(__file__).parents[2] / "web" / "record.html"
LAST = 200  # decisions that the page lists
REFUSED = "concept_guards_policy_refused"  # the event that web/policy.js shows
COOKIE = "concept_guards_language"  # set by web/policy.js to the language of the page


@dataclass(frozen=True)
class Caller:
    """What holds for whoever sent a request: the policy of their group, or why nothing may run; and their language."""

    policy: Policy | None
    fault: Refusal | None
    language: str = ENGLISH
    group: str = ""  # whose rules these are; empty: the file's own
    judged: Any = None  # the graph that was let in, as the host will run it; read from the request anew by the host

    @property
    def is_free(self) -> bool:
        """There is no policy."""
        return self.policy is None and self.fault is None


_caller: ContextVar[Caller | None] = ContextVar(
    "concept_guards_policy_caller", default=None
)  # of the request under way


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
    """The graph as the host will run it: where old node classes are replaced by their successors, a copy."""
    manager = getattr(server, "node_replace_manager", None)
    if manager is None or not isinstance(graph, dict) or not all(isinstance(node, dict) for node in graph.values()):
        return graph
    known = sys.modules["nodes"].NODE_CLASS_MAPPINGS
    old = {str(node.get("class_type")) for node in graph.values()} - {*known}
    if not any(manager.has_replacement(name) for name in old):
        return graph
    renewed = copy.deepcopy(graph)
    for node in renewed.values():
        node.setdefault("_meta", {})  # the host's replacement needs it
        node.setdefault("inputs", {})
    manager.apply_replacements(renewed)
    return renewed


def _chooses(class_type: str, key: str, kind: str) -> bool:
    """Whether a node's input is a choice among files of a kind."""
    try:
        options = _options(_inputs(class_type).get(key, ((),)))
    except Exception:  # another pack's code; a doubt is a no
        return True
    return bool(options & {*_listing(kind)})


def _inputs(class_type: str) -> dict[str, Any]:
    """What a class says of its inputs. Raises whatever another pack's code does."""
    found = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}).get(class_type)
    groups = found.INPUT_TYPES() if found is not None else {}
    return {key: said for name in ("required", "optional") for key, said in groups.get(name, {}).items()}


def _options(said: Any) -> set[str]:
    """The choices of an input; empty for one that is no choice."""
    options = said[1].get("options", ()) if said[0] == "COMBO" else said[0]
    return {*map(str, options)} if isinstance(options, list | tuple) else set()


def _users_files() -> set[str]:
    """What lies in the folders that users can write to."""
    places = (
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )
    return {name for place in places if os.path.isdir(place) for name in os.listdir(place)}


def _brings(there: Callable[[], set[str]], class_type: str) -> set[str]:
    """The inputs of a class that upload a file, or choose among those of the users (``there``)."""
    found = set()
    try:
        for key, said in _inputs(class_type).items():
            more = said[1] if len(said) > 1 and isinstance(said[1], dict) else {}
            if any(name.endswith("_upload") and more[name] for name in more) or _options(said) & there():
                found.add(key)
    except Exception:  # another pack's code; what its texts say is read in any case
        logging.exception("concept-guards: the inputs of %s could not be read", class_type)
    return found


def _listing(kind: str) -> list[str]:
    return folder_paths.get_filename_list(kind) if kind in folder_paths.folder_names_and_paths else []


def _refuse(graph: Any, policy: Policy | None) -> Refusal | None:
    if policy is None:
        return None
    names = functools.cache(functools.partial(office.names, policy))
    kinds = functools.cache(kind_of)
    return (
        admission.refuse(graph, policy, kinds, names)
        or permitted.refuse(graph, policy, _listing, _chooses)
        or uploads.refuse(
            graph, policy, kinds, functools.cache(functools.partial(_brings, functools.cache(_users_files)))
        )
    )


def answer(refusal: Refusal, caller: Caller) -> web.Response:
    """400 in the host's own form, so that pages show it on the node."""
    error = {
        "type": f"concept_guards_policy_{refusal.rule}",
        "message": sentence(refusal, caller.policy, caller.language),
        "details": f"node {refusal.node}, {refusal.class_type}" if refusal.node else "",
        "extra_info": {"rule": refusal.rule, "node": refusal.node},
    }
    told = {**error, "details": error["message"]}  # what pages show on a node of errors that they do not know
    on_node = {"errors": [told], "dependent_outputs": [], "class_type": refusal.class_type}
    return web.json_response(
        {"error": error, "node_errors": {refusal.node: on_node} if refusal.node else {}}, status=400
    )


def middleware(server):
    """Refuses, before the host looks at it, a graph that breaks a rule. Whatever goes wrong in here refuses, too."""

    @web.middleware
    async def admit(request, handler):
        if request.method != "POST" or _door(request) not in DOORS:
            return await handler(request)
        caller = caller_of(request)
        if caller.is_free:
            return await handler(request)
        client = ""
        try:
            said = await request.json()
            graph = said.get("prompt") if isinstance(said, dict) else None
            renewed = _renewed(graph, server)
            refusal = caller.fault or _refuse(renewed, caller.policy)
            client = str(said.get("client_id", ""))[:64] if isinstance(said, dict) else ""
            more = {"client": client, **({"group": caller.group} if caller.group else {})}
            office.record("refused" if refusal else "admitted", refusal, graph, caller.policy, **more)
        except Stopped as stopped:
            refusal = stopped.refusal
        except Exception as error:  # a doubt is a no
            logging.exception("concept-guards: a prompt could not be judged")
            refusal = Refusal("graph", "unread", values={"fault": type(error).__name__})
        if refusal is not None:
            if client:  # pages show no more of it than that there was one
                server.send_sync(REFUSED, {"message": sentence(refusal, caller.policy, caller.language)}, client)
            return answer(refusal, caller)
        known = _caller.set(replace(caller, judged=renewed))
        try:
            return await handler(request)
        finally:
            _caller.reset(known)

    return admit


def caller_of(request) -> Caller:
    """Who asks: the group is what the policy's header names, once; else none, and the policy's own rules hold."""
    policy, fault = _look()
    if policy is None and fault is None:
        return Caller(None, None)
    language = spoken(request.cookies.get(COOKIE, ""), request.headers.get("Accept-Language", ""))
    said = request.headers.getall(policy.header, []) if policy is not None and policy.header else []
    group = said[0] if policy and len(said) == 1 and said[0] in dict(policy.groups) else ""
    return Caller(policy.of(group) if policy else None, fault, language, group)


def _door(request) -> str:
    """The route's own path: no spelling of the URL gets round it."""
    resource = getattr(request.match_info.route, "resource", None)
    return getattr(resource, "canonical", request.path)


def handler(server, said: dict) -> dict:
    """Put the guards into a graph that the host is about to take. Never raises: whatever is in doubt becomes a graph that only fails."""
    caller = _caller.get() or Caller(None, None)
    refusal: Refusal | None = None
    try:
        if caller.is_free:
            caller = Caller(*_look())  # nobody came through the middleware
        if caller.is_free:
            return said
        graph = said.get("prompt")
        renewed = _renewed(graph, server)
        refusal = caller.fault
        if refusal is None and (caller.judged is None or renewed != caller.judged):  # another handler has changed it
            refusal = _refuse(renewed, caller.policy)
        if refusal is None and caller.policy is not None:
            made = admission.guarded(renewed, caller.policy, functools.cache(kind_of), caller.language)
            if isinstance(made, dict):
                if not caller.policy.previews:
                    said["extra_data"] = {**(said.get("extra_data") or {}), "preview_method": "none"}
                said["prompt"] = made
                return said
            refusal = made
        office.record("refused", refusal, graph, caller.policy)
    except Stopped as stopped:
        refusal = stopped.refusal
    except Exception as error:
        logging.exception("concept-guards: a prompt could not be guarded")
        refusal = Refusal("graph", "unguarded", values={"fault": type(error).__name__})
    why = sentence(refusal or Refusal("graph", "no graph"), caller.policy, caller.language)
    return {**said, "prompt": admission.failing(why)}


async def tell(request) -> web.Response:
    """What anyone may know."""
    caller = caller_of(request)
    policy, fault = caller.policy, caller.fault
    said: dict = {"in_force": not caller.is_free}
    if policy is not None:
        said |= {"message": policy.message, "contact": policy.contact, "strictness": policy.strictness}
        said |= {"concepts": list(policy.texts)} if policy.show_concepts else {}
    if fault is not None:
        said["fault"] = fault.reason(caller.language)
    return web.json_response(said, headers={"Cache-Control": "no-store"})


def _record(answer_):
    """A route about the record, for whoever sits at this machine: ``answer_(request, the record's files)``."""

    @callers.only_here()
    @functools.wraps(answer_)
    async def route(request) -> web.StreamResponse:
        try:
            place = host_office.path()
            paths = audit.files(os.path.dirname(os.path.abspath(place))) if place else []
            return await asyncio.to_thread(answer_, request, paths)  # the whole record is read
        except (OSError, ValueError) as error:
            return web.json_response({"error": f"the record is damaged: {error}"}, status=500)

    return route


@_record
def count(request, paths: list[str]) -> web.Response:
    return web.json_response(asdict(audit.survey(paths, LAST)), headers={"Cache-Control": "no-store"})


@_record
def replay(request, paths: list[str]) -> web.Response:
    entry = audit.find(paths, request.query.get("hash", ""))
    if entry is None:
        return web.json_response({"error": "the record has no such decision"}, status=404)
    if "prompt" not in entry:
        why = 'this decision was recorded without its prompt: the policy says so, unless "audit" is "with_prompts"'
        return web.json_response({"error": why}, status=409)
    policy, fault = office.look()
    policy = policy and policy.of(entry.get("group", ""))
    graph = _renewed(entry["prompt"], sys.modules["server"].PromptServer.instance)
    refusal = fault or _refuse(graph, policy)
    now = (
        {"rule": refusal.rule, "node": refusal.node, "reason": refusal.reason()} if refusal else {"action": "admitted"}
    )
    said = {"then": {key: entry[key] for key in ("action", "rule", "node", "policy") if key in entry}, "now": now}
    return web.json_response(
        {**said, "same_policy": policy is not None and policy.fingerprint == entry.get("policy")},
        headers={"Cache-Control": "no-store"},
    )


@_record
def page(request, paths: list[str]) -> web.StreamResponse:
    return web.FileResponse(PAGE, headers={"Cache-Control": "no-store"})


def _look() -> tuple[Policy | None, Refusal | None]:
    """As the office says; where there is a policy the tripwire stands, from the first moment on. None: no cost."""
    policy, fault = office.look()
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
