"""An array of dynamic cells with its wires, and one stimulus on all of its lines: what is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.driven.lines import DrivenLines
from netlists.access import Access
from netlists.cells import memristor
from netlists.device_array import DeviceArray
from netlists.wires import ALLOWED_OHM, Wires, zero_or_buildable

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PulsedArray:
    """An array, what its cells are, and what is applied to its lines.

    Attributes:
        model: the device; its terminal p is on the word line.
        parameter_set: nominal parameters and initial states.
        shape: rows and columns.
        wires: the segment resistances.
        time_s: times, rising, at least two, [time].
        word_v: voltages at the left ends of the word lines, [row, time].
        bit_v: voltages at the lower ends of the bit lines, [col, time]; straight between the times.
        values: parameters that cells have for themselves, by name, each [row, col].
        initial: initial states likewise.
        stuck_s: conductance of stuck cells in siemens, NaN where a cell works, [row, col]; None if
            all work.
        r_word_driver_ohm: in series at the driven end of every word line.
        r_bit_driver_ohm: the same of every bit line.
        access: what stands before every memristor; None for nothing.
        gate_v: voltages of the gate lines of transistors, [row, time]; None without.

    Raises:
        InputError: a shape, a time or a value that cannot be.
    """

    model: CompactModel
    parameter_set: ParameterSet
    shape: tuple[int, int]
    wires: Wires
    time_s: Array
    word_v: Array
    bit_v: Array
    values: Mapping[str, Array] = field(default_factory=dict)
    initial: Mapping[str, Array] = field(default_factory=dict)
    stuck_s: Array | None = None
    r_word_driver_ohm: float = 0.0
    r_bit_driver_ohm: float = 0.0
    access: Access | None = None
    gate_v: Array | None = None

    def __post_init__(self) -> None:
        """Checks the stimulus and the initial states."""
        rows, cols = self.shape
        count = self.time_s.shape[0] if self.time_s.ndim == 1 else 0
        if count < 2 or not (np.isfinite(self.time_s).all() and (np.diff(self.time_s) > 0).all()):
            raise InputError(
                "times must rise", where="time_s", allowed="[time], at least two, finite"
            )
        lines_v = [("word_v", self.word_v, rows), ("bit_v", self.bit_v, cols)]
        wants_gate = self.access is not None and self.access.has_gate
        if wants_gate != (self.gate_v is not None):
            raise InputError(
                "transistors have gate lines, other cells have none",
                where="gate_v",
                allowed="[row, time] with transistors, None without",
            )
        if self.gate_v is not None:
            lines_v.append(("gate_v", self.gate_v, rows))
        for name, voltage, lines in lines_v:
            if voltage.shape != (lines, count):
                raise InputError(
                    "wrong shape", where=name, value=voltage.shape, allowed=f"({lines}, {count})"
                )
            if not np.isfinite(voltage).all():
                raise InputError("voltages must be finite", where=name)
        for name in ("r_word_driver_ohm", "r_bit_driver_ohm"):
            try:
                zero_or_buildable(getattr(self, name))
            except ValueError:
                raise InputError(
                    "cannot be computed with",
                    where=name,
                    value=getattr(self, name),
                    allowed=ALLOWED_OHM,
                ) from None
        _check_initial(self)

    @property
    def lines(self) -> DrivenLines:
        """What its lines take from the voltages at their ends.

        Raises:
            InputError: the segments of a kind are not all alike.
        """
        return DrivenLines.of(
            self.shape,
            self.wires,
            r_word_driver_ohm=self.r_word_driver_ohm,
            r_bit_driver_ohm=self.r_bit_driver_ohm,
        )

    def device_array(self, *, cell: str, compiled: bool) -> DeviceArray:
        """The array as an element of a circuit, with the named subcircuit or card as its cell."""
        stuck = np.full(self.shape, np.nan) if self.stuck_s is None else self.stuck_s
        if stuck.shape != self.shape:
            raise InputError(
                "wrong shape", where="stuck_s", value=stuck.shape, allowed=f"{self.shape}"
            )
        parameters = memristor.cell_parameters(self.model, self.values, self.initial)
        return DeviceArray(stuck, self.wires, cell, compiled, parameters, self.access)

    def value(self, name: str) -> Array:
        """A parameter of every cell, [row, col]."""
        nominal = np.full(self.shape, self.parameter_set.values[name])
        return np.asarray(self.values.get(name, nominal), dtype=np.float64)

    def start(self, name: str) -> Array:
        """The initial value of a state of every cell, [row, col]."""
        nominal = np.full(self.shape, self.parameter_set.initial[name])
        return np.asarray(self.initial.get(name, nominal), dtype=np.float64)


def _check_initial(array: PulsedArray) -> None:
    """Every state starts within its bounds, in every cell."""
    memristor.cell_parameters(array.model, array.values, array.initial)
    functions = torch_model(array.model)
    for name, table in (*array.values.items(), *array.initial.items()):
        if table.shape != array.shape:
            raise InputError("wrong shape", where=name, value=table.shape, allowed=f"{array.shape}")
    nominal = array.parameter_set.values
    p = functions.parameters(
        {
            x.name: torch.from_numpy(array.value(x.name))
            if x.name in array.values
            else nominal[x.name]
            for x in array.model.parameters
        }
    )
    start = [torch.from_numpy(array.start(x.name)) for x in array.model.states]
    for state, fraction in zip(array.model.states, functions.fractions(start, p), strict=True):
        share = fraction.numpy()
        inside = np.isfinite(share)
        if state.lower is not None:
            # A millionth: rounding of bounds that were computed by another route.
            inside &= (share >= -1e-6) & (share <= 1 + 1e-6)
        if not inside.all():
            row, col = (int(k) for k in np.argwhere(~inside)[0])
            raise InputError(
                f"state {state.name!r} starts out of bounds",
                where=f"initial, cell [{row}, {col}]",
                value=float(array.start(state.name)[row, col]),
                allowed="within the bounds of the cell's own parameters",
                hint="draw_initial places initial states for drawn parameters",
            )
