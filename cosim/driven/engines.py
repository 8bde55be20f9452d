"""Who carries an array through a stimulus: `table`, `ode` or `spice`, by one function."""

from __future__ import annotations

from dataclasses import dataclass

from compact_models.errors import InputError, closest
from cosim.driven.ode import ode_engine
from cosim.driven.result import Engine
from cosim.driven.spice import spice_engine
from cosim.driven.table import table_engine
from cosim.ngspice import Ngspice
from cosim.surrogate.update import UpdateSurrogate

FIDELITIES = ("table", "ode", "spice")
"""The measured table of one pulse; the device's equations and the wires' in torch; ngspice."""


@dataclass(frozen=True)
class Means:
    """What engines compute with; each asks for its own.

    Attributes:
        tables: of the timings of all pulses, for `table`.
        tolerance: error of a state, as a part of its range, allowed in one step of time, for `ode`.
        ngspice: from `find_ngspice`, for `spice`.
        compiled: the form of the device in ngspice, see `run_spice`; asked once for all pulses of
            a job with `device_form`.
        steps: the longest time step of ngspice is the duration over this.
    """

    tables: tuple[UpdateSurrogate, ...] = ()
    tolerance: float = 1e-3
    ngspice: Ngspice | None = None
    compiled: bool | None = None
    steps: int = 200


def pulse_engine(fidelity: str, means: Means) -> Engine:
    """The engine of a fidelity.

    Raises:
        InputError: there is no such fidelity, or what it computes with is missing.
    """
    if fidelity == "table":
        if not means.tables:
            raise InputError(
                "the fidelity 'table' needs a measured update table",
                where="tables",
                hint="cosim.tables.cache.cached_update makes one",
            )
        return table_engine(*means.tables)
    if fidelity == "ode":
        return ode_engine(tolerance=means.tolerance)
    if fidelity == "spice":
        if means.ngspice is None:
            raise InputError("the fidelity 'spice' needs ngspice", where="ngspice")
        return spice_engine(means.ngspice, compiled=means.compiled, steps=means.steps)
    raise InputError(
        "no fidelity of updates",
        where="fidelity",
        value=fidelity,
        allowed=", ".join(FIDELITIES),
        hint=closest(fidelity, FIDELITIES),
    )
