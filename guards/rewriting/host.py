"""Rewriting inside the host: the synonyms' file, the progress bar, and that a model is given back."""

from pathlib import Path

import folder_paths

from ..host import progress
from ..rewriters.protocol import ChatRewriter, TextRewriter
from . import rewrite as rewriting
from . import synonyms

FILE = "concept_guards/synonyms.json"
_memory = None


def memory() -> synonyms.Memory:
    """Synonyms asked before, in this process and (by the file in the host's user directory) in earlier ones."""
    global _memory
    path = Path(folder_paths.get_user_directory()) / FILE
    if _memory is None or _memory.path != path:
        _memory = synonyms.Memory(path)
    return _memory


async def rewrite(
    rewriter: ChatRewriter | TextRewriter,
    query: str,
    concepts: str,
    instruction: str,
    on_failure: str,
    attempts: int,
    seed: int,
) -> rewriting.Outcome:
    """See `guards.rewriting.rewrite`. What the rewriter holds is released in any case."""
    try:
        return await rewriting.rewrite(
            rewriter, query, concepts, instruction, on_failure, attempts, seed, memory(), progress.Bar()
        )
    finally:
        rewriter.release()
