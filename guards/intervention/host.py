"""Prompt intervention (ORES/TIN): the query drives the first steps, the rewritten prompt the rest.

Ni et al., "ORES: Open-vocabulary Responsible Visual Synthesis", AAAI 2024 (arXiv 2308.13785), stage 2.

Both prompts travel in one CONDITIONING, so areas, masks and ControlNets applied to it later reach both. The query's
entries lie dormant (their timestep range is empty), so that without the guarded MODEL only the rewritten prompt acts:
a graph wired wrongly errs on the safe side. The guard wakes the query for the first steps and hides the rewrite.
"""

import logging
from dataclasses import dataclass

from ..host import checks, rail
from ..schedule import switch_step

TAG = "guard_intervention"
DORMANT = dict(start_percent=1.0, end_percent=1.0)  # from sigma 0 to sigma 0: never


@dataclass(frozen=True)
class PromptIntervention(rail.Guard):
    """Serves every tagged conditioning of a run; each entry carries its own ratio."""

    def begin(self, run):
        ratios = {
            entry[TAG]["ratio"] for entries in run.guider.conds.values() for entry in entries or () if TAG in entry
        }
        for ratio in ratios:
            if switch_step(ratio, run.steps) >= run.steps:
                logging.warning(
                    "Prompt Intervention: this run has %d steps, all of which ratio %g gives to the query, so the rewritten prompt does "
                    "nothing in it. Lower ratio (0 is the rewritten prompt alone), or sample more steps.",
                    run.steps,
                    ratio,
                )

    def choose(self, run, state, role, entries):
        """Each time anew: context windows hand in entries of their own, cut to the window."""
        return _live(run, role, entries) if any(TAG in entry for entry in entries) else entries


def _switch(run, entry):
    return switch_step(entry[TAG]["ratio"], run.steps)


def _now(run, entry):
    """Whether an entry drives this step: the query before the switch, the rewritten prompt from it on."""
    return TAG not in entry or (run.step < _switch(run, entry)) == (entry[TAG]["part"] == "query")


def _live(run, role, entries):
    """The entries of one list for this step. The host copies every area into the other lists, tag and all: such a copy
    is live when any entry that is live in its own list has that area."""
    areas = {
        tuple(entry["area"])
        for name, known in run.guider.conds.items()
        for entry in known
        if "area" in entry and run.native(name, entry) and _now(run, entry)
    }
    return [
        _awake(run, entry)
        for entry in entries
        if (_now(run, entry) if run.native(role, entry) or "area" not in entry else tuple(entry["area"]) in areas)
    ]


def _awake(run, entry):
    """A dormant query entry with the timestep range it had before it was put to sleep (a range set later stays)."""
    if entry.get("start_percent") != DORMANT["start_percent"]:
        return entry
    awake = {key: value for key, value in entry.items() if key not in ("timestep_start", "timestep_end")}
    to_sigma = run.model.model_sampling.percent_to_sigma
    for bound, limit in (("start_percent", "timestep_start"), ("end_percent", "timestep_end")):
        if bound in entry[TAG]["range"]:
            awake[limit] = to_sigma(entry[TAG]["range"][bound])
    return awake


def guard(model, query, rewritten, ratio):
    """(MODEL, CONDITIONING) that start on ``query`` and go on with ``rewritten`` from step ratio * steps.

    Ratio 0 is the rewritten prompt and ratio 1 the query, bit for bit: no guard is attached. Works with every model, sampler
    and scheduler of the host; ratio counts the steps that this sampler executes.
    """
    checks.conditioning(query, "query")
    checks.conditioning(rewritten, "rewritten")
    if ratio == 0:
        return model, rewritten
    if ratio == 1:
        return model, query
    dormant = [
        [
            tensor,
            {
                **options,
                **DORMANT,
                TAG: {
                    "part": "query",
                    "ratio": ratio,
                    "range": {key: options[key] for key in DORMANT if key in options},
                },
            },
        ]
        for tensor, options in query
    ]
    later = [[tensor, {**options, TAG: {"part": "rewritten", "ratio": ratio}}] for tensor, options in rewritten]
    return rail.attach(model, PromptIntervention()), dormant + later
