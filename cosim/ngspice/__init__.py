"""The engine room: ngspice as a child process, its raw files, and a typed end for every run."""

from cosim.ngspice.binary import Ngspice, find_ngspice
from cosim.ngspice.deck import Deck
from cosim.ngspice.limits import timeout_for
from cosim.ngspice.outcome import Outcome
from cosim.ngspice.pool import run_decks
from cosim.ngspice.raw import MissingSignalError, RawFormatError, RawPlot, read_raw
from cosim.ngspice.result import SimulationFailedError, SimulationResult
from cosim.ngspice.runner import run_deck

__all__ = [
    "Deck",
    "MissingSignalError",
    "Ngspice",
    "Outcome",
    "RawFormatError",
    "RawPlot",
    "SimulationFailedError",
    "SimulationResult",
    "find_ngspice",
    "read_raw",
    "run_deck",
    "run_decks",
    "timeout_for",
]
