"""Language models for the tests that say how probable their yes is, scripted."""

import asyncio

from tools.testing import hosting

rewriting, protocol, synonyms, filling = (
    hosting.module(f"guards.{name}")
    for name in ("rewriting.rewrite", "rewriters.protocol", "rewriting.synonyms", "rewriting.filling")
)


class Judge:
    """A JudgingRewriter. ``sees``: caption -> probability of yes (a number, a word, or an error), others 0.1. ``answers``: of chat;
    ``fills``: blanked caption -> what it fills the blank with, others nothing."""

    name, temperature = "judge", 0.0

    def __init__(self, sees, *answers):
        self.sees, self.answers, self.asked, self.questions = sees, list(answers), [], []
        self.fills, self.filled = {}, []

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        if messages[0] == filling.question("", "a", [])[0]:
            blank, names = messages[-1]["content"].split("\n")
            self.filled.append((blank.removeprefix("Caption: "), names))
            return protocol.Answer(self.fills.get(self.filled[-1][0], ""), 10, 5)
        self.asked.append([dict(message) for message in messages])
        return protocol.Answer(self.answers.pop(0), 10, 5)

    async def judge(self, messages, *, seed=0):
        caption = messages[-1]["content"].split("\n")[0].removeprefix("Caption: ")
        self.questions.append(messages)
        yes = self.sees.get(caption, 0.1)
        if isinstance(yes, Exception):
            raise yes
        if isinstance(yes, str):
            return protocol.verdict(protocol.Answer(yes))
        return protocol.verdict(protocol.Answer("yes", 100, 1), [("yes", yes), ("no", 1 - yes)])

    def release(self):
        pass


def known(*concepts):
    """A memory in which no synonym is left to ask for."""
    memory = synonyms.Memory()
    for concept in concepts:
        memory.put("judge", concept, synonyms.Words())
    return memory


def run(back_end, query, concepts="beer", **options):
    options = {"notice": "model", "memory": known(*concepts.split(", ")), **options}
    return asyncio.run(rewriting.rewrite(back_end, query, concepts, **options))


class Crowd(Judge):
    """A CrowdJudge."""

    async def judge_all(self, conversations, *, seed=0):
        return [await self.judge(messages, seed=seed) for messages in conversations]
