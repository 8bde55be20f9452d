"""Tiles of nonlinear cells by drops along their lines, weighed by calibration.

`cosim.surrogate.nonlinear` says how. A calibration belongs to the conductances at which it was
made: for others it is less exact, by little while they are near, since the currents that make the
drops are always those of the cells as they are. Whoever reads compares (`cosim.network.watch`) and
has it made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cosim.array.device_cells import DeviceCells
from cosim.array.reads.device_exact import lines_of
from cosim.array.surroundings import Ends, TileWires
from cosim.nodal.lines import Lines, Ohm
from cosim.surrogate.nonlinear import NonlinearSurrogate, calibrate

_AT_ONCE = 1 << 17  # cells that are calibrated at a time: some 100 MB of voltages


class DeviceSurrogateReads:
    """The currents of tiles whose cells are devices, differentiable.

    It is calibrated at the first conductances that it sees, and at the first after `forget`.

    Args:
        cells: what they are.
        wires: the segments.
        ends: what lines end in when word lines are driven.
        low_v: the least voltage of a driver.
        high_v: the largest; what is outside reads as NaN.
        seed: of the inputs to calibrate with.
    """

    name = "surrogate"

    def __init__(
        self,
        cells: DeviceCells,
        wires: TileWires,
        ends: Ends,
        *,
        low_v: float,
        high_v: float,
        seed: int,
    ) -> None:
        self.cells = cells
        self.calibrations = 0
        self._lines, self._held_v = lines_of(wires, ends), ends.held_v
        self._range_v, self._seed = (low_v, high_v), seed
        self._fitted: tuple[NonlinearSurrogate, ...] | None = None
        self._at_s: torch.Tensor | None = None

    @property
    def error(self) -> float:
        """Of currents on inputs that calibration has not fitted, of the worst tile and kind."""
        return max((one.error for one in self._fitted or ()), default=float("nan"))

    def forget(self) -> None:
        """Has it calibrated anew at the next conductances."""
        self._fitted = self._at_s = None

    def saved(self) -> dict[str, Any]:
        """Where it was calibrated, and how often, for `restore`."""
        return {"at_s": self._at_s, "calibrations": self.calibrations}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Is again as it was when `saved` said this; a calibration is made anew, and the same."""
        self._at_s, self.calibrations = saved["at_s"], saved["calibrations"]
        self._fitted = None if self._at_s is None else self._calibrated(self._at_s)

    def transfer(self, conductance_s: torch.Tensor) -> DeviceRead:
        """From word lines to bit lines, for [chip, tile, row, col] at the read voltage.

        Cells are no further than their device reaches.

        Raises:
            InputError: it has to be calibrated, and there is no solution for some inputs.
        """
        cells = self.cells.reached(conductance_s)
        if self._fitted is None:
            self._at_s = cells.detach().clone()
            self._fitted = self._calibrated(self._at_s)
            self.calibrations += 1
        parts = cells.split(self._tiles_at_once(cells), 1)
        return DeviceRead(
            tuple(
                one.with_cells(self.cells.law(part), self.cells.current_of(part))
                for one, part in zip(self._fitted, parts, strict=True)
            )
        )

    def _tiles_at_once(self, cells: torch.Tensor) -> int:
        chips, _, rows, cols = cells.shape
        return max(1, _AT_ONCE // (chips * rows * cols))

    def _calibrated(self, cells: torch.Tensor) -> tuple[NonlinearSurrogate, ...]:
        low_v, high_v = self._range_v
        found, first = [], 0
        for part in cells.split(self._tiles_at_once(cells), 1):
            some = slice(first, first + part.shape[1])
            first += part.shape[1]
            lines = Lines(
                self._lines.r_wordline_ohm,
                self._lines.r_bitline_ohm,
                _of_tiles(self._lines.r_driver_ohm, some),
                _of_tiles(self._lines.r_sense_ohm, some),
            )
            held_v = None
            if self._held_v is not None:
                sensed = (*cells.shape[:2], cells.shape[-1])
                held_v = self._held_v.expand(sensed)[:, some]
            with torch.no_grad():
                found.append(
                    calibrate(
                        self.cells.law(part),
                        lines,
                        tuple(part.shape),
                        low_v=low_v,
                        high_v=high_v,
                        seed=self._seed,
                        sense_v=held_v,
                    )
                )
        return tuple(found)


def _of_tiles(value: Ohm, some: slice) -> Ohm:
    """Of some tiles, of one value for all or [..., tile, line]."""
    if isinstance(value, torch.Tensor) and value.ndim > 1 and value.shape[-2] > 1:
        return value[..., some, :]
    return value


class DeviceRead:
    """Tiles in one state.

    Args:
        parts: the calibrated tiles in that state, some at a time.
    """

    def __init__(self, parts: tuple[NonlinearSurrogate, ...]) -> None:
        self.parts = parts

    def current_a(self, drive_v: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, col] for [chip, tile, batch, row]; NaN outside of the region."""
        sizes = [one.share.shape[1] for one in self.parts]
        chips = self.parts[0].share.shape[0]
        given = drive_v.expand(chips, *drive_v.shape[1:]).split(sizes, 1)
        found = [one.read(v).current_a for one, v in zip(self.parts, given, strict=True)]
        return found[0] if len(found) == 1 else torch.cat(found, 1)
