"""Pulse devices at the voltage that arrives: what a pulse of any level does, by the device's law.

A pulse device moves at a speed that does not depend on the voltage while that is beyond its
threshold (`compact_models.pulse_response`). So one number says what a pulse does to a cell: for how
long it is beyond, edges included, in widths of the device's own pulse. A pulse that wires have
lowered makes a step all the same, a little shorter by its edges, and none below the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel
from netlists.pulse import Pulse

_PARTS = 2  # of a pulse, each one step of the classical Runge-Kutta rule


@dataclass(frozen=True)
class PulseLaw:
    """One pulse of given times on cells of a pulse device.

    Attributes:
        model: the device.
        pulse: its times; its own level is not used.

    Raises:
        InputError: the model is no pulse device.
    """

    model: CompactModel
    pulse: Pulse

    def __post_init__(self) -> None:
        """Checks that the device has a law."""
        if self.model.pulse is None:
            raise InputError("not a pulse device", where="model", value=self.model.name)

    @property
    def range_v(self) -> tuple[float, float]:
        """It holds at any level."""
        return -math.inf, math.inf

    def widths(self, voltage_v: torch.Tensor, p: Mapping[str, Value]) -> torch.Tensor:
        """For how long pulses are beyond the threshold, in widths of the device's own, [...].

        Args:
            voltage_v: levels [V].
            p: parameters of the cells, floats or tensors that broadcast to the levels.
        """
        if self.model.pulse is None:
            raise AssertionError("checked when this was made")
        threshold_v, width_s = (
            torch.as_tensor(p[str(one.name)], dtype=torch.float64)
            for one in (self.model.pulse.threshold_v, self.model.pulse.width_s)
        )
        size_v = voltage_v.abs()
        beyond = size_v > threshold_v
        edges_s = (self.pulse.rise_s + self.pulse.fall_s) * (1 - threshold_v / size_v)
        return torch.where(beyond, (self.pulse.width_s + edges_s) / width_s, 0.0)

    def pulse_on(
        self, x: torch.Tensor, voltage_v: torch.Tensor, values: Mapping[str, Value]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight after one pulse, and the heat of the pulse [J].

        The heat is that of the level for `Pulse.square_s` at the mean of both conductances.

        Args:
            x: weights before it, as fractions of their range [...].
            voltage_v: its levels [V], likewise.
            values: parameters of the cells: floats, or tensors that broadcast to these.
        """
        functions = torch_model(self.model)
        p = functions.parameters(values)
        x, v = torch.broadcast_tensors(x, voltage_v)
        width_s = torch.as_tensor(p["width_s"], dtype=torch.float64)
        part_s = self.widths(v, p) * width_s / _PARTS

        def rate(at: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(functions.rates(v, at, p)[0], dtype=torch.float64)

        after = x
        for _ in range(_PARTS if bool(part_s.any()) else 0):
            k1 = rate(after)
            k2 = rate(after + 0.5 * part_s * k1)
            k3 = rate(after + 0.5 * part_s * k2)
            k4 = rate(after + part_s * k3)
            after = (after + part_s / 6 * (k1 + 2 * k2 + 2 * k3 + k4)).clamp(0, 1)
        (current,) = functions.current(v, 0.5 * (x + after), p)
        heat = v * torch.as_tensor(current, dtype=torch.float64) * self.pulse.square_s
        return after, heat
