"""Small chips for tests: several tiles a layer, every neuron, both signs of inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from cosim.array.layout import TileLayout
from cosim.array.reads.surrogate import stacked_wires
from cosim.network.chip_cells import stacked_cells
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.periphery.drawn import DrawnPeriphery
from cosim.periphery.surrogate import FittedPeriphery
from cosim.surrogate.curves import fit_curves
from cosim.surrogate.wires import wire_model
from netlists.chip import Chip, map_network
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware, TileSpec
from netlists.neurons.spec import neuron_by_name
from netlists.readout import tia
from netlists.wires import Wires


def small_hardware(r_ohm: float = 5.0) -> Hardware:
    """Tiles of 4 word lines and 3 outputs at most, so that small layers are cut both ways."""
    return Hardware(
        wires=Wires(r_wordline_ohm=r_ohm, r_bitline_ohm=0.6 * r_ohm),
        tile=TileSpec(max_rows=4, max_cols=6),
    )


def small_network(
    activation: type[nn.Module] = nn.ReLU, *, bias: bool = True, seed: int = 0
) -> nn.Sequential:
    """6-5-4, in double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(6, 5, bias=bias), activation(), nn.Linear(5, 4, bias=bias)
        ).double()


def small_inputs(count: int, *, signed: bool = False, seed: int = 1) -> np.ndarray:
    """Digital inputs [count, 6]."""
    low = -1.0 if signed else 0.0
    return np.random.default_rng(seed).uniform(low, 1.0, (count, 6))


def chip_of(network: nn.Module, hardware: Hardware, inputs: np.ndarray, *, seed: int = 0) -> Chip:
    """A chip programmed with a network's weights."""
    stages = linear_stages(network_graph(network))
    return map_network(stages, hardware, inputs, seed=seed, sample=0)


def conductances(chip: Chip) -> list[torch.Tensor]:
    """The chip's conductances, [layer] -> [1, tile, row, col]."""
    return stacked_cells(chip.plans, chip.conductance_s)


def surrogate_of(chip: Chip) -> SurrogateModel:
    """The surrogate of a chip as a calibration without errors would find it, wires by theory."""
    hardware, layers = chip.hardware, []
    for plan, drawn in zip(chip.plans, chip.periphery, strict=True):
        layout = TileLayout.of(plan)
        stacked = DrawnPeriphery.of(plan, layout, [drawn])
        feedback, offset = stacked.r_feedback_ohm[0], stacked.v_offset_v[0]
        reach = 3 * hardware.tia.v_rail_v / plan.r_feedback_ohm
        current = np.linspace(-reach, reach, 401)
        volts = tia.output_v(
            torch.from_numpy(current)[:, None], hardware.tia, feedback.flatten(), offset.flatten()
        )
        amplifiers = fit_curves(current, volts.numpy())
        shape = (layout.tiles, 1, layout.tile_cols, -1)
        wires = wire_model(
            layout.tile_rows,
            layout.tile_cols,
            r_wordline_ohm=hardware.wires.r_wordline_ohm,
            r_bitline_ohm=hardware.wires.r_bitline_ohm,
            r_driver_ohm=hardware.driver.r_driver_ohm,
        )
        reach = 3 * hardware.adc.v_full_scale_v
        into = np.linspace(-reach, reach, 2001)
        out = neuron_by_name(plan.neuron).output_v(
            torch.from_numpy(into)[:, None] * torch.from_numpy(drawn.neuron_gain)
            + torch.from_numpy(drawn.neuron_offset_v),
            hardware.neuron,
            v_full_v=hardware.adc.v_full_scale_v,
            span=plan.span,
        )
        periphery = FittedPeriphery(
            hardware,
            plan,
            stacked.driver_gain[0].unsqueeze(1),
            stacked.driver_offset_v[0].unsqueeze(1),
            replace(
                amplifiers,
                value=amplifiers.value.reshape(shape),
                slope=amplifiers.slope.reshape(shape),
            ),
            fit_curves(into, out.numpy()),
            torch.from_numpy(drawn.adc_gain),
            torch.from_numpy(drawn.adc_offset_v),
        )
        sense = tia.input_resistance_ohm(hardware.tia, feedback)
        held = tia.input_offset_v(hardware.tia, offset)
        layers.append(FittedLayer(stacked_wires(wires, layout, sense), held, periphery))
    return SurrogateModel(hardware, chip.plans, layers)
