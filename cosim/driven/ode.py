"""An array of dynamic cells with its wires through a pulse, in torch.

The lines' voltages are given, those across the cells are not: they depend on all currents, and so
on all states. In one step of time the states are integrated along voltages that are straight from
its beginning to its middle and from there to its end, and the wires solved again with the states
found, until the two agree. The step is as long as straight voltages are good enough, which the
states say: integrated along one straight line instead of two they must come out nearly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from cosim.devices.cells import Cells
from cosim.devices.humps import longest_step_v
from cosim.devices.integrate import advance, start
from cosim.driven.cell_law import cell_law
from cosim.driven.line_ends import LineEnds
from cosim.driven.lines import voltages_across
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult
from cosim.ngspice import Outcome

Array = NDArray[np.float64]

ENGINE = "torch"

_ROUNDS = 8  # of states and voltages until they must agree
_AGREE = 0.1  # of the tolerance
_SHRINK, _GROW, _SAFETY = 0.2, 4.0, 0.9
_LEAST_PART = 1e-9  # of a ramp: a step that would have to be shorter has failed
_FAR = 0.1  # of the range: a step in which a state moves so far is looked at before it is polished
_HOPELESS = 3.0  # times the tolerance
_BEND = 0.02  # of the highest voltage: the most that one may lie beside the straight line
_HEAT = 5e-4  # of a cell's heat: the most that one step may leave uncertain
_COLD = 1e-3  # of the hottest cell's heat: what is colder is as uncertain as that
_INNER = 0.2  # of the tolerance, for the integrator within a step


@dataclass(frozen=True, eq=False)
class _Moment:
    """Cells at an instant.

    Attributes:
        cells: those that work.
        voltage_v: across every cell [V], [row, col].
        device_v: across its memristor alone.
        current_a: through both [A].
    """

    cells: Cells
    voltage_v: torch.Tensor
    device_v: torch.Tensor
    current_a: torch.Tensor


def run_ode(array: PulsedArray, *, tolerance: float = 1e-4) -> PulseResult:
    """Runs an array through its pulse.

    Args:
        array: the array and what is applied to it.
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
        return _Run(array, tolerance).whole()


def ode_engine(*, tolerance: float = 1e-4) -> Engine:
    """The cells' equations and the wires', solved together in torch; see `run_ode`."""

    def run(array: PulsedArray) -> PulseResult:
        return run_ode(array, tolerance=tolerance)

    return run


