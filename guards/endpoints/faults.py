"""What the errors of OpenAI-compatible servers mean, what of a request to leave out for them, and what of their texts may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..rewriters.decoding import alternating
from ..rewriters.protocol import Answer, verdict
from .replies import Reply

AGAIN = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
ADAPTED = {200, 400, 403, 422, 500, 501}  # statuses with which servers refuse a part of a request
MORE = 4  # times as many tokens for an answer that was cut off, and at least MORE_AT_LEAST
MORE_AT_LEAST = 1024
ALTERNATIVES = 10  # of the first word that a server is asked for
SHOWN = 200  # characters of a server's text
DROPPED = (
    "max_tokens",
    "temperature",
    "seed",
    "logprobs",
    "top_logprobs",
)  # where a refusal (400) says nothing that is known
FIELDS = ("seed", "temperature", "top_logprobs", "logprobs", "stream", "max_tokens", "max_completion_tokens")
# What a text means -> what the endpoint does, and the mend; {key} and {model} are filled in.
MEANINGS = {
    "filter": ("gave no answer: its own filter stopped it", "Choose another endpoint for these concepts."),
    "context": (
        "finds the request too long for its model",
        "Shorten the query, or load that model with a longer context.",
    ),
    "unloaded": ("has not loaded the model", "Load it on that server."),
    "model": ("knows no model {model!r}", "Check model_name."),
    "key": ("does not accept {key}", "Check the key and what it is allowed to do."),
}
STATUSES = {
    400: ("does not accept the request", "Look into the log of that server: it may be a model that cannot chat."),
    401: MEANINGS["key"],
    402: ("wants to be paid", "Top up the account that the key belongs to, or choose another model."),
    403: MEANINGS["key"],
    404: (
        "knows no model {model!r}, or its base_url is wrong",
        "Check model_name, and that the profile's base_url ends as that server wants it, mostly with /v1.",
    ),
    413: ("finds the request too large", "Shorten the query."),
    429: ("is busy or its quota is used up", ""),
    451: ("may not answer for legal reasons", "Choose another endpoint for these concepts."),
    524: ("took too long for the proxy before it", ""),
}
STATUSES |= {405: STATUSES[404], 422: STATUSES[400]}
STATUSES |= dict.fromkeys(range(520, 524), ("cannot be reached behind its proxy", ""))
_OF_ITS_OWN = ("reports an error of its own", "")
_SYSTEM_ROLE = re.compile(
    r"system.? (?:role|message|prompt)|(?:role|instruction)s? .{0,40}(?:not (?:supported|enabled|allowed)|must alternate)"
    r"|developer instruction|only .{0,40}\buser\b.{0,40} roles? .{0,20}supported|(?:unexpected|unknown|invalid) role",
    re.I,
)
_REFUSES = re.compile(
    r"support|allow|permit|unknown|unrecogni|unexpected|extra|invalid|not valid|must|accept|deprecat|disabled|cannot|can't|unavailable",
    re.I,
)
_LOADING = re.compile(
    r"(?:^|; )loading\b|(?<!error )(?<!while )\bloading (?:the )?model|\bis (?:\w+ )?(?:loading|being loaded|warming up|starting)"
    r"|model .{0,40}not ready",
    re.I,
)
_FILTER = re.compile(
    r"content[_ -]?(?:filter|management|polic|moderation)|responsible ?ai|\bflagged\b|moderation|usage (?:polic|guideline)|invalid_prompt"
    r"|data_?inspection|(?:inappropriate|sensitive|prohibited|harmful)[_ ]?content|sensitivecontent|safety (?:system|filter|check)"
    r"|safety_check|violat\w* .{0,60}(?:polic|guideline)|block_?reason|prompt .{0,20}blocked"
    r"|content exists risk|considered high risk|敏感|不安全|违规",
    re.I,
)
_CONTEXT = re.compile(
    r"context[_ ](?:length|window|size)|(?:maximum|max|longest) (?:context|prompt|input|sequence|model)[ _]?len"
    r"|too many (?:input |prompt )?tokens"
    r"|(?:prompt|input|request|message)s? .{0,30}too (?:long|large)|exceed\w* .{0,60}(?:context|tokens)|string_above_max_length",
    re.I,
)
_UNLOADED = re.compile(r"no models? .{0,20}loaded|model_not_loaded|model .{0,80}not loaded|load a model", re.I)
_MODEL = re.compile(
    r"model_?not_?found|model .{0,80}(?:do(?:es)? ?n[o']t exist|not exist|not found|is not available|not a valid)|not a valid model"
    r"|(?:unknown|no such|invalid) model|model_not_exist|no endpoints found",
    re.I,
)
_KEY = re.compile(
    r"api[-_ ]?key|incorrect key|invalid[-_ ](?:authentication|credential|bearer|authorization)|unauthori[sz]ed"
    r"|authentication|not authenticated",
    re.I,
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|(?:(?![\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])\w)+")
_RUN = 3  # words of a prompt one after the other that are not repeated


def meaning(text: str, status: int) -> str:
    """Which of MEANINGS a text has, or "loading"; "" for none of them."""
    if status in AGAIN and status != 500:
        return "loading" if _LOADING.search(text) else ""
    if status == 401:
        return "key"
    if status == 404:
        return "unloaded" if _UNLOADED.search(text) else "model" if _MODEL.search(text) else ""
    if status not in (200, 400, 403, 422, 500):
        return ""
    looks = {"filter": _FILTER, "context": _CONTEXT, "unloaded": _UNLOADED, "model": _MODEL, "key": _KEY}
    return next((name for name, look in looks.items() if look.search(text)), "")


def no_route(text: str) -> bool:
    """Whether an error that came with status 200 says that there is nothing at that path."""
    return bool(re.search(r"unexpected endpoint|not found|no route|unknown url", text, re.I))


def words(status: int, meant: str, text: str, **names) -> tuple[str, str]:
    """(what the endpoint does, the mend) for an error. ``text``: what the server says, harmless; ``names``: key and model."""
    what, mend = MEANINGS.get(meant) or STATUSES.get(status) or (_OF_ITS_OWN if status in AGAIN else ("", ""))
    if meant == "loading":
        what, mend = "is still loading its model", "Try again later, or raise timeout."
    elif status == 403 and text and not meant:
        what = "refuses the request"
    if status == 200:
        what, mend = what or "answers with an error", mend or "Look into the log of that server." * (text[-1:] != ".")
    else:
        what = f"{what} ({status})" if what else f"answers with status {status}"
    return what.format(**names) + (f": {text.removesuffix('.')}" if text else ""), mend


@dataclass(frozen=True)
class Asked:
    """What one answer is asked for with. ``first``: a yes or no is wanted, with the probabilities of the first word."""

    messages: list[dict]
    temperature: float
    seed: int
    tokens: int
    first: bool

    def wants_more(self, reply: Reply) -> bool:
        """Whether a cut-off reply is of no use: half a caption is, a *yes* with half a reason is not."""
        return not self.first or not verdict(Answer(reply.text), reply.first).told

    def longer(self) -> Asked:
        return Asked(self.messages, self.temperature, self.seed, max(MORE * self.tokens, MORE_AT_LEAST), self.first)

    def body(self, model: str, ways: dict) -> dict:
        """The request's JSON, without what the server has refused before."""
        body = {
            "model": model,
            "messages": alternating(self.messages) if "system" in ways else self.messages,
            "max_tokens": self.tokens,
            "temperature": max(self.temperature, ways.get("coldest", 0.0)),
            "seed": self.seed % 2**31,
            "stream": False,
            **({"logprobs": True, "top_logprobs": ALTERNATIVES} if self.first else {}),
        }
        if "max_tokens" in ways:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return {name: value for name, value in body.items() if not ways.get(name)}


