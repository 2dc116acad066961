"""What OpenAI-compatible servers send back, read as they really send it: JSON with a byte-order mark, streams that nobody asked for, errors
with status 200, answers in the field for thinking, Ollama's own shape."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass

from ..rewriters.thinking import thinks
from ..words.patterns import Pattern

# Why an answer ended, in whatever spelling: "length", "MAX_TOKENS", "FinishReason.SAFETY".
_FILTERED = Pattern(
    r"filter|safety|sensitive|prohibited|block|spii|recitation|guardrail|moderation|policy|toxic|armor", re.I
)
_CUT = Pattern(r"length|max[_ ]?\w*tokens|token[_ ]?limit|context|error_limit|^limit|truncat|incomplete", re.I)
_FAILED = Pattern(
    r"error|abort|cancel|fail|time.?out|insufficient|overload|unload|malformed|interrupt|broken off", re.I
)
_CALLS = Pattern(r"tool|function_call", re.I)
_SAID = (
    *("message", "msg", "error_msg", "errmsg", "error_message", "error_description", "status_msg", "faultstring"),
    *("detail", "details", "description", "title", "issues"),
)
_LISTED = ("details", "errors", "violations", "issues", "invalid_params")  # fields with more about an error
_WRAPS = ("result", "data", "output", "response", "body")  # fields in which gateways put the whole answer
_THOUGHTS = Pattern(r"think|reason", re.I)  # types of parts that are no answer


class Unreadable(ValueError):
    """Bytes that are neither JSON nor a stream of it."""


@dataclass(frozen=True)
class Fault:
    """An error that a server sent. ``code``: as of HTTP, 0 where it tells none; ``marks``: type, code and field in the server's words."""

    text: str
    code: int = 0
    marks: str = ""


@dataclass(frozen=True)
class Reply:
    """One answer. ``finish``: why it ended; ``thought``: there are signs of thinking; ``refused``: the model itself declines;
    ``first``: the likeliest first words as word -> probability, where the server tells; ``only_thought``: the text is of its thinking."""

    text: str
    finish: str = ""
    thought: bool = False
    refused: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first: tuple[tuple[str, float], ...] = ()
    only_thought: bool = False

    @property
    def filtered(self) -> bool:
        """Whether the server's own filter ended it."""
        return bool(_FILTERED.search(self.finish))

    @property
    def cut(self) -> bool:
        """Whether the tokens ran out in the middle of it."""
        return not self.filtered and bool(_CUT.search(self.finish))

    @property
    def failed(self) -> bool:
        """Whether a fault of the server ended it."""
        return not self.filtered and not self.cut and bool(_FAILED.search(self.finish))

    @property
    def called(self) -> bool:
        """Whether it calls a tool instead of saying something."""
        return not self.text.strip() and bool(_CALLS.search(self.finish))


