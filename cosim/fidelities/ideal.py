"""The `ideal` fidelity: currents are V @ G, amplifiers, neurons and converters have no errors.

Rounding of DACs and ADCs stays: it belongs to the architecture, not to its imperfections. This
is the model that most tools train with, and our negative control.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cosim.fidelities.own_blocks import refuse_own_blocks
from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from netlists.tiles import LayerPlan


class IdealModel:
    """No wires, no offsets, no rails.

    Raises:
        InputError: the chip has blocks of the user's own.
    """

    name = "ideal"

    def __init__(self, hardware: Hardware, plans: Sequence[LayerPlan]) -> None:
        refuse_own_blocks(hardware, self.name)
        self._hardware = hardware
        self._plans = tuple(plans)

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """See `LayerModel`."""
        return drive_v @ conductance_s

    def amplify_v(self, layer: int, tile: int, current_a: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return -self._plans[layer].r_feedback_ohm * current_a

    def activate_v(self, layer: int, sum_v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`; the network's own function, scaled to volts."""
        plan = self._plans[layer]
        v_full = self._hardware.adc.v_full_scale_v
        y = neuron_by_name(plan.neuron).ideal(sum_v * (plan.span / v_full))
        return y * (v_full / plan.output_scale)

    def continuous_code(self, layer: int, v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return v / quantiser.lsb_v(self._hardware.adc, signed=self._plans[layer].signed_output)
