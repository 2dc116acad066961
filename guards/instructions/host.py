"""Learning an instruction inside the host: files, progress bar, stop button."""

import itertools

import comfy.model_management as management

from ..host import progress
from ..rewriters.protocol import ChatRewriter, RewriterError
from ..rewriting.rewrite import shipped_instruction
from . import host_samples as sample_folder
from . import learning
from . import samples as sample_files

HELD_OUT = "held-out samples"


async def learn(
    rewriter: ChatRewriter, samples: str, epochs: int, batch_size: int, seed: int, evaluation: str = HELD_OUT
) -> learning.Learned:
    """The best instruction and its report. ``samples``, ``evaluation``: names on the list of sample files.

    The stop button, or a back end that fails, ends the learning and keeps the best so far.

    Raises ValueError for inputs that cannot be used, RewriterError where the back end fails before there is an instruction.
    """
    read = sample_folder.read(samples)
    if not any(sample.references for sample in read):
        raise ValueError(
            f"samples: {samples} is an evaluation set (concept, content, query); it has no accepted captions to learn from. "
            "Choose it under evaluation, and a sample file here."
        )
    if evaluation == HELD_OUT:
        teaching, held_out = sample_files.parts(read, seed)
    else:
        teaching, held_out = [s for s in read if s.references and not s.held_out], sample_folder.read(evaluation)
    total = learning.calls(len(teaching), len(held_out), epochs, batch_size)
    bar, answers = progress.Bar(), itertools.count(1)
    learner = learning.Learner(
        rewriter, teaching, held_out, epochs, batch_size, seed, lambda: bar(next(answers), total)
    )
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
    return learning.summarise(updates, ended)
