"""The calls to one language model in one rewrite: what is asked, how often, and which of several answers is the best.

What is heard is judged in `decisions`; `rewrite` says when to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..rewriters.protocol import Answer, ChatRewriter, CrowdJudge, DrawingRewriter, RewriterError, Verdict
from ..words.watch import words_of
from . import filling
from . import notice as noticing
from . import synonyms as other_words
from .answers import caption, plain
from .decisions import Attempt, Case, Record
from .refusals import content, kept
from .restoring import differences, put_back, restored

BLANKS = 3  # words of a text that are replaced one after the other, at most
BACK = 8  # places of an answer that are tried with the query's own words, at most
DRAWN, DRAWN_AT = 3, 0.7  # further answers to a request whose likeliest one is not clearly good, and their temperature
CLEAR = 0.25  # probability that a picture still shows a concept below which an answer is clearly good ...
KEEPS = 0.75  # ... where it keeps that share of the query's words, or all that it was not asked to replace
WARMER = 0.35  # added to the temperature with each further attempt
WARMEST = 1.2


def kin(word: str) -> str:
    """A word and what is made from it, as `decoding.BannedWords` takes it: a model that may not write *Gargantuan* wrote *Gargantious*."""
    return word if len(word) < 5 else f"{word[: (2 * len(word) + 2) // 3]}*"


class Wanted(NamedTuple):
    """What an attempt asks for: the ``number``-th from 0; ``again``: whether the model was told what was wrong; ``said``: what it was told,
    which is no answer; ``banned``: what it may not write; ``text``: what is rewritten; ``words``: those that it was told to replace;
    ``replace``: all that bring the concept to mind, likeliest first; none under an instruction of the user's own, which may ask for other
    words elsewhere."""

    messages: list[dict]
    number: int
    again: bool
    said: str
    banned: Sequence[str]
    text: str
    words: Sequence[str]
    replace: Sequence[str]


class Asking:
    """The calls to one language model in one rewrite, and the record of them."""

    def __init__(
        self,
        rewriter: ChatRewriter,
        seed: int,
        memory: other_words.Memory,
        progress: Callable[[int, int], None],
        clock: Callable[[], float],
    ):
        self.rewriter, self.seed, self.memory, self.progress, self.clock = rewriter, seed, memory, progress, clock
        self.started, self.attempts, self.answers, self.warnings, self.looks = clock(), [], [], [], []
        self.seen: noticing.Memory | None = None  # where the model is asked what pictures show
        self.blamed: set[str] = set()  # words that bring a concept to mind, folded

    @property
    def record(self) -> Record:
        """What was asked until now."""
        seconds = self.clock() - self.started
        return Record(tuple(self.attempts), tuple(self.answers), tuple(self.warnings), seconds, tuple(self.looks))

    async def synonyms(self, names: Sequence[str]) -> tuple[dict[str, other_words.Words], RewriterError | None]:
        """(each concept's other words, the error of a back end that does not answer). One call for each that was never asked."""
        remembered = {name: self.memory.get(self.rewriter.name, name) for name in names}
        words = {name: known or other_words.Words() for name, known in remembered.items()}
        new = [name for name, known in remembered.items() if known is None]
        for number, name in enumerate(new):
            self.progress(number, len(new) + 1)
            try:
                words[name], answer = await other_words.ask(self.rewriter, name, self.seed)
            except RewriterError as error:
                self.warnings.append(f"synonyms of {name!r} could not be asked for: {error}")
                return words, error
            self.answers.append(answer)
            self.memory.put(self.rewriter.name, name, words[name])
        return words, None

    async def to_blame(self, case: Case, text: str) -> dict[str, float]:
        """`notice.to_blame`; nothing where no model is asked about pictures, or only one thing at a time."""
        if not self.seen or not isinstance(self.rewriter, CrowdJudge):
            return {}
        words, calls = await noticing.to_blame(self.rewriter, text, case.concerned, self.seen, self.seed)
        self._note(calls)
        self.blamed |= {folded for word in words for folded in words_of(word)}
        return words

    async def attempt(self, case: Case, wanted: Wanted) -> Attempt:
        """Ask for a rewrite and judge it. Where the likeliest answer is not clearly good, the query's own words are put back, blanks are
        filled and some more answers drawn; the best counts. Raises RewriterError where there is no answer."""
        warmer = min(WARMEST, self.rewriter.temperature + WARMER * wanted.number) if wanted.again else None
        start, seed, banned = self.clock(), self.seed + wanted.number, wanted.banned
        answer = await self.rewriter.chat(wanted.messages, temperature=warmer, seed=seed, banned=banned)
        self.answers.append(answer)
        tried = await self._tried(case, wanted, [answer])
        if self.seen and not _any_clear(tried, case, wanted):
            tried += await self._filled(case, wanted)
        if self.seen and not _any_clear(tried, case, wanted) and isinstance(self.rewriter, DrawingRewriter):
            more = await self.rewriter.draw_all(
                [wanted.messages] * DRAWN,
                temperature=max(DRAWN_AT, warmer or 0.0),
                drawn_from=[seed * DRAWN + n for n in range(DRAWN)],
                banned=[banned] * DRAWN,
            )
            self.answers += more
            tried += await self._tried(case, wanted, more)
        best = await self._nearer(case, wanted, max(tried, key=lambda one: _worth(one, case)))
        self.attempts.append(replace(best, seconds=self.clock() - start))
        return self.attempts[-1]

    async def _tried(self, case: Case, wanted: Wanted, answers: Sequence[Answer]) -> list[Attempt]:
        """Answers as attempts, and, where none is clearly good, the query with what they have in the place of its words to replace."""
        several = "\n" in case.query.strip()
        made = [(caption(answer.text, several=several, query=case.query), answer) for answer in answers]
        tried = await self._judged(case, made, wanted.said)
        if not self.seen or _any_clear(tried, case, wanted):
            return tried
        whole = {}  # the fewest words replaced first, as the likeliest of them may be enough
        for count in range(1, min(BLANKS, len(wanted.replace)) + 1):
            for text, answer in made:
                whole.setdefault(restored(text, wanted.text, wanted.replace[:count]), answer)
        known = {wanted.text, "", *(text for text, _ in made)}
        return tried + await self._judged(case, [pair for pair in whole.items() if pair[0] not in known], wanted.said)

    async def _filled(self, case: Case, wanted: Wanted) -> list[Attempt]:
        """What becomes of a text whose words are replaced one after the other, until one of the results is clearly good."""
        text, tried = wanted.text, []
        for word in wanted.replace[:BLANKS]:
            asked, banned = filling.question(text, word, case.concerned), (*wanted.banned, kin(word))
            try:
                answer = await self.rewriter.chat(asked, seed=self.seed, banned=banned)
                self.answers.append(answer)
                made = [(one, answer) for one in filling.captions(answer.text, text, word)]
                found = await self._judged(case, made, wanted.said)
            except RewriterError as error:  # the answer that is there may do
                self.warnings.append(f"the blank of {word!r} could not be filled: {error}")
                break
            if not found:
                continue
            best = max(found, key=lambda one: _worth(one, case))
            tried.append(best)
            if _any_clear([best], case, wanted):
                break
            text = best.text
        return tried

    async def _nearer(self, case: Case, wanted: Wanted, best: Attempt) -> Attempt:
        """An answer that keeps too little, with those of the query's words back that bring nothing to mind and that its picture allows:
        each alone, then those that may stand together, the most harmless first."""
        keeps = _keeps(best.text, case)
        if not (self.seen and wanted.replace and best.answer) or best.problem or keeps >= KEEPS:
            return best
        tried, answer = [best], best.answer
        harmless = [
            one for one in differences(best.text, case.query) if not self.blamed.intersection(words_of(one.words))
        ]
        places = {put_back(best.text, [one]): one for one in harmless}
        worth = {text: one for text, one in places.items() if _keeps(text, case) > keeps}
        try:
            alone = await self._judged(case, [(text, answer) for text in list(worth)[:BACK]], wanted.said)
            tried += alone
            sound = sorted((one for one in alone if not one.problem), key=lambda one: one.yes or 0.0)
            back = [worth[one.text] for one in sound]
            together = [put_back(best.text, back[:count]) for count in range(2, len(back) + 1)]
            tried += await self._judged(case, [(text, answer) for text in together], wanted.said)
        except RewriterError as error:  # the answer that is there may do
            self.warnings.append(f"the query's own words could not be put back: {error}")
        return max(tried, key=lambda one: _worth(one, case))

    async def _judged(self, case: Case, made: Sequence[tuple[str, Answer]], said: str) -> list[Attempt]:
        """Attempts: captions, each with the answer that it comes from, and what is wrong with it."""
        tried = [Attempt(text, case.problem(text, said), answer) for text, answer in made]
        sound = [number for number, one in enumerate(tried) if not one.problem] if self.seen else []
        asked = [tried[number].text for number in sound]
        seen = await self._still(asked, case.concerned) if sound else []
        for number, one in zip(sound, seen):
            names = ", ".join(map(plain, one.concepts))
            problem = f"its picture would still show {names} (probability {one.yes:.2f})" if names else ""
            tried[number] = replace(tried[number], problem=problem, yes=one.yes)
        return tried

    async def look(self, case: Case) -> Case:
        """The case with what the model sees in its picture. Raises RewriterError where it is not told and on_failure is block."""
        if not self.seen:
            return case
        try:
            seen = await noticing.look_closely(self.rewriter, case.query, list(case.words), self.seen, self.seed)
            self._heard([seen], seen.verdicts)
            return replace(case, seen=seen)
        except RewriterError as error:
            if case.on_failure == "block":
                raise
            self.warnings.append(f"what the picture shows could not be asked for: {error}")
            return case

    async def _still(self, texts: Sequence[str], concepts: Sequence[str]) -> list[noticing.Noticed]:
        assert self.seen is not None  # nobody asks where nothing is noticed
        memory, limit = self.seen, noticing.STILL
        seen, calls = await noticing.look_at_all(self.rewriter, texts, concepts, memory, self.seed, limit)
        self._heard(seen, calls)
        return seen

    def _heard(self, seen: Sequence[noticing.Noticed], calls: Sequence[Verdict]) -> None:
        self._note(calls)
        if not all(verdict.told for one in seen for verdict in one.verdicts):
            self.warnings.append("the model answered neither yes nor no when it was asked what a picture shows")

    def _note(self, calls: Sequence[Verdict]) -> None:
        self.looks += [verdict.answer for verdict in calls]
        self.answers += [verdict.answer for verdict in calls]


def _any_clear(tried: Sequence[Attempt], case: Case, wanted: Wanted) -> bool:
    """Whether one of them is so good that no other answer need be asked for."""
    own, spared = case.unsaid, {folded for word in wanted.words for folded in words_of(word)}
    # what is left without the words to replace
    share = content(case.query, own | spared) / max(1, content(case.query, own))
    sound = [one for one in tried if not one.problem and (one.yes is None or one.yes < CLEAR)]
    return any(_keeps(one.text, case) >= min(KEEPS, share) for one in sound)


def _worth(attempt: Attempt, case: Case) -> tuple[bool, bool, bool, float]:
    """What makes an attempt better than another: that it can be used; that at most its picture is wrong; that it keeps most of the query;
    what it keeps, and how far from the concept it is."""
    yes = attempt.yes if attempt.yes is not None else float(bool(attempt.problem))
    share = _keeps(attempt.text, case)
    usable = not attempt.problem
    return usable, usable or attempt.still_shows, usable and share >= KEEPS, share - 2 * yes


def _keeps(text: str, case: Case) -> float:
    """The share of the query's words that a text keeps, those aside that no rewrite may."""
    return kept(text, case.query, case.unsaid)