@dataclass(frozen=True)
class Found:
    """What a server is to be asked without. ``lasting``: other requests as well; ``blind``: it did not say so."""

    ways: dict
    lasting: bool = True
    blind: bool = False


def adapted(ways: dict, status: int, text: str, body: dict) -> Found | None:
    """What to leave out next time for what a refusal says; where it names nothing and means nothing known (400 alone), all that some
    servers refuse. None: nothing is left."""
    meant = meaning(text, status)
    if meant not in ("", "context") or status not in ADAPTED:
        return None
    names = [name for name in FIELDS if name in body and (meant != "context" or name.startswith("max_"))]
    places = {name: re.search(rf"(?<!\w){name}(?!\w)", text, re.I | re.A) for name in names}
    named = sorted((place.start(), name) for name, place in places.items() if place)
    more: dict = {}
    blind = False
    if named and (status in (400, 422) or _REFUSES.search(text)):
        name = named[0][1]
        more = {name: True, "top_logprobs": True} if name == "logprobs" else {name: True}
        if name == "temperature" and body[name] == 0 and re.search(r"positive|greater|> ?0|strictly|above", text, re.I):
            more = {"coldest": 0.01}
    elif not meant and _SYSTEM_ROLE.search(text) and any(message["role"] == "system" for message in body["messages"]):
        more = {"system": True}
    elif not meant and status == 400:
        more, blind = dict.fromkeys(DROPPED, True), True
    found = {**ways, **more}
    return Found(found, not meant, blind) if found != ways else None


