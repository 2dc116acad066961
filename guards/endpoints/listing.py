"""Lists of models, in the shapes there are."""

from __future__ import annotations

import re

from ..words.patterns import Pattern

LONGEST_NAME = 300  # characters of a model's name
_NO_CHAT = Pattern(
    r"embed|rerank|\bbge\b|\be5\b|\bgte\b|nomic|whisper|tts|speech|audio|transcri|dall-?e|stable-?diffusion|\bsdxl?\b|flux|image|"
    r"moderation|guard|shield|\bocr\b|clip|minilm|mpnet|paraphrase|\blabse\b|colbert|\bbert\b|realtime|"
    r"video|\bsora\b|\bveo\b|\bwan-?\d|\b[ti]2[vi]\b|kolors|kokoro|parakeet|\blyria\b|babbage|davinci|turbo-instruct|\bvoyage\b",
    re.I,
)
_LISTS = ("data", "models", "model_names", "result", "results", "items")
_NAMES = ("id", "name", "model", "key", "model_name", "model_id")


def chat_models(data) -> list[str]:
    """The names in a list of models, those that look as if they can chat first."""
    rows = [row if isinstance(row, dict) else {"id": row} for row in _rows(data)]
    named = [(_name(row), row) for row in rows]
    return [name for name, row in sorted(named, key=lambda one: _cannot_chat(*one)) if 0 < len(name) <= LONGEST_NAME]


def _rows(data, depth: int = 0) -> list:
    """The rows of a list, wherever it is; of a table by name, the names."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict) or depth > 2:
        return []
    for name in _LISTS:
        inner = data.get(name)
        if isinstance(inner, str) and inner:
            return [inner]
        if rows := _rows(inner, depth + 1):
            return rows
    if _name(data) and (depth or data.get("object") == "model"):
        return [data]
    return list(data) if depth and all(isinstance(row, dict) for row in data.values()) else []


def _name(row: dict) -> str:
    return next((row[name].strip() for name in _NAMES if isinstance(row.get(name), str) and row[name].strip()), "")


def _cannot_chat(name: str, row: dict) -> bool:
    """Whether a model does not look as if it can chat, by its name or by what the list says of it."""
    told = " ".join(str(row[field]) for field in ("type", "object", "task") if isinstance(row.get(field), str))
    can, kinds, makes = row.get("capabilities"), row.get("endpoints"), row.get("architecture")
    makes = makes.get("output_modalities") if isinstance(makes, dict) else None
    return bool(
        _NO_CHAT.search(name)
        or _NO_CHAT.search(told)
        or (isinstance(can, dict) and can.get("completion_chat") is False)
        or (isinstance(kinds, list) and kinds and "chat" not in kinds)
        or (isinstance(makes, list) and makes and "text" not in makes)
    )
