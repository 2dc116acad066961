"""From what a language model says to the caption in it: no thinking, no chat markup, no fences, quotes, labels or explanations."""

from __future__ import annotations

import re

from . import wrapping
from .refusals import chat, refusal, runs, units
from .wrapping import closed, from_json, opened, plain

LONGEST = 20_000  # characters of an answer that are looked at
ROWS = 1000  # lines of it


def caption(answer: str, several: bool = False, query: str = "") -> str:
    """The caption in a language model's answer, on one line; empty where there is none. ``several``: the query has several lines, and
    the caption keeps its own. ``query``: what it has itself is no wrapping; what stands around words of it is."""
    text = opened(answer[:LONGEST], query)
    strong = next((match for match in wrapping.STRONG.finditer(text) if not _own(match[0], query)), None)
    first = closed(text[: strong.start()], query).strip() if strong else ""
    if strong and not (
        query
        and "\ninput" in text[: strong.start()].casefold()
        and units(first) & units(query)
        and first[:5].lower() not in ("input", "conce")
    ):
        text = text[strong.start() :]  # the first one: weak models go on with examples of their own
    text = _unquoted(from_json(closed(text, query).strip(), query), query)
    lines = [plain(_bare(line, query)) for line in _lines(text, several, query)]
    return ("\n" if several else " ").join(line for line in lines if line)


def _unquoted(text: str, query: str) -> str:
    """A text of several lines without the marks around all of it: **a dog, ...**."""
    marks = re.match(r"[*_`\"']{1,3}", text)
    around = marks and marks[0] and "\n" in text.strip() and text.endswith(marks[0][::-1]) and text.count(marks[0]) == 2
    return text[marks.end() : -marks.end()] if marks and around and not query.startswith(marks[0]) else text


def _own(text: str, query: str) -> bool:
    """Whether the query says a piece of an answer itself, apart from marks."""
    said, asked = (" ".join(re.findall(r"\w+|[:：]", part.casefold())).replace("：", ":") for part in (text, query))
    return bool(said) and f" {said} " in f" {asked} "


def _label(row: str, query: str):
    """The match of a label at the begin of a row that is none of the query's own; None where there is none."""
    label = wrapping.LABEL.match(row)
    if label and not _own(label[0], query):
        return label
    head = wrapping.HEAD.match(row[:200])
    if not head or not query or any(wrapping.HEAD.match(line[:200]) for line in query.split("\n")):
        return None
    if (
        wrapping.ASIDE.match(row)
        or wrapping.SAID.match(row)
        or wrapping.ALOUD.match(head[1])
        or wrapping.OTHER.match(head[1])
        or chat(head[0], query)
    ):
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
    if query and len(rows) > 1:
        rows = [row for row in rows if not wrapping.MUSING.match(row) or _own(row, query)]
        rows = (
            rows
            if _own("line 1", query)
            else [re.sub(r"^\W*line \d{1,2}\W*[:.)]\s*", "", row, flags=re.I) for row in rows]
        )
    rows = _untabled(rows, query)
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
            or row.casefold() == "or"
            or any(_leads(pattern, row, query) for pattern in (wrapping.ASIDE, wrapping.CHATTER))
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


def _untabled(rows: list[str], query: str) -> list[str]:
    """The rows of a Markdown table as lines with labels: by the names of its rows, else by those of its columns."""
    told = [row for row in rows if row and not wrapping.RULE.match(row)]
    if len(told) < 2 or "|" in query or not all("|" in row for row in told):
        return rows
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in told]
    if all(len(row) < 2 for row in cells):
        return [f"**{cells[0][0]}**", *(row[0] for row in cells[1:])]
    if any(wrapping.LABEL.match(row[0] + ":") for row in cells[1:]):
        return [": ".join(row[:2]) for row in cells]
    return [f"{name}: {cell}" for row in cells[1:] for name, cell in zip(cells[0], row)]


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
    if wrapping.ARROW.search(row) and not wrapping.ARROW.search(query):
        return True
    return bool(wrapping.TOLD.search(row)) and not _own(" ".join(row.split()[:2]), query)


def _start(rows: list[str], query: str) -> tuple[int, str]:
    """(place, text) of the caption's first line; an empty text where there is none."""
    known = any((label := wrapping.LABEL.match(row)) and not _own(label[0], query) for row in rows)
    asked, most = units(query), 0
    for place in range(len(rows) - 1, -1, -1) if known else range(len(rows)):
        label = _label(rows[place], query)
        if label and not known and len(units(rows[place][label.end() :]) & asked) <= most:
            continue  # Tags: below a caption
        if query.strip(" .") not in rows[place]:
            most = max(most, len(units(rows[place]) & asked))
        if label and rows[place][label.end() :].strip(" \"'*_`|>-"):
            return place, rows[place][label.end() :]
        if label or wrapping.HEADING.match(rows[place]):
            below = next((place for place in range(place + 1, len(rows)) if rows[place]), None)
            if below is not None:
                return below, rows[below]
    filled = [place for place, row in enumerate(rows) if row and (any(map(str.isalnum, row)) or len(rows) == 1)]
    if filled and wrapping.ALOUD.match(rows[filled[0]]) and not _own(rows[filled[0]], query):
        return filled[-1], " ".join(filter(None, rows))  # no caption: `refusals.refusal` says so
    talk = [place for place in filled if not _is_talk(rows[place], query, len(filled) > 1)]
    if not talk:
        return (filled[0], rows[filled[0]]) if filled and not rows[filled[0]].endswith((":", "：")) else (0, "")
    line = rows[talk[0]]
    while (lead := wrapping.LEAD.match(line)) and not _own(lead[0], query):
        line = line[lead.end() :]
    return talk[0], line


