"""Networks whose tiles and chips are computed at once, against a loop that knows neither.

Tiles are uneven, 3 and 4 word lines and 4 and 6 bit lines, so that padding takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cosim.network.chip_cells import cells_of_chip, stacked_cells
from cosim.network.models import exact_model, ideal_model
from cosim.network.run import NetworkModel, forward
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.wires import wire_model
from netlists.adcs import quantiser
from netlists.chip import Chip, another_chip
from netlists.drivers import level
from netlists.neurons.spec import neuron_by_name
from netlists.readout import tia
from tests.cosim.chips import (
    chip_of,
    conductances,
    small_hardware,
    small_inputs,
    small_network,
    surrogate_of,
)

Currents = Callable[[Chip, int, int, torch.Tensor, torch.Tensor], torch.Tensor]


def _ohms(chip: Chip, layer: int, tile: int) -> dict[str, float | torch.Tensor]:
    wires, drawn = chip.hardware.wires, chip.periphery[layer].tiles[tile]
    return {
        "r_wordline_ohm": wires.r_wordline_ohm,
        "r_bitline_ohm": wires.r_bitline_ohm,
        "r_driver_ohm": chip.hardware.driver.r_driver_ohm,
        "r_sense_ohm": tia.input_resistance_ohm(
            chip.hardware.tia, torch.from_numpy(drawn.r_feedback_ohm)
        ),
    }


def _held_v(chip: Chip, layer: int, tile: int) -> torch.Tensor:
    offset = chip.periphery[layer].tiles[tile].v_offset_v
    return tia.input_offset_v(chip.hardware.tia, torch.from_numpy(offset))


def _ideal(*given: Any) -> torch.Tensor:
    product: torch.Tensor = given[-2] @ given[-1]
    return product


def _exact(chip: Chip, layer: int, tile: int, v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    solved = solve_transfer(g, **_ohms(chip, layer, tile))
    return solved.current_a(v, _held_v(chip, layer, tile))


def _closed(chip: Chip, layer: int, tile: int, v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    wires = wire_model(*g.shape, **_ohms(chip, layer, tile))
    transfer = wires.transfer_s(g)
    return v @ transfer + wires.offset_current_a(g, transfer, _held_v(chip, layer, tile))


def by_loop(
    chip: Chip, cells: list[list[torch.Tensor]], x: torch.Tensor, currents: Currents, ideal: bool
) -> list[torch.Tensor]:
    """Codes of every layer, tile by tile and instance by instance."""
    hardware, codes, found = chip.hardware, x, []
    for index, (plan, drawn) in enumerate(zip(chip.plans, chip.periphery, strict=True)):
        drive = level.level(codes, hardware.driver, signed=plan.signed_input)
        if plan.has_bias:
            one = torch.full((len(x), 1), hardware.driver.v_read_v, dtype=x.dtype)
            drive = torch.cat([drive, one], 1)
        total = torch.zeros(len(x), plan.outputs, dtype=x.dtype)
        for number, (tile, own) in enumerate(zip(plan.tiles, drawn.tiles, strict=True)):
            g = cells[index][number]
            current = currents(chip, index, number, drive[:, tile.row_start : tile.row_stop], g)
            feedback, offset = (torch.from_numpy(v) for v in (own.r_feedback_ohm, own.v_offset_v))
            volts = -plan.r_feedback_ohm * current
            if not ideal:
                volts = tia.output_v(current, hardware.tia, feedback, offset)
            total[:, tile.out_start : tile.out_stop] += volts[:, 1::2] - volts[:, 0::2]
        v_full = hardware.adc.v_full_scale_v
        neuron, scale = neuron_by_name(plan.neuron), plan.span / v_full
        lsb = quantiser.lsb_v(hardware.adc, signed=plan.signed_output)
        if ideal:
            code = neuron.ideal(total * scale) * (v_full / plan.output_scale) / lsb
        else:
            at = total + torch.from_numpy(drawn.neuron_offset_v)
            v = neuron.output_v(at, hardware.neuron, v_full_v=v_full, span=plan.span)
            gain, shift = torch.from_numpy(drawn.adc_gain), torch.from_numpy(drawn.adc_offset_v)
            code = (v * gain + shift) / lsb
        found.append(code)
        low, high = quantiser.code_range(hardware.adc, signed=plan.signed_output)
        codes = (code + 0.5).floor().clamp(low, high) / high
    return found


def _cases(chip: Chip) -> dict[str, tuple[NetworkModel, Currents]]:
    return {
        "ideal": (ideal_model(chip.hardware, chip.plans), _ideal),
        "exact": (exact_model(chip.hardware, chip.plans, chip.periphery), _exact),
        "surrogate": (surrogate_of(chip), _closed),
    }


@pytest.mark.parametrize("fidelity", ["ideal", "exact", "surrogate"])
@pytest.mark.parametrize("signed", [False, True])
def test_stacked_tiles_are_the_tiles_of_a_loop(fidelity: str, signed: bool) -> None:
    x = small_inputs(9, signed=signed)
    chip = chip_of(small_network(nn.Tanh), small_hardware(r_ohm=60.0), x)
    assert {(tile.rows, tile.cols) for tile in chip.plans[0].tiles} == {
        (3, 4),
        (3, 6),
        (4, 4),
        (4, 6),
    }
    model, currents = _cases(chip)[fidelity]
    seen: list[torch.Tensor] = []
    kept = [replace(layer, periphery=_Seen(layer.periphery, seen)) for layer in model.layers]
    cells = [[torch.from_numpy(g) for g in layer] for layer in chip.conductance_s]
    wanted = by_loop(chip, cells, torch.from_numpy(x), currents, fidelity == "ideal")
    with torch.no_grad():
        named = _Named(fidelity, kept)
        forward(chip.hardware, chip.plans, conductances(chip), named, torch.from_numpy(x))
    # Curves stand for equations in the stand-in of a calibration.
    near = {"rtol": 0.0, "atol": 0.02} if fidelity == "surrogate" else {"rtol": 1e-11, "atol": 1e-9}
    for ours, known in zip(seen, wanted, strict=True):
        torch.testing.assert_close(ours[0], known, **near)


class _Seen:
    """A periphery that notes its codes before they are rounded."""

    def __init__(self, own: Any, seen: list[torch.Tensor]) -> None:
        self._own, self._seen = own, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def codes(self, total_v: torch.Tensor) -> Any:
        found = self._own.codes(total_v)
        self._seen.append(found.continuous)
        return found


class _Named:
    def __init__(self, name: str, layers: list[Any]) -> None:
        self.name, self.layers = name, layers


def test_many_chips_are_read_as_each_of_them_alone() -> None:
    x = small_inputs(7)
    first = chip_of(small_network(), small_hardware(r_ohm=30.0), x)
    chips = [first, *(another_chip(first, seed=0, sample=k) for k in (1, 2))]
    hardware, plans = first.hardware, first.plans
    together = exact_model(hardware, plans, *(chip.periphery for chip in chips))
    cells = stacked_cells(plans, *(chip.conductance_s for chip in chips))
    with torch.no_grad():
        inputs = torch.from_numpy(x)
        codes = forward(hardware, plans, cells, together, inputs)
        each = forward(hardware, plans, cells, together, inputs.expand(3, -1, -1))
        for number, chip in enumerate(chips):
            alone = exact_model(hardware, plans, chip.periphery)
            (wanted,) = forward(hardware, plans, conductances(chip), alone, inputs)
            assert torch.equal(codes[number], wanted)
    assert torch.equal(codes, each)
    assert not torch.equal(codes[0], codes[1])
    again = cells_of_chip(plans, cells, 2)
    for ours, known in zip(again, chips[2].conductance_s, strict=True):
        for g, wanted_g in zip(ours, known, strict=True):
            np.testing.assert_array_equal(g, wanted_g)