def load(data: bytes):
    """What a body holds: JSON, or the chunks of a stream joined to what one answer would have been. Raises Unreadable."""
    try:
        text = data.decode("utf-8-sig").strip("\ufeff\0 \t\r\n")
    except UnicodeDecodeError:
        raise Unreadable from None
    try:
        return _unwrapped(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        chunks, done = _chunks(text)
        if not chunks:
            raise Unreadable from None
        return _joined(chunks, done)


def _unwrapped(data):
    """The answer that a gateway has put into a field, a list or a string of its own; else the same."""
    data = _parsed(data) or data if isinstance(data, str) else data
    if isinstance(data, list) and data and all(_list(row, "choices") for row in data):
        return data[0] if len(data) == 1 else _joined(data, False)
    if not isinstance(data, dict) or _list(data, "choices"):
        return data
    inner = (data.get(name) for name in _WRAPS)
    inner = (_parsed(one) if isinstance(one, str) and one[:1] == "{" else one for one in inner)
    return next((one for one in inner if _list(one, "choices")), data)


def _chunks(text: str) -> tuple[list[dict], bool]:
    """The JSON of a stream, and whether its end is marked: server-sent events (``data: {...}``, on one line or several), or one object a
    line. A last one that is broken off is left out; nothing is read where another one is."""
    chunks, done, broken = [], False, False
    lines = text.replace("\r\n", "\n").replace("\r", "\n")  # not where an answer has another mark that ends lines
    for event in re.split(r"\n[ \t]*\n", lines):
        rows = [line.strip() for line in event.split("\n")]
        failed = any(re.fullmatch(r"event:\s*error", row) for row in rows)
        rows = [row for row in rows if not row.startswith((":", "event:", "id:", "retry:"))]
        rows = [row.removeprefix("data:").strip() for row in rows]
        ends = [row.upper() == "[DONE]" for row in rows]
        done, rows = done or any(ends), [row for row, end in zip(rows, ends) if row and not end]
        if broken and rows:
            return [], False
        found = []
        for row in rows:
            chunk = _parsed(row)
            if chunk is None and not found and (whole := _parsed("\n".join(rows))) is not None:
                found = [whole]
                break
            if failed and not (isinstance(chunk, dict) and error_in(chunk)):
                chunk = {"error": chunk or row}
            if broken:
                return [], False
            broken = chunk is None
            found.append(chunk)
        chunks += [chunk for chunk in found if isinstance(chunk, dict)]
    return chunks, done


def _parsed(text: str):
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _joined(chunks: list[dict], done: bool) -> dict:
    """One answer of a stream's chunks."""
    content, thinking, declined, finish, usage = "", "", "", None, {}
    for chunk in chunks:
        if error_in(chunk):
            return chunk
        chunk = _as_choices(chunk)
        usage = chunk["usage"] if isinstance(chunk.get("usage"), dict) else usage
        for choice in _list(chunk, "choices")[:1]:
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
            if isinstance(delta, dict):
                content += _text(delta.get("content"))
                thinking += _thinking(delta)
                declined += _declined(delta)
            reason = choice.get("finish_reason")
            finish = reason if reason and reason != "null" else finish
    message = {"content": content, "reasoning_content": thinking, "refusal": declined}
    finish = finish or ("stop" if done else "broken off")
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _as_choices(data: dict) -> dict:
    """The same with a choice, where it has the shape of Ollama's own answers (``message`` or ``response``, ``done``), or is wrapped."""
    if isinstance(data.get("result"), dict):
        data = {"done": True, **data["result"]}
    if _list(data, "choices"):
        return data
    message = data.get("message")
    if not (isinstance(message, dict) and ("content" in message or "done" in data)):
        if not isinstance(data.get("response"), str) and not ("done" in data and "done_reason" in data):
            return data
        message = {"content": data.get("response"), "thinking": data.get("thinking")}
    finish = (data.get("done_reason") or "stop") if data.get("done", True) else None
    counts = {"prompt_tokens": data.get("prompt_eval_count"), "completion_tokens": data.get("eval_count")}
    return {"usage": counts, **data, "choices": [{"message": message, "finish_reason": finish}]}


def _list(data, name) -> list:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _text(content) -> str:
    """The text of a content: a string, an object with a text, or a list of both; not of those parts that are thinking."""
    parts = content if isinstance(content, list) else [content]
    return "".join(_said_by(part) for part in parts if not _is_thought(part))


def _said_by(part) -> str:
    if isinstance(part, dict):
        part = part.get("text") or part.get("content")
        part = part.get("value") if isinstance(part, dict) else part
    return part if isinstance(part, str) else ""


def _is_thought(part) -> bool:
    return isinstance(part, dict) and bool(_THOUGHTS.search(str(part.get("type", ""))))


def _thinking(message: dict) -> str:
    names = ("reasoning_content", "reasoning", "thinking")
    text = next((message[name] for name in names if isinstance(message.get(name), str)), "")
    return text or "".join(_said_by(part) for part in _list(message, "reasoning_details"))


def _declined(message: dict) -> str:
    """What a model says that declines, in the field for it or in a part."""
    parts = [message, *(part for part in _list(message, "content") if isinstance(part, dict))]
    return "".join(_text(part.get("refusal")) for part in parts)


def error_in(data) -> Fault | None:
    """The error that came as an answer, or in place of one; None where there is none."""
    if isinstance(data, list):
        return next((found for row in data[:3] if isinstance(row, dict) and (found := error_in(row))), None)
    if not isinstance(data, dict):
        return None
    choice = (_list(data, "choices") or [None])[0]
    error = choice.get("error") if isinstance(choice, dict) else None
    error = error or data.get("error")
    if choice and isinstance(error, dict) and (not _said(error) or error.get("code") in (0, "0", 200)):
        return None  # an empty one, or one of success, beside the answer
    error = error or next((data[name] for name in ("base_resp", "fault") if data.get(name) and not choice), None)
    known = any(data.get(name) for name in ("data", "models", "result", "response"))
    if error is True or not (error or choice or known):
        whole = data.get("object") == "error" or "detail" in data
        said = (data.get(name) for name in _SAID if whole or isinstance(data.get(name), (str, list)))
        error = next(iter(_list(data, "errors")), None) or next((one for one in said if one), error)
    if not error:
        return None
    inner = error if isinstance(error, dict) else {}
    names = [inner.get(name, data.get(name)) for name in ("param", "code", "status", "type")]
    names += [inner[name].get("code") for name in ("innererror",) if isinstance(inner.get(name), dict)]
    names += [*_details(inner), *_details(data)]
    marks = " ".join(str(name) for name in names if isinstance(name, (str, int)) and not isinstance(name, bool))
    return Fault(" ".join((_said(error) + _behind(inner)).split()) or "error", _code(names), marks)


def _details(value, depth: int = 0):
    """The words of what is listed beside an error's message: which fields are meant, and why."""
    if depth > 6:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if depth or name in _LISTED:
                yield name
                yield from _details(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value[:10]:
            yield from _details(inner, depth + 1)
    elif depth and isinstance(value, str):
        yield value[:200]


def _behind(error: dict) -> str:
    """What the provider behind a gateway said, in OpenRouter's way."""
    more = error.get("metadata")
    raw = more.get("raw") if isinstance(more, dict) else None
    raw = (_parsed(raw) or raw) if isinstance(raw, str) else raw
    if isinstance(raw, (dict, list)):
        found = error_in(raw)
        raw = found.text if found else ""
    return f": {raw}" if isinstance(raw, str) and raw else ""


def _said(error, depth: int = 0) -> str:
    """What an error says, wherever it does; of a field's fault, the field as well."""
    if isinstance(error, list):
        return "; ".join(_said(one, depth + 1) for one in error[:5]) if depth < 5 else ""
    if not isinstance(error, dict):
        return str(error)
    said = (
        next((error[name] for name in (*_SAID, "error") if error.get(name)), None)
        or error.get("type")
        or error.get("code")
        or ""
    )
    place = _list(error, "loc")[-1:]
    return (f"{place[0]}: " if place else "") + (_said(said, depth + 1) if depth < 5 else "")


def _code(names: list) -> int:
    """The status that codes and types stand for; 0 where none does."""
    for name in names:
        if isinstance(name, (int, str)) and re.fullmatch(r"[45]\d\d", str(name)):
            return int(name)
    text = " ".join(name for name in names if isinstance(name, str))
    if re.search(r"rate.?limit|throttl|too.?many.?requests|resource.?exhausted", text, re.I):
        return 429
    if re.search(r"overloaded|unavailable", text, re.I):
        return 503
    return 500 if re.search(r"internal.?(?:server.?)?error|server.?error", text, re.I) else 0


def fault(data: bytes) -> Fault:
    """What the body of an error says; without a text where it is a page, or empty."""
    try:
        loaded = load(data)
    except Unreadable:
        text = " ".join(data[:2000].decode("utf-8", "replace").split())
        title = re.search(r"<title>([^<>]{1,100})", text, re.I)
        return Fault(html.unescape(title[1]) if title else "" if "<" in text or len(text) > 500 else text)
    found = error_in(loaded)
    return found or Fault(loaded if isinstance(loaded, str) else "", 0, data[:4000].decode("utf-8", "replace"))


def read(data) -> Reply | None:
    """The answer that a reply holds; None where it has none."""
    data = _as_choices(data) if isinstance(data, dict) else data
    choices = _list(data, "choices")
    if not choices or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    message = choice.get("message") or choice.get("delta")
    message = message if isinstance(message, dict) else {"content": message or choice.get("text")}
    content, thinking = _text(message.get("content")), _thinking(message)
    finish = choice.get("finish_reason")
    finish = finish.strip().casefold() if isinstance(finish, str) else ""
    usage = data["usage"] if isinstance(data.get("usage"), dict) else {}
    count = lambda name: usage[name] if isinstance(usage.get(name), int) else 0
    thought = bool(thinking or thinks(content) or _reasoned(usage) or count("completion_tokens") > 0)
    only_thought = not content.strip() and bool(thinking.strip()) and not _CUT.search(finish)
    if only_thought:
        content = re.split(r"\n\s*\n", thinking.strip())[-1]  # the answer is where the thinking should be
    return Reply(
        content,
        finish,
        thought,
        (bool(_declined(message)) or finish == "refusal") and not content.strip(),
        count("prompt_tokens"),
        count("completion_tokens"),
        _first_words(choice.get("logprobs")),
        only_thought,
    )


def blocked(data) -> bool:
    """Whether an answer without a choice is one that a filter may have taken: Gemini's way."""
    return isinstance(data, dict) and (
        "usage" in data or data.get("object") == "chat.completion" or "promptFeedback" in data
    )


def _reasoned(usage: dict) -> bool:
    details = usage.get("completion_tokens_details")
    return isinstance(details, dict) and bool(details.get("reasoning_tokens"))


def _first_words(logprobs) -> tuple[tuple[str, float], ...]:
    """The alternatives of the first word that is no white space, as (word, probability)."""
    if not isinstance(logprobs, dict):
        return ()
    for place in _list(logprobs, "content"):
        if isinstance(place, dict) and str(place.get("token", "")).strip():
            rows = [row for row in _list(place, "top_logprobs") if isinstance(row, dict)]
            return _shares((row.get("token"), row.get("logprob")) for row in rows)
    for row in _list(logprobs, "top_logprobs")[:1]:  # the older way
        if isinstance(row, dict):
            return _shares(row.items())
    return ()


def _shares(rows) -> tuple[tuple[str, float], ...]:
    return tuple(
        (word, math.exp(min(0.0, value)))
        for word, value in rows
        if isinstance(word, str) and isinstance(value, (int, float))
    )
