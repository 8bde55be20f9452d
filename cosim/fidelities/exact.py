"""The `exact` fidelity: the equations of the netlist, solved without a simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.fidelities.own_blocks import refuse_own_blocks
from cosim.network.run import forward
from cosim.nodal.lines import as_ohm
from cosim.nodal.transfer import Transfer, solve_transfer
from netlists.adcs import quantiser
from netlists.chip import Chip, LayerPeriphery
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from netlists.readout import tia
from netlists.tiles import LayerPlan


def solve_tile(
    hardware: Hardware, conductance_s: torch.Tensor, sense_ohm: torch.Tensor
) -> Transfer:
    """The exact solution of one tile behind a chip's wires and drivers.

    Args:
        hardware: the chip's description.
        conductance_s: [row, col].
        sense_ohm: in series at the sense nodes, [col].
    """
    wires = hardware.wires.near_ends(*conductance_s.shape)
    return solve_transfer(
        conductance_s,
        r_wordline_ohm=as_ohm(wires.r_wordline_ohm),
        r_bitline_ohm=as_ohm(wires.r_bitline_ohm),
        r_driver_ohm=hardware.driver.r_driver_ohm,
        r_sense_ohm=sense_ohm,
    )


class ExactModel:
    """Wires by the nodal solver, every instance by its own equation.

    The transfer of a tile is solved once per programmed state: conductances that are those seen
    last, number by number, are not solved again.

    Raises:
        InputError: the chip has blocks of the user's own.
    """

    name = "exact"

    def __init__(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        periphery: Sequence[LayerPeriphery],
    ) -> None:
        refuse_own_blocks(hardware, self.name)
        self._hardware = hardware
        self._plans = tuple(plans)
        self._feedback = [
            [torch.from_numpy(tile.r_feedback_ohm) for tile in layer.tiles] for layer in periphery
        ]
        self._offset = [
            [torch.from_numpy(tile.v_offset_v) for tile in layer.tiles] for layer in periphery
        ]
        self._neuron = [torch.from_numpy(layer.neuron_offset_v) for layer in periphery]
        self._adc_offset = [torch.from_numpy(layer.adc_offset_v) for layer in periphery]
        self._adc_gain = [torch.from_numpy(layer.adc_gain) for layer in periphery]
        self._solved: dict[tuple[int, int], tuple[torch.Tensor, Transfer]] = {}  # one a tile

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """See `LayerModel`."""
        transfer = self._transfer(layer, tile, conductance_s)
        held = tia.input_offset_v(self._hardware.tia, self._offset[layer][tile])
        return transfer.current_a(drive_v, held)

    def _transfer(self, layer: int, tile: int, conductance_s: torch.Tensor) -> Transfer:
        if torch.is_grad_enabled() and conductance_s.requires_grad:
            return self._solve(layer, tile, conductance_s)
        # By content: a write through `.data` or a numpy array of the same memory is in no version.
        seen = self._solved.get((layer, tile))
        if seen is None or not _same(seen[0], conductance_s):
            with torch.inference_mode(False), torch.no_grad():
                kept = conductance_s.detach().clone()
                seen = kept, self._solve(layer, tile, kept)
            self._solved[layer, tile] = seen
        return seen[1]

    def _solve(self, layer: int, tile: int, conductance_s: torch.Tensor) -> Transfer:
        sense_ohm = tia.input_resistance_ohm(self._hardware.tia, self._feedback[layer][tile])
        return solve_tile(self._hardware, conductance_s, sense_ohm)

    def amplify_v(self, layer: int, tile: int, current_a: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return tia.output_v(
            current_a, self._hardware.tia, self._feedback[layer][tile], self._offset[layer][tile]
        )

    def activate_v(self, layer: int, sum_v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        plan = self._plans[layer]
        return neuron_by_name(plan.neuron).output_v(
            sum_v + self._neuron[layer],
            self._hardware.neuron,
            v_full_v=self._hardware.adc.v_full_scale_v,
            span=plan.span,
        )

    def continuous_code(self, layer: int, v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return quantiser.continuous_code(
            v,
            self._hardware.adc,
            signed=self._plans[layer].signed_output,
            v_offset_v=self._adc_offset[layer],
            gain=self._adc_gain[layer],
        )


def _same(kept: torch.Tensor, now: torch.Tensor) -> bool:
    return kept.dtype == now.dtype and kept.device == now.device and torch.equal(kept, now)


def exact_codes(chip: Chip, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the netlist's equations say of images [image, in]: codes [image, out].

    Raises:
        InputError: the chip has blocks of the user's own.
    """
    model = ExactModel(chip.hardware, chip.plans, chip.periphery)
    cells = [[torch.from_numpy(g) for g in layer] for layer in chip.conductance_s]
    with torch.no_grad():
        return forward(chip.hardware, chip.plans, cells, model, torch.from_numpy(x)).numpy()
