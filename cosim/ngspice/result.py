"""What a run leaves: its outcome, its numbers, its log, and how to run it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from cosim.ngspice.log import excerpt
from cosim.ngspice.outcome import Outcome
from cosim.ngspice.raw import RawPlot

KEEP = "SPICELOOP_KEEP"  # the variable that names a folder for the decks of failed runs

_TAIL_LINES = 15


class SimulationFailedError(RuntimeError):
    """The numbers of a run were asked for that did not end well.

    Attributes:
        result: the run.
    """

    def __init__(self, result: SimulationResult) -> None:
        self.result = result
        tail = "\n".join(f"    {line}" for line in excerpt(result.log, _TAIL_LINES))
        repeat = (
            f"it is kept in {result.kept}: run the command above there"
            if result.kept
            else f"set {KEEP}=FOLDER, which keeps the decks of failed runs, and do the same again"
        )
        holds = f"  it holds {' and '.join(result.holds)}\n" if result.holds else ""
        super().__init__(
            f"{result.deck_name}: {result.outcome}: {result.reason}\n{holds}"
            f"  command: {shlex.join(result.command)}\n"
            f"  from the log:\n{tail or '    (empty)'}\n"
            f"  to see its deck: {repeat}"
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
        kept: the folder that has the deck of a failed run, its side files and the log; empty where
            `SPICELOOP_KEEP` names none.
        holds: what of the user's own stands in the deck.
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
    kept: str = ""
    holds: tuple[str, ...] = ()

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
