"""What cells a network can learn in: what planning, arrays and updates ask of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from compact_models.errors import InputError, closest
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.paired_cells import Pair, PairedCells
from cosim.array.protocols import Updates
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan
from netlists.update.spec import PulseSpec

UPDATES = ("step", "table", "ode", "spice")


class LearningDevice(Protocol):
    """A device whose cells hold weights and are moved by pulses."""

    @property
    def pair(self) -> Pair:
        """Which cells of a pair pulses reach."""
        ...

    @property
    def cell(self) -> ReferencedCell:
        """As a chip is planned with."""
        ...

    @property
    def weight_range(self) -> float:
        """Between the ends of a cell, in its own units."""
        ...

    @property
    def reach(self) -> float:
        """The largest weight of a pair that has both signs, in units of a cell."""
        ...

    def chip(self, hardware: Hardware) -> Hardware:
        """A chip with these cells."""
        ...

    def check_pulses(self, pulse: PulseSpec, update: str) -> None:
        """Refuses pulses that cannot train these cells; it takes seconds for a stiff model.

        Args:
            pulse: of the chip.
            update: who computes what they do.

        Raises:
            InputError: they cannot; it proposes others.
        """
        ...

    def in_cells(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        number: int,
        update: str,
        stream: Stream,
    ) -> tuple[PairedCells, Updates[Any]]:
        """The cells of a layer, and who moves them.

        Args:
            hardware: the chip.
            plans: all its layers.
            number: which layer.
            update: who computes what pulses do.
            stream: of the chip's sample; what differs from cell to cell is drawn from it.

        Raises:
            InputError: this is no fidelity of updates, or none of this device; or the chip's pulses
                cannot train it.
        """
        ...


def check_update(update: str, can: Sequence[str], device: str) -> None:
    """Refuses a fidelity of updates that a device does not have.

    Raises:
        InputError: it does not.
    """
    if update in can:
        return
    known = update in UPDATES
    raise InputError(
        f"{device} is not updated so" if known else "no such fidelity of updates",
        where="update",
        value=update,
        allowed=", ".join(can),
        hint="" if known else closest(update, UPDATES),
    )
