"""What stops an evaluation, in words that name the mend."""

from ..setup.cache import SetupError


class PlanError(SetupError):
    """A plan, or a file that it names, that cannot work; said before the first picture."""


class StoppedError(SetupError):
    """An evaluation that could not go on; what is done is kept."""
