"""What a panel of a portrait is: data to draw, and the numbers of it that matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Detail:
    """How finely a portrait is computed.

    Attributes:
        points: points of a period of a sweep, a multiple of 4.
        solved_points: the same where each point is the solution of an equation of its own, and
            many devices are swept.
        voltages: voltages at which switching is timed.
        pulses: pulses of a train in one direction.
        devices: devices of a sample.
    """

    points: int = 400
    solved_points: int = 120
    voltages: int = 60
    pulses: int = 50
    devices: int = 50


FULL = Detail()
# For a model whose current is the solution of an equation.
FULL_SOLVED = Detail(points=240, devices=20)
QUICK = Detail(points=48, solved_points=24, voltages=10, pulses=8, devices=3)


class Panel(Protocol):
    """What every panel offers; what else it has, its drawing knows."""

    def numbers(self) -> dict[str, Any]:
        """The numbers that matter, for JSON, with units in their names."""


@dataclass(frozen=True)
class Absent:
    """A panel that cannot be computed.

    Attributes:
        title: what it would have shown.
        reason: why it does not, one sentence.
    """

    title: str
    reason: str

    def numbers(self) -> dict[str, Any]:
        """The reason."""
        return {"absent": self.reason}


def plain(value: float) -> float | None:
    """A number as JSON has it; None for one that is not finite."""
    return float(value) if math.isfinite(value) else None


def plain_list(values: Array) -> list[float | None]:
    """Numbers as JSON has them, None where they are not finite."""
    return [plain(value) for value in values.tolist()]
