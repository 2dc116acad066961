"""When a concept's row is worth its cost: a few looks at the start, then none where the pictures are not about it."""

from __future__ import annotations

from dataclasses import dataclass, field

LOOKS, OF = 3, 20  # three looks, at the noise levels of the first three of twenty steps
KEPT = 0.2  # running agreement below which, after the last look, the concept is left alone
AGAIN = 4  # with ``again``: every fourth step from then on


@dataclass
class Watch:
    """Of one sampling run, and of all its pictures: rows are evaluated for a whole batch or not at all.

    ``steps``: of the run; ``opens``: the agreement at which a gate starts to open; ``again``: whether to look again now and then.
    """

    steps: int
    opens: float
    again: bool = False
    step: int = 0  # the executed step under way
    on: bool | None = None  # whether the concept counts from now on; None: not decided
    _start: int = 0
    _looks: int = 0
    _shut: int = 0
    _offsets: tuple[int, ...] = field(init=False)

    def __post_init__(self):
        self._offsets = tuple(max(look, look * self.steps // OF) for look in range(LOOKS))

    @property
    def needed(self) -> bool:
        """Whether the concept is evaluated in the step under way."""
        if self.on is None:
            return self.step - self._start in self._offsets
        return self.on or (self.again and (self.step - self._shut) % AGAIN == 0)

    def look(self, agreement: float) -> None:
        """Once a step that was looked at is over: the largest running agreement among the pictures."""
        self._looks += 1
        if agreement >= self.opens:
            self.on = True
        elif self.on is None and self._looks == LOOKS:
            self.on = agreement >= KEPT
            self._shut = self.step - 1

    def restart(self) -> None:
        """The prompts have changed: unless the concept counts already, look anew from the step under way, at steps in a row."""
        if not self.on:
            self.on, self._start, self._looks, self._offsets = None, self.step, 0, tuple(range(LOOKS))
