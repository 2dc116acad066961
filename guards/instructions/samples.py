"""Files of rewriting samples: the ORES paper's text format, JSON lines, and the ORES dataset (three columns) for evaluation.

- Text (``training.txt`` of the paper): blocks of ``Input Caption:``, ``Concept:`` (several by commas) and ``Output Caption1:`` ... ,
  an empty line between two blocks.
- JSON lines: one object a line, ``{"caption": str, "concepts": [str], "references": [str], "held_out": bool}``; held_out may be
  left out.
- Dataset (``ORES_data.txt``): concept, content and query, separated by tabs. It has no references: it can score, not teach.

Errors name the file and the line.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..lists.written import split

LONGEST = 2_000  # characters of one caption
MOST = 10_000  # samples of one file
_FIELD = re.compile(r"(input\s+caption|concepts?|output\s+caption\s*\d*)\s*:\s*(.*)", re.IGNORECASE)


class SampleError(ValueError):
    """A sample file cannot be used; the text names file and line."""


@dataclass(frozen=True)
class Sample:
    """A caption, what is forbidden, and acceptable rewrites (none in an evaluation set)."""

    caption: str
    concepts: tuple[str, ...]
    references: tuple[str, ...] = ()
    held_out: bool = False


def read(text: str, name: str) -> list[Sample]:
    """The samples of a file's text; ``name`` is for errors. The format is told by the first line that is not empty."""
    text = text.lstrip("\ufeff")
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not first:
        raise SampleError(f"{name} is empty: write samples into it (see the help page of Learn Instruction).")
    if first.startswith("{"):
        samples = _json_lines(text, name)
    elif _FIELD.match(first):
        samples = _blocks(text, name)
    elif first.count("\t") == 2:
        samples = [Sample(query, (concept,)) for concept, _, query in rows(text, name)]
    else:
        raise SampleError(
            f"{name}, line 1: this is none of the three formats. A sample file begins with 'Input Caption:', with a JSON "
            "object, or with three columns separated by tabs (concept, content, query)."
        )
    if len(samples) > MOST:
        raise SampleError(f"{name} has {len(samples)} samples, more than {MOST}: split it.")
    return samples


def rows(text: str, name: str) -> list[tuple[str, str, str]]:
    """(concept, content, query) of each line of a dataset file in the ORES format."""
    triples = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 3 or not all(parts):
            raise SampleError(
                f"{name}, line {number}: {len(parts)} columns, where three filled ones are needed, separated by tabs: "
                "concept, content, query."
            )
        _fits(parts[2], name, number)
        triples.append(tuple(parts))
    if not triples:
        raise SampleError(f"{name} is empty: one line a row, concept, content and query separated by tabs.")
    return triples


def _fits(caption, name, number):
    if len(caption) > LONGEST:
        raise SampleError(f"{name}, line {number}: a caption of {len(caption)} characters, more than {LONGEST}.")


def _json_lines(text, name):
    samples = []
    for number, line in enumerate(text.split("\n"), 1):  # other marks that end lines may stand in a text of JSON
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SampleError(f"{name}, line {number}: no JSON ({error}).") from error
        if not isinstance(entry, dict):
            raise SampleError(f"{name}, line {number}: a JSON object is needed, this is {type(entry).__name__}.")
        unknown = entry.keys() - {"caption", "concepts", "references", "held_out"}
        if unknown:
            raise SampleError(
                f"{name}, line {number}: unknown field {sorted(unknown)[0]!r}; there are caption, concepts, references and "
                "held_out."
            )
        caption, held_out = entry.get("caption"), entry.get("held_out", False)
        lists: dict[str, Any] = {key: entry.get(key) for key in ("concepts", "references")}
        for key, value in lists.items():
            if (
                not isinstance(value, list)
                or not value
                or not all(isinstance(item, str) and item.strip() for item in value)
            ):
                raise SampleError(f"{name}, line {number}: {key} must be a list of texts with at least one.")
        if not isinstance(caption, str) or not caption.strip():
            raise SampleError(f"{name}, line {number}: caption must be a text.")
        if not isinstance(held_out, bool):
            raise SampleError(f"{name}, line {number}: held_out must be true or false.")
        _fits(caption, name, number)
        samples.append(
            Sample(
                caption.strip(),
                tuple(c.strip() for c in lists["concepts"]),
                tuple(r.strip() for r in lists["references"]),
                held_out,
            )
        )
    return samples


def _blocks(text, name):
    samples, block, start = [], {}, 1

    def close():
        if not block:
            return
        missing = next(
            (
                what
                for what, key in (
                    ("Input Caption", "caption"),
                    ("Concept", "concepts"),
                    ("Output Caption1", "references"),
                )
                if not block.get(key)
            ),
            None,
        )
        if missing:
            raise SampleError(f"{name}, line {start}: this sample has no '{missing}:'.")
        samples.append(Sample(block["caption"], tuple(block["concepts"]), tuple(block["references"])))

    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _FIELD.fullmatch(line.strip())
        if not match:
            raise SampleError(
                f"{name}, line {number}: 'Input Caption:', 'Concept:' or 'Output Caption1:' is needed, this is "
                f"{line[:60]!r}."
            )
        field, value = match[1].lower(), match[2].strip()
        if not value:
            raise SampleError(f"{name}, line {number}: nothing after the colon.")
        if field.startswith("input"):
            close()
            _fits(value, name, number)
            block, start = {"caption": value, "concepts": [], "references": []}, number
        elif not block:
            raise SampleError(f"{name}, line {number}: a sample begins with 'Input Caption:'.")
        elif field.startswith("concept"):
            try:
                block["concepts"] = split(value, f"{name}, line {number}")
            except ValueError as error:
                raise SampleError(str(error)) from error
        else:
            block["references"].append(value)
    close()
    return samples


def parts(samples: Sequence[Sample], seed: int, share: float = 0.25) -> tuple[list[Sample], list[Sample]]:
    """(to learn from, held out to score with). Where no sample is marked as held out, ``share`` of them is chosen by the seed."""
    teaching = [sample for sample in samples if sample.references]
    held_out = [sample for sample in teaching if sample.held_out]
    if held_out:
        return [sample for sample in teaching if not sample.held_out], held_out
    order = list(range(len(teaching)))
    random.Random(seed).shuffle(order)
    held_out_places = set(order[: max(1, round(share * len(order)))]) if len(order) > 1 else set()
    to_score = [sample for place, sample in enumerate(teaching) if place in held_out_places]
    return [sample for place, sample in enumerate(teaching) if place not in held_out_places], to_score
