"""From what a language model says to the caption in it: no thinking, no chat markup, no fences, quotes, labels or explanations."""

from __future__ import annotations

import json
import re
import unicodedata

LONGEST = 20_000  # characters of an answer that are looked at
_THINKING = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|analysis)\b[^>]*>.*?(?:</\1>|\Z)|◁think▷.*?(?:◁/think▷|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)",
    re.S | re.I,
)
_THOUGHT_ENDS = re.compile(r"</(?:think|thinking|thought|reasoning|reflection|analysis)>|◁/think▷|\[/THINK\]", re.I)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\s*<\|message\|>", re.I)
_TURN = re.compile(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|assistant\|>|<bos>|<s>|<\|begin_of_text\|>|"
    r"<\|end_header_id\|>|<\|message\|>|\[INST\].*?\[/INST\]|\[/INST\]|<<SYS>>.*?<</SYS>>|"
    r"(?:assistant|model)\s*(?:\n|<\|end_header_id\|>|(?=:)))+",
    re.S | re.I,
)
_STOP = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:end_of_turn|start_of_turn|eos|bos)>|\[/?INST\]|<</?SYS>>|"
    r"\n\s*(?:user|human|system|### ?instruction|input caption|concepts?)\s*:",
    re.I,
)
_MARKUP = re.compile(
    r"<\|[^|<>\n]{0,40}\|>|</?(?:s|think|thinking|bos|eos|end_of_turn|start_of_turn)>|"
    r"\[/?(?:INST|THINK)\]|<</?SYS>>",
    re.I,
)
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.S)
_LABEL = re.compile(
    r"""^[\s>*_#"'`-]*(?:(?:the\s+)?(?:(?:final|new|output|rewritten|revised|modified|updated|safe|corrected|
                    alternative|image)\s+)*(?:caption|output|prompt|answer|response|result|rewrite|sentence|
                    query|description|text)|assistant|model|rewritten)
                    (?:\s*\([^)]*\))?[*_"'`]*\s*[:：][*_]*\s*""",
    re.I | re.X,
)
_STRONG = re.compile(
    r"^[\s>*_#\"'`-]*(?:output|new|rewritten|revised|final|safe)\s+(?:caption|prompt|query)[*_\"'`]*\s*[:：]",
    re.I | re.M,
)
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
_CHATTER = re.compile(
    r"^(?:sure|certainly|of course|okay|ok|absolutely|here(?:'s|’s| is| are| you)|understood|got it|great|"
    r"i (?:have|can|will|would|rewrote|changed|replaced))\b",
    re.I,
)
_REFUSAL = re.compile(
    r"^\W*(?:i['’]?\s?a?m (?:really |very |so )?sorry|sorry\b|i apologi[sz]e|unfortunately|as an? "
    r"(?:ai|language|large)\b|"
    r"i (?:can(?:no|['’]?)t|am (?:not able|unable)|won['’]?t|will not|must decline|do not|don['’]t)\b|"
    r"i['’]m (?:not able|unable))",
    re.I,
)
_NO_CAPTION = frozenset(
    """ok okay sure yes no none n/a na null nothing done unchanged same empty understood hello hi thanks caption
    output prompt answer input concept concepts error true false""".split()
)
_QUOTES = {
    '"': '"',
    "'": "'",
    "“": "”",
    "„": "“",
    "‘": "’",
    "«": "»",
    "»": "«",
    "「": "」",
    "『": "』",
    "`": "`",
    "*": "*",
    "_": "_",
    "‹": "›",
}


def plain(text: str) -> str:
    """One line of a person's text without chat markup: what is put into a conversation as data."""
    before = None
    while before != text:  # what is left may form markup again: <|im<|im_start|>_start|>
        before, text = text, _MARKUP.sub(" ", text)
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())


def without_thinking(text: str) -> str:
    """An answer without its thinking, whether that is closed, left open or begun before the answer."""
    return _behind(_THOUGHT_ENDS, _THINKING.sub("\n", text))


def _behind(pattern, text):
    """What stands behind the last match; the text where there is none."""
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return text[end:]


