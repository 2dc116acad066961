"""Several rewrites at once with one language model: what they ask at the same time is answered in one go.

One row after the other, a model of this machine spends most of its time on reading its own weights, once for each token it writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Together:
    """A JudgingRewriter before a `CrowdRewriter`: holds answers back until all that run have asked for some."""

    def __init__(self, rewriter):
        self.rewriter, self.name, self.temperature = rewriter, rewriter.name, rewriter.temperature
        self.running, self.waiting = 0, []

    async def each(self, rows: Sequence, most: int, work: Callable[[object], Awaitable[None]]) -> None:
        """``work`` on each row, at most ``most`` at a time."""
        left = iter(rows)

        async def one_after_the_other():
            for row in left:
                await work(row)
            self.running -= 1
            await self._answer_if_all_wait()

        self.running = min(most, len(rows))
        await asyncio.gather(*(one_after_the_other() for _ in range(self.running)))

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        if (self.temperature if temperature is None else temperature) > 0:  # drawn from one seed for all: alone
            return await self.rewriter.chat(messages, temperature=temperature, seed=seed, banned=banned)
        (answer,) = await self._asked("chat_all", [messages], banned=[tuple(banned)])
        return answer

    async def draw_all(self, conversations, *, temperature, drawn_from, banned=()):
        if not hasattr(self.rewriter, "draw_all"):
            return []
        warmth = [temperature] * len(conversations)
        return await self._asked("draw_all", conversations, temperature=warmth, drawn_from=drawn_from, banned=banned)

    async def judge(self, messages, *, seed=0):
        return await self.rewriter.judge(messages, seed=seed)

    async def judge_all(self, conversations, *, seed=0):
        if not hasattr(self.rewriter, "judge_all"):
            return [await self.judge(messages, seed=seed) for messages in conversations]
        return await self._asked("judge_all", conversations)

    def release(self):
        """Nothing is held."""

    async def _asked(self, call: str, conversations, **each):
        """The answers of the rewriter's ``call`` to some conversations. ``each``: what else it takes, a value for each of them."""
        rows = [
            _Row(call, messages, dict(zip(each, values)), asyncio.get_running_loop().create_future())
            for messages, *values in zip(conversations, *each.values())
        ]
        if rows:
            self.waiting.append(rows)
            await self._answer_if_all_wait()
        return [await row.answer for row in rows]

    async def _answer_if_all_wait(self):
        if not self.waiting or len(self.waiting) < self.running:
            return
        asked, self.waiting = [row for rows in self.waiting for row in rows], []
        for alike in dict.fromkeys(row.alike for row in asked):  # what begins alike is read faster
            await self._answer([row for row in asked if row.alike == alike])

    async def _answer(self, asked):
        each = {name: [row.each[name] for row in asked] for name in asked[0].each}
        if "temperature" in each:
            each["temperature"] = each["temperature"][0]
        try:
            answers = await getattr(self.rewriter, asked[0].call)([row.messages for row in asked], **each)
        except Exception as error:  # of each that waits, not only of the one that asked last
            for row in asked:
                row.answer.set_exception(error)
            return
        for row, answer in zip(asked, answers):
            row.answer.set_result(answer)


class _Row(NamedTuple):
    """A conversation that waits: the call that answers it, what else that takes, and where the answer goes."""

    call: str
    messages: Sequence[dict]
    each: dict
    answer: asyncio.Future

    @property
    def alike(self):
        """The same for what is answered in one go."""
        begun = "" if len(self.messages) == 1 else self.messages[0]["content"]
        return self.call, self.each.get("temperature"), begun
