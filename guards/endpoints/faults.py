"""What the errors of OpenAI-compatible servers mean, what of a request to leave out for them, and what of their texts may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..rewriters.decoding import alternating
from ..rewriters.protocol import Answer, verdict
from ..rewriters.thinking import without_thinking
from ..words.patterns import Pattern
from .replies import Reply

AGAIN = {408, 424, 425, 429, 499, *range(500, 600)} - {501, 505}
ADAPTED = {200, 400, 403, 422, 500, 501}  # statuses with which servers refuse a part of a request, whatever they say
NEVER_ADAPTED = {401, 402, 407, 429}  # not even where they name one
MORE = 4  # times as many tokens for an answer that was cut off, and at least MORE_AT_LEAST
MORE_AT_LEAST = 1024
ALTERNATIVES = 10  # of the first word that a server is asked for
DROPPED = (
    "max_tokens",
    "temperature",
    "seed",
    "logprobs",
    "top_logprobs",
)  # where a refusal (400) says nothing that is known
# What a request may hold -> how servers call it, their own names for it as well.
_TOKENS = r"max_?(?:new_?|output_?|completion_?)?tokens"
FIELDS = {
    name: Pattern(rf"(?<![^\W_])(?:{names})(?![^\W_])", re.I | re.A)
    for name, names in {
        "seed": "seed",
        "temperature": "temperature",
        "top_logprobs": r"top[_ ]?(?:log_?probs?|n_?tokens)",
        "logprobs": r"(?:response_?)?log[_ ]?prob(?:s|abilit(?:y|ies))?",
        "stream": r"stream(?:ing)?",
        "max_tokens": _TOKENS,
        "max_completion_tokens": _TOKENS,
    }.items()
}
# What a text means -> what the endpoint does, and the mend; {key} and {model} are filled in.
MEANINGS = {
    "https": ("wants https", "Write https:// into the base_url of its profile."),
    "chat": ("says that the model {model!r} cannot chat", "Choose another in model_name."),
    "paid": ("wants to be paid", "Top up the account that the key belongs to, or choose another model."),
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
    402: MEANINGS["paid"],
    403: MEANINGS["key"],
    404: (
        "knows no model {model!r}, or its base_url is wrong",
        "Check model_name, and that the profile's base_url ends as that server wants it, mostly with /v1.",
    ),
    407: ("is behind a proxy that wants a login", "Write an address that needs no such proxy into its profile."),
    413: ("finds the request too large", "Shorten the query."),
    429: ("is busy or its quota is used up", ""),
    451: ("may not answer for legal reasons", "Choose another endpoint for these concepts."),
    524: ("took too long for the proxy before it", ""),
}
STATUSES |= {405: STATUSES[404], 410: STATUSES[404], 422: STATUSES[400]}
STATUSES |= dict.fromkeys((*range(520, 524), 525, 526, 530), ("cannot be reached behind its proxy", ""))
_OF_ITS_OWN = ("reports an error of its own", "")
_UNKNOWN = ("", "Look into the log of that server, and check the base_url of its profile.")
_SYSTEM_ROLE = Pattern(
    r"system.? (?:role|message|prompt|instruction|turn)|developer instruction|[\"'`]system[\"'`]"
    r"|(?:role|instruction)s? .{0,40}(?:not (?:supported|enabled|allowed)|must alternate)"
    r"|alternat\w+ .{0,40}roles?|(?:unexpected|unknown|invalid|unsupported|valid) (?:message )?role|\broles?\b.{0,60}\b(?:user|system)\b"
    r"|(?:only|first|starts?|begins?|messages?(?:\[0\]|\.0))(?!\w).{0,30}\buser\b",
    re.I,
)
_REFUSES = Pattern(
    r"support|allow|permit|unknown|unrecogni|unexpected|extra|invalid|not valid|must|accept|deprecat|disabled|cannot|can't|unavailable"
    r"|not (?:yet )?implemented|\bonly\b|requires?\b|please set",
    re.I,
)
_STREAMS = Pattern(
    r"stream\W+false|stream\w*\W.{0,40}\b(?:true|only|required|must|enable|mandatory)|(?:only|must|enable|requires?|non)\b.{0,30}stream",
    re.I,
)
_COLDEST = Pattern(
    r"positive|greater|larger|> ?0|strictly|above|\(0|0\.0[1-9]|at least|minimum|not be (?:0|zero)", re.I
)
_SPENT = Pattern(
    r"could not finish .{0,40}(?:tokens|limit)|(?:higher|more|larger) max_\w*tokens|tokens .{0,30}limit was reached",
    re.I,
)
_LOADING = Pattern(
    r"(?:^|; )loading\b|(?<!error )(?<!while )\bloading (?:the )?model|\bis (?:\w+ )?(?:loading|being loaded|warming up|starting)"
    r"|model .{0,40}not ready",
    re.I,
)
_HTTPS = Pattern(r"http request .{0,20}to (?:an )?https", re.I)
_CHAT = Pattern(
    r"not a chat model|support\w* (?:the )?(?:v1/)?chat|only supported in v1/responses|chat ?completions? operation does not work"
    r"|default chat template|no chat[_ ]template|must provide a chat template|chat[_ ]template is (?:not|missing)",
    re.I,
)
_PAID = Pattern(
    r"insufficient[_ ](?:\w+[_ ])?(?:quota|balance|credits?|funds)|(?:balance|credits|funds)\b.{0,40}(?:insufficient|too low|exhausted"
    r"|used up|not enough|depleted|negative)|not enough (?:credits|balance|funds)|(?:any|out of|more|purchase) credits"
    r"|not .{0,20}sufficient credits|hard.?limit has been reached|arrear|exceeded_current_quota|payment required|余额|欠费|额度不足",
    re.I,
)
_FILTER = Pattern(
    r"content[_ -]?(?:filter|management|polic|moderation)|responsible ?ai|\bflagged\b|moderation|usage (?:polic|guideline)|invalid_prompt"
    r"|data_?inspection|(?:inappropriate|sensitive|prohibited|harmful)[_ ]?content|sensitivecontent|safety (?:system|filter|check)"
    r"|safety_check|violat\w* .{0,60}(?:polic|guideline)|block_?reason|prompt .{0,20}blocked|blocked by .{0,20}(?:guardrail|filter)"
    r"|(?:input|output) (?:new_)?sensitive|guardrail .{0,40}(?:fail|block|interven|violat|reject)|content exists risk"
    r"|considered high risk|敏感|不安全|违规",
    re.I,
)
_CONTEXT = Pattern(
    r"context[_ ]?(?:length|window|size)|(?:maximum|max|longest) (?:context|prompt|input|sequence|model)[ _]?len|input length should|n_ctx"
    r"|too many (?:input |prompt )?tokens|must have less than \d+ tokens|inputs?\W+tokens .{0,40}must be|model token limit"
    r"|token count .{0,20}exceed|(?:prompt|input|request|message)s? .{0,30}too (?:long|large)|exceed\w* .{0,60}(?:context|tokens|length)"
    r"|string_above_max_length|超长",
    re.I,
)
_UNLOADED = Pattern(
    r"no models? .{0,20}loaded|model_not_loaded|model .{0,80}not (?:been )?loaded|load a model|please load", re.I
)
_MODEL = Pattern(
    r"model_?not_?found|models?[ /:].{0,80}(?:do(?:es)? ?n[o']t exist|not exist|not found|is not available|not a valid)|not a valid model"
    r"|(?:unknown|no such|invalid|unavailable|unsupported|unable to access) model|(?:unknown|unavailable|invalid)_model"
    r"|model_(?:not_(?:exist|available|supported)|decommissioned)|no endpoints found(?! that can)|deploymentnotfound"
    r"|(?:no model named|find model)\b|invalid value for model|no (?:available )?(?:deployments|channels?) (?:available )?for"
    r"|multiple models|specify a model|模型不存在|无可用渠道"
    r"|(?:^|; )models?: \S+$|(?:^|[;:] )(?:the )?(?:requested )?model \S+ is not supported",
    re.I,
)
_KEY = Pattern(
    r"api[-_ ]?(?:key|token|secret)|incorrect key|invalid[-_ ](?:authentication|credential|bearer|authorization|access.token|token$)"
    r"|unauthori[sz]ed|authentication|not authenticated|access token .{0,20}(?:invalid|expired)|token .{0,10}expired|expired token|令牌",
    re.I,
)


def meaning(text: str, status: int) -> str:
    """Which of MEANINGS a text has, or "loading"; "" for none of them."""
    if status in AGAIN and status != 500:
        return "loading" if _LOADING.search(text) else "paid" if status == 429 and _PAID.search(text) else ""
    if status == 401:
        return "key"
    looks = {"https": _HTTPS, "chat": _CHAT, "paid": _PAID, "filter": _FILTER, "context": _CONTEXT}
    looks |= {"unloaded": _UNLOADED, "model": _MODEL, "key": _KEY}
    names = ("chat", "unloaded", "model") if status in (404, 405, 410) else tuple(looks)
    return next((name for name in names if looks[name].search(text)), "") if status not in (402, 407, 413) else ""


def spent(text: str) -> bool:
    """Whether a refusal says that the tokens were used up before there was an answer."""
    return bool(_SPENT.search(text))


def no_route(text: str) -> bool:
    """Whether an error that came with status 200 says that there is nothing at that path."""
    return bool(re.search(r"unexpected endpoint|not found|no route|unknown url", text, re.I))


def words(status: int, meant: str, text: str, **names) -> tuple[str, str]:
    """(what the endpoint does, the mend) for an error. ``text``: what the server says, harmless; ``names``: key and model."""
    known = MEANINGS.get(meant) or STATUSES.get(status)
    what, mend = known or (_OF_ITS_OWN if status in AGAIN else ("", "") if status == 200 else _UNKNOWN)
    if meant == "loading":
        what, mend = "is still loading its model", "Try again later, or raise timeout."
    elif status == 403 and text and not meant:
        what = "refuses the request"
    if status == 200:
        what, mend = what or "answers with an error", mend or "Look into the log of that server."
    else:
        what = f"{what} ({status})" if what else f"answers with status {status}"
    return what.format(**names) + (f": {text.removesuffix('。').removesuffix('.')}" if text else ""), mend


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

    def without_end(self, reply: Reply) -> bool:
        """Whether the tokens ran out before there was an answer of use, also where the server does not say so."""
        said = not reply.only_thought and without_thinking(reply.text).strip()
        spent = not said and reply.answer_tokens >= self.tokens
        return (reply.cut or spent) and self.wants_more(reply)

    def longer(self) -> Asked:
        return Asked(self.messages, self.temperature, self.seed, max(MORE * self.tokens, MORE_AT_LEAST), self.first)

    def body(self, model: str, ways: dict) -> dict:
        """The request's JSON, without what the server has refused before."""
        body = {
            "model": model,
            "messages": alternating(self.messages) if "system" in ways else self.messages,
            "max_tokens": self.tokens,
            "temperature": min(max(self.temperature, ways.get("coldest", 0.0)), ways.get("hottest", 9.0)),
            "seed": self.seed % 2**31,
            "stream": bool(ways.get("streamed")),
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


def named(text: str, body: dict, meant: str = "") -> str:
    """The field of a request that a refusal names first; "" for none."""
    model = re.escape(str(body["model"]))
    text = re.sub(rf"(?<!\w){model}(?!\w)", " ", text)  # some models' names hold a field's
    names = [name for name in FIELDS if name in body and (meant != "context" or name.startswith("max_"))]
    places = {name: place.start() for name in names if (place := FIELDS[name].search(text))}
    return min(places, key=lambda name: places[name], default="")


def adaptable(status: int, text: str, body: dict) -> bool:
    """Whether an error may be a refusal of what a request holds."""
    if status in NEVER_ADAPTED:
        return False
    return status in ADAPTED or bool(_REFUSES.search(text) and named(text, body))


def adapted(ways: dict, status: int, text: str, body: dict) -> Found | None:
    """What to leave out next time for what a refusal says; where it names nothing and means nothing known (400 alone), all that some
    servers refuse. None: nothing is left."""
    meant = meaning(text, status)
    if meant not in ("", "context"):
        return None
    name = named(text, body, meant)
    more: dict = {}
    blind = False
    if name and (status in (400, 422) or _REFUSES.search(text)):
        more = {name: True, "top_logprobs": True} if name == "logprobs" else {name: True}
        if name == "temperature" and body[name] == 0 and _COLDEST.search(text):
            more = {"coldest": 0.01}
        elif name == "temperature" and body[name] > 1:
            more = {"hottest": 1.0}
        elif name == "stream" and not body[name] and _STREAMS.search(text):
            more = {"streamed": True}
    elif not meant and _SYSTEM_ROLE.search(text) and any(message["role"] == "system" for message in body["messages"]):
        more = {"system": True}
    elif not meant and status == 400:
        more, blind = dict.fromkeys(DROPPED, True), True
    found = {**ways, **more}
    return Found(found, not meant, blind) if found != ways else None


def seconds(text) -> float | None:
    """The seconds of a Retry-After header; None where it has none (or a date: clocks differ)."""
    try:
        return min(max(0.0, float(text)), 1e6)
    except (TypeError, ValueError):
        return None