def caption(answer: str) -> str:
    """The caption in a language model's answer, one line; empty where there is none."""
    text = answer[:LONGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = without_thinking(_behind(_FINAL_CHANNEL, text)).lstrip()
    turn = _TURN.match(text)
    text = text[turn.end() :].lstrip(" :\n") if turn else text
    strong = _STRONG.search(text)  # the first one: weak models go on with examples of their own
    text = text[strong.start() :] if strong else text
    stop = _STOP.search(text)
    if stop and text[: stop.start()].strip():
        text = text[: stop.start()]
    fence = _FENCE.search(text)
    if fence:
        text = fence[1] if fence[1].strip() else text.replace("```", "")
    text = _from_json(text.strip())
    return plain(_bare(_line(text)))


def _from_json(text):
    """The text in a JSON answer; any other text as it is."""
    if text[:1] in '{["' and len(text) > 1:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            fields = {str(key).lower(): text for key, text in value.items() if isinstance(text, str)}
            value = next(
                (fields[name] for name in _FIELDS if name in fields),
                next(iter(fields.values()), "") if len(fields) == 1 else "",
            )
        return value if isinstance(value, str) else ""
    return text


def _line(text):
    """The line that is the caption: the last labelled one, else the first that is no chatter."""
    lines = [
        line.strip() for line in text.split("\n") if line.strip() and not re.match(r"\W*concepts?\s*[:：]", line, re.I)
    ]
    for place in range(len(lines) - 1, -1, -1):
        label = _LABEL.match(lines[place])
        if label and lines[place][label.end() :].strip(" \"'*_`"):
            return lines[place][label.end() :]
        if label and place + 1 < len(lines):
            return lines[place + 1]
    talk = [line for line in lines if not (line.endswith((":", "：")) or len(lines) > 1 and _CHATTER.match(line))]
    line = (talk or [""])[0]
    lead = re.match(r"(?:sure|certainly|of course|okay|here(?:'s|’s| is))\b[^:\n]{0,80}:\s+(?=\S)", line, re.I)
    return line[lead.end() :] if lead else line


def _bare(line):
    """Without list marks, quotes, emphasis and labels around it."""
    line = re.sub(r"^(?:[-*•>#]+|\d{1,2}[.)])\s+", "", line.strip()).strip()
    for _ in range(8):  # "**Caption:** 'a dog'" has four layers
        before = line
        closing = _QUOTES.get(line[:1])
        if (
            len(line) > 1
            and closing == line[-1]
            and (line[0] in "*_" or line[0] != closing or line[0] not in line[1:-1])
        ):
            line = line[1:-1].strip()
        label = _LABEL.match(line)
        if label and line[label.end() :].strip():
            line = line[label.end() :].strip()
        if line == before:
            break
    if line[:1] in ('"', "“"):
        end = line.find(_QUOTES[line[0]], 1)
        if end > 3 and re.match(r"\s*(?:\(|—|-\s|$)", line[end + 1 :]):
            return line[1:end]  # "a dog" (I replaced the cat)
    return line.strip('"“”') if line.count('"') + line.count("“") + line.count("”") == 1 else line


def echoes(text: str, instruction: str, query: str, words: int = 6) -> bool:
    """Whether an answer repeats the instruction: ``words`` of its words in a row that do not stand so in the query."""

    def runs(of):
        sequence = re.findall(r"\w+", of.casefold())
        return {tuple(sequence[i : i + words]) for i in range(len(sequence) - words + 1)}

    return bool((runs(text) & runs(instruction)) - runs(query))


def fault(text: str, query: str) -> str:
    """Why a cleaned answer is no caption for this query; empty where it may be one."""
    if not text:
        return "it is empty"
    if _REFUSAL.match(text):
        return "it is a refusal"
    if text.strip(" .!?").lower() in _NO_CAPTION or not any(char.isalpha() for char in text):
        return "it is no caption"
    if len(text) > max(400, 3 * len(query) + 100):
        return f"it is {len(text)} characters long, far longer than the query"
    return ""
