"""One voltage pulse: up in a straight line, level, and back to zero in a straight line."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from compact_models.errors import InputError


@dataclass(frozen=True)
class Pulse:
    """A trapezoid that starts and ends at 0 V.

    Attributes:
        amplitude_v: the level, with its sign [V]; 0 is a pause as long as a pulse.
        width_s: how long the level lasts, without the edges [s], > 0.
        rise_s: how long the way up takes [s], > 0: a step has no derivative to be solved with.
        fall_s: the same of the way back [s], > 0.

    Raises:
        InputError: a time is not positive, or a number is not finite.
    """

    amplitude_v: float
    width_s: float
    rise_s: float
    fall_s: float

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not math.isfinite(self.amplitude_v):
            raise InputError(
                "a pulse needs a level",
                where="amplitude_v",
                value=self.amplitude_v,
                allowed="a finite number of V",
            )
        for name in ("width_s", "rise_s", "fall_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(
                    "a pulse cannot last so long",
                    where=name,
                    value=value,
                    allowed="a finite number of s, > 0",
                )

    @property
    def duration_s(self) -> float:
        """The whole pulse, its edges included [s]."""
        return self.rise_s + self.width_s + self.fall_s

    @property
    def square_s(self) -> float:
        """How long a square pulse of this level lasts that heats a resistor alike [s]."""
        return self.width_s + (self.rise_s + self.fall_s) / 3

    @property
    def timing_s(self) -> tuple[float, float, float]:
        """Rise, width and fall [s]: what is left of a pulse without its level."""
        return self.rise_s, self.width_s, self.fall_s

    def corner_times_s(self) -> tuple[float, float, float, float]:
        """When the pulse begins, has risen, begins to fall, and ends [s]."""
        return 0.0, self.rise_s, self.rise_s + self.width_s, self.duration_s

    def corner_voltages_v(self) -> tuple[float, float, float, float]:
        """The voltages at those times [V]."""
        return 0.0, self.amplitude_v, self.amplitude_v, 0.0

    def at(self, amplitude_v: float) -> Pulse:
        """The same pulse at another level [V]."""
        return replace(self, amplitude_v=amplitude_v)
