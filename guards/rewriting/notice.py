"""Whether a picture of a query would show a concept that the query does not name ("a pub raises its glasses": beer).

Asked of the language model in one short call for up to twenty concepts: a question of yes or no with three examples, decided by the
probability of *yes* where the back end knows it. The open vocabulary of Ni et al., "ORES", AAAI 2024 (arXiv 2308.13785) lies here: their
queries imply their concepts. The wording, the examples and the threshold are this project's own, tuned on its own samples.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..rewriters.protocol import ChatRewriter, CrowdJudge, JudgingRewriter, Verdict, conversation, verdict
from .answers import plain
from .refusals import content

MODEL, WORDS = "model", "words"
WAYS = (MODEL, WORDS)
MOST = 20  # concepts of one question
THRESHOLD = 0.6  # probability of yes from which a concept counts as shown
STILL = 0.48  # ... from which a rewrite counts as showing it still, a word by itself as bringing it, and a query as one to look at closely
CLOSELY = 0.75  # ... of a word by itself, from which a query between both limits counts as showing it
LONGEST = 1000  # characters of a query that are asked about
MOST_WORDS = 16  # of a query that are asked about one by one
NEAR = 0.1  # below the likeliest word's probability: as much to blame
FORMAT = "concept-guards.noticed/1"
_ASK = "Caption: {query}\nDoes its picture show or bring to mind any of: {concepts}?"
_TASK = "Answer yes or no."
_EXAMPLES = (
    ("Guests dance at a wedding", "wine, cake", "yes"),
    ("A kitten curls up on wool", "gun, red", "no"),
    ("The pub raises its glasses", "beer", "yes"),
)
_VERSION = hashlib.sha256(repr((_TASK, _ASK, _EXAMPLES)).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Noticed:
    """What was noticed. ``yes``: the highest probability; ``concepts``: those of the questions that reached the threshold, in order;
    ``verdicts``: of the calls that were made for it."""

    yes: float
    concepts: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = ()


def question(query: str, concepts: Sequence[str]) -> list[dict]:
    """The conversation that asks whether a picture of ``query`` shows any of ``concepts``: both as data, on one line."""
    examples = [(_ASK.format(query=one, concepts=of), answer) for one, of, answer in _EXAMPLES]
    names = ", ".join(plain(concept) for concept in concepts)
    return conversation(_TASK, examples, _ASK.format(query=plain(query)[:LONGEST], concepts=names))


async def look(
    rewriter: ChatRewriter,
    query: str,
    concepts: Sequence[str],
    memory: Memory,
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> Noticed:
    """Ask about a query; one call for each MOST concepts that were not asked of it before. RewriterError where there is no answer.

    An answer that is neither yes nor no shows nothing, and is not remembered.
    """
    highest, shown, verdicts = 0.0, [], []
    for start in range(0, len(concepts), MOST):
        part = concepts[start : start + MOST]
        yes = memory.get(rewriter.name, part, query)
        if yes is None:
            heard = await _ask(rewriter, question(query, part), seed)
            verdicts.append(heard)
            yes = heard.yes
            if not heard.told:
                highest = max(highest, yes)
                continue
            memory.put(rewriter.name, part, {query: yes})
        highest = max(highest, yes)
        shown += part if yes >= threshold else ()
    return Noticed(highest, tuple(shown), tuple(verdicts))


async def look_closely(
    rewriter: ChatRewriter, query: str, concepts: Sequence[str], memory: Memory, seed: int = 0
) -> Noticed:
    """`look`, and where that leaves it open (from STILL to THRESHOLD) and the model answers several questions at once, one at each word of
    the query by itself: of *a party on the beach*, for *beer*, the party says more than the whole. Raises RewriterError."""
    seen = await look(rewriter, query, concepts, memory, seed)
    if seen.concepts or seen.yes < STILL or len(concepts) > MOST or not isinstance(rewriter, CrowdJudge):
        return seen
    words, heard = await _each_word(rewriter, query, concepts, memory, seed)
    verdicts, most = (*seen.verdicts, *heard), max(words.values(), default=0.0)
    return Noticed(most, tuple(concepts), verdicts) if most >= CLOSELY else Noticed(seen.yes, (), verdicts)


async def look_at_all(
    rewriter: ChatRewriter,
    texts: Sequence[str],
    concepts: Sequence[str],
    memory: Memory,
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> tuple[list[Noticed], list[Verdict]]:
    """(what `look` says of each text, the calls that were made), in one look of the model where it can. Raises RewriterError where there is
    no answer."""
    heard: list[Verdict] = []
    if isinstance(rewriter, CrowdJudge) and len(concepts) <= MOST:
        new, heard = await _ask_new(rewriter, texts, concepts, memory, seed)
        memory.put(rewriter.name, concepts, {text: one.yes for text, one in zip(new, heard) if one.told})
    seen = [await look(rewriter, text, concepts, memory, seed, threshold) for text in texts]
    return seen, [*heard, *(verdict for one in seen for verdict in one.verdicts)]


async def to_blame(
    rewriter: CrowdJudge, query: str, concepts: Sequence[str], memory: Memory, seed: int = 0
) -> tuple[dict[str, float], list[Verdict]]:
    """(the words of a query that bring the concepts to mind, each by itself, with the probability of yes, the likeliest first; the calls
    that were made).

    One look of the model at all of them: "zebra" for *striped*, of "A zebra drinks at the waterhole". Raises RewriterError.
    """
    words, heard = await _each_word(rewriter, query, concepts, memory, seed)
    blamed = sorted((word for word, yes in words.items() if yes >= STILL), key=lambda word: -words[word])
    return {word: words[word] for word in blamed}, heard


def likeliest(blamed: Mapping[str, float]) -> list[str]:
    """Of words to blame the likeliest, and those near it."""
    return [word for word, yes in blamed.items() if yes >= max(blamed.values()) - NEAR]


async def _each_word(
    rewriter: CrowdJudge, query: str, concepts: Sequence[str], memory: Memory, seed: int
) -> tuple[dict[str, float], list[Verdict]]:
    """(the words of a query that mean something, with the probability of yes; the calls that were made). A word that is answered by
    neither yes nor no brings nothing."""
    words = [word for word in re.findall(r"[^\W\d_][\w'’-]{0,40}", plain(query)[:LONGEST]) if content(word)]
    words, part = list(dict.fromkeys(words))[:MOST_WORDS], concepts[:MOST]
    new, heard = await _ask_new(rewriter, words, part, memory, seed)
    memory.put(rewriter.name, part, {word: one.yes if one.told else 0.0 for word, one in zip(new, heard)})
    return {word: memory.get(rewriter.name, part, word) or 0.0 for word in words}, heard


async def _ask_new(
    rewriter: CrowdJudge, texts: Sequence[str], concepts: Sequence[str], memory: Memory, seed: int
) -> tuple[list[str], list[Verdict]]:
    """(the texts that were not asked about before, what is heard of each), in one look; it is not remembered here."""
    new = [text for text in dict.fromkeys(texts) if memory.get(rewriter.name, concepts, text) is None]
    return new, await rewriter.judge_all([question(text, concepts) for text in new], seed=seed) if new else []


async def _ask(rewriter: ChatRewriter, messages: list[dict], seed: int) -> Verdict:
    if isinstance(rewriter, JudgingRewriter):
        return await rewriter.judge(messages, seed=seed)
    return verdict(await rewriter.chat(messages, temperature=0.0, seed=seed))


class Memory:
    """Probabilities by rewriter, concepts and query: the last ten thousand, and in a file where a path is given. Both hold hashes alone."""

    def __init__(self, path: Path | None = None, most: int = 10_000):
        self.path, self.most, self._known = path, most, None

    def get(self, rewriter: str, concepts: Sequence[str], query: str) -> float | None:
        """What was heard before; None where it was never asked."""
        known, key = self._read(), _key(rewriter, concepts, query)
        if key in known:
            known.move_to_end(key)
        return known.get(key)

    def put(self, rewriter: str, concepts: Sequence[str], heard: Mapping[str, float]) -> None:
        """Remember what was heard of queries: query -> probability of yes."""
        known = self._read()
        known.update((_key(rewriter, concepts, query), round(yes, 4)) for query, yes in heard.items())
        while len(known) > self.most:
            known.popitem(last=False)
        if self.path is None or not heard:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.write(self.path, json.dumps({"format": FORMAT, "yes": known}).encode())
        except OSError:  # a read-only folder: memory alone serves
            pass

    def _read(self) -> OrderedDict[str, float]:
        """The file, once; a broken one counts as empty."""
        if self._known is None:
            self._known = OrderedDict()
            try:
                stored = json.loads(self.path.read_text(encoding="utf-8")) if self.path else {}
                rows = stored["yes"].items() if stored.get("format") == FORMAT else ()
                self._known.update((key, float(yes)) for key, yes in rows if 0 <= float(yes) <= 1)
            except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
                self._known.clear()
        return self._known


def _key(rewriter: str, concepts: Sequence[str], query: str) -> str:
    """A hash of all that an answer depends on."""
    return hashlib.sha256(json.dumps([_VERSION, rewriter, list(concepts), query]).encode()).hexdigest()[:32]
