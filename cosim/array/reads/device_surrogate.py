"""Tiles of nonlinear cells by drops along their lines, weighed by calibration.

`cosim.surrogate.nonlinear` says how. A calibration belongs to the conductances at which it was
made: for others it is less exact, by little while they are near, since the currents that make the
drops are always those of the cells as they are. Whoever reads compares (`cosim.network.watch`) and
has it made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from cosim.array.device_cells import DeviceCells
from cosim.array.reads.device_exact import lines_of, turned_law
from cosim.array.surroundings import Ends, TileWires, flipped
from cosim.nodal.lines import Lines, Ohm
from cosim.nodal.nonlinear import Cell
from cosim.surrogate.nonlinear import Current, NonlinearSurrogate, fit_nonlinear

_AT_ONCE = 1 << 17  # cells that are calibrated at a time: some 100 MB of voltages


class DeviceSurrogateReads:
    """The currents of tiles whose cells are devices, differentiable.

    Either direction is calibrated at the first conductances that it sees, and at the first after
    `forget`.

    Args:
        cells: what they are.
        wires: the segments.
        forward: what lines end in when word lines are driven.
        backward: what they end in when bit lines are.
        low_v: the least voltage of a driver of a word line.
        high_v: the largest, of those of bit lines too, which have both signs; what is outside
            reads as NaN.
        seed: of the inputs to calibrate with.
    """

    name = "surrogate"

    def __init__(
        self,
        cells: DeviceCells,
        wires: TileWires,
        forward: Ends,
        backward: Ends | None = None,
        *,
        low_v: float,
        high_v: float,
        seed: int,
    ) -> None:
        self.cells = cells
        self._wires, self._range_v, self._seed = wires, (low_v, high_v), seed
        turned = (backward or Ends()).flipped
        self._forward = _Calibrated(
            lines_of(wires, forward), forward.held_v, (low_v, high_v), cells.law, seed
        )
        self._backward = _Calibrated(
            lines_of(wires.flipped, turned),
            turned.held_v,
            (-high_v, high_v),
            lambda g: turned_law(cells.law(g)),
            seed,
        )

    def between(self, forward: Ends, backward: Ends) -> DeviceSurrogateReads:
        """The same cells and wires between other ends, not calibrated yet."""
        low_v, high_v = self._range_v
        return DeviceSurrogateReads(
            self.cells, self._wires, forward, backward,
            low_v=low_v, high_v=high_v, seed=self._seed,
        )  # fmt: skip

    @property
    def estimate(self) -> float:
        """Of the error of currents: on inputs that calibration has not fitted, worst tile and kind.

        Of the directions that have been calibrated; relative, of the norm of a tile's currents.
        """
        return max(self._forward.error, self._backward.error)

    @property
    def calibrations(self) -> int:
        """How often a direction was calibrated."""
        return self._forward.calibrations + self._backward.calibrations

    def forget(self) -> None:
        """Has both directions calibrated anew at the next conductances."""
        self._forward.forget()
        self._backward.forget()

    def saved(self) -> dict[str, Any]:
        """Where it was calibrated, and how often, for `restore`."""
        return {"forward": self._forward.saved(), "backward": self._backward.saved()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Is again as it was when `saved` said this; calibrations are made anew, and the same."""
        self._forward.restore(saved["forward"])
        self._backward.restore(saved["backward"])

    def transfer(self, conductance_s: torch.Tensor) -> DeviceRead:
        """From word lines to bit lines, for [chip, tile, row, col] at the read voltage.

        Cells are no further than their device reaches.

        Raises:
            InputError: it has to be calibrated, and there is no solution for some inputs.
        """
        cells = self.cells.reached(conductance_s)
        return DeviceRead(self._forward.tiles(cells, self.cells.current_of))

    def transposed(self, conductance_s: torch.Tensor) -> DeviceRead:
        """From bit lines to word lines, for [chip, tile, row, col]; see `transfer`."""

        def current_of(g: torch.Tensor) -> Current:
            current = self.cells.current_of(g)
            return lambda v: -current(-v)

        cells = flipped(self.cells.reached(conductance_s))
        return DeviceRead(self._backward.tiles(cells, current_of), counted_back=True)


