"""Weights as pairs of cells that are compact models.

The conductance of a cell at the read voltage is straight in its weight w; -1 and 1 are two
conductances that its device has. The state is what the device has at that conductance
(`DeviceCells`), so that an array holds weights as it does with any cells while whoever updates it
moves states. A cell may go beyond -1 and 1, as far as its device does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from compact_models.variation import Stream
from cosim.array.device_cells import DeviceCells
from cosim.array.device_spread import draw_cells
from cosim.array.paired_cells import Pair


@dataclass(frozen=True, eq=False)
class DevicePairs:
    """The cells of one matrix on one or many chips, all of one device.

    Attributes:
        cells: the device as it is read.
        ends_s: conductances of the weights -1 and 1 [S].
        dw_min: the step that an update rule reckons with (`cosim.array.one_pulse`).
        pair: which cells of a pair pulses reach; the others see half of pulses.
        own: parameters that cells have for themselves, see `cosim.array.device_spread`.
        sigma: what these were drawn with.
        path: of the matrix.
    """

    cells: DeviceCells
    ends_s: tuple[float, float]
    dw_min: float
    pair: Pair = "reference"
    own: Mapping[str, torch.Tensor] = field(default_factory=dict)
    sigma: Mapping[str, float] = field(default_factory=dict)
    path: str = ""

    @property
    def slope_s(self) -> float:
        """See `PairedCells`."""
        low, high = self.ends_s
        return 0.5 * (high - low)

    @property
    def zero_s(self) -> float:
        """What a weight of 0 conducts [S]."""
        return 0.5 * sum(self.ends_s)

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a pair that pulses reach."""
        return (0,) if self.pair == "reference" else (0, 1)

    @property
    def moving(self) -> tuple[int, ...]:
        """Both: cells that stand still are half-selected by the pulses of their word lines."""
        return (0, 1)

    def conductance_s(self, w: torch.Tensor) -> torch.Tensor:
        """Of cells with weights of any shape [S], as far as the device goes."""
        return (self.zero_s + self.slope_s * w).clamp(*self.cells.range_s)

    def weight_of(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The reverse of `conductance_s`."""
        return (conductance_s - self.zero_s) / self.slope_s

    def states(self, w: torch.Tensor) -> torch.Tensor:
        """The written states of cells with these weights, in their unit, float64 of any shape."""
        return self.cells.states_for(self.conductance_s(w.to(torch.float64)))

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """The reverse of `states`, within the bounds."""
        with torch.no_grad():
            found = self.weight_of(self.cells.conductance_s(states))
        return found.clamp(*self._bounds)

    def bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the device reaches, [chip, side, row, out]."""
        low, high = (torch.tensor(one, dtype=torch.float64) for one in self._bounds)
        return low.to(like).expand_as(like), high.to(like).expand_as(like)

    def like(self, stream: Stream, name: str, chips: int) -> DevicePairs:
        """See `PairedCells`: without spread all cells of a device are alike."""
        if not self.own:
            return self
        path = f"{self.path}/{name}"
        rows, outs = next(iter(self.own.values())).shape[-2:]
        samples = range(stream.sample, stream.sample + chips)
        drawn = draw_cells(
            self.cells.device, self.sigma, (rows, outs),
            seed=stream.seed, samples=samples, path=path,
        )  # fmt: skip
        return replace(self, own=drawn, path=path)

    @property
    def _bounds(self) -> tuple[float, float]:
        low, high = self.cells.range_s
        return (low - self.zero_s) / self.slope_s, (high - self.zero_s) / self.slope_s
