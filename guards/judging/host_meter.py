"""What the runs of a MODEL cost: the rows that it evaluates, the seconds of sampling, and the most memory in use."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import comfy.model_management
import psutil
import torch
from comfy.patcher_extension import WrappersMP

KEY = "concept_guards_meter"
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Counts from one ``take`` to the next; the host runs one graph at a time."""

    def __init__(self):
        self._reset()

    def _reset(self) -> None:
        self.rows, self.seconds, self._began = 0, 0.0, False

    def sampling(self, executor, *arguments, **named):
        """Around a whole sampling run."""
        if not self._began:
            self._began = True
            _forget_peak()
        began = time.perf_counter()
        try:
            return executor(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - began

    def evaluation(self, executor, x, *arguments, **named):
        """Around one evaluation of the model."""
        self.rows += x.shape[0]
        return executor(x, *arguments, **named)

    def take(self) -> dict[str, float]:
        """``rows``, ``seconds`` and ``memory`` (bytes) since the last time."""
        found = {"rows": self.rows, "seconds": round(self.seconds, 4), "memory": _peak()}
        self._reset()
        return found


def attach(model):
    """A clone of a MODEL that carries a meter."""
    metered, meter = model.clone(), Meter()
    metered.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, meter.sampling)
    metered.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, meter.evaluation)
    metered.set_attachments(KEY, meter)
    return metered


def meter_of(model) -> Meter:
    """Raises ValueError for a MODEL that carries none."""
    found = model.get_attachment(KEY)
    if found is None:
        raise ValueError("model: no meter is on it; connect the MODEL that Meter gives out.")
    return found


def _cuda() -> bool:
    return comfy.model_management.get_torch_device().type == "cuda"


def _forget_peak() -> None:
    """From now on, the peak is counted anew, where the system can."""
    if _cuda():
        torch.cuda.reset_peak_memory_stats(comfy.model_management.get_torch_device())
    else:
        with suppress(OSError):  # Linux alone
            CLEAR.write_text("5", encoding="ascii")


def _peak() -> int:
    """Bytes: on CUDA what torch had allocated at most; else what this process had in memory, at most where Linux tells, or now."""
    if _cuda():
        return torch.cuda.max_memory_allocated(comfy.model_management.get_torch_device())
    with suppress(OSError):
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().rss
