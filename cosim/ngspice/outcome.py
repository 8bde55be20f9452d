"""How a simulation ended: the typed outcome and the pure function that decides it.

A simulator's exit code is not evidence. ngspice leaves with 0 after a singular matrix, after an
element line that it ignored, after a failed analysis inside a control block and after a division by
zero that came out as 1e32. So every run is judged from four things at once: how the process ended,
what the log says, what the raw file holds, and what the deck promised. This file sets the order of
those checks; `log.py` reads the log and `checks.py` the numbers.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cosim.ngspice import checks, log
from cosim.ngspice.deck import Deck
from cosim.ngspice.raw import RawPlot


class Outcome(StrEnum):
    """The five ends of a simulation. All five are counted in every yield and every table."""

    OK = "ok"
    NO_CONVERGENCE = "no_convergence"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INVALID = "invalid"


@dataclass(frozen=True)
class ProcessEnd:
    """How the simulator's process ended.

    Attributes:
        returncode: the exit status; minus the signal's number when a signal killed it.
        timed_out: it was stopped because `timeout_s` had passed.
        timeout_s: the limit it ran under.
    """

    returncode: int
    timed_out: bool
    timeout_s: float


@dataclass(frozen=True)
class Verdict:
    """An outcome with the sentence that says why; the sentence is empty when all is well."""

    outcome: Outcome
    reason: str = ""


def classify(
    deck: Deck,
    end: ProcessEnd,
    log_text: str,
    plots: Sequence[RawPlot],
    raw_problem: str,
    measures: Mapping[str, float],
) -> Verdict:
    """Decides how a simulation ended.

    Args:
        deck: what was run, with what it promised (`expected_points` and the rest).
        end: how the process ended.
        log_text: everything that ngspice printed.
        plots: the plots of the raw file; empty when there was none.
        raw_problem: why the raw file could not be read; empty when it could or was not there.
        measures: the `.meas` results found in the log.

    Returns:
        The outcome. The reason names the log line, the signal, the point or the deck line.
    """
    if end.timed_out:
        seen = log.convergence_failure(log_text)
        trouble = f"; the log said: {seen}" if seen else ""
        return Verdict(Outcome.TIMEOUT, f"stopped after {end.timeout_s:g} s{trouble}")
    if end.returncode < 0:
        return Verdict(Outcome.CRASHED, _signal_reason(-end.returncode))
    stuck = log.convergence_failure(log_text)
    if stuck:
        return Verdict(Outcome.NO_CONVERGENCE, stuck)
    if end.returncode != 0:
        cause = log.first_error(log_text, deck.text, deck.files) or "no error line in the log"
        return Verdict(Outcome.CRASHED, f"exit code {end.returncode}: {cause}")
    problem = (
        checks.missing_measures(deck.expected_measures, measures, log_text)
        or log.distrusted_line(log_text, deck.text, deck.tolerated, deck.files)
        or raw_problem
        or checks.plot_problem(deck, plots)
        or checks.measure_problem(measures, deck.value_limit)
    )
    return Verdict(Outcome.INVALID, problem) if problem else Verdict(Outcome.OK)


def _signal_reason(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "an unknown signal"
    hint = " (out of memory?)" if number == signal.SIGKILL else ""
    return f"killed by signal {number}, {name}{hint}"
