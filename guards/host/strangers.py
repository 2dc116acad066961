"""What other packs see of a run with rows of ours.

They know two kinds of rows, by the numbers that ``cond_or_uncond`` has for them: 0 the positive's, 1 the unconditional's (others for the
host's guiders with three prompts). Tables of two that are indexed by these numbers are common, so to them a row of ours is one more
unconditional one. The rail itself reads the true numbers under a key of its own.

A ControlNet is asked before the model, and reads the texts by itself: it is given those that the guards make of them.
"""

KEY = "concept_guards"
SLOTS = f"{KEY}_slots"  # in an evaluation's transformer options: whose rows these are
TILES = f"{KEY}_tiles"  # and how often they are repeated
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
