"""What is around a language model's answer: chat markup, tags, fences, JSON. What the query has itself is none of it."""

from __future__ import annotations

import html
import json
import re
import unicodedata

from ..rewriters.thinking import without_thinking
from ..words.patterns import Pattern
from .refusals import units

_ONLY_ANALYSIS = Pattern(r"\A\s*(?:<\|channel\|>\s*)?analysis(?:<\|message\|>|(?=[A-Z])|\s*\n).*\Z", re.S)
_ENVELOPE = Pattern(
    r"<((?:(?:output|final|new|rewritten|revised|safe|image|updated)[_ -]?)*(?:answer|caption|output|result|response|rewritten|rewrite|"
    r"prompt|text|sentence|solution)|final)\b[^<>]*>(.*?)(?:</\1\s*>|\Z)|\A\s*<(\w+)>([^<>]+)</\3>\s*\Z",
    re.S | re.I,
)
_BOXED = Pattern(r"\\boxed\{(?:\\text\{)?([^{}]+)\}?\}|\\text\{([^{}]+)\}")
_TURN = Pattern(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|assistant\|>|<bos>|<s>|<\|"
    r"begin_of_text\|>|\[(?:BOS|CLS)\]|"
    r"<\|end_header_id\|>|<\|message\|>|\[INST\].*?\[/INST\]|\[/INST\]|<<SYS>>.*?<</SYS>>|"
    r"(?:assistant|model)\s*(?:\n|<\|end_header_id\|>|(?=:)))+",
    re.S | re.I,
)
_END = Pattern(
    r"\s*(?:<?\[/?(?:end(?: of (?:text|turn|answer|caption|output|message))?|eos|done|stop)\]>?|<0x0A>|<eos>|\\n|\\\\n|#{2,}|"
    r"<br\s*/?>|\(end\)|-{3,}|={3,})+\s*\Z",
    re.I,
)
_TAG = Pattern(
    r"</?(?:br|p|b|i|u|em|strong|span|div|code|pre|html|body|head|title|center|h\d|ul|ol|li|font|hr|blockquote|unused\d+)(?:\s[^<>]*)?/?>"
    r"|\A\s*<?\[begin\]>?|<!--.*?-->",
    re.I | re.S,
)
_ENTITY = Pattern(r"&(?:#\d{1,5}|#x[0-9a-f]{1,5}|[a-z]{2,8});", re.I)
_ANY_TAG = Pattern(r"<([a-z][\w-]*)(?:\s[^<>]*)?>(.*?)</\1\s*>", re.I | re.S)
_STOP = Pattern(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^<>\n]{1,40}｜>|</?s>|<(?:end_of_turn|start_of_turn|end_of_utterance|eos|"
    r"bos|eod|pad|EOT|turn\||unk)>"
    r"|\[/?(?:INST|EOS|BOS|EOT)\]|<</?SYS>>|"
    r"\n\s*(?:user|human|system|query|question|input|### ?instruction|input caption|concepts?)\s*:"
    r"|\s###\s*(?:human|user|assistant|instruction|input)\b",
    re.I,
)
_MARKUP = Pattern(
    r"<\|[^|<>\n]{0,40}\|>|<｜[^<>\n]{0,40}｜>|</?(?:s|think|thinking|bos|eos|end_of_turn|start_of_turn|"
    r"end_of_utterance|pad|unk)>|"
    r"\[/?(?:INST|THINK)\]|<</?SYS>>",
    re.I,
)
_FENCE = Pattern(r"```(?:[\w-]*[ \t]*\n)?(.*?)(?:```|\Z)", re.S)
_FIELDS = (
    "output_caption",
    "output caption",
    "caption",
    "rewritten",
    "rewrite",
    "output",
    "prompt",
    "answer",
    "result",
    "text",
    "response",
)
_PAIR = Pattern(  # a field of JSON that is none: single quotes, or cut off
    r"""(["'])(?:(?:output|new|rewritten|revised|safe|final|modified|updated)[_ ]?)?"""
    r"""(?:caption|rewritten|rewrite|output|prompt|answer|result|text|response)\1\s*:\s*(["'])"""
    r"""((?:(?!\2\s*(?:[,}\]]|\Z))[^\n]){1,4000})""",
    re.I,
)
_NEW = Pattern(r"caption|rewrit|revis|output|prompt|answer|result|text|new|safe_|after|modified|updated|response", re.I)
_OLD = Pattern(r"original|input|before|old|negative|reason|note|explanation|why|\bsafe\b|change", re.I)
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u2060\u00ad\u202a\u202c"))


