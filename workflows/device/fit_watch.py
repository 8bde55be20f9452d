"""How far a fit is, on stderr: its time is guessed from a usual run, and not from the first.

The first runs load the model and have the most candidates: what they took says little of the rest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.console import OnProgress, Reporter

_FEWEST = 3  # runs before a time is told
_SAY_EVERY_S = 10.0  # in a log file, as `Reporter.stage` does


@dataclass
class Watch:
    """Runs of a fit as they end; called with those done and those that there may be in all.

    Attributes:
        name: of the stage.
        say: prints a line; None where a bar shows it.
        bar: moves the bar.
        clock: the time now [s].
    """

    name: str
    say: Callable[[str], None] | None
    bar: OnProgress
    clock: Callable[[], float] = time.perf_counter
    _ended: list[float] = field(default_factory=list)
    _said: float = 0.0

    def __post_init__(self) -> None:
        self._said = self.clock()
        self._ended.append(self._said)

    def __call__(self, done: int, total: int) -> None:
        """A run has ended."""
        now = self.clock()
        self._ended.append(now)
        if self.say is None:
            if done >= _FEWEST:
                self.bar(done, total)
        elif now - self._said > _SAY_EVERY_S and done < total:
            self._said = now
            left = ""
            if done >= _FEWEST:
                runs = [b - a for a, b in zip(self._ended, self._ended[1:], strict=False)]
                left = f", about {statistics.median(runs) * (total - done):.0f} s left"
            self.say(f"  {self.name:<42} {done} of {total}{left}")


@contextmanager
def watching(reporter: Reporter, name: str) -> Iterator[Watch]:
    """A stage of the reporter whose progress is told by a `Watch`."""
    with reporter.stage(name) as bar:
        yield Watch(name, None if reporter.console.is_terminal else reporter.say, bar)
