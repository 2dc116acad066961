"""What other packs see of a run with rows of ours.

They know two kinds of rows, by the numbers that ``cond_or_uncond`` has for them: 0 the positive's, 1 the unconditional's (others for the
host's guiders with three prompts). Tables of two that are indexed by these numbers are common, so to them a row of ours is one more
unconditional one. The rail itself reads the true numbers under a key of its own.
"""

KEY = "concept_guards"
SLOTS = f"{KEY}_slots"  # in an evaluation's transformer options: whose rows these are
TILES = f"{KEY}_tiles"  # and how often they are repeated


def disguised(lists, numbers, model_options):
    """(lists, model options) for an evaluation in which strangers are shown ``numbers[i]`` for list i."""
    controls = {}

    def entry_for(entry):
        control = entry.get("control")
        if control is None:
            return entry
        return {**entry, "control": controls.setdefault(id(control), _Control(control, numbers))}

    lists = [entries and [entry_for(entry) for entry in entries] for entries in lists]
    function = _model_function(numbers, model_options.get("model_function_wrapper"))
    return lists, {**model_options, "model_function_wrapper": function}


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
    """A ControlNet for one evaluation: the host asks it before the model function, and some weigh rows by their numbers."""

    def __init__(self, control, numbers):
        self._control, self._numbers = control, numbers

    def __getattr__(self, name):
        return getattr(self._control, name)

    def get_control(self, x, t, cond, batched_number, transformer_options):
        _show(transformer_options, transformer_options["cond_or_uncond"], self._numbers)
        return self._control.get_control(x, t, cond, batched_number, transformer_options)

    def get_instance_for_device(self, device):
        return _Control(self._control.get_instance_for_device(device), self._numbers)
