"""When a concept's row is worth its cost: a few looks at the start, then none where the pictures are not about it."""

from __future__ import annotations

from dataclasses import dataclass, field

LOOKS, OF = 3, 20  # three looks, at the noise levels of the first three of twenty steps
KEPT = 0.2  # running agreement below which the concept is left alone
AGAIN = 4  # steps after which that is asked once more


@dataclass
class Watch:
    """Of one sampling run, and of all its pictures: rows are evaluated for a whole batch or not at all.

    ``steps``: of the run; ``opens``: the agreement at which a gate starts to open; ``again``: whether a concept that was left alone is
    looked at again every now and then.
    """

    steps: int
    opens: float
    again: bool = False
    step: int = 0  # the executed step under way
    on: bool | None = None  # whether the concept counts; None: the first looks have not said yet
    _near: bool = False  # whether one of the first looks has found the gate open
    _start: int = 0
    _looks: int = 0
    _decided: int = 0
    _offsets: tuple[int, ...] = field(init=False)

    def __post_init__(self):
        self._offsets = tuple(max(look, look * self.steps // OF) for look in range(LOOKS))

    @property
    def needed(self) -> bool:
        """Whether the concept is evaluated in the step under way."""
        if self.on is None:
            return self._near or self.step - self._start in self._offsets
        return self.on or (self.again and self._due(self.step))

    @property
    def asks(self) -> bool:
        """Whether ``look`` wants to know what the step before, in which the concept was evaluated, has shown."""
        return not self.on or self._due(self.step - 1)

    def _due(self, step: int) -> bool:
        return (step - self._decided) % AGAIN == 0

    def look(self, agreement: float) -> None:
        """Once a step that was looked at is over: the largest running agreement among the pictures."""
        if self.on is None:
            self._looks += 1
            self._near = self._near or agreement >= self.opens
            if self._looks < LOOKS:
                return
            self._decided = self.step - 1
            self.on = agreement >= KEPT
        else:
            self.on = agreement >= (KEPT if self.on else self.opens)

    def restart(self) -> None:
        """The prompts have changed: unless the concept counts already, look anew from the step under way, at steps in a row."""
        if not self.on:
            self.on, self._near, self._start, self._looks, self._offsets = (
                None,
                False,
                self.step,
                0,
                tuple(range(LOOKS)),
            )
