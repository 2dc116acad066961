"""From what a language model says to the caption in it: no thinking, no chat markup, no fences, quotes, labels or explanations."""

from __future__ import annotations

import re

from ..words.patterns import Pattern
from .refusals import chat, refusal, runs, units
from .wrapping import closed, from_json, opened, plain

LONGEST = 20_000  # characters of an answer that are looked at
ROWS = 1000  # lines of it
_CODE = Pattern(r"""^(?:\w+\s*=\s*|\w+\()(["'])(.+)\1\)?;?$""")  # caption = "a dog", print("a dog")
_BARE_FIELD = Pattern(r"^\{\s*\w+\s*:\s*([^{}\"']+)\}$")  # {caption: a dog}
_RULE = Pattern(r"^[\s|:-]+$")  # of a table
_LEAD = Pattern(
    r"^(?:sure(?:\s+thing)?|certainly|of\s+course|okay|ok|absolutely|no\s+problem|great|got\s+it|alright|yes|claro(?:\s+que\s+sí)?|"
    r"natürlich|gerne|bien\s+sûr|voici|конечно|хорошо)[!.,:]+\s+(?=\S)|^(?:当然(?:可以)?|好的|没问题|可以|はい|もちろん)[，。！,!：:、\s]+(?=\S)"
    r"|^(?:here(?:'s|’s|\s+is|\s+are)|i(?:['’]ve|\s+have|\s+would|['’]d)?\s+(?:re-?wr[io]t|revis|chang|suggest|modif|propos)\w*"
    r"|you\s+(?:could|can|might)\s+(?:say|write|use|try)|maybe|perhaps|try\s+this|how\s+about|what\s+about|below|(?:option|version|alternative|choice)\s*\d+)\b[^:\n]{0,80}:\s+(?=\S)"
    r"|^(?:i\s+(?:would|['’]d)?\s*(?:re-?write|suggest|change|propose)\b[^\"“:]{0,60}|(?:how|what)\s+about\s+)(?=[\"“])",
    re.I,
)
_VERBS = r"(?:replac|remov|chang|swapp|substitut|omit|rewrit|rewrote|reword|avoid)\w*"
_CHANGED = Pattern(  # what was done, behind the caption
    rf"\s*[(\[（【][^()\[\]（）【】]*(?:\b{_VERBS}|->|→|替换|改为|换成|置き換え)[^()\[\]（）【】]*[)\]）】]\s*$", re.I
)
_TOLD = Pattern(  # a sentence behind the caption
    rf"^\W*(?:(?:notes?|explanations?|reasons?|changes?(?: made)?|p\.?s)\b\W*:|i\b.*\b{_VERBS}|{_VERBS}\s.*\b(?:with|by|to|for)\b"
    rf"|(?:the|this|that|here|it|[\"'“]\w+[\"'”])\b.*\b{_VERBS}\b.*\b(?:with|by|to|for|so|as|from the)\b"
    r"|(?:let me know|feel free|i hope|hope this|this (?:caption|version|rewrite|prompt)|is there anything|would you like)\b)",
    re.I,
)
_ARROW = Pattern(r"\s*(?:→|⇒|➡️?|⟶|-{1,2}>|=>)\s*|(?<=[\"”])\s+becomes\s+(?=[\"“])")
_HEAD = Pattern(  # what may be a label: a few words before a mark
    r"^[\s>*_#\"'`-]*([^\W_][^:：→!！\n()\[\]{}<>|;\"“]{0,59}?)[*_\"'`]*\s*([:：→]|-{1,2}>|=>|[!！]+)[*_]*\s*(?=[^\s\d.:)])"
)
_IN_BRACKETS = Pattern(r"^[\[【(]{1,2}\s*([^\[\]【】()]{1,40}?)\s*[\])】]{1,2}\s*[:：-]?\s*(?=\S)")
_OTHER = Pattern(r"^\W*(?:option|version|alternative|choice|variant)s?\b", re.I)
_ALOUD = Pattern(
    r"^\W*(?:\d\W+)?(?:thinking process|thought process|thinking|thoughts?|analysis|reasoning|let me think|let['’]s think|step \d|"
    r"(?:analy[sz]e|identify|understand|examine|consider|determine)\b)",
    re.I,
)
_MARK = Pattern(r"^(?:[-*•>#]+|→|⇒|[=-]>|\d{1,2}[.)]|[a-z]\))\s+")
_BOLD = Pattern(r"(?<!\*)\*\*([^*\n]{1,2000})\*\*(?!\*)")
_BRACKETS = {"[": "]", "{": "}", "<": ">", "(": ")", "【": "】"}
_LABEL = Pattern(
    r"""^[\s>*_#"'`-]*(?:(?:the\s+|my\s+)?(?:(?:final|new|output|rewritten|revised|modified|updated|safe|corrected|
                    alternative|image|suggested|positive|your|resulting)\s+)*(?:caption|output|prompt|answer|response|result|rewrite|sentence|
                    query|description|text|version)(?:\s+(?:is|reads|becomes|(?:would|could|can|should)\s+be(?:\s+(?:rewritten|changed|written)\s+(?:as|to))?|(?:without|with\s+no)\s+[^:\n]{1,40}))?
                    |assistant|model|rewritten|title|ai|bot|chatgpt|after|a
                    |改写|重写|書き換え|(?:改写|重写|修改|替换|更改|新|最终|输出|安全)*(?:后)?(?:的)?(?:新)?(?:提示词?|标题|描述|文本|答案|结果|输出|句子|图像描述|说明)
                    |(?:書き換え|修正|新しい|最終|出力)*(?:後)?(?:の)?(?:キャプション|プロンプト|出力|回答|文)|ausgabe|antwort|neue\s+beschreibung
                    |salida|respuesta|descripción|leyenda|nueva\s+descripción|sortie|r[ée]ponse|légende|nouvelle\s+légende|bildunterschrift
                    |neue\s+bildunterschrift|beschreibung|ответ|новый\s+запрос|описание|(?:новая\s+)?подпись|可以改为|改为|캡션|출력|답변)
                    (?:\s*\([^)]*\))?[*_"'`]*\s*(?:[:：]|→|[=-]>|-\s)[*_]*\s*""",
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
    r"^\W*(?:notes?|explanations?|reasons?|reasoning|changes?(?:\s+made)?|concepts?|input\s+caption|negative(?:\s+prompt)?|"
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


def caption(answer: str, several: bool = False, query: str = "") -> str:
    """The caption in a language model's answer, on one line; empty where there is none. ``several``: the query has several lines, and
    the caption keeps its own. ``query``: what it has itself is no wrapping; what stands around words of it is."""
    text = opened(answer[:LONGEST], query)
    strong = next((match for match in _STRONG.finditer(text) if not _own(match[0], query)), None)
    text = text[strong.start() :] if strong else text  # the first one: weak models go on with examples of their own
    text = from_json(closed(text, query).strip(), query)
    lines = [plain(_bare(line, query)) for line in _lines(text, several, query)]
    return ("\n" if several else " ").join(line for line in lines if line)


def _own(text: str, query: str) -> bool:
    """Whether the query says a piece of an answer itself, apart from marks."""
    said, asked = (" ".join(re.findall(r"\w+|[:：]", part.casefold())).replace("：", ":") for part in (text, query))
    return bool(said) and f" {said} " in f" {asked} "


def _label(row: str, query: str):
    """The match of a label at the begin of a row that is none of the query's own; None where there is none."""
    label = _LABEL.match(row)
    if label and not _own(label[0], query):
        return label
    head = _HEAD.match(row[:200])
    if not head or not query or any(_HEAD.match(line[:200]) for line in query.split("\n")):
        return None
    if _ASIDE.match(row) or _SAID.match(row) or _ALOUD.match(head[1]) or _OTHER.match(head[1]) or chat(head[0], query):
        return None
    asked, behind = units(query), row[head.end() :]
    if (
        len(head[1].split()) > (8 if head[2][0] in ":：→-=" else 4)
        or units(head[1]) & asked
        or not units(behind) & asked
    ):
        return None
    return head


def _leads(pattern, row: str, query: str) -> bool:
    """Whether a row begins as ``pattern`` says and the query has no such row."""
    match = pattern.match(row)
    return bool(match) and not (query and _own(" ".join(row.split()[:2]), query))


def _lines(text: str, several: bool, query: str) -> list[str]:
    """The lines that are the caption: those behind the last label, else the first that are no chatter, to the end of their paragraph, and
    all below that have more of the query's words."""
    rows = [row.strip() for row in text.split("\n")[:ROWS]]
    rows = [row for row in rows if _own("concepts:", query) or not re.match(r"\W*concepts?\s*[:：]", row, re.I)]
    if sum(row.startswith("|") for row in rows) > 1:  # a table: its header is a heading
        cells = [row.strip("| ") for row in rows if not (row and _RULE.match(row))]
        rows = [f"**{cells[0]}**", *cells[1:]]
    place, first = _start(rows, query)
    if not first:
        return []
    lines, gap, asked = [first], False, units(query)
    had = units(first) & asked
    marked = any(line.lstrip()[:1] in "-*•>#(" for line in query.split("\n") if line.strip())
    for row in rows[place + 1 :]:
        if not row and asked:
            gap = not (several and _apart(query, len(lines)))
            continue
        said = units(row) & asked
        new = len(said - had) > len(said & had) and (not gap or len(said) * 2 >= len(units(row)))
        ends = (
            not row
            or any(_leads(pattern, row, query) for pattern in (_ASIDE, _CHATTER))
            or _label(row, query)
            or row[0] in "-*•>#("
            and not (new or marked and several and not gap)
            or asked
            and (chat(row, query) or _tells(row, query) or not several and not new and len(said & had) * 2 > len(had))
        )
        if ends or not (not gap and (several or row[0].islower() or lines[-1].endswith(",")) or new):
            break
        lines.append(row)
        had |= said
        gap = False
    return lines


def _apart(query: str, lines: int) -> bool:
    """Whether a query has an empty line behind so many that are none."""
    filled = 0
    for row in query.strip().split("\n"):
        if filled == lines and not row.strip():
            return True
        filled += bool(row.strip())
    return False


def _tells(row: str, query: str) -> bool:
    """Whether a row says what was replaced, and the query does not."""
    if _ARROW.search(row) and not _ARROW.search(query):
        return True
    return bool(_TOLD.search(row)) and not _own(" ".join(row.split()[:2]), query)


def _start(rows: list[str], query: str) -> tuple[int, str]:
    """(place, text) of the caption's first line; an empty text where there is none."""
    known = any((label := _LABEL.match(row)) and not _own(label[0], query) for row in rows)
    for place in range(len(rows) - 1, -1, -1) if known else range(len(rows)):
        label = _label(rows[place], query)
        if label and rows[place][label.end() :].strip(" \"'*_`|>-"):
            return place, rows[place][label.end() :]
        if label or _HEADING.match(rows[place]):
            below = next((place for place in range(place + 1, len(rows)) if rows[place]), None)
            if below is not None:
                return below, rows[below]
    filled = [place for place, row in enumerate(rows) if row and not (_RULE.match(row) and len(rows) > 1)]
    if filled and _ALOUD.match(rows[filled[0]]) and not _own(rows[filled[0]], query):
        return filled[-1], " ".join(filter(None, rows))  # no caption: `refusals.refusal` says so
    talk = [place for place in filled if not _is_talk(rows[place], query, len(filled) > 1)]
    if not talk:
        return (filled[0], rows[filled[0]]) if filled and not rows[filled[0]].endswith((":", "：")) else (0, "")
    line = rows[talk[0]]
    while (lead := _LEAD.match(line)) and not _own(lead[0], query):
        line = line[lead.end() :]
    return talk[0], line


def _is_talk(row: str, query: str, others: bool) -> bool:
    """Whether a row is none of a caption's; ``others``: there are more rows."""
    if row.endswith((":", "：")) and not _own(row, query):
        return True
    if not others:
        return False
    return (
        any(_leads(pattern, row, query) for pattern in (_CHATTER, _SAID))
        or bool(query)
        and (
            chat(row, query)
            or bool(_ARROW.search(row))
            and not _ARROW.search(query)
            or row.strip(" .\"'") == query.strip(" .")
        )
    )


def _bare(line: str, query: str) -> str:
    """Without list marks, quotes, emphasis and labels around it, and without what is said behind it."""
    line = _untold(line.strip(), query)
    if not any(_MARK.match(own.strip()) for own in query.split("\n")):
        line = _MARK.sub("", line).strip()
    if "**" not in query:
        line = _BOLD.sub(r"\1", line)
    code = _CODE.match(line) or _BARE_FIELD.match(line)
    line = code[code.lastindex or 1].strip() if code else line
    line = re.sub(r"^([\"“][^\"“”]+[\"”])[.!?]$", r"\1", line)
    asked = units(query)
    for _ in range(8):  # "**Caption:** 'a dog'" has four layers
        before = line
        closing = _QUOTES.get(line[:1])
        if len(line) > 1 and closing == line[-1] and not (query and query.strip()[:1] == line[0]):
            inner = line[1:-1]
            nested = inner.count('"') % 2 == 0 and re.match(r'[^"]*\s"', inner) and line[0] == '"' and query
            if line[0] in "*_" or line[0] != closing or line[0] not in inner or nested:
                line = inner.strip()
        arrow = _ARROW.search(line)
        if arrow and query and not _ARROW.search(query):
            left, right = line[: arrow.start()], line[arrow.end() :]
            if units(right) & asked or units(left) & asked or not asked:
                line = right.strip()
        label = _label(line, query) or _boxed_label(line, query)
        if label and line[label.end() :].strip():
            line = line[label.end() :].strip()
        lead = _LEAD.match(line)
        if lead and query and not _own(lead[0], query) and units(line[lead.end() :]) & asked:
            line = line[lead.end() :].strip()
        if asked and line[:1] in _BRACKETS and line[-1:] == _BRACKETS[line[0]] and line[0] not in query.strip()[:1]:
            inner = line[1:-1]
            if (
                units(inner) & asked
                and not re.search(r"[\[\]{}<>()|]", inner.strip("{}[]"))
                and not re.search(r":\d", inner)
            ):
                line = inner.strip()
        line = _quoted(line, query)
        if line == before:
            break
    if line[:1] in ('"', "“"):
        end = line.find(_QUOTES[line[0]], 1)
        behind = line[end + 1 :]
        if (
            end > 3
            and re.match(r"\s*(?:\(|—|-\s|$)", behind)
            and not units(behind) & asked - units(line[1:end]) & asked
        ):
            return line[1:end]  # "a dog" (I replaced the cat)
    return line.strip('"“”') if line.count('"') + line.count("“") + line.count("”") == 1 else line


def _boxed_label(line: str, query: str):
    """The match of [Output] or 【改写】 at the begin of a line; None where there is none."""
    boxed = _IN_BRACKETS.match(line)
    return boxed if boxed and boxed[0][0] not in query and _LABEL.match(boxed[1] + ":") else None


def _quoted(line: str, query: str) -> str:
    """The caption that a sentence about it quotes; the line where there is none."""
    found = re.match(r"([^\"“”]*)[\"“]([^\"“”]{3,})[\"”]([^\"“”]*)$", line)
    if not found or not query or not found[1] + found[3] or any(mark in query for mark in '"“”'):
        return line
    asked = units(query)
    return found[2] if units(found[2]) & asked and not units(found[1] + " " + found[3]) & asked else line


def _untold(line: str, query: str) -> str:
    """A line without what is said behind the caption about it."""
    if "//" not in query:
        line = re.sub(r"\s+//\s.*$", "", line)
    changed = _CHANGED.search(line)
    line = line[: changed.start()] if changed and not _own(changed[0], query) and changed.start() else line
    pieces = re.split(r"(?<=[.!?。！？])\s+|(?<=[。！？])|\s+[—–-]\s+(?=(?:I|i|replac|chang|swap)\b)", line)
    while len(pieces) > 1 and _TOLD.search(pieces[-1]) and not _own(" ".join(pieces[-1].split()[:2]), query):
        del pieces[-1]
        line = line[: line.rindex(pieces[-1]) + len(pieces[-1])] if pieces[-1] else line
    return line


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
