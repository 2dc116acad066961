"""Rewriting inside the host: the synonyms' file, the progress bar, and that a model is given back."""

from pathlib import Path

import folder_paths

from ..host import progress
from ..rewriters.protocol import ChatRewriter, TextRewriter
from . import notice as noticing
from . import rewrite as rewriting
from . import synonyms

FILE = "concept_guards/synonyms.json"
SEEN = "concept_guards/noticed.json"
_memory = _seen = None


def memory() -> synonyms.Memory:
    """Synonyms asked before, in this process and (by the file in the host's user directory) in earlier ones."""
    global _memory
    path = Path(folder_paths.get_user_directory()) / FILE
    if _memory is None or _memory.path != path:
        _memory = synonyms.Memory(path)
    return _memory


def seen() -> noticing.Memory:
    """What was noticed before, in this process and, as hashes, in a file of the host's user directory."""
    global _seen
    path = Path(folder_paths.get_user_directory()) / SEEN
    if _seen is None or _seen.path != path:
        _seen = noticing.Memory(path)
    return _seen


async def rewrite(
    rewriter: ChatRewriter | TextRewriter,
    query: str,
    concepts: str,
    instruction: str,
    on_failure: str,
    attempts: int,
    seed: int,
    notice: str,
) -> rewriting.Outcome:
    """See `guards.rewriting.rewrite`. What the rewriter holds is released in any case."""
    try:
        return await rewriting.rewrite(
            rewriter,
            query,
            concepts,
            instruction,
            on_failure,
            attempts,
            seed,
            memory(),
            progress.Bar(),
            notice=notice,
            seen=seen(),
        )
    finally:
        rewriter.release()
