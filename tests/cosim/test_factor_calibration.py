"""Layers that are weighted sums of arrays: the surrogate of amplifiers of several feedbacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.calibration.calibrate import Calibration, calibrate
from cosim.calibration.evidence import HeldOutError
from cosim.network.build_in_situ import LayerInCells, chip_of, in_situ_network, plan_in_situ
from cosim.network.chip_cells import stacked_cells
from cosim.network.module import CrossbarNetwork
from cosim.network.pulsed_device import PulsedDevice
from cosim.network.run import drive_voltages
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from cosim.training.pulsed_optimiser import PulsedSGD
from netlists.chip import Chip, draw_periphery, programmed_chip
from netlists.circuit import ForeignSubcircuit
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware
from netlists.mapping import plan_layers
from netlists.pyspice import from_pyspice, pyspice_netlist
from netlists.readout.tia import TiaSpec
from netlists.tiles import LayerPlan, differential
from tests.cosim.chips import small_hardware, small_inputs
from tests.cosim.own_blocks import rms
from tests.netlists.transistor_tia import write_amplifier
from workflows.calibration_store import read_calibration, write_calibration
from workflows.config import load_config

netlist = pyspice_netlist()
INPUTS = small_inputs(60)


class LeakyLoop(netlist.SubCircuit):
    """A loop whose feedback has a leak of 30 kohm beside it: its gain does not go with rf."""

    leak_ohm = 3e4

    def __init__(self) -> None:
        super().__init__("leaky", "inp", "outp", rf=1e4, vos=0.0)
        self.V("os", "plus", "0", "{vos}")
        self.VCVS("amp", "outp", "0", "plus", "inp", voltage_gain=1e4)
        self.R("f", "inp", "outp", "{rf}")
        self.R("leak", "inp", "outp", self.leak_ohm)


class HardlyLeakyLoop(LeakyLoop):
    """The same for cells of a hundred nanosiemens."""

    leak_ohm = 8e7


class NoFeedback(netlist.SubCircuit):
    """A current meter of a gain of its own."""

    def __init__(self) -> None:
        super().__init__("meter", "inp", "outp")
        self.V("x", "inp", "0", 0)
        self.B("out", "outp", "0", v="-1e4*I(Vx)")


def own(block: object) -> dict[str, ForeignSubcircuit]:
    return {"tia": from_pyspice(block, role="tia")}  # type: ignore[arg-type]


def hardware_with(blocks: dict[str, ForeignSubcircuit], v_rail_v: float = 1.65) -> Hardware:
    """Wires that take some per cent, tiles of 4 word lines."""
    changes = {"blocks": blocks, "tia": TiaSpec(v_rail_v=v_rail_v)}
    return small_hardware(40.0).model_copy(update=changes)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 3)).double()


def planned(hardware: Hardware, factors: tuple[float, ...]) -> tuple[LayerPlan, ...]:
    """Seven word lines, two tiles of unequal height for every array."""
    return plan_layers(linear_stages(network_graph(network())), hardware, INPUTS, factors=[factors])


def chip_of_unlike_arrays(hardware: Hardware, factors: tuple[float, ...]) -> Chip:
    """Every array holds weights of its own, so that no two factors can be exchanged."""
    plans, stages = planned(hardware, factors), linear_stages(network_graph(network()))
    chip = programmed_chip(stages, hardware, plans, seed=3, sample=1)
    rng = np.random.default_rng(7)
    cells = tuple(
        differential(
            torch.from_numpy(rng.uniform(-1, 1, (tile.rows, tile.cols // 2))), hardware.cell
        ).numpy()
        for tile in plans[0].tiles
    )
    return replace(chip, conductance_s=(cells,))


def sums_lsb(chip: Chip, model: SurrogateModel) -> np.ndarray:
    """What the converters are given, in codes that are not rounded yet, [image, out]."""
    layer, cells = model.layers[0], stacked_cells(chip.plans, chip.conductance_s)
    with torch.no_grad():
        x = torch.from_numpy(INPUTS).unsqueeze(0)
        drive = drive_voltages(chip.hardware, chip.plans[0], layer, x)
        current = layer.reads.transfer(cells[0]).current_a(drive)
        total = layer.periphery.pair_sums_v(layer.layout, current)
        blocks = layer.layout.col_blocks_of(current)  # as training in situ has them
        in_blocks = layer.periphery.pair_amplifiers(layer.layout)(blocks)
        torch.testing.assert_close(in_blocks, total, rtol=1e-12, atol=1e-15)
        return np.asarray(layer.periphery.codes(total).continuous[0].numpy())


def with_the_curve_of(factor: float, found: Calibration) -> SurrogateModel:
    """The control: one factor's amplifiers for all of them."""
    model = found.model
    (layer,) = model.fitted
    known = layer.blocks.amplifiers
    same = replace(layer.blocks, amplifiers=dict.fromkeys(known, known[factor]))
    fitted = [FittedLayer(layer.wires, same)]
    return SurrogateModel(model.hardware, model.plans, fitted, model.chips)


