"""Several rewrites at once with one language model: what they ask at the same time is answered in one go.

One row after the other, a model of this machine spends most of its time on reading its own weights, once for each token it writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence


class Together:
    """A JudgingRewriter before a `CrowdRewriter`: holds the likeliest answers back until all that run have asked for one."""

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
        if (self.temperature if temperature is None else temperature) > 0:  # drawn from its own seed: alone
            return await self.rewriter.chat(messages, temperature=temperature, seed=seed, banned=banned)
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((messages, tuple(banned), answer))
        await self._answer_if_all_wait()
        return await answer

    async def draw(self, messages, count, **how):
        """None of a model that cannot."""
        if hasattr(self.rewriter, "draw"):
            return await self.rewriter.draw(messages, count, **how)
        return []

    async def judge(self, messages, *, seed=0):
        return await self.rewriter.judge(messages, seed=seed)

    async def judge_all(self, conversations, *, seed=0):
        if not hasattr(self.rewriter, "judge_all"):
            return [await self.judge(messages, seed=seed) for messages in conversations]
        return await self.rewriter.judge_all(conversations, seed=seed)

    def release(self):
        """Nothing is held."""

    async def _answer_if_all_wait(self):
        if not self.waiting or len(self.waiting) < self.running:
            return
        asked, self.waiting = self.waiting, []
        beginning = lambda row: "" if len(row[0]) == 1 else row[0][0]["content"]
        for begun in dict.fromkeys(map(beginning, asked)):  # what begins alike is read faster
            await self._answer([row for row in asked if beginning(row) == begun])

    async def _answer(self, asked):
        try:
            answers = await self.rewriter.chat_all([row[0] for row in asked], banned=[row[1] for row in asked])
        except Exception as error:  # of each that waits, not only of the one that asked last
            for _, _, waits in asked:
                waits.set_exception(error)
            return
        for (_, _, waits), answer in zip(asked, answers):
            waits.set_result(answer)
