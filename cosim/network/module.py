"""A chain of layers on crossbars as one torch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.errors import InputError
from cosim.array.fingerprint import Described, hardware_told, plain
from cosim.array.layout import TileLayout
from cosim.network.run import NetworkModel, forward
from netlists.adcs import quantiser
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan, augmented, share_pairs

Array = NDArray[np.float64]


class CrossbarNetwork(Described):
    """The network as its chip computes it: trainable weights, conductances made from them.

    Parameters are the weights as they stand in the arrays, one tensor `[row, out]` a layer in
    units of the layer's weight scale, the bias as its last word line. They are kept in [-1, 1]:
    no cell goes beyond its range (`clip_weights`).

    Args:
        hardware: the chip's description.
        plans: the layers.
        stages: the weights to start from.
        model: the fidelity, of one chip; another can be put in its place.

    Raises:
        InputError: weights and plans do not fit together.
    """

    def __init__(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        stages: Sequence[LinearStage],
        model: NetworkModel,
    ) -> None:
        super().__init__()
        self.hardware = hardware
        self.plans = tuple(plans)
        self.layouts = tuple(TileLayout.of(plan) for plan in self.plans)
        self.model = model
        shares = [
            torch.from_numpy(
                augmented(stage.weight, stage.bias, plan.input_scale) / plan.weight_scale
            )
            for stage, plan in zip(stages, plans, strict=True)
        ]
        for share, plan in zip(shares, self.plans, strict=True):
            if share.shape != (plan.rows, plan.outputs):
                raise InputError(
                    "weights do not fit their plan",
                    where=plan.name,
                    value=tuple(share.shape),
                    allowed=f"({plan.rows}, {plan.outputs})",
                )
        self.shares = nn.ParameterList([nn.Parameter(share.clone()) for share in shares])
        self.clip_weights()

    def get_extra_state(self) -> dict[str, Any]:
        """Of `nn.Module`: the hardware and the plans that the weights in the state belong to."""
        return plain({"hardware": hardware_told(self.hardware), "plans": self.plans})

    def clip_weights(self) -> None:
        """Brings weights that have left the cells' range back to its edge."""
        with torch.no_grad():
            for share in self.shares:
                share.clamp_(-1.0, 1.0)

    def target_conductances(self) -> list[torch.Tensor]:
        """What the cells are to be programmed to, [layer] -> [1, tile, row, col] in siemens."""
        planes = self._target_planes()
        return [layout.split_cells(x) for layout, x in zip(self.layouts, planes, strict=True)]

    def _target_planes(self) -> list[torch.Tensor]:
        """The same before they are cut into tiles, [layer] -> [1, side, row, out]."""
        return [
            share_pairs(share, self.hardware.cell_of(plan.source))
            .repeat(1, plan.arrays, 1)
            .unsqueeze(0)
            for share, plan in zip(self.shares, self.plans, strict=True)
        ]

    def codes(
        self, x: torch.Tensor, cell_factors: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Codes of the output converters, [..., out], in LSB.

        Args:
            x: digital inputs [..., in], 1 = full.
            cell_factors: programming errors to train with, [layer] -> [1, side, row, out].

        Raises:
            InputError: inputs of another shape.
        """
        inputs = self.plans[0].inputs
        if not isinstance(x, torch.Tensor):
            raise InputError(
                "inputs must be a tensor",
                where="x",
                value=type(x).__name__,
                allowed=f"[..., {inputs}]: any batch, and one value for every input",
                hint="take torch.from_numpy or torch.as_tensor",
            )
        if x.ndim == 0 or x.shape[-1] != inputs:
            raise InputError(
                "inputs do not fit the network",
                where="x",
                value=tuple(x.shape),
                allowed=f"[..., {inputs}]: any batch, and one value for every input",
            )
        planes = self._target_planes()
        if cell_factors is not None:
            planes = [g * f for g, f in zip(planes, cell_factors, strict=True)]
        targets = [layout.split_cells(x) for layout, x in zip(self.layouts, planes, strict=True)]
        batch = x.to(torch.float64).reshape(-1, inputs)
        (codes,) = forward(self.hardware, self.plans, targets, self.model, batch)
        found: torch.Tensor = codes.reshape(*x.shape[:-1], self.plans[-1].outputs)
        return found

    def forward(
        self, x: torch.Tensor, cell_factors: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Outputs in the network's own numbers, [..., out]; see `codes`."""
        return self.codes(x, cell_factors) * self.output_per_lsb

    @property
    def output_per_lsb(self) -> float:
        """What one LSB of the output converters stands for, in the network's own numbers."""
        last = self.plans[-1]
        full = quantiser.code_range(self.hardware.adc, signed=last.signed_output)[1]
        return last.output_scale / full

    def weights(self) -> tuple[Array, ...]:
        """The weights, [layer] -> [row, out]: network numbers, bias over its input scale."""
        return tuple(
            np.asarray(share.detach().cpu().numpy() * plan.weight_scale, dtype=np.float64)
            for share, plan in zip(self.shares, self.plans, strict=True)
        )