def _is_talk(row: str, query: str, others: bool) -> bool:
    """Whether a row is none of a caption's; ``others``: there are more rows."""
    if row.endswith((":", "：")) and not _own(row, query):
        return True
    if not others:
        return False
    lead = wrapping.LEAD.match(row)
    if lead and units(row[lead.end() :]) & units(query):
        return False  # Sure! A dog on a mat,
    return (
        any(_leads(pattern, row, query) for pattern in (wrapping.CHATTER, wrapping.SAID))
        or bool(query)
        and (
            chat(row, query)
            or bool(wrapping.ARROW.search(row))
            and not wrapping.ARROW.search(query)
            or row.strip(" .\"'") == query.strip(" .")
        )
    )


def _bare(line: str, query: str) -> str:
    """Without list marks, quotes, emphasis and labels around it, and without what is said behind it."""
    line = _untold(line.strip(), query)
    line = wrapping.SIGNS.sub(lambda match: match[0] if match[0].strip() in query else "", line)
    if not any(wrapping.MARK.match(own.strip()) for own in query.split("\n")):
        line = wrapping.MARK.sub("", line).strip()
    if "**" not in query:
        told = wrapping.BOLD.sub(r'"\1"', line)  # The caption is **a dog**.
        line = found if (found := _quoted(told, query)) != told else wrapping.BOLD.sub(r"\1", line)
    code = wrapping.CODE.match(line) or wrapping.BARE_FIELD.match(line)
    line = code[code.lastindex or 1].strip() if code else line
    line = re.sub(r"^([\"“][^\"“”]+[\"”]|'[^']+')[.!?]$", r"\1", line)
    asked = units(query)
    if query and line.startswith(query.strip()) and (becomes := wrapping.BECOMES.match(line, len(query.strip()))):
        line = line[becomes.end() :]
    line = _concluded(line, query)
    for _ in range(8):  # "**Caption:** 'a dog'" has four layers
        before, line = line, _peeled(line, query, asked)
        if line == before:
            break
    if line[:1] in ('"', "“") and query.strip()[:1] != line[0]:
        end = line.find(wrapping.QUOTES[line[0]], 1)
        behind = line[end + 1 :]
        if (
            end > 3
            and re.match(r"\s*(?:\(|—|-\s|or\s|$)", behind)
            and not units(behind) & asked - units(line[1:end]) & asked
        ):
            return line[1:end]  # "a dog" (I replaced the cat)
    return line.strip('"“”') if line.count('"') + line.count("“") + line.count("”") == 1 else line


def _peeled(line: str, query: str, asked: set[str]) -> str:
    """A line without one layer of quotes, arrow, label, lead and brackets."""
    closing = wrapping.QUOTES.get(line[:1])
    if len(line) > 1 and closing == line[-1] and not (query and query.strip()[:1] == line[0]):
        inner = line[1:-1]
        nested = inner.count('"') % 2 == 0 and re.match(r'[^"]*\s"', inner) and line[0] == '"' and query
        if line[0] in "*_`" or line[0] != closing or line[0] not in inner or nested:
            line = inner.strip()
    arrow = wrapping.ARROW.search(line)
    if arrow and query and not wrapping.ARROW.search(query):
        left, right = line[: arrow.start()], line[arrow.end() :]
        if len(units(left)) < len(asked) and not units(right) & asked:
            return ""  # cat -> dog: no caption, but what became of a word
        if units(right) & asked or units(left) & asked or not asked:
            line = right.strip()
    label = _label(line, query) or _boxed_label(line, query)
    if label and line[label.end() :].strip():
        line = line[label.end() :].strip()
    lead = wrapping.LEAD.match(line)
    if lead and query and not _own(lead[0], query) and units(line[lead.end() :]) & asked:
        line = line[lead.end() :].strip()
    if (
        asked
        and line[:1] in wrapping.BRACKETS
        and line[-1:] == wrapping.BRACKETS[line[0]]
        and line[0] not in query.strip()[:1]
    ):
        inner = line[1:-1]
        if (
            units(inner) & asked
            and not re.search(r"[\[\]{}<>()|]", inner.strip("{}[]"))
            and not re.search(r":\d", inner)
        ):
            line = inner.strip()
    return _quoted(line, query)


def _concluded(line: str, query: str) -> str:
    """The caption that a line comes to: The word appears. So it becomes: a dog."""
    at = max(line.rfind(": "), line.rfind("："))
    before, behind, asked = line[: max(at, 0)], line[at + 1 :].strip(), units(query)
    if at < 0 or ":" in query or "：" in query or len(units(behind) & asked) * 2 < len(asked):
        return line
    return behind if chat(before, query) or wrapping.ARROW.search(before) and not wrapping.ARROW.search(query) else line


def _boxed_label(line: str, query: str):
    """The match of [Output] or 【改写】 at the begin of a line; None where there is none."""
    boxed = wrapping.IN_BRACKETS.match(line)
    return boxed if boxed and boxed[0][0] not in query and wrapping.LABEL.match(boxed[1] + ":") else None


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
    changed = wrapping.CHANGED.search(line)
    line = line[: changed.start()] if changed and not _own(changed[0], query) and changed.start() else line
    pieces = re.split(r"(?<=[.!?。！？])\s+|(?<=[。！？])|\s+[—–-]\s+", line)
    while len(pieces) > 1 and wrapping.TOLD.search(pieces[-1]) and not _own(" ".join(pieces[-1].split()[:2]), query):
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
    if text.strip(" .!?").lower() in wrapping.NO_CAPTION or not any(char.isalpha() for char in text):
        return "it is no caption"
    if len(text) > max(400, 3 * len(query) + 100):
        return f"it is {len(text)} characters long, far longer than the query"
    return ""
