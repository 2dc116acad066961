"""Rewrite every query of a dataset file (three columns by tabs: concept, content, query) with a language model of this machine, and say
what became of them: how many final prompts still hold their concept (none may), how many rewrites failed, how many changed,
what it cost."""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from pathlib import Path

from guards import files
from guards.rewriters.protocol import conversation

from .. import PROJECT
from ..setup import fetch_model
from ..setup.language_model import language_model
from .together import Together

FROM = (0.44, 0.48, 0.52, 0.55, 0.6, 0.65)  # limits that --only-notice counts for, beside the one in use
SECOND = 0.7  # probability of yes above which the second question says so; it finds 28 of 30 of the project's own captions that imply
_TASK = "A stranger looks at a picture without its caption. Say yes if the stranger would mention the word, no if not."
_ASK = "Caption: {}\nWord: {}"
_EXAMPLES = (
    ("The orchestra tunes its instruments", "violin", "yes"),
    ("A bicycle leans on a fence", "snow", "no"),
    ("Workers dig for coal", "underground", "yes"),
    ("A jug of lemonade on a table", "sleeping", "no"),
)
DEFAULT = PROJECT / "models" / "rewrite_evaluation.tsv"


def arguments():
    parser = argparse.ArgumentParser(prog="run.py rewrite", description=__doc__)
    parser.add_argument(
        "--model",
        help="a .gguf file, a folder with safetensors, or what `run.py fetch` has fetched: "
        f"{', '.join(fetch_model.MODELS)} (default: the small one of the tests)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT,
        help="the dataset file (default: models/rewrite_evaluation.tsv), or a .jsonl of samples as Learn Instruction takes them",
    )
    parser.add_argument("--rows", type=int, default=None, help="only the first rows")
    parser.add_argument(
        "--notice", choices=("model", "words"), default="model", help="who notices what a query implies"
    )
    parser.add_argument(
        "--only-notice",
        action="store_true",
        help="only ask: how many rows are noticed, and how many with other rows' concepts",
    )
    parser.add_argument("--attempts", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=48, help="tokens of an answer (default: 48)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--instruction", type=Path, help="a text file with another instruction than the shipped one")
    parser.add_argument(
        "--together",
        type=int,
        default=1,
        help="rows that are worked on at once: faster by far, but no row's own seconds",
    )
    parser.add_argument(
        "--judge",
        action="store_true",
        help="ask a second question, in other words, whether the final prompt of what was noticed implies its concept",
    )
    parser.add_argument(
        "--out", type=Path, help="write one JSON line a row into this file; rows that it has already are not done again"
    )
    parser.add_argument("--read", type=Path, help="only print the table of such a file, also of an unfinished one")
    return parser.parse_args()


def still_there(concept: str, text: str) -> bool:
    """A second, simpler look than the guard's own: the concept's words in order, whole words, plural or not."""
    return (
        re.search(r"(?<!\w)" + r"\W+".join(map(re.escape, concept.lower().split())) + r"(?:s|es)?(?!\w)", text.lower())
        is not None
    )