def held_out(found: Calibration, words: str) -> list[HeldOutError]:
    return [row for row in found.errors if words in row.quantity]


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("block", "factors"),
    [(None, (1.0, 0.125)), (LeakyLoop, (1.0, 0.125)), (LeakyLoop, (1 / 32, 1.0, 1.0, 32.0))],
)
def test_the_surrogate_of_a_weighted_sum_is_that_of_its_amplifiers(
    block: object, factors: tuple[float, ...], ngspice: Ngspice, tmp_path: Path
) -> None:
    """Within half an LSB of ngspice and within its own estimate; that of factor 1 is 3 times off.

    Ours is straight in its feedback, so that any factor's curve does for it.
    """
    chip = chip_of_unlike_arrays(hardware_with(own(block) if block else {}), factors)
    assert len(chip.plans[0].tiles) == 2 * len(factors)
    found = calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2)
    read = read_chip(chip, INPUTS, ngspice, jobs=1)
    assert [one.outcome for one in read.simulations] == ["ok"]
    assert len(np.unique(read.codes)) > 50
    off = sums_lsb(chip, found.model) - read.codes
    assert rms(np.rint(sums_lsb(chip, found.model)) - read.codes) <= 0.5
    # Two amplifiers a tile and output, each as far off as the worst that was held out.
    estimate = sum(
        4 * factors.count(factor) * row.worst
        for factor in chip.plans[0].distinct_factors
        for row in found.errors
        if row.unit == "LSB"
        and ("amplifiers" in row.quantity or "wires" in row.quantity)
        and (" times" not in row.quantity if factor == 1 else f"times {factor:g}" in row.quantity)
    )
    rest = sum(row.worst for row in held_out(found, "neurons"))
    assert 0 < estimate < 1
    assert np.abs(off).max() <= 0.5 + estimate + rest
    if block is not None:
        control = sums_lsb(chip, with_the_curve_of(1.0, found)) - read.codes
        assert rms(control) >= 3 * max(rms(off), 0.3)
    # A run keeps it: what is read back computes the same.
    write_calibration(tmp_path, found)
    again = read_calibration(tmp_path, chip).model
    np.testing.assert_array_equal(sums_lsb(chip, again), sums_lsb(chip, found.model))


@pytest.mark.ngspice
def test_every_factor_has_held_out_errors_of_its_own(ngspice: Ngspice) -> None:
    chip = chip_of_unlike_arrays(hardware_with({}), (0.5, 1.0, 0.5))
    found = calibrate(chip, ngspice, arrays=2, held_out=1, seed=0, jobs=2)
    for words, count in (("amplifiers", 4), ("inputs times 0.5", 1), ("wires", 4),
                         ("times 0.5, ", 2), ("neurons", 1)):  # fmt: skip
        assert len(held_out(found, words)) == count, words
    names = [curve.name for curve in found.curves]
    assert names[:2] == ["layer_0 amplifier times 0.5", "layer_0 amplifier"]
    # What half of the feedback makes of an error in the current is half of the volts.
    (half,), (whole,) = (
        [row for row in held_out(found, "currents") if (" times" in row.quantity) == is_half]
        for is_half in (True, False)
    )
    assert 0 < half.worst < whole.worst
    decks = [one.deck for one in found.simulations]
    assert len(decks) == len(set(decks))


@pytest.mark.ngspice
@pytest.mark.slow
@pytest.mark.parametrize("factors", [(1.0, 0.125), (1.0, 8.0)])
def test_an_amplifier_of_transistors_at_two_feedbacks(
    factors: tuple[float, ...], ngspice: Ngspice, tmp_path: Path
) -> None:
    """It is driven no further than its arrays drive it: 8 times as far it finds no way back."""
    write_amplifier(tmp_path)
    (tmp_path / "study.toml").write_text(
        '[data]\nname = "iris"\n[tia]\nv_rail_v = 1.4\n'
        '[blocks]\ntia = "my_tia.cir:my_tia"\nlib = "models.lib typical"\n'
    )
    blocks = dict(load_config(tmp_path / "study.toml").hardware.blocks)
    chip = chip_of_unlike_arrays(hardware_with(blocks, 1.4), factors)
    found = calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2)
    read = read_chip(chip, INPUTS, ngspice, jobs=1)
    assert rms(np.rint(sums_lsb(chip, found.model)) - read.codes) <= 0.5


