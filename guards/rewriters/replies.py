"""What OpenAI-compatible servers send back, read as they really send it: JSON with a byte-order mark, streams that nobody asked for, errors
with status 200, answers in the field for thinking."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

_THINKS = re.compile(r"<think\b|◁think▷|\[THINK\]|<seed:think>|<\|begin_of_thought\|>", re.I)
_NO_CHAT = re.compile(
    r"embed|rerank|\bbge\b|\be5\b|\bgte\b|nomic|whisper|tts|speech|audio|transcri|dall-?e|stable-?diffusion|\bsdxl?\b|flux|image|"
    r"moderation|guard|\bocr\b|clip",
    re.I,
)


class Unreadable(ValueError):
    """Bytes that are neither JSON nor a stream of it."""


@dataclass(frozen=True)
class Reply:
    """One answer. ``finish``: why it ended; ``thought``: there are signs of thinking; ``refused``: the model itself declines;
    ``first``: the likeliest first words as word -> probability, where the server tells."""

    text: str
    finish: str = ""
    thought: bool = False
    refused: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first: tuple[tuple[str, float], ...] = ()

    @property
    def cut(self) -> bool:
        """Whether the tokens ran out in the middle of it."""
        return self.finish == "length"


def load(data: bytes):
    """What a body holds: JSON, or the chunks of a stream joined to what one answer would have been. Raises Unreadable."""
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Unreadable from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        chunks = _chunks(text)
        if not chunks:
            raise Unreadable from None
        return _joined(chunks)


def _chunks(text: str) -> list[dict]:
    """The JSON of each line of a stream: server-sent events (``data: {...}``), or one object a line."""
    chunks = []
    for line in text.replace("\r", "\n").split("\n"):  # not where an answer has another mark that ends lines
        line = line.strip().removeprefix("data:").strip()
        if not line or line == "[DONE]" or line.startswith((":", "event:", "id:", "retry:")):
            continue
        try:
            chunk = json.loads(line)
        except (ValueError, RecursionError):
            return []
        if isinstance(chunk, dict):
            chunks.append(chunk)
    return chunks


def _joined(chunks: list[dict]) -> dict:
    """One answer of a stream's chunks."""
    content, thinking, finish, usage = "", "", None, {}
    for chunk in chunks:
        if "error" in chunk:
            return chunk
        usage = chunk["usage"] if isinstance(chunk.get("usage"), dict) else usage
        for choice in _list(chunk, "choices")[:1]:
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
            if isinstance(delta, dict):
                text = delta.get("content")
                content += text if isinstance(text, str) else ""
                thinking += _thinking(delta)
            finish = choice.get("finish_reason") or finish
    message = {"content": content, "reasoning_content": thinking}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _list(data, name) -> list:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _thinking(message: dict) -> str:
    return next((message[key] for key in ("reasoning_content", "reasoning") if isinstance(message.get(key), str)), "")


def error_in(data) -> tuple[str, int]:
    """(text, code) of an error that came as an answer; ("", 0) where there is none."""
    if not isinstance(data, dict) or _list(data, "choices"):
        return "", 0
    error = data.get("error") or data.get("detail") or (data.get("message") if data.get("object") == "error" else None)
    if not error:
        return "", 0
    text = error.get("message") or error.get("type") or "error" if isinstance(error, dict) else error
    code = error.get("code") if isinstance(error, dict) else data.get("code")
    return " ".join(str(text).split()), code if isinstance(code, int) else 0


def read(data) -> Reply | None:
    """The answer that a reply holds; None where it has none."""
    choices = _list(data, "choices")
    if not choices or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    message = choice["message"] if isinstance(choice.get("message"), dict) else {"content": choice.get("text")}
    content, thinking = message.get("content"), _thinking(message)
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    content = content if isinstance(content, str) else ""
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    usage = data["usage"] if isinstance(data.get("usage"), dict) else {}
    count = lambda name: usage[name] if isinstance(usage.get(name), int) else 0
    thought = bool(thinking or _THINKS.search(content) or _reasoned(usage) or count("completion_tokens") > 0)
    if not content.strip() and thinking.strip() and finish != "length":
        content = thinking.strip().split("\n\n")[-1]  # the answer is where the thinking should be
    return Reply(
        content,
        finish,
        thought,
        bool(message.get("refusal")) and not content.strip(),
        count("prompt_tokens"),
        count("completion_tokens"),
        _first_words(choice.get("logprobs")),
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


def chat_models(data) -> list[str]:
    """The names in a list of models, those that look as if they can chat first."""
    rows = [row for row in _list(data, "data") or _list(data, "models") if isinstance(row, dict)]
    names = [(row.get("id") or row.get("name"), str(row.get("type", ""))) for row in rows]
    names = [(name, kind) for name, kind in names if isinstance(name, str) and name]
    return [name for name, _ in sorted(names, key=lambda row: bool(_NO_CHAT.search(row[0]) or _NO_CHAT.search(row[1])))]
