"""When the read of an array with capacitances has settled, and its waveform until then.

The array is at rest and the drivers step to other voltages at t = 0. The network is linear, so the
current out of every bit line is its final value and a sum of decaying exponentials, which
`cosim.settling.relaxation` finds: no time steps, and any time may be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.nodal.lines import Lines
from cosim.settling.capacitances import Capacitances, capacitance_matrix
from cosim.settling.exponentials import evaluate, last_outside
from cosim.settling.relaxation import Modes, Reduction, Relaxation, relaxation
from cosim.settling.sparse_network import sparse_network

Array = NDArray[np.float64]

# A step is a whole cycle of poles: a pole alone may change little and leave much.
_LEAST_ORDER, _STEP, _MOST_ORDER = 15, 5, 120
# A settling time is known when another `_STEP` vectors move it by less than this part of it.
_MOVES = 1e-3
# The times at which waveforms are compared begin at this part of the slow time constant.
_EARLIEST = 1e-4


@dataclass(frozen=True)
class Settling:
    """How an array settles after a step of its drivers at t = 0.

    Where `converged` is False, `time_constant_s`, `settling_s` and the waveform are NaN; the other
    numbers do not depend on the reduction.

    Attributes:
        start_a: currents out of the bit lines before the step [A], [batch, col].
        final_a: currents long after it [A], [batch, col].
        first_moment_s: the integral of (final - current) over (final - start) [s], [batch, col];
            charge that a step sends at once through cells between a driver and a sense node counts.
            Negative where a current overshoots what it ends at for longer than it is on its way:
            `elmore_s` is it where it is a delay. NaN where nothing changes.
        time_constant_s: of the slowest exponential that is above the band at t = 0 [s], [batch,
            col]; 0 where there is none.
        settling_s: the last time at which the current is outside the band around its final value
            [s], [batch, col]; 0 where it never is, infinite where the band is 0.
        monotonic: whether the current stays between its start and its end, to within `accuracy` of
            the line's largest current, and no charge comes through cells at once, [batch, col];
            False where that is not known.
        converged: whether waveform and settling time stand still as the model grows, [batch, col].
        estimate: by how much the waveform still changed, as a part of the largest current of the
            line, [batch, col].
        order: the number of vectors in the model of each input, [batch].
        rate: of all exponentials of the models [1/s], [batch, mode].
        amplitude_a: of the exponentials in every bit line [A], [batch, col, mode]; 0 where a model
            has fewer.
    """

    start_a: torch.Tensor
    final_a: torch.Tensor
    first_moment_s: torch.Tensor
    time_constant_s: torch.Tensor
    settling_s: torch.Tensor
    monotonic: torch.Tensor
    converged: torch.Tensor
    estimate: torch.Tensor
    order: torch.Tensor
    rate: torch.Tensor
    amplitude_a: torch.Tensor

    @property
    def elmore_s(self) -> torch.Tensor:
        """Elmore's delay [s], [batch, col]: the first moment of the change of a current.

        NaN where a current does not go straight from its start to its end (`monotonic`): there the
        first moment is no delay, and may be negative. `settling_s` is when it is there.
        """
        return self.first_moment_s.masked_fill(~self.monotonic, torch.nan)

    def current_a(self, times_s: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines [A], [batch, col, time].

        Args:
            times_s: [time] in seconds after the step; before 0 it is the current before the step,
                at 0 that right after it. Impulses at 0 itself, through a cell's capacitance between
                a driver and a sense node, are left out.
        """
        times = torch.as_tensor(times_s, dtype=torch.float64)
        decay = torch.exp(-self.rate.unsqueeze(-1) * times.clamp(min=0))
        after = self.final_a.unsqueeze(-1) + self.amplitude_a @ decay
        return torch.where(times < 0, self.start_a.unsqueeze(-1), after)