def masked(text: str, key: str, prompts: Iterable[str], short: bool = True) -> str:
    """A text without what it may repeat: the key or a part of it, and runs of a prompt's words. ``short``: prompts of fewer words, and what
    stands in quotes and is made of a prompt's words, too."""
    text = text.replace(key, "...") if key else text
    hidden = [False] * len(text)
    places = [(one.start(), one.end(), one.group().casefold()) for one in _WORD.finditer(text)]
    for prompt in prompts:
        known = [one.group().casefold() for one in _WORD.finditer(prompt)]
        size = min(_RUN, len(known))
        if not known or size < _RUN and not short:
            continue
        runs = {tuple(known[at : at + size]) for at in range(len(known) - size + 1)}
        for at in range(len(places) - size + 1):
            if tuple(place[2] for place in places[at : at + size]) in runs:
                start, end = places[at][0], places[at + size - 1][1]
                hidden[start:end] = [True] * (end - start)
        for quoted in re.finditer(r"([\"'`“‘«])(.{1,200}?)[\"'`”’»]", text) if short else ():
            said = [one.group().casefold() for one in _WORD.finditer(quoted.group(2))]
            if said and set(said) <= set(known):
                hidden[quoted.start(2) : quoted.end(2)] = [True] * (quoted.end(2) - quoted.start(2))
    text = re.sub(r"\0+", "...", "".join("\0" if hide else char for char, hide in zip(text.replace("\0", " "), hidden)))
    parts = {key[at : at + 6] for at in range(len(key) - 5)}
    clean = lambda word: "..." if "***" in word or any(part in word for part in parts) else word
    return re.sub(r"\S+", lambda word: clean(word.group()), text)


def harmless(text: str, key: str, prompts: Iterable[str]) -> str:
    """An error's text without what it may repeat: the key, the prompt, addresses. One line; "" where nothing is left."""
    text = masked(" ".join(text[:4000].split()), key, prompts)
    text = re.sub(r"\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "...", text)
    text = re.sub(r"\.{3}(?:\W*\.{3})+", "...", "".join(char for char in text if char.isprintable()))
    return text[:SHOWN].strip() if re.search(r"[^\W_]", text) else ""


def seconds(text) -> float | None:
    """The seconds of a Retry-After header; None where it has none (or a date: clocks differ)."""
    try:
        return min(max(0.0, float(text)), 1e6)
    except (TypeError, ValueError):
        return None
