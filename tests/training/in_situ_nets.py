"""Small networks that learn in their own cells, for tests."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.library import find_model
from compact_models.variation import Stream
from cosim.array.analog_array import AnalogArray
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.protocols import Reads
from cosim.array.pulse_pairs import draw_pairs, referenced_cell
from cosim.array.reads.ideal import IdealReads
from cosim.array.updates.step import StepUpdates
from cosim.network.in_situ import InSituNetwork
from cosim.network.in_situ_layer import InSituLayer
from cosim.periphery.ideal import IdealPeriphery
from cosim.periphery.managed import ReadRule
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers.level import DriverSpec
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware, TileSpec
from netlists.mapping import plan_layers
from netlists.wires import Wires

Array = NDArray[np.float64]


class TileByTile(IdealPeriphery):
    """The same read tile by tile, as a chip with curves is."""

    @property
    def straight_ohm(self) -> float | None:
        return None


def network(
    net: nn.Sequential,
    inputs: Array,
    *,
    device: str = "constant_step",
    pair: Pair = "reference",
    reads: Reads | None = None,
    sigma: dict[str, float] | None = None,
    tile: int = 64,
    bits: int = 16,
    managed: ReadRule | None = None,
    straight: bool = True,
    seed: int = 0,
    chips: int = 1,
) -> InSituNetwork:
    """A network of Linear layers in cells, with fine converters and ranges for its weights."""
    model = find_model(device)
    nominal = model.parameter_sets[0]
    hardware = Hardware(
        cell=referenced_cell(nominal, pair),
        wires=Wires(0.0, 0.0),
        tile=TileSpec(max_rows=tile, max_cols=tile),
        driver=DriverSpec(dac_bits=bits),
        adc=AdcSpec(bits=bits),
    )
    stages = linear_stages(network_graph(net))
    scale = nominal.values["w_max"] - nominal.values["w_min"]
    larger = [replace(one, weight=1.5 * one.weight) for one in stages]  # nothing is clipped
    plans = plan_layers(larger, hardware, inputs, weight_scales=[scale] * len(stages))
    kind = IdealPeriphery if straight else TileByTile
    layers = []
    for plan, stage in zip(plans, stages, strict=True):
        cells = draw_pairs(
            model,
            nominal,
            sigma or {},
            (plan.rows, plan.outputs),
            pair=pair,
            seed=seed,
            samples=tuple(range(chips)),
            path=plan.name,
        )
        array = AnalogArray(
            TileLayout.of(plan), cells, reads or IdealReads(), StepUpdates(), chips=chips
        )
        layers.append(
            InSituLayer(
                plan,
                hardware,
                array,
                kind(hardware, plan),
                stage,
                managed=managed,
                stream=Stream(seed),
            )
        )
    return InSituNetwork(hardware, layers)


def small(*sizes: int, seed: int = 0) -> nn.Sequential:
    """A float network of tanh layers with torch's own weights."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential()
    for k, (n, m) in enumerate(pairwise(sizes)):
        linear = nn.Linear(n, m, dtype=torch.float64)
        with torch.no_grad():
            for one in (linear.weight, linear.bias):
                one.uniform_(-(n**-0.5), n**-0.5, generator=generator)
        net.append(linear)
        if k < len(sizes) - 2:
            net.append(nn.Tanh())
    return net
