"""Small chips for tests: several tiles a layer, every neuron, both signs of inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from cosim.array.layout import TileLayout
from cosim.network.chip_cells import stacked_cells
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.periphery.surrogate import FittedAmplifiers, FittedBlocks
from cosim.surrogate.curves import Curves, fit_curves
from cosim.surrogate.drawn_curves import BlockCurves, fixed_value
from cosim.surrogate.wires import wire_model
from netlists.chip import Chip, map_network
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware, TileSpec
from netlists.neurons.spec import neuron_by_name
from netlists.readout import tia
from netlists.tiles import LayerPlan
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
    none = torch.zeros((), dtype=torch.float64)
    for plan in chip.plans:
        layout = TileLayout.of(plan)
        wires = wire_model(
            layout.tile_rows,
            layout.tile_cols,
            r_wordline_ohm=hardware.wires.r_wordline_ohm,
            r_bitline_ohm=hardware.wires.r_bitline_ohm,
            r_driver_ohm=hardware.driver.r_driver_ohm,
        )
        layers.append(FittedLayer(wires, _blocks(hardware, plan, none)))
    return SurrogateModel(hardware, chip.plans, layers, [chip.periphery])


def _blocks(hardware: Hardware, plan: LayerPlan, none: torch.Tensor) -> FittedBlocks:
    rf, loop = plan.r_feedback_ohm, hardware.tia.open_loop_gain
    reach = 3 * hardware.tia.v_rail_v / rf
    current = np.linspace(-reach, reach, 401)
    volts = tia.output_v(torch.from_numpy(current), hardware.tia, none + rf, none)
    reach = 3 * hardware.adc.v_full_scale_v
    into = np.linspace(-reach, reach, 2001)
    out = neuron_by_name(plan.neuron).output_v(
        torch.from_numpy(into),
        hardware.neuron,
        v_full_v=hardware.adc.v_full_scale_v,
        span=plan.span,
    )
    of_amplifier, of_others = (rf, 0.0), (0.0, 1.0)  # rf and vos; vos and gain
    amplifiers = FittedAmplifiers(
        BlockCurves(
            _master(current, volts),
            fixed_value(of_amplifier, 1.0, (1 / rf, 0.0)),
            fixed_value(of_amplifier, 0.0, (0.0, -1 / rf)),
        ),
        fixed_value(of_amplifier, rf / (1 + loop), (1 / (1 + loop), 0.0)),
        fixed_value(of_amplifier, 0.0, (0.0, loop / (1 + loop))),
    )
    return FittedBlocks(
        fixed_value(of_others, 1.0, (0.0, 1.0)),
        fixed_value(of_others, 0.0, (1.0, 0.0)),
        dict.fromkeys(plan.factors, amplifiers),
        BlockCurves(
            _master(into, out),
            fixed_value(of_others, 1.0, (0.0, 1.0)),
            fixed_value(of_others, 0.0, (1.0, 0.0)),
        ),
        fixed_value(of_others, 1.0, (0.0, 1.0)),
        fixed_value(of_others, 0.0, (1.0, 0.0)),
    )


def _master(x: np.ndarray, y: torch.Tensor) -> Curves:
    curves = fit_curves(x, y.numpy()[:, None])
    return replace(curves, value=curves.value[0], slope=curves.slope[0])