async def rewrite_all(rewriter, rows, options):
    """One dictionary a row: the report's summary, and what the checks say of the final prompt."""
    from ..testing import hosting

    rewriting, concept_text, synonyms, notice, refusals = (
        hosting.module(f"guards.rewriting.{name}") if name != "watch" else hosting.module("guards.words.watch")
        for name in ("rewrite", "watch", "synonyms", "notice", "refusals")
    )
    memory, seen = synonyms.Memory(), notice.Memory()
    made = {row["row"]: row for row in files.rows(options.out)}
    instruction = options.instruction.read_text(encoding="utf-8") if options.instruction else ""
    crowd = Together(rewriter) if options.together > 1 else rewriter

    async def one(place):
        number, (concept, _, query) = place
        outcome = await rewriting.rewrite(
            crowd,
            query,
            concept,
            instruction,
            "strip",
            options.attempts,
            options.seed,
            memory,
            notice=options.notice,
            seen=seen,
        )
        summary = outcome.summary
        left = bool(concept_text.watch({concept: ()}).find(outcome.text)) or still_there(concept, outcome.text)
        kept = refusals.kept(outcome.text, query, concept.lower().split())
        row = {
            "row": number,
            **summary,
            "concept": concept,
            "query": query,
            "still_there": left,
            "kept": round(kept, 3),
        }
        if options.judge and met(row):
            other = another(rows, number - 1)  # what the judge says of any prompt
            for name, text, asked in (
                ("implied", outcome.text, concept),
                ("implied other", outcome.text, other),
                ("implied before", query, concept),
            ):
                row[name] = round((await rewriter.judge(second_question(text, asked))).yes, 3)
        row["attempted"] = [detail for detail in outcome.details if "attempt" in detail]
        made[number] = row
        print(
            f"{number:4}  {summary['decision']:9}  {summary['seconds']:6.1f} s  {concept}: {outcome.text[:90]}",
            flush=True,
        )
        if options.out:
            files.append_row(options.out, row)

    todo = [(number, row) for number, row in enumerate(rows, 1) if number not in made]
    if options.together > 1:
        await crowd.each(todo, options.together, one)
    else:
        for place in todo:
            await one(place)
    return [made[number] for number in sorted(made)]


def met(row) -> bool:
    """Whether a row's concept was named in its query or noticed in its picture."""
    return bool(row["found"] or row.get("seen", {}).get("concepts"))


