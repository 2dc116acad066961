"""Learning an instruction inside the host: files, progress bar, stop button."""

import comfy.model_management as management
import comfy.utils

from ..rewriters.protocol import RewriterError
from . import host_samples as sample_folder
from . import learning
from . import samples as sample_files
from .rewrite import shipped_instruction

HELD_OUT = "held-out samples"


async def learn(rewriter, samples, epochs, batch_size, seed, evaluation=HELD_OUT):
    """(best instruction, report). The stop button, or a back end that fails, ends the learning and keeps the best so far."""
    found = sample_folder.read(samples)
    if not any(sample.references for sample in found):
        raise ValueError(
            f"samples: {samples} is an evaluation set (concept, content, query); it has no accepted captions to learn from. "
            "Choose it under evaluation, and a sample file here."
        )
    if evaluation == HELD_OUT:
        teaching, held_out = sample_files.parts(found, seed)
    else:
        teaching, held_out = [s for s in found if s.references and not s.held_out], sample_folder.read(evaluation)
    bar = comfy.utils.ProgressBar(learning.calls(len(teaching), len(held_out), epochs, batch_size))

    def said():
        bar.update(1)
        management.throw_exception_if_processing_interrupted()

    learner = learning.Learner(rewriter, teaching, held_out, epochs, batch_size, seed, said)
    updates, ended = [], ""
    try:
        async for update in learner.learn(shipped_instruction()):
            updates.append(update)
    except management.InterruptProcessingException:
        if not any(update.number >= 0 for update in updates):
            raise
        ended = "Stopped early by the stop button; this is the best so far."
    except RewriterError as error:
        if not any(update.number >= 0 for update in updates):
            raise
        ended = f"WARNING: ended early, this is the best so far: {error}"
    finally:
        rewriter.release()
    return learning.best(updates).instruction, learning.report(updates, ended)
