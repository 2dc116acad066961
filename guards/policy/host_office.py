"""The policy in force on this server: where its file is, when it is read again, and what is written into the record.

The file is ``policy.json`` in ComfyUI's system user directory ``concept_guards``, which the host serves to nobody, or the file that the
environment variable CONCEPT_GUARDS_POLICY names. Nothing here or elsewhere in the pack writes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading

import folder_paths

from ..words.watch import Watch
from . import audit, host_check
from .rules import Policy, parse
from .sayings import ENGLISH, LANGUAGES, Refusal

VARIABLE, NAME, MOST = "CONCEPT_GUARDS_POLICY", "policy.json", 1_000_000


class Stopped(ValueError):
    """A run or a picture that the policy stops. ``refusal`` says why; the message says it in ``languages``."""

    def __init__(self, refusal: Refusal, policy: Policy | None, *languages: str) -> None:
        super().__init__(" / ".join(sentence(refusal, policy, one) for one in languages or (ENGLISH,)))
        self.refusal = refusal


def sentence(refusal: Refusal, policy: Policy | None, language: str) -> str:
    """The whole message, with the operator's own sentence."""
    return refusal.sentence(*((policy.message, policy.contact) if policy else ("", "")), language=language)


def path() -> str | None:
    """Where the policy is looked for; None on hosts that have no such directory, without the variable."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    directory = getattr(folder_paths, "get_system_user_directory", None)
    return os.path.join(directory("concept_guards"), NAME) if directory else None


class Office:
    """Reads the file when it changes. Once there was a policy, a file that is gone or broken refuses everything until it is mended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: tuple | str | None = "never looked"
        self._policy: Policy | None = None
        self._fault: Refusal | None = None
        self._watches: dict[str, Watch] = {}  # fingerprint of a policy -> what sees its refused concepts
        self._audit: audit.Audit | None = None
        self._seen = False

    def look(self) -> tuple[Policy | None, Refusal | None]:
        """(the policy, None), (None, why everything is refused), or (None, None) where there is no policy."""
        with self._lock:
            place = path()
            stamp = _stamp(place)
            if stamp != self._stamp:
                self._read(place, stamp)
                self._stamp = stamp
            return self._policy, self._fault

    def _read(self, place: str | None, stamp: tuple | None) -> None:
        self._policy, self._watches = None, {}
        if stamp is None or place is None:
            named = bool(os.environ.get(VARIABLE))
            self._fault = (
                Refusal("policy", "gone from the variable" if named else "gone") if self._seen or named else None
            )
            return
        self._seen = True
        try:
            with open(place, encoding="utf-8-sig") as file:  # Windows' editors begin it with a mark
                text = file.read(MOST + 1)
            if len(text) > MOST:
                raise ValueError(f"it has more than {MOST} characters.")
            policy = parse(text)
            for one in policy.every:
                host_check.ready(one)
            self._watches = {
                one.fingerprint: Watch({concept: () for concept in one.refused}) for one in policy.every if one.refused
            }
        except (OSError, ValueError) as error:
            self._fault = Refusal("policy", "unusable", values={"fault": error})
            logging.error("concept-guards: %s cannot be used: %s", NAME, error)
            return
        self._policy, self._fault = policy, None
        self._audit = audit.Audit(os.path.dirname(os.path.abspath(place)))
        logging.info("concept-guards: a policy is in force (%d concepts, %s)", len(policy.concepts), policy.fingerprint)

    def names(self, policy: Policy, text: str) -> str | None:
        """The concept refused by a policy in force that a text names, or None."""
        watch = self._watches.get(policy.fingerprint)
        hit = next(iter(watch.find(text)), None) if watch else None
        return hit.concept if hit else None

    def record(
        self, action: str, refusal: Refusal | None = None, graph: object = None, policy: Policy | None = None, **more
    ) -> None:
        """Write a decision down, as the policy wants it. Raises Stopped where the record cannot be written: then nothing may run."""
        policy = policy or self._policy
        if self._audit is None or (policy is not None and policy.audit == "off"):
            return
        entry: dict = {"action": action, "policy": policy.fingerprint if policy else "", **more}
        if refusal is not None:
            entry |= {"rule": refusal.rule, "node": refusal.node, "class": refusal.class_type}
        if graph is not None:
            said = json.dumps(graph, sort_keys=True)
            entry["graph"] = hashlib.sha256(said.encode()).hexdigest()
            if policy is not None and policy.audit == "with_prompts":
                entry["prompt"] = graph
        try:
            self._audit.record(**entry)
        except OSError as error:
            unrecorded = Refusal("audit", "unrecorded", values={"fault": error.strerror or error})
            raise Stopped(unrecorded, policy) from error


def _stamp(place: str | None) -> tuple | None:
    try:
        found = os.stat(place) if place else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


office = Office()


def in_force(stamp: str) -> tuple[Policy, str]:
    """The policy that a queued graph was admitted under, if it still holds for anybody, and the language of whoever sent it. ``stamp``: the
    policy's fingerprint and the language.

    Raises:
        Stopped: it has changed since, or cannot be read.
    """
    fingerprint, _, said = stamp.partition(" ")
    language = said if said in LANGUAGES else ENGLISH
    policy, fault = office.look()
    if fault is not None:
        raise Stopped(fault, None, language)
    held = next((one for one in (policy.every if policy else ()) if one.fingerprint == fingerprint), None)
    if held is None:
        raise Stopped(Refusal("policy", "changed"), policy, language)
    return held, language