def plain(text: str) -> str:
    """One line of a person's text without chat markup: what is put into a conversation as data."""
    before = None
    while before != text:  # what is left may form markup again: <|im<|im_start|>_start|>
        before, text = text, _MARKUP.sub(" ", text)
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())


def opened(text: str, query: str = "") -> str:
    """An answer without its thinking, the name of who speaks, and the tags or the box that the caption stands in."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").translate(_UNSEEN)
    text = without_thinking(text).lstrip()
    text = _ONLY_ANALYSIS.sub("", text)
    turn = _TURN.match(text)
    if turn and not (turn[0].strip() and query.lstrip().lower().startswith(turn[0].strip().lower())):
        text = text[turn.end() :].lstrip(" :\n")
    envelope = _ENVELOPE.search(text) or _BOXED.search(text)
    if envelope and envelope[0][:4] in query:
        envelope = None
    return next(filter(None, reversed(envelope.groups())), text) if envelope else text


def closed(text: str, query: str = "") -> str:
    """An answer up to where it ends or another turn begins, without fences, tags and entities that the query has none of."""
    asked = " ".join(query.lower().split())
    text = re.sub(r"\A(?:\s*<\|[^|<>\n]{1,40}\|>)+", "", text)
    for stop in _STOP.finditer(text):
        if text[: stop.start()].strip() and " ".join(stop[0].lower().split()) not in asked:
            text = text[: stop.start()]
            break
    text = text.replace("~~~", "```")
    for mark in ('"' * 3, "'" * 3):
        text = text if mark in query else text.replace(mark, "```")
    fence = _FENCE.search(text)
    if fence:
        text = fence[1] if fence[1].strip() else text.replace("```", "")
    if "<" in text and "</" not in query:
        text = _ANY_TAG.sub(lambda match: match[2], text)
    text = _TAG.sub(
        lambda match: match[0] if match[0] in query else "\n" if match[0][:3].lower() == "<br" else "", text
    )
    text = _ENTITY.sub(lambda match: match[0] if match[0] in query else html.unescape(match[0]).replace("\0", ""), text)
    if "\\" not in query:
        text = text.replace('\\"', '"') if text.lstrip()[:1] not in ("{", "[", '"') else text
    end = _END.search(text)
    return text[: end.start()] if end and text[: end.start()].strip() and end[0].strip().lower() not in asked else text


def from_json(text: str, query: str = "") -> str:
    """The text in a JSON answer, wherever it begins, also one in single quotes or cut off; any other text as it is."""
    if len(text) > 1 and text[0] == "{" == text[1] and text.endswith("}}"):
        return text
    inside = re.search(r"""\{\s*["']\w""", text)
    begins = 0 if text[:1] in '{["' else inside.start() if inside else -1
    if begins < 0 or len(text) < 2:
        return text
    text = text[begins:]
    try:
        value, _ = json.JSONDecoder().raw_decode(text) if begins else (json.loads(text), 0)
    except (ValueError, RecursionError):
        if text[0] != '"' and (pair := _PAIR.search(text)):
            return pair[3]
        return text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    while isinstance(value, dict) and len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        value = inner
    if isinstance(value, dict):
        value = _field({str(key).lower(): text for key, text in value.items() if isinstance(text, str)}, query)
    return value if isinstance(value, str) else ""


def _field(fields: dict[str, str], query: str) -> str:
    """The caption among fields of JSON: by its name, else by what it shares with the query, but not the query itself."""
    for name in _FIELDS:
        if name in fields:
            return fields[name]
    named = [name for name in fields if _NEW.search(name) and not _OLD.search(name)]
    if named or len(fields) == 1:
        return fields[(named or list(fields))[0]]
    asked = units(query)
    best = max(fields.values(), key=lambda text: (text != query) * len(units(text) & asked), default="")
    return best if units(best) & asked else ""
