"""Measured data that a model is fitted to, and the model's answer to the same stimulus.

Residuals are asinh(x / (2 floor)) of the model less the same of the measurement, x the current or
the conductance: far above the floor that is the natural logarithm of their ratio, so that small and
large currents count alike; below it the noise decides, and the difference counts instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel
from cosim.devices.run_torch import Trace, run_torch
from cosim.pulses.device_steps import apply_pulses

Array = NDArray[np.float64]
Values = Mapping[str, torch.Tensor | float]

_STRAIGHT = 0.02  # of the voltage's range: how far rows that are left out may be off
_GOLDEN = 0.6180339887498949  # its multiples fall evenly, and never in step with a period
_BAND = 0.1  # of the largest voltage: nearer to the middle it is on neither side
_READ_V = 0.1  # at which a conductance is read; it does not matter where it is ohmic


class Measured(Protocol):
    """Measured data of one device."""

    @property
    def values(self) -> Array:
        """What was measured [point], in A or S."""

    @property
    def unit(self) -> str:
        """`A` or `S`."""

    @property
    def effort(self) -> int:
        """How many times more starts such data is worth than a sweep, for what a run costs."""

    def answer(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Array:
        """What the model answers.

        Args:
            model: the device.
            values: its parameters, floats or [cell].
            initial: its states before, [cell] each, in the model's order.
            tolerance: of the integration.

        Returns:
            The model's values [cell, point]; NaN where it could not be solved.
        """

    def fractions(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Array:
        """The states of one cell as fractions of their ranges, at the points.

        Args:
            model: the device.
            values: its parameters, floats or [1].
            initial: its states before, [1] each, in the model's order.
            tolerance: of the integration.

        Returns:
            The fractions of `normal_form` [state, point]; NaN where it could not be solved.
        """


@dataclass(frozen=True)
class Waveform:
    """A voltage over time, straight between its rows.

    Attributes:
        time_s: rising [row].
        voltage_v: [row].
    """

    time_s: Array
    voltage_v: Array


@dataclass(frozen=True)
class Sweep:
    """A current measured along a voltage.

    Attributes:
        time_s: rising [point].
        voltage_v: [point].
        current_a: [point].
        stimulus: the voltage that leads from point to point, which are among its rows; None where
            it is straight between the points.
    """

    time_s: Array
    voltage_v: Array
    current_a: Array
    stimulus: Waveform | None = None

    @property
    def values(self) -> Array:
        """The currents [A]."""
        return self.current_a

    @property
    def unit(self) -> str:
        """Amperes."""
        return "A"

    @property
    def effort(self) -> int:
        """A run takes about a second."""
        return 1

    def answer(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Array:
        """The model's current [cell, point]."""
        return self._run(model, values, initial, tolerance).current_a.numpy()[..., self._rows]

    def fractions(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Array:
        """The states of one cell as fractions of their ranges [state, point]."""
        trace = self._run(model, values, initial, tolerance)
        states = [trace.states[state.name].reshape(-1)[self._rows] for state in model.states]
        return _fractions(model, values, states)

    @property
    def rows(self) -> Waveform:
        """The voltage that is integrated."""
        return self.stimulus or Waveform(self.time_s, self.voltage_v)

    @property
    def _rows(self) -> NDArray[np.intp]:
        """Where the points are among the rows that are integrated."""
        return np.searchsorted(self.rows.time_s, self.time_s)

    def _run(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Trace:
        start = {state.name: x for state, x in zip(model.states, initial, strict=True)}
        time_s, voltage_v = (torch.from_numpy(x) for x in (self.rows.time_s, self.rows.voltage_v))
        with torch.no_grad():
            return run_torch(model, values, start, time_s, voltage_v, tolerance=tolerance)

    @property
    def period_s(self) -> float:
        """From one sweep to the next [s]; the whole time where the voltage does not repeat.

        The median of the times between rises through zero, or through the middle of a voltage of
        one polarity, and between falls through it.
        """
        low, high = float(self.voltage_v.min()), float(self.voltage_v.max())
        band = _BAND * max(-low, high)
        middle = 0.0 if low < -band and band < high else (low + high) / 2
        off = self.voltage_v - middle
        side = np.where(np.abs(off) > band, np.sign(off), 0.0)
        # Within the band it is still where it was: noise, and a rest at zero, do not count.
        side = side[np.maximum.accumulate(np.where(side, np.arange(len(side)), 0))]
        spans = []
        for sign in (1.0, -1.0):
            k = np.flatnonzero((side[1:] == sign) & (side[:-1] != sign))
            part = (sign * band - off[k]) / (off[k + 1] - off[k])
            spans.append(np.diff(self.time_s[k] + part * (self.time_s[k + 1] - self.time_s[k])))
        between = np.concatenate(spans)
        return float(np.median(between) if between.size else self.time_s[-1] - self.time_s[0])

    def thinned(self, most: int) -> Sweep:
        """The same measurement, compared at no more than `most` points.

        The device remembers every pulse, so the voltage between the points is not thinned with
        them: of its rows only those are left out that lie on a straight line. Half of the points
        are taken evenly, the others evenly from where the voltage bends, and what room these
        leave is filled evenly from the rest.
        """
        if len(self.time_s) <= most:
            return self
        size = len(self.time_s)
        even = np.unique(np.linspace(0, size - 1, most // 2).round().astype(int))
        bends = self._bends(even)
        room = most - len(even)
        if len(bends) > room:
            # One from each of `room` equal parts, at a place that differs from part to part: a
            # fixed one would take the same row of every pulse.
            k = np.arange(room)
            chosen = bends[((k + (_GOLDEN * k) % 1) * len(bends) / room).astype(int)]
        else:
            chosen = bends
        points = np.union1d(even, chosen)
        rest = np.setdiff1d(np.arange(size), points)
        spare = most - len(points)
        if spare > 0 and len(rest):
            # By index and in its middle: a stride of whole numbers would leave out up to half.
            filled = ((np.arange(spare) + 0.5) * len(rest) / spare).astype(int)
            points = np.union1d(points, rest[filled])
        rows = np.union1d(points, bends)
        return replace(
            self,
            time_s=self.time_s[points],
            voltage_v=self.voltage_v[points],
            current_a=self.current_a[points],
            stimulus=Waveform(self.time_s[rows], self.voltage_v[rows]),
        )

    def _bends(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """The points between these without which the voltage would be off by too much."""
        allowed = _STRAIGHT * np.ptp(self.voltage_v)
        found = []
        todo = list(zip(places[:-1].tolist(), places[1:].tolist(), strict=True))
        while todo:
            a, b = todo.pop()
            ends = [a, b]
            inner = slice(a + 1, b)
            straight = np.interp(self.time_s[inner], self.time_s[ends], self.voltage_v[ends])
            off = np.abs(self.voltage_v[inner] - straight)
            if off.size and off.max() > allowed:
                k = a + 1 + int(np.argmax(off))
                found.append(k)
                todo += [(a, k), (k, b)]
        return np.array(sorted(found), dtype=np.intp)


@dataclass(frozen=True)
class PulseTrain:
    """A conductance measured after every pulse of a train.

    Attributes:
        direction: 1 for a pulse up, -1 for one down, 0 for none [point].
        conductance_s: after each [point].
    """

    direction: Array
    conductance_s: Array

    @property
    def values(self) -> Array:
        """The conductances [S]."""
        return self.conductance_s

    @property
    def unit(self) -> str:
        """Siemens."""
        return "S"

    @property
    def effort(self) -> int:
        """A run is a map per pulse: milliseconds."""
        return 8

    def answer(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], tolerance: float
    ) -> Array:
        """The conductance of the mean device [cell, point]; `tolerance` has no meaning here."""
        functions = torch_model(model)
        with torch.no_grad():
            w = self._weights(model, values, initial)
            wide = {
                name: x[:, None] if isinstance(x, torch.Tensor) else x for name, x in values.items()
            }
            p = functions.parameters(wide)
            volts = torch.full_like(w, _READ_V)
            (current,) = functions.current(volts, *functions.fractions([w], p), p)
        return np.asarray((torch.as_tensor(current) / _READ_V).expand_as(w).numpy())

    def fractions(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor], _tolerance: float
    ) -> Array:
        """The weight of one cell as a fraction of its range [1, point]."""
        with torch.no_grad():
            return _fractions(model, values, [self._weights(model, values, initial).reshape(-1)])

    def _weights(
        self, model: CompactModel, values: Values, initial: list[torch.Tensor]
    ) -> torch.Tensor:
        return apply_pulses(model, values, initial[0], torch.from_numpy(self.direction))


def _fractions(model: CompactModel, values: Values, states: list[torch.Tensor]) -> Array:
    """States of one cell, [point] each, as fractions of their ranges [state, point]."""
    functions = torch_model(model)
    found = functions.fractions(states, functions.parameters(values))
    return np.stack([x.numpy() for x in found])


def scaled(values: Array, floor: float) -> Array:
    """asinh(values / (2 floor)), of the same shape."""
    return np.asarray(np.arcsinh(values / (2 * floor)))