@pytest.mark.ngspice
def test_weights_are_trained_and_fresh_chips_read_through_several_factors(
    ngspice: Ngspice,
) -> None:
    """Hardware-aware: the gradient is that of the sum; another chip has errors of its own."""
    hardware = hardware_with(own(LeakyLoop))
    stages, plans = linear_stages(network_graph(network())), planned(hardware, (1.0, 0.125))
    chip = programmed_chip(stages, hardware, plans, seed=3, sample=1)
    found = calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2)
    model = CrossbarNetwork(hardware, plans, stages, found.model)
    x, share = torch.from_numpy(INPUTS), model.shares[0]
    model.codes(x).sum().backward()
    assert share.grad is not None
    at, step = (3, 1), 0.05
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            share[at] += sign * step
        cells = tuple(
            differential(
                share.detach()[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop],
                hardware.cell,
            ).numpy()
            for tile in plans[0].tiles
        )
        other = replace(chip, conductance_s=(cells,))
        moved.append(read_chip(other, INPUTS, ngspice, jobs=1).codes.sum())
        with torch.no_grad():
            share[at] -= sign * step
    slope = (moved[0] - moved[1]) / (2 * step)
    assert float(share.grad[at]) == pytest.approx(slope, rel=0.05)
    fresh = replace(chip, periphery=draw_periphery(hardware, plans, seed=9, sample=4))
    of_fresh = found.model.of_chips([fresh.periphery])
    told = read_chip(fresh, INPUTS, ngspice, jobs=1).codes
    assert rms(np.rint(sums_lsb(fresh, of_fresh)) - told) <= 0.5
    assert rms(np.rint(sums_lsb(fresh, found.model)) - told) > 1.5


@pytest.mark.ngspice
def test_a_sum_that_learns_in_its_cells_is_the_chip_that_ngspice_reads(ngspice: Ngspice) -> None:
    """In situ, through the surrogate, behind a user's amplifier that no equation knows."""
    model = find_model("constant_step")
    device = PulsedDevice(model, find_set(model, None))
    hardware = device.chip(hardware_with(own(HardlyLeakyLoop)))
    stages = linear_stages(network_graph(network()))
    plans = plan_in_situ(stages, stages, hardware, [device], INPUTS, factors=[(1.0, 0.125)])
    periphery = draw_periphery(hardware, plans, seed=4, sample=0)
    none = tuple(np.zeros((tile.rows, tile.cols)) for tile in plans[0].tiles)
    blank = Chip(hardware, plans, periphery, (none,))
    found = calibrate(blank, ngspice, arrays=1, held_out=1, seed=0, jobs=2)
    learns = in_situ_network(
        hardware, plans, stages, found.model, [LayerInCells(device, "surrogate", 0.002)],
        stream=Stream(4),
    )  # fmt: skip
    x, optimiser = torch.from_numpy(INPUTS), PulsedSGD(learns.parameters(), lr=0.2)
    before = [one.weight() for one in learns.chain[0].array.each]
    for _ in range(3):
        optimiser.zero_grad()
        learns(x).square().mean().backward()
        optimiser.step()
    after = [one.weight() for one in learns.chain[0].array.each]
    assert all(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    told = read_chip(chip_of(learns, periphery), INPUTS, ngspice, jobs=1).codes
    with torch.no_grad():
        off = learns.codes(x).reshape(told.shape).numpy() - told
    assert len(np.unique(told)) > 20
    assert rms(off) <= 0.5


def test_an_amplifier_without_feedback_parameter_has_one_factor() -> None:
    hardware = hardware_with(own(NoFeedback))
    with pytest.raises(InputError) as refused:
        planned(hardware, (1.0, 0.125))
    for word in ("no parameter rf", "meter", "1, 0.125", ".subckt meter inp outp rf=10k"):
        assert word in str(refused.value), refused.value
    assert planned(hardware, (0.5, 0.5))[0].arrays == 2


@pytest.mark.parametrize("factors", [(1.0, 0.0), (1.0, -0.5), (1.0, float("nan")), ()])
def test_factors_are_feedbacks(factors: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="a factor is the gain of an array's amplifiers"):
        planned(hardware_with({}), factors)
