"""From what a language model says to the caption in it: no thinking, no chat markup, no fences, quotes, labels or explanations."""

from __future__ import annotations

import json
import re
import unicodedata

from ..words.patterns import Pattern
from .refusals import refusal, runs

LONGEST = 20_000  # characters of an answer that are looked at
_THINKING = Pattern(
    r"<(think|thinking|thoughts?|reason|reasoning|rationale|reflection|analysis|scratch_?pad|(?:inner_?)?monologue|internal|plan|cot)"
    r"\b[^>]*>.*?(?:</\1>|\Z)|◁think▷.*?(?:◁/think▷|\Z)|<\|think(?:ing)?\|>.*?(?:<\|/think(?:ing)?\|>|\Z)"
    r"|\[think(?:ing)?\].*?(?:\[/think(?:ing)?\]|\Z)|<seed:think>.*?(?:</seed:think>|\Z)"
    r"|<\|begin_of_thought\|>.*?(?:<\|end_of_thought\|>|\Z)|<\|channel>\s*thought\b.*?(?:<channel\|>|\Z)",
    re.S | re.I,
)
_THOUGHT_ENDS = Pattern(
    r"</(?:think|thinking|thoughts?|reasoning|reflection|analysis|seed:think)>|◁/think▷|\[/think(?:ing)?\]|<\|/think(?:ing)?\|>|<\|"
    r"end_of_thought\|>|<channel\|>",
    re.I,
)
_FINAL_CHANNEL = Pattern(
    r"<\|channel\|>\s*final\s*<\|message\|>|<\|begin_of_solution\|>|<\|channel>\s*(?:final|response)\b|"
    r"(?:(?<=\w|[.!?])|\A)\s*assistant\s*final(?=\W|[A-Z\"“])",
    re.I,
)
_ONLY_ANALYSIS = Pattern(r"\A\s*(?:<\|channel\|>\s*)?analysis(?:<\|message\|>|(?=[A-Z])|\s*\n).*\Z", re.S)
_ENVELOPE = Pattern(
    r"<((?:(?:output|final|new|rewritten|revised|safe)[_ -]?)?(?:answer|caption|output|result|response|rewritten|rewrite|prompt|text|"
    r"sentence|solution)|final)\b[^<>]*>(.*?)(?:</\1\s*>|\Z)|\A\s*<(\w+)>([^<>]+)</\3>\s*\Z",
    re.S | re.I,
)
_BOXED = Pattern(r"\\boxed\{(?:\\text\{)?([^{}]+)\}?\}|\\text\{([^{}]+)\}")
_CODE = Pattern(r"""^(?:\w+\s*=\s*|\w+\()(["'])(.+)\1\)?;?$""")  # caption = "a dog", print("a dog")
_BARE_FIELD = Pattern(r"^\{\s*\w+\s*:\s*([^{}\"']+)\}$")  # {caption: a dog}
_RULE = Pattern(r"^[\s|:-]+$")  # of a table
_LEAD = Pattern(
    r"^(?:sure|certainly|of\s+course|okay|ok|absolutely|no\s+problem|great|got\s+it)[!.,:]+\s+(?=\S)"
    r"|^(?:here(?:'s|’s|\s+is|\s+are)|i(?:['’]ve|\s+have|\s+would|['’]d)?\s+(?:re-?wr[io]t|revis|chang|suggest|modif|propos)\w*"
    r"|you\s+(?:could|can|might)\s+(?:say|write|use|try)|maybe|perhaps|(?:option|version|alternative|choice)\s*\d+)\b[^:\n]{0,80}:\s+(?=\S)"
    r"|^(?:i\s+(?:would|['’]d)?\s*(?:re-?write|suggest|change|propose)\b[^\"“:]{0,60}|(?:how|what)\s+about\s+)(?=[\"“])",
    re.I,
)
_CHANGED = Pattern(
    r"\s*[(\[][^()\[\]]*\b(?:replaced|removed|changed|swapped|substituted|omitted)\b[^()\[\]]*[)\]]\s*$|\s+//\s.*$",
    re.I,
)  # what was done, behind the caption
_TURN = Pattern(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|assistant\|>|<bos>|<s>|<\|"
    r"begin_of_text\|>|\[(?:BOS|CLS)\]|"
    r"<\|end_header_id\|>|<\|message\|>|\[INST\].*?\[/INST\]|\[/INST\]|<<SYS>>.*?<</SYS>>|"
    r"(?:assistant|model)\s*(?:\n|<\|end_header_id\|>|(?=:)))+",
    re.S | re.I,
)
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
_FENCE = Pattern(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.S)
_LABEL = Pattern(
    r"""^[\s>*_#"'`-]*(?:(?:the\s+|my\s+)?(?:(?:final|new|output|rewritten|revised|modified|updated|safe|corrected|
                    alternative|image|suggested)\s+)*(?:caption|output|prompt|answer|response|result|rewrite|sentence|
                    query|description|text|version)(?:\s+(?:is|reads|becomes|would\s+be|could\s+be|should\s+be|(?:without|with\s+no)\s+[^:\n]{1,40}))?
                    |assistant|model|rewritten|title|ai|bot|chatgpt|a
                    |改写|重写|書き換え|(?:改写|重写|修改|替换|更改|新|最终|输出|安全)*(?:后)?(?:的)?(?:新)?(?:提示词?|标题|描述|文本|答案|结果|输出|句子|图像描述|说明)
                    |(?:書き換え|修正|新しい|最終|出力)*(?:後)?(?:の)?(?:キャプション|プロンプト|出力|回答|文)|ausgabe|antwort|neue\s+beschreibung
                    |salida|respuesta|sortie|r[ée]ponse|ответ|новый\s+запрос|описание|캡션|출력|답변)
                    (?:\s*\([^)]*\))?[*_"'`]*\s*[:：][*_]*\s*""",
    re.I | re.X,
)
_HEADING = Pattern(  # a label on a line of its own, without a colon
    r"^[\s>*_#]*(?:\*\*|__|#{1,6}\s)\s*(?:the\s+)?(?:(?:final|new|output|rewritten|revised|modified|"
    r"updated|safe|image)\s+)*"
    r"(?:caption|output|prompt|answer|response|result|rewrite|version)[\s*_#]*$",
    re.I,
)
_STRONG = Pattern(
    r"^[\s>*_#\"'`-]*(?:output|new|rewritten|revised|final|safe)\s+(?:caption|prompt|query)[*_\"'`]*\s*[:：]",
    re.I | re.M,
)
_ASIDE = Pattern(  # what models add below a caption
    r"^\W*(?:notes?|explanations?|reasons?|reasoning|changes?(?:\s+made)?|concepts?|input\s+caption|"
    r"original|before|why|p\.?s|"
    r"remarks?|comments?|in\s+this|i\s+(?:have|replaced|changed|removed|rewrote)|this\s+(?:caption|"
    r"version|prompt|rewrite)|"
    r"let\s+me|feel\s+free|please|hope|enjoy|the\s+(?:cat|concept|word|caption|change)s?\s+(?:was|were|is|"
    r"has|have)\b|说明|注|解释)\b",
    re.I,
)
_SAID = Pattern(
    r"^\W*(?:notes?|explanations?|reason(?:s|ing)?|thinking|changes?(?:\s+made)?)\b[^:\n]{0,20}:", re.I
)  # above a caption
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
_CHATTER = Pattern(
    r"^(?:sure|certainly|of course|okay|ok|absolutely|here(?:'s|’s| is| are| you)|understood|got it|great|"
    r"i (?:have|can|will|would|rewrote|changed|replaced))\b",
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
    "~": "~",
}


