"""How far a fit is, in runs: how many it needs is not known before, so the rest is a guess.

The guess is what such fits took, and it is given up where a fit shows otherwise: a stage that ends
early takes its rest with it, and one that goes on longer has a run or two left until it ends. So a
bar of it hardly ever goes back, and it is full when the fit is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OnProgress = Callable[[int, int], None]

# Runs of every stage in its order, as sweeps of VTEAM and of Yakopcic's model take: the fewest in
# all were 16, the most 57. What settling takes differs most: nothing, or a second fit.
_USUAL = {"explore": 1, "screen": 1, "descend": 10, "polish": 10, "settle": 20, "result": 2}
_LEFT = 2  # runs, of a stage that goes on
_SAME = 0.25  # of the number told: a guess that differs by less is no news, and a bar that jumps


@dataclass
class Progress:
    """Runs done, told after each.

    Attributes:
        on_progress: called with the runs done and those that there may be in all.
        settles: whether the fit looks, at its end, for what the data do not determine.
        done: runs so far.
    """

    on_progress: OnProgress
    settles: bool = True
    done: int = 0
    _stage: str = "explore"
    _in_stage: int = 0
    _told: int = 0

    def enter(self, stage: str) -> None:
        """The next stage begins; stages that are left out are passed over."""
        self._stage, self._in_stage = stage, 0

    def ran(self) -> None:
        """A run is done."""
        self.done += 1
        self._in_stage += 1
        stages = [one for one in _USUAL if one != "settle" or self.settles]
        later = stages[stages.index(self._stage) + 1 :]
        here = max(_LEFT if later else 1, _USUAL[self._stage] - self._in_stage)
        guess = self.done + here + sum(_USUAL[one] for one in later)
        if self._told <= self.done or abs(guess - self._told) > _SAME * self._told:
            self._told = guess
        self.on_progress(self.done, self._told)

    def finish(self) -> None:
        """The fit is done: so many runs it took."""
        self.on_progress(self.done, self.done)
