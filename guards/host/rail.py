"""The one rail that all guards of a MODEL ride on.

However many guards are chained, the model carries one OUTER_SAMPLE wrapper and a tuple of frozen guards. When a sampler
starts, the wrapper builds a fresh ``Run``, which puts its own PREDICT_NOISE and CALC_COND_BATCH wrappers innermost for
this run only. Nothing outlives the run: no state on nodes, closures or patchers.

What a guard can ask for, in the order in which it happens in every evaluation of the model:
  choose   which conditioning entries are live (prompt intervention)
  read     the texts, before the model sees them (the gated edit)
  patch    attention and middle block, for this run (growth inhibitors, directions)
  prepare  an evaluation that does not count, to look at the model (the inhibitors' adapter)
  wants    extra predictions, evaluated in the same batch as the host's own (SLD's safety concept)
  correct  an addition to the prediction, made from the predictions by role
  commit   called once a step, after its main evaluation
Rows are known by role (the guider's own names: positive, negative, ...), never by position. To strangers, who know two kinds of rows,
one of ours looks like the unconditional's (strangers.py).
"""

import contextlib
from contextvars import ContextVar
from typing import Any

import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..schedule import step_index
from . import attention, checks, compiled, roles, strangers, twins
from .strangers import KEY, TILES

_running = ContextVar(f"{KEY}_running", default=False)


class Guard:
    """What a guard may tell the rail; each default does nothing. Guards are frozen: per-run state comes from begin()."""

    twin = False
    """Whether every latent needs its twin: the same noise, prompt and schedule, unguarded, in the same batch (rows b .. 2b - 1 of each
    block of rows; twins.py). What the literature calls the source branch of a paired run, as in prompt-to-prompt editing."""

    def begin(self, run):
        """Fresh state for one sampling run. May add conditionings with ``run.add``. Raise here to refuse the run."""

    def choose(self, run, state, role, entries):
        """The entries of one conditioning list that are live now. ``role``: the guider's name for the list, or None."""
        return entries

    def read(self, run, state, texts, extra):
        """The texts (rows, T, c) of a batch as the model is to read them; the very same tensor to leave them. ``extra``: the batch's
        transformer options, for ``run.rows``."""
        return texts

    def patch(self, run, state, options):
        """Add block patches to ``options``, this run's own transformer options; ``run.rows`` tells whose rows are whose."""

    def prepare(self, run, state, evaluate):
        """Before an evaluation: ``evaluate()`` runs the model on the same latents without anything else coming of it."""

    def wants(self, run, state):
        """Names (roles, or what ``run.add`` returned) whose predictions ``correct`` needs in this evaluation."""
        return ()

    def correct(self, run, state, predictions):
        """What to add to the denoised prediction, or None. ``predictions``: name -> denoised (n, c, h, w), float32; ``run.result``: what
        the guider made of them, before any guard. Not asked in an evaluation for which the guard wants nothing."""

    def end(self, state):
        """After the run, however it ended."""

    def commit(self, state):
        """Once a step, after its main evaluation: make the last candidate state the current one. Samplers with a second evaluation in
        a step make it at a lower noise level, so it sees the new state, as the next step at that level does."""


def attach(model, guard):
    """A clone of a MODEL with one more guard. The original is not changed."""
    patched = model.clone()
    options = patched.model_options.setdefault("transformer_options", {})
    if KEY not in options:
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _outer_sample)
        # In the options, where a guider finds it that prepares the model without sampling it as its own.
        add_wrapper_with_key(
            WrappersMP.PREPARE_SAMPLING, KEY, _prepare_sampling, patched.model_options, is_model_options=True
        )
    options[KEY] = (*options.get(KEY, ()), guard)
    return patched


def detach(patcher):
    """Take all guards off a patcher of one's own, a clone."""
    options = patcher.model_options.setdefault("transformer_options", {})
    options.pop(KEY, None)
    options.get("wrappers", {}).get(WrappersMP.PREPARE_SAMPLING, {}).pop(KEY, None)
    patcher.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)


