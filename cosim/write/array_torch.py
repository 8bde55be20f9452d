"""An array of dynamic cells with its wires through a pulse, in torch.

The lines' voltages are given, those across the cells are not: they depend on all currents, and so
on all states. In one step of time the states are integrated along voltages that are straight from
its beginning to its middle and from there to its end, and the wires solved again with the states
found, until the two agree. The step is as long as straight voltages are good enough, which the
states say: integrated along one straight line instead of two they must come out nearly the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from cosim.devices.array_pulse import PulsedArray
from cosim.devices.cells import Cells
from cosim.devices.humps import longest_step_v
from cosim.devices.integrate import advance, start
from cosim.devices.operating_point import operating_point
from cosim.write.driven_lines import Cell, DrivenLines, voltages_across

Array = NDArray[np.float64]

_ROUNDS = 8  # of states and voltages until they must agree
_AGREE = 0.1  # of the tolerance
_SHRINK, _GROW, _SAFETY = 0.2, 4.0, 0.9
_LEAST_PART = 1e-9  # of a ramp: a step that would have to be shorter has failed
_FAR = 0.1  # of the range: a step in which a state moves so far is looked at before it is polished
_HOPELESS = 3.0  # times the tolerance
_INNER = 0.2  # of the tolerance, for the integrator within a step


@dataclass(frozen=True, eq=False)
class Written:
    """What a pulse leaves.

    Attributes:
        states: every state after it in its unit, by name, each [row, col]; NaN where a cell is
            stuck or was lost.
        word_a: currents into the word lines at the times of the stimulus [A], [row, time].
        bit_a: currents into the bit lines, [col, time].
        energy_j: what every cell has turned into heat [J], [row, col].
        line_energy_j: what the wires and the drivers' resistances have, together [J].
        steps: how many steps of time it took.
        failed: why the run ended early; empty if it did not.
    """

    states: dict[str, Array]
    word_a: Array
    bit_a: Array
    energy_j: Array
    line_energy_j: float
    steps: int
    failed: str


@dataclass(frozen=True, eq=False)
class _Moment:
    """Cells at an instant, what is across them and through them [row, col]."""

    cells: Cells
    voltage_v: torch.Tensor
    current_a: torch.Tensor


def pulse_array_torch(
    array: PulsedArray, *, r_driver_ohm: float = 0.0, tolerance: float = 1e-4
) -> Written:
    """Runs an array through its pulse.

    Args:
        array: the array and what is applied to it.
        r_driver_ohm: in series at the driven end of every line.
        tolerance: error of a state, as a fraction of its range, allowed in one step.

    Raises:
        InputError: the tolerance is none.
    """
    if not 1e-9 <= tolerance <= 0.1:
        raise InputError(
            "not an error that can be asked for",
            where="tolerance",
            value=tolerance,
            allowed="1e-9 to 0.1 of a state's range",
        )
    with torch.no_grad():
        return _Run(array, r_driver_ohm, tolerance).whole()


class _Run:
    """One array on its way through its pulse."""

    def __init__(self, array: PulsedArray, r_driver_ohm: float, tolerance: float) -> None:
        self.array = array
        self.tolerance = tolerance
        self.lines = DrivenLines.of(
            array.shape,
            r_wordline_ohm=array.wires.r_wordline_ohm,
            r_bitline_ohm=array.wires.r_bitline_ohm,
            r_driver_ohm=r_driver_ohm,
        )
        stuck = np.full(array.shape, np.nan) if array.stuck_s is None else array.stuck_s
        self.stuck_s = torch.from_numpy(stuck)
        self.works = torch.isnan(self.stuck_s)
        self.functions: TorchModel = torch_model(array.model)
        self.p = self.functions.parameters(
            {
                one.name: torch.from_numpy(array.value(one.name)[self.works.numpy()])
                if one.name in array.values
                else array.parameter_set.values[one.name]
                for one in array.model.parameters
            }
        )
        self.names = [state.name for state in array.model.states]
        self.steps = 0
        self.heat = torch.zeros(array.shape, dtype=torch.float64)
        self.line_heat = 0.0

    def whole(self) -> Written:
        """From the first to the last time of the stimulus."""
        array, functions = self.array, self.functions
        times = array.time_s.tolist()
        driven = torch.from_numpy(array.word_v[:, None] - array.bit_v[None]).movedim(-1, 0)
        begun = [torch.from_numpy(array.start(n)[self.works.numpy()]) for n in self.names]
        fractions = functions.fractions(begun, self.p)
        cells = start(functions, self.p, fractions, driven[0][self.works])
        self.longest_v = longest_step_v(
            functions, self.p, cells, driven[:, self.works], times[-1] - times[0], self.tolerance
        )
        moment = self.settled(cells, driven[0], driven[0])
        failed = "" if moment is not None else "no voltages solve the wires at the first time"
        word, bit = [], []
        if moment is not None:
            word, bit = [moment.current_a.sum(1)], [-moment.current_a.sum(0)]
            for k, (before, after) in enumerate(pairwise(times)):
                following = self.ramp(moment, driven[k], driven[k + 1], after - before)
                if following is None:
                    failed = f"states and voltages do not agree between {before:g} and {after:g} s"
                    break
                moment = following
                word.append(moment.current_a.sum(1))
                bit.append(-moment.current_a.sum(0))
        return self.result(moment, word, bit, failed)

    def ramp(
        self, moment: _Moment, first_v: torch.Tensor, last_v: torch.Tensor, duration_s: float
    ) -> _Moment | None:
        """The array after its lines went from one set of voltages to another in straight lines."""
        at, length = 0.0, 1.0  # as parts of the ramp
        while at < 1.0:
            length = min(length, 1.0 - at)
            if 1.0 - at - length < 1e-3 * length:
                length = 1.0 - at
            ends = [at, at + 0.5 * length, at + length]
            driven = [torch.lerp(first_v, last_v, min(one, 1.0)) for one in ends]
            tried = self.step(moment, driven, length * duration_s)
            if tried is None:
                length *= _SHRINK
            else:
                middle, following, error = tried
                factor = _SAFETY * (self.tolerance / max(error, 1e-300)) ** (1 / 3)
                if error <= self.tolerance:
                    self.count_heat(moment, middle, following, driven, length * duration_s)
                    moment, at = following, at + length
                    self.steps += 1
                length *= min(_GROW, max(_SHRINK, factor))
            if length < _LEAST_PART and at < 1.0:
                return None
        return moment

    def step(
        self, moment: _Moment, driven: Sequence[torch.Tensor], duration_s: float
    ) -> tuple[_Moment, _Moment, float] | None:
        """The array at the middle and the end of a step, and the error of straight voltages."""
        both = torch.stack(list(driven[1:]))
        # With the states as they are: what the lines' own change does.
        change = both - driven[0]
        found = self.across([moment.cells] * 2, both, moment.voltage_v + change)
        if found is None:
            return None
        volts, current = found
        last: list[torch.Tensor] | None = None
        for turn in range(_ROUNDS):
            half = self.moved(moment.cells, moment.voltage_v, volts[0], 0.5 * duration_s)
            full = self.moved(half, volts[0], volts[1], 0.5 * duration_s)
            found = self.across([half, full], both, volts)
            if found is None:
                return None
            volts, current = found
            now = [*half.fractions, *full.fractions]
            moved = _apart(now, [*moment.cells.fractions] * 2)
            if last is not None and _apart(now, last) <= _AGREE * self.tolerance:
                break
            last = now
            if self.lines.ideal:
                break
            if turn == 0 and moved > _FAR:
                error = self.bend(moment, full, volts[1], duration_s)
                if error > _HOPELESS * self.tolerance:
                    return _Moment(half, volts[0], current[0]), moment, error
        else:
            return None
        error = self.bend(moment, full, volts[1], duration_s)
        middle = _Moment(half, volts[0], current[0])
        return middle, _Moment(full, volts[1], current[1]), error

    def bend(
        self, moment: _Moment, full: Cells, last_v: torch.Tensor, duration_s: float
    ) -> float:
        """What two straight voltages make better than one, of the states."""
        straight = self.moved(moment.cells, moment.voltage_v, last_v, duration_s)
        return _apart(straight.fractions, full.fractions) / 3

    def moved(
        self, cells: Cells, first_v: torch.Tensor, last_v: torch.Tensor, duration_s: float
    ) -> Cells:
        """The cells along straight voltages."""
        return advance(
            self.functions,
            self.p,
            cells,
            first_v[self.works],
            last_v[self.works],
            duration_s,
            tolerance=max(1e-11, _INNER * self.tolerance),
            longest_v=self.longest_v,
        )

    def across(
        self, cells: Sequence[Cells], driven_v: torch.Tensor, guess_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Voltages and currents of all cells for several sets of states, [set, row, col]."""
        found = voltages_across(self.law(cells), self.lines, driven_v, guess_v=guess_v)
        if not bool(found.converged.all()):
            return None
        return found.voltage_v, found.current_a

    def settled(
        self, cells: Cells, driven_v: torch.Tensor, guess_v: torch.Tensor
    ) -> _Moment | None:
        """The cells, and what is across them."""
        found = self.across([cells], driven_v[None], guess_v[None])
        return None if found is None else _Moment(cells, found[0][0], found[1][0])

    def law(self, cells: Sequence[Cells]) -> Cell:
        """Current and slope of every cell at the given states, [set, row, col]."""
        model, works = self.array.model, self.works
        columns = zip(*(one.fractions for one in cells), strict=True)
        stacked = [torch.stack(column) for column in columns]
        states: Mapping[str, Value] = dict(
            zip(self.names, self.functions.states(stacked, self.p), strict=True)
        )
        internals = [one.internal for one in cells if one.internal is not None]
        guess = torch.stack(internals) if internals else None
        values = {one.name: self.p[one.name] for one in model.parameters}

        def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            point = operating_point(model, values, states, v[..., works], guess=guess)
            current, slope = self.stuck_s * v, self.stuck_s.expand_as(v).clone()
            current[..., works] = point.current_a
            slope[..., works] = point.conductance_s
            return current, slope

        return cell

    def count_heat(
        self,
        before: _Moment,
        middle: _Moment,
        after: _Moment,
        driven: Sequence[torch.Tensor],
        duration_s: float,
    ) -> None:
        """Adds what a step has turned into heat, by Simpson's rule."""
        own, given = [], []
        for moment, driven_v in zip((before, middle, after), driven, strict=True):
            own.append(moment.voltage_v * moment.current_a)
            given.append(float((driven_v * moment.current_a).sum()))
        self.heat += duration_s / 6 * (own[0] + 4 * own[1] + own[2])
        whole = duration_s / 6 * (given[0] + 4 * given[1] + given[2])
        cells = float((duration_s / 6 * (own[0] + 4 * own[1] + own[2])).sum())
        self.line_heat += whole - cells

    def result(
        self,
        moment: _Moment | None,
        word: list[torch.Tensor],
        bit: list[torch.Tensor],
        failed: str,
    ) -> Written:
        """What is left of the run."""
        shape, times = self.array.shape, len(self.array.time_s)
        states = {name: np.full(shape, np.nan) for name in self.names}
        if moment is not None and not failed:
            physical = self.functions.states(moment.cells.fractions, self.p)
            for name, value in zip(self.names, physical, strict=True):
                alive = torch.where(moment.cells.alive, value, torch.nan)
                states[name][self.works.numpy()] = alive.numpy()

        def currents(found: list[torch.Tensor], lines: int) -> Array:
            table = np.full((lines, times), np.nan)
            for k, one in enumerate(found):
                table[:, k] = one.numpy()
            return table

        return Written(
            states,
            currents(word, shape[0]),
            currents(bit, shape[1]),
            self.heat.numpy(),
            self.line_heat,
            self.steps,
            failed,
        )


def _apart(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    """The largest difference of any state of any cell; infinite if one is no number."""
    worst = 0.0
    for one, other in zip(some, others, strict=True):
        if one.numel():
            worst = max(worst, float((one - other).abs().nan_to_num(nan=torch.inf).amax()))
    return worst