def another(rows, place: int) -> str:
    """The concept of another row than the one at ``place``."""
    return rows[(place + len(rows) * 37 // 100) % len(rows)][0]


def second_question(text: str, concept: str) -> list[dict]:
    """Whether a text implies a concept, in other words than the guard's own question and with other examples."""
    examples = [(_ASK.format(caption, word), answer) for caption, word, answer in _EXAMPLES]
    return conversation(_TASK, examples, _ASK.format(text, concept))


async def notice_all(rewriter, rows, options):
    """Print what is noticed of each query with its own concept and, for false alarms, with that of another row."""
    from ..testing import hosting

    notice, watch = hosting.module("guards.rewriting.notice"), hosting.module("guards.words.watch").watch
    memory, heard, start = notice.Memory(), [], time.monotonic()
    for number, (concept, _, query) in enumerate(rows):
        row = {"query": query}
        for key, one in (("own", concept), ("other", another(rows, number))):
            yes = (await notice.look(rewriter, query, [one], memory)).yes
            seen = bool((await notice.look_closely(rewriter, query, [one], memory)).concepts)
            named = bool(watch({part.strip(): () for part in one.split(",")}).find(query))
            row |= {key: one, f"{key} yes": yes, f"{key} seen": seen, f"{key} named": named}
        heard.append(row)
        print(
            f"{number + 1:4}  {row['own yes']:.2f} {row['own']:20}  {row['other yes']:.2f} {row['other']:20}  {query[:60]}",
            flush=True,
        )
        if options.out:
            files.append_row(options.out, row)
    seconds = (time.monotonic() - start) / max(1, 2 * len(rows))
    print(f"\n{noticed(heard, (*FROM, notice.THRESHOLD))}\n{seconds:.1f} s a question")


def noticed(heard, limits) -> str:
    """A line for each limit, and one for what the guard does, which looks at queries word by word: how many are noticed of the rows that
    imply their concept, and of all; and false alarms, of those that do not name the other row's concept."""
    implied, strange = ([row for row in heard if not row[f"{key} named"]] for key in ("own", "other"))
    lines = []

    def line(name, counts):
        seen, alarms = (sum(counts(row, key) for row in rows) for key, rows in (("own", implied), ("other", strange)))
        every = f"{seen + len(heard) - len(implied)} of {len(heard)} in all"
        told = f"noticed {seen} of {len(implied)} that imply it, {every}; false alarms {alarms} of {len(strange)}"
        lines.append(f"{name}: {told}")

    for limit in sorted({*limits}):
        line(f"from {limit:.2f}", lambda row, key, limit=limit: row[f"{key} yes"] >= limit)
    line("as it is", lambda row, key: row[f"{key} seen"])
    return "\n".join(lines)


def summary(made) -> str:
    """The table."""
    n, asked = len(made), [row for row in made if row["calls"]]
    rewriting = [row for row in made if row["decision"] != "unchanged"]
    calls = sum(row["calls"] for row in made)
    noticed = sum(map(met, made))
    judged, others, before = (
        [row[name] for row in made if name in row] for name in ("implied", "implied other", "implied before")
    )

    def share(decision):
        count = sum(row["decision"] == decision for row in made)
        return f"{count} of {n}"

    seconds = [row["seconds"] for row in asked] or [0.0]
    return "\n".join(
        [
            f"final prompts with the concept left   {sum(row['still_there'] for row in made)} of {n}",
            f"rewritten                             {share('rewritten')}",
            f"failed (block stops, strip removes)   {share('stripped')}",
            f"unchanged (concept not in the query)  {share('unchanged')}",
            f"noticed (named, or seen in its picture)  {noticed} of {n}",
            *(
                f"of these, {what}  {sum(yes > SECOND for yes in said)} of {len(said)}"
                for what, said in (
                    ("the final prompt implies it still", judged),
                    ("the final prompt implies another row's concept", others),
                    ("the query itself implies it", before),
                )
                if said
            ),
            f"changed                               {sum(row['changed'] for row in made)} of {n}",
            f"other words kept, median of changed   {statistics.median([row['kept'] for row in made if row['changed']] or [1.0]):.2f}",
            f"attempts a rewrite, mean              {statistics.mean([row['attempts'] for row in rewriting] or [0]):.2f}",
            f"seconds a query, median and largest   {statistics.median(seconds):.1f}, {max(seconds):.1f} (with one call for synonyms)",
            f"calls                                 {calls}",
            f"tokens a call, read and written       {sum(row['prompt_tokens'] for row in made) / max(1, calls):.0f}, "
            f"{sum(row['answer_tokens'] for row in made) / max(1, calls):.0f}",
        ]
    )


def _rows(samples, data: Path) -> list[tuple[str, str, str]]:
    """(concept, content, query) of a dataset file, or of samples for *Learn Instruction* in which something is to be rewritten."""
    text = data.read_text(encoding="utf-8")
    if data.suffix != ".jsonl":
        return samples.rows(text, data.name)
    told = [sample for sample in samples.read(text, data.name) if sample.caption not in sample.references]
    return [(", ".join(sample.concepts), "", sample.caption) for sample in told]


def main() -> int:
    options = arguments()
    if options.read:
        print(summary(files.rows(options.read)))
        return 0
    from ..testing import hosting

    hosting.start()
    import comfy.model_management  # noqa: F401 - the host reads its options before torch starts
    import torch

    samples, local_llm = hosting.module("guards.instructions.samples"), hosting.module("guards.rewriters.host_local")
    rows = _rows(samples, options.data)[: options.rows]
    model = (
        fetch_model.place_of(options.model)
        if options.model in fetch_model.MODELS
        else Path(options.model or language_model())
    )
    rewriter = local_llm.LocalRewriter(str(model), model.name, options.max_length, 0.0, keep_loaded=True)
    print(
        f"{model.name}, {options.data.name}, {len(rows)} rows, at most {options.attempts} attempts of {options.max_length} tokens, seed "
        f"{options.seed}, {torch.get_num_threads()} threads\n",
        flush=True,
    )
    # One that cannot be loaded ends the table here, and not as rows in which nothing was noticed.
    local_llm.load(str(model))
    if options.only_notice:
        asyncio.run(notice_all(rewriter, rows, options))
        return 0
    start = time.monotonic()
    made = asyncio.run(rewrite_all(rewriter, rows, options))
    print(f"\n{summary(made)}\n({(time.monotonic() - start) / 60:.1f} minutes with loading)")
    return int(any(row["still_there"] for row in made))


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