def _prepare_sampling(executor, model, *args, **kwargs):
    """A guarded model gets ready for sampling: refuse where no guarded run is on, since the guards would do nothing."""
    if not _running.get() and KEY in model.model_options.get("transformer_options", {}):
        raise ValueError(
            "Concept Guards: a guarded MODEL is sampled where its guards have no effect. With Dual Model CFG Guider, connect the guarded "
            "MODEL to 'model': the positive prompt is what is guarded. A sampler of another pack that goes round ComfyUI's own cannot "
            "be guarded: use KSampler or SamplerCustomAdvanced."
        )
    return executor(model, *args, **kwargs)


def _outer_sample(
    executor,
    noise,
    latent_image,
    sampler,
    sigmas,
    denoise_mask=None,
    callback=None,
    disable_pbar=False,
    seed=None,
    **kwargs,
):
    run = Run(executor.class_obj, sampler, sigmas)
    if not run.guards:
        raise ValueError(
            "Concept Guards: a node between the guard and the sampler has thrown away what the guard had put into the MODEL, so it would "
            "do nothing. Put the guard's node after it, right before the sampler."
        )
    twin = twins.Twin(noise, seed) if any(guard.twin for guard in run.guards) else None
    token = _running.set(True)
    try:
        run.batch = noise.shape[0]
        run.start()
        callback = run.counting(callback)
        patching = attention.reads_as_before(run) or any(type(guard).patch is not Guard.patch for guard in run.guards)
        with compiled.uncompiled(run.guider.model_patcher) if patching else contextlib.nullcontext():
            if twin is not None:
                return twin.sample(
                    executor, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, **kwargs
                )
            return executor(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, **kwargs)
    finally:
        _running.reset(token)
        run.close()