class _Calibrated:
    """Tiles read in one direction.

    Args:
        lines: what runs through them.
        held_v: what sense nodes are held at, [..., sensed line]; None for ground.
        range_v: of the drivers.
        law: the cells of conductances.
        seed: of the inputs to calibrate with.
    """

    def __init__(
        self,
        lines: Lines,
        held_v: torch.Tensor | None,
        range_v: tuple[float, float],
        law: Callable[[torch.Tensor], Cell],
        seed: int,
    ) -> None:
        self.calibrations = 0
        self._lines, self._held_v, self._range_v = lines, held_v, range_v
        self._law, self._seed = law, seed
        self._fitted: tuple[NonlinearSurrogate, ...] | None = None
        self._at_s: torch.Tensor | None = None

    @property
    def error(self) -> float:
        return max((one.error for one in self._fitted or ()), default=0.0)

    def forget(self) -> None:
        self._fitted = self._at_s = None

    def saved(self) -> dict[str, Any]:
        return {"at_s": self._at_s, "calibrations": self.calibrations}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self._at_s, self.calibrations = saved["at_s"], saved["calibrations"]
        self._fitted = None if self._at_s is None else self._at(self._at_s)

    def tiles(
        self, cells: torch.Tensor, current_of: Callable[[torch.Tensor], Current]
    ) -> tuple[NonlinearSurrogate, ...]:
        """The calibrated tiles with these conductances, some at a time."""
        if self._fitted is None:
            self._at_s = cells.detach().clone()
            self._fitted = self._at(self._at_s)
            self.calibrations += 1
        parts = cells.split(_tiles_at_once(cells), 1)
        return tuple(
            one.with_cells(self._law(part), current_of(part))
            for one, part in zip(self._fitted, parts, strict=True)
        )

    def _at(self, cells: torch.Tensor) -> tuple[NonlinearSurrogate, ...]:
        low_v, high_v = self._range_v
        found, first = [], 0
        for part in cells.split(_tiles_at_once(cells), 1):
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
                    fit_nonlinear(
                        self._law(part),
                        lines,
                        tuple(part.shape),
                        low_v=low_v,
                        high_v=high_v,
                        seed=self._seed,
                        sense_v=held_v,
                    )
                )
        return tuple(found)


def _tiles_at_once(cells: torch.Tensor) -> int:
    chips, _, rows, cols = cells.shape
    return max(1, _AT_ONCE // (chips * rows * cols))


def _of_tiles(value: Ohm, some: slice) -> Ohm:
    """Of some tiles, of one value for all or [..., tile, line]."""
    if isinstance(value, torch.Tensor) and value.ndim > 1 and value.shape[-2] > 1:
        return value[..., some, :]
    return value


class DeviceRead:
    """Tiles in one state.

    Args:
        parts: the calibrated tiles in that state, some at a time.
        counted_back: lines are counted from the other end, as the tiles were turned over.
    """

    def __init__(
        self, parts: tuple[NonlinearSurrogate, ...], *, counted_back: bool = False
    ) -> None:
        self.parts = parts
        self.counted_back = counted_back

    def current_a(self, drive_v: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, sensed line] for driven lines; NaN outside of the region."""
        sizes = [one.share.shape[1] for one in self.parts]
        chips = self.parts[0].share.shape[0]
        volts = drive_v.flip(-1) if self.counted_back else drive_v
        given = volts.expand(chips, *volts.shape[1:]).split(sizes, 1)
        found = [one.read(v).current_a for one, v in zip(self.parts, given, strict=True)]
        current = found[0] if len(found) == 1 else torch.cat(found, 1)
        return current.flip(-1) if self.counted_back else current