def solve_settling(
    conductance_s: torch.Tensor,
    lines: Lines,
    capacitances: Capacitances,
    drive_v: torch.Tensor,
    *,
    from_v: torch.Tensor | None = None,
    tolerance: float = 1e-3,
    tolerance_a: float | None = None,
    accuracy: float = 1e-6,
) -> Settling:
    """How the bit lines settle when the drivers step to `drive_v`.

    Args:
        conductance_s: one array, [row, col] in siemens, >= 0.
        lines: its resistances.
        capacitances: its capacitances.
        drive_v: voltages of the drivers after the step, [batch, row].
        from_v: before the step, [batch, row] or [row]; None is 0 V.
        tolerance: half width of the band around the final current, as a part of that.
        tolerance_a: half width of the band in ampere, instead, say half an LSB.
        accuracy: change of the waveform below which a model is large enough, as a part of the
            line's largest current, from a ten-thousandth of the slow time constant on.

    Raises:
        InputError: as `cosim.nodal.lines.check_array`; several arrays; voltages, capacitances or
            tolerances that do not fit.
    """
    network = sparse_network(conductance_s, lines)
    array = relaxation(network, capacitance_matrix(network, capacitances))
    _check_tolerances(tolerance, tolerance_a, accuracy)
    rows = conductance_s.shape[0]
    after = _voltages("drive_v", drive_v, rows)
    before = np.zeros(rows) if from_v is None else _voltages("from_v", from_v, rows, single=True)
    if before.ndim == 2 and before.shape != after.shape:
        raise InputError(
            "as many vectors before as after the step",
            where="from_v",
            value=before.shape,
            allowed=f"[row] or {list(after.shape)}",
        )
    before = np.broadcast_to(before, after.shape)
    lines_settle = []
    for old, new in zip(before, after, strict=True):
        start = array.currents(array.at_rest(old), old)
        final = array.currents(array.at_rest(new), new)
        band = (
            tolerance * np.abs(final) if tolerance_a is None else np.full_like(final, tolerance_a)
        )
        lines_settle.append(_settle(array, new - old, start, final, band, accuracy))
    return _gathered(lines_settle)


@dataclass(frozen=True, eq=False)
class _One:
    """`Settling` of one vector; without its batch axis."""

    start: Array
    final: Array
    moment: Array
    time_constant: Array
    settling: Array
    monotonic: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    estimate: Array
    order: int
    modes: Modes


def _settle(
    array: Relaxation, step_v: Array, start: Array, final: Array, band: Array, accuracy: float
) -> _One:
    nodes = array.at_rest(step_v)
    missing = array.missing(nodes, step_v)
    integral = array.integral(missing)
    late = -(array.y_out @ integral) - array.charges(nodes, step_v)
    change = array.currents(nodes, step_v)
    with np.errstate(divide="ignore", invalid="ignore"):
        moment = np.where(change != 0, late / change, np.nan)
    if not missing.any():
        none = Modes(np.empty(0), np.empty((len(final), 0)))
        zero = np.zeros_like(final)
        known = np.ones(len(final), bool)
        return _One(start, final, moment, zero, zero, known, known, zero, 0, none)
    # Time constants weighted with their charge and once more with themselves.
    slowness = float(integral @ (array.c @ integral)) / float(integral @ missing)
    largest = np.maximum(np.abs(start), np.abs(final))
    model = Reduction(array, missing, slowness, _MOST_ORDER)
    modes, settling, converged, estimate = _grown(model, slowness, largest, band, accuracy)
    slow = np.where(np.abs(modes.current_a) > band[:, None], 1 / modes.rate, 0.0)
    unknown = np.where(converged, 0.0, np.nan)
    return _One(
        start,
        final,
        moment,
        slow.max(1, initial=0.0) + unknown,
        settling + unknown,
        converged & _monotonic(modes, start, final, slowness, accuracy) & ~(moment < 0),
        converged,
        estimate,
        model.order,
        Modes(modes.rate, modes.current_a + unknown[:, None]),
    )


def _monotonic(
    modes: Modes, start: Array, final: Array, slowness_s: float, accuracy: float
) -> NDArray[np.bool_]:
    """Whether the waveform of every line stays between its two ends."""
    times = slowness_s * np.concatenate([[0.0], np.geomspace(_EARLIEST, 100.0, 400)])
    wave = final[:, None] + evaluate(modes.current_a, modes.rate, times)
    low, high = np.minimum(start, final), np.maximum(start, final)
    slack = accuracy * np.maximum(np.maximum(np.abs(start), np.abs(final)), np.abs(wave).max(1))
    return np.asarray((wave.min(1) >= low - slack) & (wave.max(1) <= high + slack))


