"""Blocks of a user, in PySpice, and small chips that hold them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from cosim.calibration.calibrate import Calibration, calibrate
from cosim.network.models import chip_codes
from cosim.ngspice import Ngspice
from netlists.chip import Chip
from netlists.hardware import Hardware
from netlists.pyspice import from_pyspice, pyspice_netlist
from netlists.readout.tia import TiaSpec
from netlists.wires import Wires
from tests.cosim.chips import chip_of

netlist = pyspice_netlist()


class OpAmpLoop(netlist.SubCircuit):
    """An amplifier as a loop: gain 1e4, offset, feedback resistor."""

    def __init__(self) -> None:
        super().__init__("OpAmpLoop", "inp", "outp", rf=1e4, vos=0.0)
        self.V("os", "plus", "0", "{vos}")
        self.VCVS("amp", "outp", "0", "plus", "inp", voltage_gain=1e4)
        self.R("f", "inp", "outp", "{rf}")


class SoftNeuron(netlist.SubCircuit):
    """A neuron that is steeper than our tanh and never quite flat."""

    def __init__(self) -> None:
        super().__init__("soft", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="0.4*tanh(5*(V(a)+{vos}))+0.02*V(a)")


class SeriesCell(netlist.SubCircuit):
    """A memristor behind the resistance of its selector."""

    def __init__(self) -> None:
        super().__init__("series", "wl", "bl", g=1e-6)
        self.R("select", "wl", "m", 2000)
        self.R("cell", "m", "bl", "{1/g}")


class SinhCell(netlist.SubCircuit):
    """A cell that bends: 4 % more than g at the full read voltage of 0.2 V."""

    def __init__(self) -> None:
        super().__init__("sinh_cell", "wl", "bl", g=1e-6, v0=0.4)
        self.B("cell", "wl", "bl", i="{g}*{v0}*sinh(V(wl,bl)/{v0})")


class OneWayCell(netlist.SubCircuit):
    """A cell that conducts backwards half as well as forwards."""

    def __init__(self) -> None:
        super().__init__("one_way", "wl", "bl", g=1e-6)
        self.B("cell", "wl", "bl", i="{g}*(0.75*V(wl,bl)+0.25*sqrt(V(wl,bl)^2+1e-8))")


def own_chip(
    *sizes: int,
    activation: type[nn.Module] = nn.Tanh,
    inputs: np.ndarray,
    wires: Wires | None = None,
    v_rail_v: float = 1.65,
    **blocks: Any,
) -> Chip:
    """A network of these sizes on a chip with these blocks of the user."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), activation()]
        network = nn.Sequential(*layers[:-1]).double()
    hardware = Hardware(
        wires=wires or Wires(r_wordline_ohm=5, r_bitline_ohm=3),
        tia=TiaSpec(v_rail_v=v_rail_v),
        blocks={role: from_pyspice(block, role=role) for role, block in blocks.items()},
    )
    return chip_of(network, hardware, inputs)


def vectors(count: int = 40, low: float = 0.0) -> np.ndarray:
    return np.random.default_rng(1).uniform(low, 1, (count, 4))


def calibrated(chip: Chip, ngspice: Ngspice) -> Calibration:
    return calibrate(chip, ngspice, arrays=2, held_out=2, seed=0, jobs=2)


def surrogate_codes(chip: Chip, calibration: Calibration, x: np.ndarray) -> np.ndarray:
    return chip_codes(chip, calibration.model, x)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def worst(calibration: Calibration, quantity: str) -> float:
    return max(e.worst for e in calibration.errors if e.quantity.endswith(quantity))
