"""Rewriting inside the host: the synonyms' file, the progress bar, the report on the node."""

import sys
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths

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


async def rewrite(rewriter, query, concepts, instruction, on_failure, attempts, seed) -> rewriting.Outcome:
    """See `guards.rewriting.rewrite`. What the rewriter holds is released in any case."""
    bar = []

    def progress(done, total):
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not bar:
            bar.append(comfy.utils.ProgressBar(total))
        bar[0].update_absolute(done, total)

    try:
        return await rewriting.rewrite(
            rewriter, query, concepts, instruction, on_failure, attempts, seed, memory(), progress
        )
    finally:
        release = getattr(rewriter, "release", None)
        if release is not None:
            release()


def show(text, node_id):
    """Text on the node itself, where a server runs. The host's front end shows a `text` output only on its own text nodes."""
    host = getattr(sys.modules.get("server"), "PromptServer", None)
    server = getattr(host, "instance", None)
    if node_id is not None and hasattr(server, "send_progress_text"):
        server.send_progress_text(text, node_id)
