"""Rows of the rewriting table that are worked on together: asked in one go, each with its own answer, and none done twice."""

import asyncio
import json
import types

import pytest

from tools.measuring import rewrite_table
from tools.measuring.together import Together
from tools.testing import hosting

protocol = hosting.module("guards.rewriters.protocol")
ROWS = [("beer", "-", f"a {word} with a beer") for word in ("red", "blue", "big", "small", "old")]


class Crowd:
    """Answers with the query's beer made milk; concepts have no other words. ``sizes``: how many were asked at a time."""

    name, temperature = "crowd", 0.0

    def __init__(self):
        self.sizes, self.alone = [], 0

    async def chat_all(self, conversations, *, seed=0, banned=()):
        self.sizes.append(len(conversations))
        assert len(banned) == len(conversations)
        return [self._answer(messages) for messages in conversations]

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        self.alone += 1
        return self._answer(messages)

    async def judge(self, messages, *, seed=0):
        return protocol.verdict(protocol.Answer("no", 1, 1), [("no", 0.9), ("yes", 0.1)])

    def _answer(self, messages):
        last = messages[-1]["content"]
        text = (
            last.split("Input Caption: ")[1].split("\n")[0].replace("beer", "milk") if "Input Caption" in last else "-"
        )
        return protocol.Answer(text, 10, 5)

    def release(self):
        pass


def measure(crowd, path, together):
    options = types.SimpleNamespace(
        together=together, judge=True, instruction=None, attempts=2, seed=0, notice="model", out=path
    )
    return asyncio.run(rewrite_table.rewrite_all(crowd, ROWS, options))


@pytest.mark.parametrize("together", [1, 2, 8])
def test_together_or_one_by_one_every_row_has_its_own_answer(tmp_path, together):
    crowd = Crowd()
    made = measure(crowd, tmp_path / "rows.jsonl", together)
    assert [row["rewritten"] for row in made] == [query.replace("beer", "milk") for _, _, query in ROWS]
    assert [row["implied"] for row in made] == [0.1] * 5 and [row["row"] for row in made] == [1, 2, 3, 4, 5]
    assert (not crowd.sizes and crowd.alone == 6) if together == 1 else max(crowd.sizes) == min(together, 5)
    told = rewrite_table.summary(made)
    assert "the final prompt implies it still  0 of 5" in told and "implies another row's concept  0 of 5" in told


def test_rows_that_a_file_has_are_not_done_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    made = measure(Crowd(), path, 8)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if json.loads(line)["row"] != 3) + "\n", encoding="utf-8")
    again = Crowd()
    assert [row["rewritten"] for row in measure(again, path, 8)] == [row["rewritten"] for row in made]
    assert sum(again.sizes) == 2, "one row: its concept's other words, and its rewrite"


def test_a_warm_attempt_is_asked_alone():
    crowd = Crowd()
    messages = [{"role": "user", "content": "Input Caption: a beer"}]

    async def ask():
        together = Together(crowd)
        together.running = 3
        return await together.chat(messages, temperature=0.5)

    assert asyncio.run(ask()).text == "a milk" and (crowd.sizes, crowd.alone) == ([], 1)


def test_draws_and_looks_of_several_rows_are_one_call_each_with_their_own_seeds_and_banned_words():
    calls = []

    class Drawing(Crowd):
        async def draw_all(self, conversations, *, temperature, drawn_from, banned=()):
            calls.append(("draw", temperature, list(zip(conversations, drawn_from, banned))))
            return [
                protocol.Answer(f"{messages[0]['content']} {seed}") for messages, seed in zip(conversations, drawn_from)
            ]

        async def judge_all(self, conversations, *, seed=0):
            calls.append(("judge", len(conversations)))
            return [await self.judge(messages) for messages in conversations]

    async def row(together, name):
        asked = [[{"role": "user", "content": name}]] * 2
        seeds = [1, 2] if name == "a" else [7, 8]
        drawn = await together.draw_all(asked, temperature=0.7, drawn_from=seeds, banned=[(name,)] * 2)
        assert len(await together.judge_all(asked)) == 2 and await together.judge_all([]) == []
        return [answer.text for answer in drawn]

    async def both():
        together = Together(Drawing())
        made = {}

        async def work(name):
            made[name] = await row(together, name)

        await together.each(["a", "b"], 2, work)
        return made

    assert asyncio.run(both()) == {"a": ["a 1", "a 2"], "b": ["b 7", "b 8"]}
    (draw, temperature, asked), judged = calls
    assert (draw, temperature, judged) == ("draw", 0.7, ("judge", 4))
    assert [(messages[0]["content"], seed, words) for messages, seed, words in asked] == [
        ("a", 1, ("a",)),
        ("a", 2, ("a",)),
        ("b", 7, ("b",)),
        ("b", 8, ("b",)),
    ]


def test_a_model_that_fails_fails_for_all_that_wait(tmp_path):
    crowd = Crowd()

    async def fails(*_, **__):
        raise protocol.RewriterError("no memory")

    crowd.chat_all = fails
    made = asyncio.run(asyncio.wait_for(_all(crowd, tmp_path / "rows.jsonl"), 20))
    assert [row["decision"] for row in made] == ["stripped"] * 5


async def _all(crowd, path):
    options = types.SimpleNamespace(
        together=3, judge=False, instruction=None, attempts=2, seed=0, notice="model", out=path
    )
    return await rewrite_table.rewrite_all(crowd, ROWS, options)


def test_what_is_noticed_is_counted_for_several_limits_and_what_names_a_concept_is_no_false_alarm():
    row = lambda own, other, own_named=False, other_named=False: {
        "own yes": own,
        "other yes": other,
        "own seen": own > 0.6,
        "other seen": other > 0.95,
        "own named": own_named,
        "other named": other_named,
    }
    heard = [row(0.5, 0.5), row(0.7, 0.1), row(0.1, 0.9, own_named=True, other_named=True)]
    assert rewrite_table.noticed(heard, (0.6, 0.4)).splitlines() == [
        "from 0.40: noticed 2 of 2 that imply it, 3 of 3 in all; false alarms 1 of 2",
        "from 0.60: noticed 1 of 2 that imply it, 2 of 3 in all; false alarms 0 of 2",
        "as it is: noticed 1 of 2 that imply it, 2 of 3 in all; false alarms 0 of 2",
    ]


def test_samples_for_learning_can_be_asked_about_too(tmp_path):
    path = tmp_path / "samples.jsonl"
    lines = [
        {"caption": "a pub", "concepts": ["beer", "ale"], "references": ["a bakery"]},
        {"caption": "a house", "concepts": ["beer"], "references": ["a house"]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    samples = hosting.module("guards.instructions.samples")
    assert rewrite_table._rows(samples, path) == [("beer, ale", "", "a pub")]
    assert len(rewrite_table._rows(samples, rewrite_table.DEFAULT)) == 100
