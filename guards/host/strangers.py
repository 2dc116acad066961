"""What other packs see of a run with rows of ours.

They know two kinds of rows, by the numbers that ``cond_or_uncond`` has for them: 0 the positive's, 1 the unconditional's (others for the
host's guiders with three prompts). Tables of two that are indexed by these numbers are common, so to them a row of ours is one more
unconditional one. The rail itself reads the true numbers under a key of its own.

A ControlNet is asked before the model, and reads the texts by itself: it is given those that the guards make of them.

Packs that give parts of the picture texts of their own (Attention Couple and the like) repeat the positive prompt's rows inside the
cross-attentions, once for each text, and add up what comes out, each in its part of the picture. What a guard does to the positive rows it
has to do to all of these (``follow``, ``rows``); and no one has read their texts before.
"""

import torch

KEY = "concept_guards"
SLOTS = f"{KEY}_slots"  # in an evaluation's transformer options: whose rows these are
TILES = f"{KEY}_tiles"  # and how often they are repeated
BLOCKS = f"{KEY}_blocks"  # in a block's extra options: of each block of an attention's rows, which of the evaluation's it repeats
FOLLOWED = f"{KEY}_followed"
TEXTS = ("c_crossattn", "crossattn_controlnet")  # what a ControlNet reads: the model's text, or one of its own


def disguised(lists, numbers, model_options):
    """(lists, model options) for an evaluation in which strangers are shown ``numbers[i]`` for list i."""
    function = _model_function(numbers, model_options.get("model_function_wrapper"))
    lists = _controlled(lists, lambda control: _Disguised(control, numbers))
    return lists, {**model_options, "model_function_wrapper": function}


def reading(lists, read):
    """The lists, with ControlNets that are given ``read(texts, options)`` in the place of a batch's texts (rows, T, c)."""
    return _controlled(lists, lambda control: _Reading(control, read))


def _controlled(lists, wrap):
    """The lists, each of their ControlNets wrapped once, since the host joins the rows of those that share one."""
    controls = {}

    def entry_for(entry):
        control = entry.get("control")
        if control is None:
            return entry
        if id(control) not in controls:
            controls[id(control)] = wrap(control)
        return {**entry, "control": controls[id(control)]}

    return [entries and [entry_for(entry) for entry in entries] for entries in lists]


def _show(options, slots, numbers):
    """Puts both kinds of numbers into a batch's transformer options, which the host has made for this batch."""
    options["cond_or_uncond"] = [numbers[slot] for slot in slots]
    options[SLOTS] = tuple(slots)


def _model_function(numbers, inner):
    """A model function that shows the numbers to ``inner``, another pack's, and to all patches of the network."""

    def call(apply_model, args):
        slots, c = args["cond_or_uncond"], args["c"]
        options = dict(c["transformer_options"])
        _show(options, slots, numbers)
        args = {**args, "cond_or_uncond": options["cond_or_uncond"], "c": {**c, "transformer_options": options}}
        if inner is not None:
            return inner(apply_model, args)
        return apply_model(args["input"], args["timestep"], **args["c"])

    return call


class _Control:
    """A ControlNet for one evaluation, which the host asks before the model function."""

    def __init__(self, control, told):
        self._control, self._told = control, told

    def __getattr__(self, name):
        return getattr(self._control, name)

    def get_instance_for_device(self, device):
        return type(self)(self._control.get_instance_for_device(device), self._told)


class _Disguised(_Control):
    """Told the numbers of the rows: some weigh rows by them."""

    def get_control(self, x, t, cond, batched_number, transformer_options):
        _show(transformer_options, transformer_options["cond_or_uncond"], self._told)
        return self._control.get_control(x, t, cond, batched_number, transformer_options)


class _Reading(_Control):
    """Told how texts are read."""

    def get_control(self, x, t, cond, batched_number, transformer_options):
        read = {key: self._told(cond[key], transformer_options) for key in TEXTS if cond.get(key) is not None}
        return self._control.get_control(x, t, {**cond, **read}, batched_number, transformer_options)


def follow(options, read=None):
    """Let ``rows`` follow such packs in a run. ``options``: the run's own transformer options, which are changed; ``read(texts,
    extra)``: what is to be read in the place of texts (rows, T, c) that are theirs; ``extra``: a patch's extra options, for ``rows``."""
    patches = options.get("patches", {})
    theirs = patches.get("attn2_patch", ())
    if not theirs:
        return
    if FOLLOWED not in options:
        options[FOLLOWED] = True
        theirs = _followed(theirs)
    options["patches"] = {**patches, "attn2_patch": [*theirs, *([_reading(read)] if read else ())]}


def _followed(theirs):
    """Their patches, with one before and one behind them that see what they make of the rows."""
    known = {}

    def before(n, context, value, extra):
        extra[BLOCKS] = n, context
        return n, context, value

    def behind(n, context, value, extra):
        first, text = extra.pop(BLOCKS)
        blocks = None
        if n.shape[0] > first.shape[0]:
            blocks = _repeated(first, n, context, extra, known)
        elif n.shape[0] == first.shape[0] and context is not text and context.shape == text.shape:
            blocks = list(range(len(extra["cond_or_uncond"]) * extra.get(TILES, 1)))
        if blocks is not None:
            extra[BLOCKS] = blocks
        return n, context, value

    return [before, *theirs, behind]


def _repeated(first, n, texts, extra, known):
    """Which block of ``first`` (rows, positions, c) each block of ``n``, with its ``texts``, is, where those of the positive prompt are
    repeated and the others are not; else None. Reads from the device once for each number of rows."""
    numbers = [*extra["cond_or_uncond"]] * extra.get(TILES, 1)
    key = first.shape[0], n.shape[0], *numbers
    if key in known:
        return known[key]
    count, positive = first.shape[0] // len(numbers), numbers.count(0)
    blocks, rest = divmod(n.shape[0], count)
    times, more = divmod(blocks - len(numbers) + positive, positive) if positive else (0, 1)
    if rest or more:
        known[key] = None
        return None
    found = [i for i, number in enumerate(numbers) for _ in range(times if number == 0 else 1)]
    same = (n[::count, None, 0] == first[None, ::count, 0]).all(-1).cpu()
    fits = bool(same[torch.arange(blocks), found].all())
    if fits and blocks % len(numbers) == 0 and bool((same.sum(1) > 1).any()):
        # The rows of all prompts are alike in the first layer, where it could be that all are repeated, for one more text.
        more = texts[len(first) :: count]
        if torch.equal(more, more[:1].expand_as(more)):
            return None
    known[key] = found if fits else None
    return known[key]


def _reading(read):
    def patch(n, context, value, extra):
        if BLOCKS not in extra:
            return n, context, value
        made = read(context, extra)
        return n, made, made if value is context else read(value, extra)

    return patch


def own_rows(total, extra):
    """How many of an attention's ``total`` rows are the evaluation's: packs may have appended rows of theirs."""
    return min(total, extra["original_shape"][0])


def rows(run, total, extra):
    """As ``run.rows``, of an attention with ``total`` rows: also those that a pack repeats for texts of its own."""
    own = run.rows(own_rows(total, extra), extra)
    if BLOCKS not in extra or not own:
        return own
    count = own[0][0].stop - own[0][0].start
    known = {at.start // count: uuid for at, uuid in own}
    return [
        (slice(i * count, (i + 1) * count), known[block]) for i, block in enumerate(extra[BLOCKS]) if block in known
    ]
