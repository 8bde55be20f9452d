"""Measuring what one pulse does to a device, and the update surrogate that comes of it.

Where the table needs points the torch model says, which costs little: levels are put between those
at whose middle a straight line is wrong, and states where the map bends. The points themselves are
measured by the source that is asked for, and so are the random ones that the error is told from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.variation import component_rng
from cosim.devices.form import B_SOURCES, DeviceForm, device_form
from cosim.devices.switching_time import switching_state
from cosim.ngspice import Ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_rows import Row, compared, from_rows
from cosim.tables.kept_points import KeptPoints, Measured
from cosim.tables.layout import FULL, QUICK, Effort, lay_out
from cosim.tables.source import in_ngspice, in_torch
from netlists.pulse import Pulse

Array = NDArray[np.float64]
Report = Callable[[int, int], None]

_SEED = 1


@dataclass(frozen=True, eq=False)
class MeasuredUpdate:
    """Pulses that were measured: what an update surrogate is made from, and much smaller.

    Attributes:
        model: the device's name.
        parameter_set: its set's.
        state: the state that is meant.
        pulse: whose timing was measured.
        rows: of rising levels, for the table.
        x: states before the pulses that the error is told from [point].
        voltage_v: their levels [V], [point].
        after: states after them [point]; NaN where the source has no answer.
        energy_j: their energies [J], [point].
        source: who measured.
        reason: why the first run that failed did; empty if none has.
    """

    model: str
    parameter_set: str
    state: str
    pulse: Pulse
    rows: tuple[Row, ...]
    x: Array
    voltage_v: Array
    after: Array
    energy_j: Array
    source: str
    reason: str

    def surrogate(self) -> UpdateSurrogate:
        """The better one of two tables: cubics over the voltage, or straight lines."""
        tables = [self._table(smooth=smooth) for smooth in (True, False)]
        return min(tables, key=_error)

    def _table(self, *, smooth: bool) -> UpdateSurrogate:
        made = from_rows(
            list(self.rows),
            model=self.model,
            parameter_set=self.parameter_set,
            pulse=self.pulse,
            state=self.state,
            source=self.source,
            smooth=smooth,
        )
        held = compared(made, self.x, self.voltage_v, self.after, self.energy_j)
        return replace(made, held_out=held, reason=self.reason)


def calibrate_update(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    range_v: tuple[float, float],
    *,
    ngspice: Ngspice | None = None,
    compiled: bool | None = None,
    decks: int = 1,
    effort: Effort | None = None,
    report: Report | None = None,
    kept: KeptPoints | None = None,
) -> UpdateSurrogate:
    """The update surrogate of a device for pulses of one timing, measured anew.

    Args:
        model: see `measure_update`.
        parameter_set: likewise.
        pulse: likewise.
        range_v: likewise.
        ngspice: likewise.
        compiled: see `update_form`.
        decks: see `measure_update`.
        effort: likewise.
        report: likewise.
        kept: likewise.

    Returns:
        The surrogate with its held-out error. What the source could not solve is NaN in the table.

    Raises:
        InputError: as `measure_update` and `update_form`.
    """
    form = update_form(model, parameter_set, ngspice, compiled)
    return measure_update(
        model, parameter_set, pulse, range_v,
        ngspice=ngspice, form=form, decks=decks, effort=effort, report=report, kept=kept,
    ).surrogate()  # fmt: skip


def update_form(
    model: CompactModel, parameter_set: ParameterSet, ngspice: Ngspice | None, compiled: bool | None
) -> DeviceForm:
    """The form in which ngspice measures a device; torch has none.

    Args:
        model: the device.
        parameter_set: its numbers.
        ngspice: who measures; None is torch.
        compiled: True: compiled or refused; False: B sources; None: compiled where that is
            possible.

    Raises:
        InputError: `compiled` is True and that is not possible.
    """
    if ngspice is None:
        return B_SOURCES
    return device_form(model, parameter_set, ngspice, compiled=compiled)


def effort_of(ngspice: Ngspice | None, form: DeviceForm, effort: Effort | None) -> Effort:
    """How fine a table is that nobody says it of: `FULL`, or `QUICK` for behavioural sources."""
    return effort or (FULL if ngspice is None or form.compiled else QUICK)


def measure_update(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    range_v: tuple[float, float],
    *,
    ngspice: Ngspice | None = None,
    form: DeviceForm = B_SOURCES,
    decks: int = 1,
    effort: Effort | None = None,
    report: Report | None = None,
    kept: KeptPoints | None = None,
) -> MeasuredUpdate:
    """The pulses that an update surrogate needs, and random ones that tell its error.

    Args:
        model: the device.
        parameter_set: its numbers; other states than the one that switches start at its initial
            values.
        pulse: whose rise, width and fall hold.
        range_v: the least and the greatest level [V].
        ngspice: who measures; None is torch.
        form: in which ngspice gets the device, from `update_form`.
        decks: that it solves at a time.
        effort: how fine; None is `effort_of`.
        report: called with steps done and steps in all, half of them the search for levels, which
            may need fewer than are allowed.
        kept: pieces that a measurement had finished which was stopped; gets those of this one.

    Raises:
        InputError: the device takes no pulses, the levels are not in order, or beyond what the
            model is good for.
    """
    check_levels(model, parameter_set, range_v)
    wanted = effort_of(ngspice, form, effort)
    # Where the table needs points does not hang on energies, for which torch has to stop and look.
    guide = in_torch(model, parameter_set, pulse, looks=0, tolerance=1e-5, kept=kept)
    most = (wanted.level_rounds + 1) * (wanted.state_rounds + 1)
    rounds = 0

    def searched(x: Array, voltage_v: Array) -> Measured:
        nonlocal rounds
        found = guide(x, voltage_v)
        rounds += 1
        if report is not None:
            report(rounds, 2 * most)
        return found

    def measured(done: int, points: int) -> None:
        if report is not None:
            report(most + most * done // points, 2 * most)

    rows = lay_out(searched, range_v, wanted, thresholds_v(model, parameter_set))
    if ngspice is None:
        source = in_torch(model, parameter_set, pulse, report=measured, kept=kept)
    else:
        source = in_ngspice(
            model, parameter_set, pulse, ngspice,
            form=form, decks=decks, report=measured, kept=kept,
        )  # fmt: skip
    rng = component_rng(_SEED, 0, "update surrogate, held out")
    x = rng.random(wanted.held_out)
    v = range_v[0] + (range_v[1] - range_v[0]) * rng.random(wanted.held_out)
    levels = [np.full(len(row.x), row.voltage_v) for row in rows]
    found = source(np.concatenate([*(row.x for row in rows), x]), np.concatenate([*levels, v]))
    ends = np.cumsum([len(row.x) for row in rows])
    *afters, after = np.split(found.after, ends)
    *energies, energy_j = np.split(found.energy_j, ends)
    return MeasuredUpdate(
        model=model.name,
        parameter_set=parameter_set.name,
        state=model.states[switching_state(model)].name,
        pulse=pulse,
        rows=tuple(
            replace(row, after=one, energy_j=other)
            for row, one, other in zip(rows, afters, energies, strict=True)
        ),
        x=x,
        voltage_v=v,
        after=after,
        energy_j=energy_j,
        source=found.engine,
        reason=found.reason,
    )


def _error(made: UpdateSurrogate) -> float:
    held = made.held_out
    return np.inf if held is None or not np.isfinite(held.nrmse) else held.nrmse


MOST = 3.0
"""The highest level, over the amplitude of the parameter set: up to there models are tested."""


def check_levels(
    model: CompactModel, parameter_set: ParameterSet, range_v: tuple[float, float]
) -> None:
    """Refuses levels for which the model is not good.

    Raises:
        InputError: the model takes no pulses, or a level is not finite, in order, or too high.
    """
    if model.kind == "read":
        raise InputError(
            "the model is programmed and read, a pulse does not move it",
            where="model",
            value=model.name,
            allowed="a model of kind dynamic or pulse",
            hint="'spiceloop device list' shows them",
        )
    switching_state(model)
    low, high = range_v
    most_v = MOST * parameter_set.amplitude_v
    for value in range_v:
        if not abs(value) <= most_v:
            raise InputError(
                "a pulse so high is beyond what the model is good for",
                where="amplitude_v",
                value=value,
                allowed=f"{-most_v:g} to {most_v:g} V, {MOST:g} times the amplitude of set "
                f"{parameter_set.name!r}",
            )
    if not low < high:
        raise InputError(
            "the levels are not in order", where="range_v", value=range_v, allowed="low < high"
        )


def thresholds_v(model: CompactModel, parameter_set: ParameterSet) -> list[float]:
    """The voltages at which the rates of the device have a kink or a jump [V]."""
    functions = torch_model(model)
    p = functions.parameters(dict(parameter_set.values))
    ends = [functions.kinks(torch.tensor(v, dtype=torch.float64), p) for v in (0.0, 1.0)]
    return sorted({float(a) / (float(a) - float(b)) for a, b in zip(*ends, strict=True)})