_PAIR = Pattern(  # a field of JSON that is none: single quotes, or cut off
    r"""(["'])(?:output[_ ]?caption|caption|rewritten(?:_caption)?|rewrite|output|prompt|answer|result|text|response)\1\s*:\s*(["'])"""
    r"""((?:(?!\2\s*(?:[,}\]]|\Z))[^\n]){1,4000})""",
    re.I,
)
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u2060\u00ad\u202a\u202c"))


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


def caption(answer: str, several: bool = False) -> str:
    """The caption in a language model's answer, on one line; empty where there is none. ``several``: the query has several lines, and
    the caption keeps its own."""
    text = answer[:LONGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").translate(_UNSEEN)
    text = without_thinking(_behind(_FINAL_CHANNEL, text)).lstrip()
    text = _ONLY_ANALYSIS.sub("", text)
    turn = _TURN.match(text)
    text = text[turn.end() :].lstrip(" :\n") if turn else text
    envelope = _ENVELOPE.search(text) or _BOXED.search(text)
    text = next(filter(None, reversed(envelope.groups())), text) if envelope else text
    strong = _STRONG.search(text)  # the first one: weak models go on with examples of their own
    text = text[strong.start() :] if strong else text
    stop = _STOP.search(text)
    if stop and text[: stop.start()].strip():
        text = text[: stop.start()]
    fence = _FENCE.search(text := text.replace("~~~", "```"))
    if fence:
        text = fence[1] if fence[1].strip() else text.replace("```", "")
    lines = [plain(_bare(line)) for line in _lines(_from_json(text.strip()), several)]
    return ("\n" if several else " ").join(line for line in lines if line)


def _from_json(text):
    """The text in a JSON answer, also one in single quotes or cut off; any other text as it is."""
    if text[:1] not in '{["' or len(text) < 2:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if text[0] != '"' and (pair := _PAIR.search(text)):
            return pair[3]
        return text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    while isinstance(value, dict) and len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        value = inner
    if isinstance(value, dict):
        fields = {str(key).lower(): text for key, text in value.items() if isinstance(text, str)}
        value = next(
            (fields[name] for name in _FIELDS if name in fields),
            next(iter(fields.values()), "") if len(fields) == 1 else "",
        )
    return value if isinstance(value, str) else ""


def _lines(text: str, several: bool) -> list[str]:
    """The lines that are the caption: those behind the last label, else the first that are no chatter, to the end of their paragraph."""
    rows = [row.strip() for row in text.split("\n")]
    rows = [row for row in rows if not re.match(r"\W*concepts?\s*[:：]", row, re.I)]
    if sum(row.startswith("|") for row in rows) > 1:  # a table: its header is a heading
        cells = [row.strip("| ") for row in rows if not (row and _RULE.match(row))]
        rows = [f"**{cells[0]}**", *cells[1:]]
    place, first = _start(rows)
    if not first:
        return []
    lines = [first]
    for row in rows[place + 1 :]:
        ends = not row or _ASIDE.match(row) or _LABEL.match(row) or _CHATTER.match(row) or row[0] in "-*•>#("
        if ends or not (several or row[0].islower() or lines[-1].endswith(",")):
            break
        lines.append(row)
    return lines


def _start(rows: list[str]) -> tuple[int, str]:
    """(place, text) of the caption's first line; an empty text where there is none."""
    for place in range(len(rows) - 1, -1, -1):
        label = _LABEL.match(rows[place])
        if label and rows[place][label.end() :].strip(" \"'*_`"):
            return place, rows[place][label.end() :]
        if label or _HEADING.match(rows[place]):
            below = next((place for place in range(place + 1, len(rows)) if rows[place]), None)
            if below is not None:
                return below, rows[below]
    filled = [place for place, row in enumerate(rows) if row]
    talk = [
        place
        for place in filled
        if not (
            rows[place].endswith((":", "："))
            or len(filled) > 1
            and (_CHATTER.match(rows[place]) or _SAID.match(rows[place]))
        )
    ]
    if not talk:
        return 0, ""
    line = rows[talk[0]]
    while lead := _LEAD.match(line):
        line = line[lead.end() :]
    return talk[0], line


def _bare(line):
    """Without list marks, quotes, emphasis and labels around it."""
    line = re.sub(r"^(?:[-*•>#]+|→|⇒|[=-]>|\d{1,2}[.)]|[a-z]\))\s+", "", _CHANGED.sub("", line.strip())).strip()
    code = _CODE.match(line) or _BARE_FIELD.match(line)
    line = code[code.lastindex or 1].strip() if code else line
    line = re.sub(r"^([\"“][^\"“”]+[\"”])[.!?]$", r"\1", line)
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
    return bool({*runs(text, words)} & {*runs(instruction, words)} - {*runs(query, words)})


def fault(text: str, query: str) -> str:
    """Why a cleaned answer is no caption for this query; empty where it may be one."""
    if not text:
        return "it is empty"
    if why := refusal(text, query):
        return why
    if text.strip(" .!?").lower() in _NO_CAPTION or not any(char.isalpha() for char in text):
        return "it is no caption"
    if len(text) > max(400, 3 * len(query) + 100):
        return f"it is {len(text)} characters long, far longer than the query"
    return ""
