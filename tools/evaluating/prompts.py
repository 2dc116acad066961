"""Prompt files as rows: CSV (I2P as it is), JSON lines, the ORES table, plain lists.

A row is a dict of strings that has ``prompt``, ``seed`` and ``guidance`` where the file says so under any of its usual names, and all of
the file's own columns.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from .errors import PlanError

Row = dict[str, str]
NAMES = {  # what the engine calls it -> what files call it
    "prompt": ("prompt", "adv_prompt", "target_prompt", "caption", "text", "query"),
    "seed": ("sd_seed", "evaluation_seed", "seed"),
    "guidance": ("sd_guidance_scale", "evaluation_guidance", "guidance"),
}
ORES = ("concept", "content", "prompt")  # its table has no header
MOST = 100_000


def read(path: Path, column: str = "", template: str = "", source: str = "") -> list[Row]:
    """The rows of a file.

    ``column``: the one with the prompts, where it has none of the usual names; ``template``: the prompt made of a row's columns, such as
    ``a photo of a {line}``; ``source``: where the file comes from, said where it is missing. Raises PlanError naming the file, the line
    and the mend.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        mend = source or "Paths count from the plan's own folder."
        raise PlanError(f"prompts: there is no file {path}. {mend}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"prompts: {path.name} cannot be read as UTF-8 text ({error}). Save it as UTF-8.") from error
    kind = path.suffix.lower()
    rows = {".csv": _csv, ".jsonl": _jsonl, ".tsv": _tsv}.get(kind, _lines)(text, path.name)
    if not rows:
        raise PlanError(f"prompts: {path.name} holds no row. Put prompts into it.")
    if len(rows) > MOST:
        raise PlanError(f"prompts: {path.name} holds {len(rows)} rows; at most {MOST} are taken. Split it.")
    return [_named(row, column, template, path.name) for row in rows]


def _csv(text: str, name: str) -> list[Row]:
    return _table(text, name, ",")


def _tsv(text: str, name: str) -> list[Row]:
    first = text.split("\n", 1)[0].rstrip("\r").split("\t")
    if len(first) == 3 and not {one.strip().lower() for one in first} & {*NAMES["prompt"], "concept"}:
        lines = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
        bad = next((place for place, cells in enumerate(lines, 1) if len(cells) != 3), None)
        if bad:
            raise PlanError(f"prompts: line {bad} of {name} has not the three columns concept, content, query.")
        return [dict(zip(ORES, (cell.strip() for cell in cells), strict=True)) for cells in lines]
    return _table(text, name, "\t")


def _table(text: str, name: str, delimiter: str) -> list[Row]:
    csv.field_size_limit(1_000_000)
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise PlanError(f"prompts: {name}, line {reader.line_num}: {error}. Mend the file's quotes.") from error
    for place, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise PlanError(
                f"prompts: row {place} of {name} has not as many cells as its header ({len(reader.fieldnames or ())}). Quote cells that "
                "hold a comma; a file that was cut off ends in such a row."
            )
    return [{key.strip(): value.strip() for key, value in row.items()} for row in rows]


def _jsonl(text: str, name: str) -> list[Row]:
    rows = []
    for place, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise PlanError(f"prompts: line {place} of {name} is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise PlanError(f'prompts: line {place} of {name} is no object; write lines such as {{"prompt": "a cat"}}.')
        rows.append({key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()})
    return rows


def _lines(text: str, name: str) -> list[Row]:
    """A list, such as professions: one a line; lines that begin with # are notes."""
    return [{"line": line.strip()} for line in text.splitlines() if line.strip() and not line.startswith("#")]


def fill(template: str, row: Row, where: str) -> str:
    """A text with the row's columns in place of ``{column}``. Raises PlanError for a column that is not there."""
    made, rest = "", template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, close, rest = rest.partition("}")
        if not close or name not in row:
            raise PlanError(f"{where}: there is no column {name!r}. There are: {', '.join(row)}.")
        made += before + row[name]
    return made + rest


def _named(row: Row, column: str, template: str, file: str) -> Row:
    found = dict(row)
    for ours, theirs in NAMES.items():
        name = next((name for name in theirs if row.get(name, "") != ""), None)
        if name:
            found[ours] = row[name]
    if column and column not in row:
        raise PlanError(f"prompts: {file} has no column {column!r}. It has: {', '.join(row)}.")
    if column:
        found["prompt"] = row[column]
    if template:
        found["prompt"] = fill(template, found, "prompts.template")
    if "prompt" not in found:
        if "line" in row:
            return found | {"prompt": row["line"]}
        if any(name in row for name in NAMES["prompt"]):  # there, and empty in this row
            return found | {"prompt": ""}
        raise PlanError(
            f'prompts: {file} has no column for the prompt. It has: {", ".join(row)}. Name one in the plan: "column".'
        )
    return found
