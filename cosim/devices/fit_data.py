"""Measured data that a model is fitted to, and the model's answer to the same stimulus.

Residuals are asinh(x / (2 floor)) of the model less the same of the measurement, x the current or
the conductance: far above the floor that is the natural logarithm of their ratio, so that small and
large currents count alike; below it the noise decides, and the difference counts instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel
from cosim.devices.pulses import apply_pulses
from cosim.devices.run_torch import run_torch

Array = NDArray[np.float64]
Values = Mapping[str, torch.Tensor | float]

_FLOOR = 1e-6  # of the largest value: no floor is below
_LOWEST = 0.25  # the part of the points, the smallest, that the noise is read from
_STRAIGHT = 0.02  # of the voltage's range: how far rows that are left out may be off
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


@dataclass(frozen=True)
class Sweep:
    """A current measured along a voltage that is straight between its points.

    Attributes:
        time_s: rising [point].
        voltage_v: [point].
        current_a: [point].
    """

    time_s: Array
    voltage_v: Array
    current_a: Array

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
        start = {state.name: x for state, x in zip(model.states, initial, strict=True)}
        with torch.no_grad():
            trace = run_torch(
                model,
                values,
                start,
                torch.from_numpy(self.time_s),
                torch.from_numpy(self.voltage_v),
                tolerance=tolerance,
            )
        return trace.current_a.numpy()

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
        """At most about `most` points, evenly taken, and those where the voltage bends between."""
        if len(self.time_s) <= most:
            return self
        kept = np.zeros(len(self.time_s), dtype=bool)
        kept[np.linspace(0, len(kept) - 1, most // 2).round().astype(int)] = True
        allowed = _STRAIGHT * np.ptp(self.voltage_v)
        while kept.sum() < most:
            places = np.flatnonzero(kept)
            straight = np.interp(self.time_s, self.time_s[places], self.voltage_v[places])
            off = np.abs(self.voltage_v - straight)
            worst = [a + int(np.argmax(off[a:b])) for a, b in itertools.pairwise(places)]
            worst = [k for k in worst if off[k] > allowed]
            if not worst:
                break
            worst.sort(key=lambda k: -off[k])
            kept[worst[: most - int(kept.sum())]] = True
        return replace(
            self,
            time_s=self.time_s[kept],
            voltage_v=self.voltage_v[kept],
            current_a=self.current_a[kept],
        )


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
            w = apply_pulses(model, values, initial[0], torch.from_numpy(self.direction))
            wide = {
                name: x[:, None] if isinstance(x, torch.Tensor) else x for name, x in values.items()
            }
            p = functions.parameters(wide)
            volts = torch.full_like(w, _READ_V)
            (current,) = functions.current(volts, *functions.fractions([w], p), p)
        return np.asarray((torch.as_tensor(current) / _READ_V).expand_as(w).numpy())


def noise_floor(values: Array) -> float:
    """Below what the values say nothing, in their unit.

    Read from the second differences of the smallest quarter of the points, of which a smooth curve
    has next to none: the median of their magnitude over 0.6745 sqrt(6). At least 1e-6 of the
    largest value.

    Raises:
        InputError: all values are zero.
    """
    size = np.abs(values)
    if not size.max() > 0:
        raise InputError("all values are zero", where="the measured column")
    bent = np.abs(values[2:] - 2 * values[1:-1] + values[:-2]) / np.sqrt(6)
    small = size[1:-1] <= np.quantile(size[1:-1], _LOWEST)
    noise = float(np.median(bent[small])) / 0.6745 if small.any() else 0.0
    return max(noise, _FLOOR * float(size.max()))


def scaled(values: Array, floor: float) -> Array:
    """asinh(values / (2 floor)), of the same shape."""
    return np.asarray(np.arcsinh(values / (2 * floor)))