class Run:
    """One sampling run: the guider, its schedule, and the guards' states."""

    def __init__(self, guider, sampler, sigmas):
        self.guider = guider
        self.model = guider.model_patcher.model
        self.sigmas = sigmas.tolist()
        self.steps = max(len(self.sigmas) - 1, 1)
        self.guards = guider.model_options["transformer_options"].get(KEY, ())
        self.states = []
        self.added = []  # names of the conditionings that guards brought
        self._natives = {role: {entry.get("uuid") for entry in entries} for role, entries in guider.conds.items()}
        self.x: Any = None  # latents of the evaluation under way ...
        self.sigma: Any = None  # ... their noise levels ...
        self.result: Any = None  # ... and what the guider returned
        self._level = None
        self.slots = ()  # roles of the lists under way, as the host counts them
        self.shown = ()  # roles of the lists under way, as strangers count them
        self._count = None  # latents of the evaluation under way, twins counted
        self.batch = None  # latents of the user's, twins not counted
        self.meant = {}  # (card, first row of a block of rows, concept) -> (b,), 0 to 1: how far their texts mean it, if a guard knows
        self._outputs = None  # name -> denoised, of the evaluation under way
        self._counting = None  # roles that count towards the picture, of the evaluation under way
        self._joined = False  # whether what guards want rides in one of its batches
        self._committed = -1
        # dpm_fast calls back once in three evaluations, whatever the number of steps.
        name = getattr(getattr(sampler, "sampler_function", None), "__name__", "")
        self._calls_back = isinstance(sampler, comfy.samplers.KSAMPLER) and "dpm_fast" not in name

    # -- what guards use --

    @property
    def level(self):
        """The noise level of this evaluation. Reads one number from the device, once an evaluation, if asked."""
        if self._level is None:
            self._level = float(self.sigma.flatten()[0])
        return self._level

    @property
    def step(self):
        """The executed step of this evaluation."""
        return step_index(self.sigmas, self.level)

    @property
    def scale(self):
        """The guidance scale of the positive prediction, of any of the host's guiders."""
        return roles.scale(self.guider, lambda: self.step)

    @property
    def unconditional(self):
        """The role of the prediction that guidance is measured from, or None where the guider has none."""
        return roles.unconditional(self.guider)

    def add(self, conditioning, **values):
        """Let the host process one more CONDITIONING in this run; returns the name under which its prediction comes."""
        name = f"{KEY}:{len(self.added)}"
        entries = comfy.sampler_helpers.convert_cond([[c, {**options, **values}] for c, options in conditioning])
        comfy.samplers.filter_registered_hooks_on_conds({name: entries}, self.guider.model_options)
        self.guider.conds[name] = entries
        self._natives[name] = {entry["uuid"] for entry in entries}
        self.added.append(name)
        return name

    def add_always(self, role):
        """The first entry of ``role``'s conditioning once more, without its timestep range; the name as of ``add``."""
        entry = self.guider.conds[role][0]
        left_out = ("cross_attn", "model_conds", "uuid", "start_percent", "end_percent")
        options = {key: value for key, value in entry.items() if key not in left_out}
        return self.add([[entry.get("cross_attn"), {"prompt_type": "negative", **options}]])

    def native(self, role, entry):
        """Whether an entry was in ``role``'s list from the start: the host copies areas from one list to the others."""
        return entry.get("uuid") in self._natives.get(role, ())

    def live(self, name):
        """Whether any entry of a conditioning is within its timestep range now (else its prediction is void)."""
        return any(map(self._within, self._choose(name, self.guider.conds[name])))

    def _within(self, entry):
        start, end = entry.get("timestep_start"), entry.get("timestep_end")
        return (start is None or self.sigma[0] <= start) and (end is None or self.sigma[0] >= end)

    def alive(self):
        """The uuids of the guider's own entries, in any slot, that are within their timestep ranges now."""
        entries = (
            entry
            for role, known in self.guider.conds.items()
            if role not in self.added
            for entry in self._choose(role, known) or ()
        )
        return frozenset(entry.get("uuid") for entry in entries if self._within(entry))

    def rows(self, total, extra):
        """[(slice, uuid)] of the ``total`` rows of a joined batch that belong to a conditioning which counts towards the picture
        (``roles.counting``); ``extra``: a patch's extra options."""
        if self._counting is None:
            self._counting = roles.counting(self.guider, lambda: self.step) - frozenset(self.added)
        return roles.rows(total, extra, self.slots, self.shown, self._counting)

    # -- wrappers --

    def start(self):
        self.states = [guard.begin(self) for guard in self.guards]
        options = self.guider.model_options
        add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, self.predict, options, is_model_options=True)
        add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, self.evaluate, options, is_model_options=True)
        add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self._apply, options, is_model_options=True)
        for guard, state in zip(self.guards, self.states, strict=True):
            guard.patch(self, state, options["transformer_options"])
        attention.read_as_before(self, options["transformer_options"])

    def close(self):
        conds = getattr(self.guider, "conds", {})
        for name in self.added:
            conds.pop(name, None)
        states, self.states = self.states, []
        self.x = self.sigma = self.result = self._outputs = None
        self.meant.clear()
        for guard, state in zip(self.guards, states, strict=False):  # none where a guard refused the run
            guard.end(state)

    def counting(self, callback):
        """The run's callback with a commit before it: an evaluation is a step's main one exactly when the sampler calls back after it."""

        def call(step, x0, x, total):
            if self._calls_back:
                self._commit()
            if callback is not None:
                callback(step, x0, x, total)

        return call

    def _commit(self):
        for guard, state in zip(self.guards, self.states, strict=True):
            guard.commit(state)

    def predict(self, executor, x, timestep, model_options={}, seed=None):  # noqa: B006 - the host's own signature
        if not self._calls_back:  # a foreign sampler may never do: go by its noise level
            self.sigma, self._level = timestep, None
            if self.step > self._committed >= 0:
                self._commit()
            self._committed = self.step
        self.x, self.sigma, self._level, self._counting = x, timestep, None, None
        try:
            return self._predict(executor, x, timestep, model_options, seed)
        finally:
            self.x = self._outputs = self.result = None

    def _predict(self, executor, x, timestep, model_options, seed):
        guards = list(zip(self.guards, self.states, strict=True))
        for guard, state in guards:
            guard.prepare(self, state, lambda: executor(x, timestep, model_options, seed))
        wants = [tuple(guard.wants(self, state)) for guard, state in guards]
        wanted = dict.fromkeys(name for names in wants for name in names)
        if not wanted:
            return executor(x, timestep, model_options, seed)
        self._outputs, self._joined = wanted, False
        denoised = executor(x, timestep, model_options, seed)
        missing = [name for name in wanted if self._outputs[name] is None]
        if missing:  # a guider that left out a role in every batch: one more pass
            conds = [self.guider.conds[name] for name in missing]
            outs = comfy.samplers.calc_cond_batch(self.guider.inner_model, conds, x, timestep, model_options)
            self._outputs.update(zip(missing, outs, strict=True))
        predictions, self._outputs, self.result = self._outputs, None, denoised
        for (guard, state), names in zip(guards, wants, strict=True):
            addition = guard.correct(self, state, predictions) if names else None
            if addition is not None:
                denoised = denoised + addition
        return denoised

    def evaluate(self, executor, model, conds, x_in, timestep, model_options):
        """CALC_COND_BATCH: pick live entries; on the first call of an evaluation, add the wanted conditionings."""
        asked = self.x is not None
        if not asked:  # a pack that asks for predictions of its own between the sampler's
            self.x, self.sigma, self._level, self._counting = x_in, timestep, None, None
        try:
            return self._evaluate(executor, model, conds, x_in, timestep, model_options)
        finally:
            self.slots = self.shown = ()
            if not asked:
                self.x = None

    def _evaluate(self, executor, model, conds, x_in, timestep, model_options):
        given = [self._role(entries) for entries in conds]
        lists = [self._choose(role, entries) for role, entries in zip(given, conds, strict=True)]
        outputs, extra = self._outputs, []
        if x_in.shape != self.x.shape:
            checks.whole_latents(self.guards, outputs is not None and "positive" in given)
        if outputs is not None and "positive" in given and not self._joined:
            self._joined = True
            waits = "sampler_calc_cond_batch_function" in model_options  # such a node asks for given one by one
            extra = [name for name in outputs if name not in given and (name in self.added or not waits)]
        # Before the unconditional's: a batch is joined from the last list to the first, and neighbours take the first row that is a 1.
        at = given.index(self.unconditional) if self.unconditional in given else len(given)
        lists[at:at] = [self._choose(name, self.guider.conds[name]) for name in extra]
        self.slots, self.shown, self._count = [*given[:at], *extra, *given[at:]], given, x_in.shape[0]
        if any(type(guard).read is not Guard.read for guard in self.guards):
            lists = strangers.reading(lists, self._read)
        if extra:
            ours = at if at < len(given) else 1
            numbers = [*range(at), *[ours] * len(extra), *range(at, len(given))]
            lists, model_options = strangers.disguised(lists, numbers, model_options)
        names = self.slots
        out = executor(model, lists, x_in, timestep, model_options)
        if outputs is not None:
            for name, prediction in zip(names, out, strict=True):
                # The first of an evaluation: later ones are perturbed (PAG, SAG).
                if name in outputs and outputs[name] is None:
                    outputs[name] = prediction
        return [*out[:at], *out[at + len(extra) :]]

    def _apply(
        self,
        executor,
        x,
        t,
        c_concat=None,
        c_crossattn=None,
        control=None,
        transformer_options={},  # noqa: B006 - the host's own signature
        **kwargs,
    ):
        """APPLY_MODEL: let guards read the texts. Packs that cut pictures into tiles repeat all rows, tile after tile."""
        slots = transformer_options.get("cond_or_uncond")
        tiles = x.shape[0] // (len(slots) * self._count) if slots and self._count else 1
        if tiles > 1:
            transformer_options = {**transformer_options, TILES: tiles}
        if c_crossattn is not None and slots and self.states:  # none: who kept the options calls after the run
            c_crossattn = self._read(c_crossattn, transformer_options)
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    def _read(self, texts, extra):
        for guard, state in zip(self.guards, self.states, strict=True):
            texts = guard.read(self, state, texts, extra)
        return texts

    def _choose(self, role, entries):
        if entries:
            for guard, state in zip(self.guards, self.states, strict=True):
                entries = guard.choose(self, state, role, entries)
        return entries

    def _role(self, entries):
        """The guider's name for a list of conditioning entries; None for an empty slot or a stranger."""
        if entries is None:
            return None
        for role, known in self.guider.conds.items():
            if known is entries:
                return role
        ids = {entry.get("uuid") for entry in entries}
        return next(
            (role for role, known in self.guider.conds.items() if ids & {entry.get("uuid") for entry in known}), None
        )