class _Run:
    """One array on its way through its pulse."""

    def __init__(self, array: PulsedArray, tolerance: float) -> None:
        self.array = array
        self.tolerance = tolerance
        self.lines = array.lines
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
        self.heat = torch.zeros(array.shape, dtype=torch.float64)
        self.line_heat = 0.0

    def whole(self) -> PulseResult:
        """From the first to the last time of the stimulus."""
        array, functions = self.array, self.functions
        times = array.time_s.tolist()
        none = np.zeros_like(array.word_v)
        gate_v = none if array.gate_v is None else array.gate_v
        sides = (array.word_v, array.bit_v, gate_v)
        ends = LineEnds(*(torch.from_numpy(x.T.copy()) for x in sides))
        begun = [torch.from_numpy(array.start(n)[self.works.numpy()]) for n in self.names]
        fractions = functions.fractions(begun, self.p)
        across = ends.across_v[:, self.works]
        first_v = across[0] if array.access is None else torch.zeros_like(across[0])
        cells = start(functions, self.p, fractions, first_v)
        self.longest_v = longest_step_v(
            functions, self.p, cells, across, times[-1] - times[0], self.tolerance
        )
        self.highest_v = float(across.abs().amax()) if across.numel() else 0.0
        moment = self.settled(cells, ends.at(0))
        failed = "" if moment is not None else "no voltages solve the wires at the first time"
        word, bit = [], []
        if moment is not None:
            word, bit = [moment.current_a.sum(1)], [-moment.current_a.sum(0)]
            for k, (before, after) in enumerate(pairwise(times)):
                then_s = times[min(k + 2, len(times) - 1)] - after
                following = self.ramp(moment, ends.at(k), ends.at(k + 1), after - before, then_s)
                if following is None:
                    failed = f"states and voltages do not agree between {before:g} and {after:g} s"
                    break
                moment = following
                word.append(moment.current_a.sum(1))
                bit.append(-moment.current_a.sum(0))
        return self.result(moment, word, bit, failed)

    def ramp(
        self, moment: _Moment, first: LineEnds, last: LineEnds, duration_s: float, then_s: float
    ) -> _Moment | None:
        """The array after its lines went from one set of voltages to another in straight lines.

        The ramp that comes after it lasts `then_s`.
        """
        at, length = 0.0, 1.0  # as parts of the ramp
        while at < 1.0:
            length = min(length, 1.0 - at)
            if 1.0 - at - length < 1e-3 * length:
                length = 1.0 - at
            places = [at, at + 0.5 * length, at + length]
            driven = [first.between(last, min(one, 1.0)) for one in places]
            tried = self.step(moment, driven, length * duration_s)
            if tried is None:
                length *= _SHRINK
            else:
                middle, following, error = tried
                left_s = (1.0 - at - length) * duration_s + then_s
                wrong = self.heat_error(moment, middle, following, length * duration_s, left_s)
                error = max(error, wrong * self.tolerance)
                factor = _SAFETY * (self.tolerance / max(error, 1e-300)) ** (1 / 3)
                if error <= self.tolerance:
                    self.count_heat(moment, middle, following, driven, length * duration_s)
                    moment, at = following, at + length
                length *= min(_GROW, max(_SHRINK, factor))
            if length < _LEAST_PART and at < 1.0:
                return None
        return moment

    def step(
        self, moment: _Moment, driven: Sequence[LineEnds], duration_s: float
    ) -> tuple[_Moment, _Moment, float] | None:
        """The array at the middle and the end of a step, and the error of straight voltages."""
        both = LineEnds.stack(driven[1:])
        # With the states as they are: what the lines' own change does.
        change = both.across_v - driven[0].across_v
        found = self.across([moment.cells] * 2, both, moment.voltage_v + change, moment.device_v,
                            moment.current_a)  # fmt: skip
        if found is None:
            return None
        last: list[torch.Tensor] | None = None
        for turn in range(_ROUNDS):
            half = self.moved(moment.cells, moment.device_v, found[0].device_v, 0.5 * duration_s)
            full = self.moved(half, found[0].device_v, found[1].device_v, 0.5 * duration_s)
            voltage_v = torch.stack([one.voltage_v for one in found])
            device_v = torch.stack([one.device_v for one in found])
            current_a = torch.stack([one.current_a for one in found])
            found = self.across([half, full], both, voltage_v, device_v, current_a)
            if found is None:
                return None
            now = [*half.fractions, *full.fractions]
            moved = _apart(now, [*moment.cells.fractions] * 2)
            if last is not None and _apart(now, last) <= _AGREE * self.tolerance:
                break
            last = now
            if self.given:
                break
            if turn == 0 and moved > _FAR:
                error = self.error(moment, found[0], found[1], duration_s)
                if error > _HOPELESS * self.tolerance:
                    return found[0], found[1], error
        else:
            return None
        error = 0.0 if self.given else self.error(moment, found[0], found[1], duration_s)
        return found[0], found[1], error

    @property
    def given(self) -> bool:
        """The lines' voltages are those across the memristors."""
        return self.lines.ideal and self.array.access is None

    def error(self, before: _Moment, middle: _Moment, after: _Moment, duration_s: float) -> float:
        """Of a step with straight voltages, as a part of a state's range.

        What two straight voltages make better than one is not enough: a state that switches and
        takes its own voltage away may have arrived on either, though the voltage that it really had
        would have stopped it on its way. The voltages themselves must be straight.
        """
        straight = self.moved(before.cells, before.device_v, after.device_v, duration_s)
        bend_v = middle.device_v - 0.5 * (before.device_v + after.device_v)
        allowed_v = _BEND * self.highest_v
        bent = float(bend_v.abs().amax()) / allowed_v if allowed_v else 0.0
        return max(_apart(straight.fractions, after.cells.fractions) / 3, bent * self.tolerance)

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
        self,
        cells: Sequence[Cells],
        ends: LineEnds,
        guess_v: torch.Tensor | None,
        device_v: torch.Tensor | None,
        current_a: torch.Tensor | None,
    ) -> list[_Moment] | None:
        """What is across and through the cells of several sets of states."""
        gated = self.array.access is not None and self.array.access.has_gate
        law = cell_law(
            self.functions,
            self.p,
            cells,
            works=self.works,
            stuck_s=self.stuck_s,
            access=self.array.access,
            gate_v=ends.gate_v[..., None] if gated else None,
            device_v=None if device_v is None else device_v.expand(ends.across_v.shape),
        )
        found = voltages_across(
            law, self.lines, ends.word_v, ends.bit_v,
            guess_v=guess_v, guess_a=current_a, sees_word=gated,
        )  # fmt: skip
        if not bool(found.converged.all()) or law.device_v is None:
            return None
        columns = (cells, found.voltage_v, law.device_v, found.current_a)
        return [_Moment(*one) for one in zip(*columns, strict=True)]

    def settled(self, cells: Cells, ends: LineEnds) -> _Moment | None:
        """The cells, and what is across them."""
        found = self.across([cells], LineEnds.stack([ends]), None, None, None)
        return None if found is None else found[0]

    def heat_error(
        self, before: _Moment, middle: _Moment, after: _Moment, duration_s: float, left_s: float
    ) -> float:
        """Of the heat of a step, as a part of what is allowed.

        A cell that switches where the voltages are given changes its current within a step that is
        good for its state. Of a power that only follows the square of a straight voltage Simpson's
        rule misses nothing: what it and the trapezoidal rule differ by is counted for the cell's
        conductance, at the highest of its voltages, and compared with the heat so far and with what
        the power at the end of the step makes of the time ahead.
        """
        volts = torch.stack([one.voltage_v for one in (before, middle, after)])
        amperes = torch.stack([one.current_a for one in (before, middle, after)])
        own = volts * amperes
        siemens = amperes / volts
        # At 0 V it is that of the step's middle, or of its end.
        for k in (1, 2, 0):
            siemens = torch.where(siemens.isfinite(), siemens, siemens[k])
        siemens = siemens.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        bend_s = siemens[0] - 2 * siemens[1] + siemens[2]
        off = duration_s / 12 * bend_s.abs() * volts.square().amax(0)
        step = duration_s / 6 * (own[0] + 4 * own[1] + own[2])
        whole = self.heat.abs() + step.abs() + own[2].abs() * left_s
        allowed = _HEAT * whole.clamp_min(_COLD * float(whole.max()))
        return float((off / allowed.clamp_min(1e-300)).amax()) if off.numel() else 0.0

    def count_heat(
        self,
        before: _Moment,
        middle: _Moment,
        after: _Moment,
        driven: Sequence[LineEnds],
        duration_s: float,
    ) -> None:
        """Adds what a step has turned into heat, by Simpson's rule."""
        own, given = [], []
        for moment, ends in zip((before, middle, after), driven, strict=True):
            own.append(moment.voltage_v * moment.current_a)
            given.append(float((ends.across_v * moment.current_a).sum()))
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
    ) -> PulseResult:
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

        return PulseResult(
            states,
            self.heat.numpy(),
            float(self.heat.sum()) + self.line_heat,
            ENGINE,
            Outcome.NO_CONVERGENCE if failed else Outcome.OK,
            failed,
            currents(word, shape[0]),
            currents(bit, shape[1]),
        )


def _apart(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    """The largest difference of any state of any cell; infinite if one is no number."""
    worst = 0.0
    for one, other in zip(some, others, strict=True):
        if one.numel():
            worst = max(worst, float((one - other).abs().nan_to_num(nan=torch.inf).amax()))
    return worst
