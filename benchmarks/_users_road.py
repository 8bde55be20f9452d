"""A training step as a user writes it: `convert`, `PulsedSGD`, backward; and what reads are off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from compact_models.variation import Stream
from cosim.array.reads.anchored import AnchoredReads
from cosim.network.convert import convert
from cosim.network.in_situ import InSituNetwork
from cosim.periphery.managed import ReadRule
from cosim.training.pulsed_optimiser import PulsedSGD
from netlists.hardware import Hardware, TileSpec
from netlists.wires import Wires

Wired = Literal["ideal", "straight", "drawn"]
"""Ideal wires and amplifiers; wires behind amplifiers that are straight and alike; wires behind
amplifiers with rails, each as it was drawn, and converters at the word lines for the errors."""

TOLERANCE = 0.002


@dataclass(frozen=True, eq=False)
class Road:
    """A network in cells with its optimiser."""

    network: InSituNetwork
    optimiser: PulsedSGD

    @staticmethod
    def of(
        net: torch.nn.Module,
        wired: Wired,
        images: torch.Tensor,
        *,
        lr: float,
        tile: int = 128,
        dtype: torch.dtype = torch.float32,
    ) -> Road:
        """Soft bounds, one moving cell a weight, as `convert` gives them.

        Args:
            net: to start from.
            wired: what stands between drivers and converters.
            images: typical inputs [image, pixel].
            lr: learning rate.
            tile: word lines and bit lines of a tile, behind 1 ohm a segment.
            dtype: of the cells' states.
        """
        chip = Hardware(tile=TileSpec(max_rows=tile, max_cols=tile), wires=Wires(1.0, 1.0))
        made = convert(
            net,
            chip,
            device="soft_bounds",
            parameters="rpu",
            read="ideal" if wired == "ideal" else "surrogate",
            managed=ReadRule() if wired == "straight" else None,
            max_surrogate_error=TOLERANCE,
            sample_inputs=images,
            stream=Stream(0),
            dtype=dtype,
        )
        if not isinstance(made, InSituNetwork):
            raise TypeError(type(made))
        return Road(made, PulsedSGD(made.parameters(), lr=lr, stream=Stream(0)))

    def step(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        """Forward, backward, pulses."""
        self.optimiser.zero_grad()
        cross_entropy(self.network(x), labels).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def audited(self, images: torch.Tensor, labels: torch.Tensor, *, steps: int = 20) -> float:
        """The largest error of a tile's transfer (Frobenius, relative) on random steps.

        Every transfer that the next step reads, forward, and backward of all layers but the first,
        beside the exact solution of the cells as they are.

        Args:
            images: batches [step, batch, pixel], gone through until all is looked at.
            labels: [step, batch].
            steps: how many are looked at, drawn among ten times as many.
        """
        chosen = np.random.default_rng(1).choice(10 * steps, steps, replace=False)
        worst = 0.0
        for k in range(10 * steps):
            if k in chosen:
                worst = max(worst, self._off())
            self.step(images[k % len(images)], labels[k % len(images)])
        return worst

    def _off(self) -> float:
        worst = 0.0
        for number, layer in enumerate(self.network.chain):
            array, reads = layer.array, layer.array.reads
            if not isinstance(reads, AnchoredReads):
                continue
            tiles = array.layout.split_cells(array.conductance_s()).double()
            pairs = [(array.transfer(), reads.exact.transfer(tiles))]
            if number:
                pairs.append((array.transposed(), reads.exact.transposed(tiles)))
            for used, exact in pairs:
                off = (used.transfer_s.double() - exact.transfer_s).norm(dim=(-2, -1))
                worst = max(worst, float((off / exact.transfer_s.norm(dim=(-2, -1))).max()))
        return worst