def _grown(
    model: Reduction, slowness_s: float, largest: Array, band: Array, accuracy: float
) -> tuple[Modes, Array, NDArray[np.bool_], Array]:
    """Grows a model until waveforms and settling times stand still.

    Returns:
        The modes; for every line the settling time, whether it and the waveform stand still, and
        the last change of the waveform as a part of the line's largest current.
    """
    times = slowness_s * np.geomspace(_EARLIEST, 100.0, 200)
    model.grow(_LEAST_ORDER - _STEP)
    modes = model.modes()
    wave = evaluate(modes.current_a, modes.rate, times)
    settling = last_outside(modes.current_a, modes.rate, band)
    while True:
        model.grow(model.order + _STEP)
        modes = model.modes()
        wave_before, wave = wave, evaluate(modes.current_a, modes.rate, times)
        settling_before, settling = settling, last_outside(modes.current_a, modes.rate, band)
        size = np.maximum(largest, np.abs(wave).max(1))
        moved = np.abs(wave - wave_before).max(1)
        with np.errstate(invalid="ignore"):
            stands = np.abs(settling - settling_before) <= _MOVES * settling
        stands |= settling == settling_before  # infinite ones too
        converged = (moved <= accuracy * size) & stands
        estimate = np.divide(moved, size, out=np.zeros_like(size), where=size > 0)
        if model.whole:
            return modes, settling, np.ones(len(band), bool), np.zeros_like(estimate)
        if converged.all() or model.order >= _MOST_ORDER:
            return modes, settling, converged, estimate


def _gathered(ones: list[_One]) -> Settling:
    """The vectors of a batch; models are filled up with exponentials of no amplitude."""
    most = max(len(one.modes.rate) for one in ones)

    def together(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in ones]))

    def filled(values: Array, with_what: float) -> Array:
        widths = [(0, 0)] * (values.ndim - 1) + [(0, most - values.shape[-1])]
        return np.pad(values, widths, constant_values=with_what)

    return Settling(
        start_a=together("start"),
        final_a=together("final"),
        first_moment_s=together("moment"),
        time_constant_s=together("time_constant"),
        settling_s=together("settling"),
        monotonic=together("monotonic"),
        converged=together("converged"),
        estimate=together("estimate"),
        order=torch.tensor([one.order for one in ones]),
        rate=torch.from_numpy(np.stack([filled(one.modes.rate, 1.0) for one in ones])),
        amplitude_a=torch.from_numpy(np.stack([filled(one.modes.current_a, 0.0) for one in ones])),
    )


def _voltages(name: str, given: torch.Tensor, rows: int, *, single: bool = False) -> Array:
    shape = "[batch, {0}] or [{0}]" if single else "[batch, {0}]"
    value = given.detach().to(torch.float64).cpu().numpy()
    dimensions = (1, 2) if single else (2,)
    if value.ndim not in dimensions or value.shape[-1] != rows or not len(value):
        raise InputError(
            "as many voltages as word lines",
            where=name,
            value=value.shape,
            allowed=shape.format(rows),
        )
    if not np.isfinite(value).all():
        raise InputError(
            "not a voltage",
            where=name,
            value=float(value[~np.isfinite(value)][0]),
            allowed="finite",
        )
    return np.asarray(value)


def _check_tolerances(tolerance: float, tolerance_a: float | None, accuracy: float) -> None:
    for name, value, least, most in (
        ("tolerance", tolerance, 0.0, 1.0),
        ("tolerance_a", tolerance_a, 0.0, np.inf),
        ("accuracy", accuracy, 1e-10, 1e-2),
    ):
        if value is not None and not (least < value < most or value == least > 0):
            raise InputError(
                "not a tolerance",
                where=name,
                value=value,
                allowed=f"{'from' if least else 'above'} {least:g}, below {most:g}",
            )
