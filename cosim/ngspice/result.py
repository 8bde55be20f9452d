"""What a run leaves: its outcome, its numbers, its log, and how to run it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from cosim.ngspice.outcome import Outcome
from cosim.ngspice.raw import RawPlot

_TAIL_LINES = 15


class SimulationFailedError(RuntimeError):
    """The numbers of a run were asked for that did not end well.

    Attributes:
        result: the run.
    """

    def __init__(self, result: SimulationResult) -> None:
        self.result = result
        lines = [line for line in result.log.splitlines() if line.strip()][-_TAIL_LINES:]
        tail = "\n".join(f"    {line}" for line in lines) or "    (empty)"
        super().__init__(
            f"{result.deck_name}: {result.outcome}: {result.reason}\n"
            f"  command: {shlex.join(result.command)}\n"
            f"  end of the log:\n{tail}\n"
            "  to repeat it: run_deck(deck, ngspice, timeout_s=..., keep_dir=Path('failed')), "
            "then the command above in that folder"
        )


@dataclass(frozen=True)
class SimulationResult:
    """One run of a deck. A failed run is a result too.

    Attributes:
        deck_name: the deck's name.
        outcome: how it ended.
        reason: why, in one sentence; empty when the outcome is ok.
        plots: what the raw file held, also of a failed run, as far as it could be read.
        measures: the `.meas` results, by name in lower case, in SI units.
        log: what ngspice printed; long logs are thinned of repeated lines.
        command: the command line, to be run in the folder of the deck.
        wall_s: how long the process took.
        engine: the simulator and the solver that the run really used, e.g. "ngspice-46 KLU".
    """

    deck_name: str
    outcome: Outcome
    reason: str
    plots: tuple[RawPlot, ...] = field(repr=False)
    measures: dict[str, float]
    log: str = field(repr=False)
    command: tuple[str, ...] = field(repr=False)
    wall_s: float
    engine: str

    @property
    def ok(self) -> bool:
        """True if the numbers can be believed."""
        return self.outcome is Outcome.OK

    @property
    def plot(self) -> RawPlot:
        """The only plot, or the first of several.

        Raises:
            SimulationFailedError: the outcome is not ok.
        """
        self.require_ok()
        return self.plots[0]

    def require_ok(self) -> SimulationResult:
        """The result itself, if it can be believed.

        Raises:
            SimulationFailedError: the outcome is not ok.
        """
        if not self.ok:
            raise SimulationFailedError(self)
        return self
