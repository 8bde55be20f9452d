"""A user's own cell in a chip: what it conducts, what it keeps, and the wires around it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from cosim.calibration.cells import cell_sweep, fit_cell
from cosim.calibration.wires import wire_sweeps
from cosim.laws.kirchhoff import ArrayVoltages, check_array, check_wires
from cosim.network.cell_loss import CellLoss, loss_bench
from cosim.network.whole_chip import read_chip, tile_voltages
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from cosim.surrogate.cells import OwnCellWires, effective_s
from cosim.surrogate.curves import fit_curves
from cosim.surrogate.wires import WireModel, wire_model
from netlists.chip import Chip
from netlists.hardware import Hardware
from netlists.network import network_circuit
from netlists.pyspice import from_pyspice, pyspice_netlist
from netlists.wires import Wires
from tests.cosim.chips import conductances
from tests.cosim.own_blocks import (
    OneWayCell,
    SeriesCell,
    SinhCell,
    calibrated,
    own_chip,
    rms,
    surrogate_codes,
    vectors,
    worst,
)
from workflows.watched import held_out_sentences

netlist = pyspice_netlist()


class LeakyCell(netlist.SubCircuit):
    """No two-terminal cell: a part of the current goes to ground."""

    def __init__(self) -> None:
        super().__init__("leaky", "wl", "bl", g=1e-6)
        self.R("cell", "wl", "bl", "{1/g}")
        self.R("leak", "bl", "0", 1e4)


class TeeCell(netlist.SubCircuit):
    """A cell of two unequal halves, with a leak between them: its ports cannot be exchanged."""

    def __init__(self) -> None:
        super().__init__("tee", "wl", "bl", g=1e-6)
        self.R("upper", "wl", "m", "{1/(4*g)}")
        self.R("lower", "m", "bl", "{3/(4*g)}")
        self.R("leak", "m", "0", 1e6)


@pytest.mark.ngspice
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("cell", [SinhCell, OneWayCell])
def test_held_out_errors_hold_what_the_closed_form_cannot_know_of_a_cell(
    cell: Any, low: float, ngspice: Ngspice
) -> None:
    """What a chip of one layer then shows is no more than both bit lines' reported errors."""
    x = vectors(low=low)
    chip = own_chip(4, 3, inputs=x, cell=cell)
    calibration = calibrated(chip, ngspice)
    reported = worst(calibration, "currents")
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    shown = np.abs(surrogate_codes(chip, calibration, x) - read.codes).max()
    assert shown <= 2 * reported + 1
    ohmic = calibrated(own_chip(4, 3, inputs=x), ngspice)
    if cell is SinhCell or low < 0:
        assert reported > 100 * worst(ohmic, "currents")
        assert reported > 0.5  # an LSB: nobody overlooks it


@pytest.mark.ngspice
def test_what_a_cell_keeps_is_measured_at_both_ports(ngspice: Ngspice) -> None:
    """A T of resistors, by the voltage of its middle node."""
    bench = loss_bench(Hardware(), from_pyspice(TeeCell, role="cell"))
    loss = CellLoss(bench, run_deck(bench.deck, ngspice, timeout_s=60).require_ok().plot)
    rng = np.random.default_rng(2)
    g = np.array([[1e-6, 2.7e-5, 0.0], [9.1e-5, 4e-6, 1.3e-4]])
    word, bit = rng.uniform(-0.2, 0.2, (4, 2, 3)), rng.uniform(-0.08, 0.05, (4, 2, 3))
    middle = (4 * word + 4 / 3 * bit) * g / (16 / 3 * g + 1e-6)
    np.testing.assert_allclose(loss.at(g, word, bit), middle * 1e-6, rtol=2e-2, atol=1e-12)


@pytest.mark.ngspice
@pytest.mark.parametrize("cell", [LeakyCell, TeeCell])
def test_a_cell_with_a_third_way_is_read_and_still_checked(cell: Any, ngspice: Ngspice) -> None:
    """Its balance holds with what its bench says that it keeps, and finds what is wrong."""
    x = vectors(3)
    chip = own_chip(4, 2, inputs=x, cell=cell)
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    assert np.isfinite(read.codes).all()
    bench = loss_bench(chip.hardware, chip.hardware.blocks["cell"])
    loss = CellLoss(bench, run_deck(bench.deck, ngspice, timeout_s=60).require_ok().plot)
    v, g, wires = measured(chip, x, ngspice), chip.conductance_s[0][0], chip.hardware.wires
    kept = loss.at(g, v.word, v.bit)
    assert check_wires(wires, v, kept).ok.all()
    assert not check_wires(wires, v).ok.any()
    assert not check_wires(wires, v, -kept).ok.any()
    wrong = v.bit.copy()
    wrong[1, 2, 1] += 1e-4
    moved = dataclasses.replace(v, bit=wrong)
    assert check_wires(wires, moved, kept).ok.tolist() == [True, False, True]


@pytest.mark.ngspice
def test_calibration_says_what_cells_keep(ngspice: Ngspice) -> None:
    x = vectors(3)
    tee = calibrated(own_chip(4, 2, inputs=x, cell=TeeCell), ngspice)
    # With its bit line at ground a T of g keeps 1e-6 / (4 g / 3) of what it gives.
    assert worst(tee, "bit line does not get") == pytest.approx(100 * 0.75 / (1.5 * 100 / 96))
    series = calibrated(own_chip(4, 2, inputs=x, cell=SeriesCell), ngspice)
    assert worst(series, "bit line does not get") < 1e-4
    said = held_out_sentences(tee.errors, 0.01, Hardware())
    assert any("cells" in line and "third way" in line for line in said)
    assert not any(
        "third way" in line for line in held_out_sentences(series.errors, 0.01, Hardware())
    )


def measured(chip: Chip, x: np.ndarray, ngspice: Ngspice) -> ArrayVoltages:
    circuit = network_circuit(chip, title="a chip")
    deck = sweep_deck(circuit, [f"in_{k}" for k in range(x.shape[1])], x, name="chip")
    return tile_voltages(chip, 0, 0, run_deck(deck, ngspice, timeout_s=60).require_ok().plot)


@pytest.mark.ngspice
def test_without_the_cells_law_the_wires_still_tell_right_from_wrong(ngspice: Ngspice) -> None:
    x = vectors(5)
    chip = own_chip(4, 3, inputs=x, cell=SinhCell)
    wires, g = chip.hardware.wires, chip.conductance_s[0][0]
    v = measured(chip, x, ngspice)
    assert check_wires(wires, v).ok.all()
    assert not check_array(g, wires, v).ok.any()  # Ohm's law is not this cell's
    for moved in ("word", "bit", "wordline", "bitline"):
        wrong = getattr(v, moved).copy()
        wrong[2, 1] += 1e-6
        assert check_wires(wires, dataclasses.replace(v, **{moved: wrong})).ok.tolist() == [
            True,
            True,
            False,
            True,
            True,
        ]
    wrong = v.bit.copy()
    wrong[4, 0, 0] = np.nan
    assert not check_wires(wires, dataclasses.replace(v, bit=wrong)).ok[4]


@pytest.mark.ngspice
def test_both_checks_agree_on_ohmic_cells(ngspice: Ngspice) -> None:
    x = vectors(5)
    chip = own_chip(4, 3, inputs=x)
    v = measured(chip, x, ngspice)
    by_wires = check_wires(chip.hardware.wires, v)
    by_law = check_array(chip.conductance_s[0][0], chip.hardware.wires, v)
    assert by_wires.ok.all()
    assert by_law.ok.all()
    np.testing.assert_allclose(by_wires.current_a, by_law.current_a, rtol=1e-6)


@pytest.mark.ngspice
@pytest.mark.parametrize("wordline", [0.0, 5.0])
def test_ideal_wires_leave_a_users_cell_readable(wordline: float, ngspice: Ngspice) -> None:
    x = vectors(5)
    wires = Wires(r_wordline_ohm=wordline, r_bitline_ohm=0.0)
    chip = own_chip(4, 3, inputs=x, wires=wires, cell=SeriesCell)
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    assert rms(surrogate_codes(chip, calibrated(chip, ngspice), x) - read.codes) <= 1.0


@pytest.mark.ngspice
def test_gradients_pass_through_a_users_cell(ngspice: Ngspice) -> None:
    """Surrogate codes move with a conductance as its gradient says."""
    x = vectors(6)
    chip = own_chip(4, 3, inputs=x, cell=SeriesCell)
    reads = calibrated(chip, ngspice).model.reads[0]

    def total_a(g: torch.Tensor) -> torch.Tensor:
        return reads.transfer(g[None, None]).current_a(drive).sum()

    drive = torch.from_numpy(np.random.default_rng(4).uniform(0, 0.2, (6, 5)))
    g = conductances(chip)[0][0, 0].requires_grad_()
    (slope,) = torch.autograd.grad(total_a(g), g)
    step = 1e-9
    for row, col in ((0, 0), (2, 3), (4, 5)):
        up = g.detach().clone()
        up[row, col] += step
        down = g.detach().clone()
        down[row, col] -= step
        rise = total_a(up) - total_a(down)
        assert float(rise / (2 * step)) == pytest.approx(float(slope[row, col]), rel=1e-4)


@pytest.mark.ngspice
def test_a_cell_is_measured_over_the_levels_that_its_drivers_have(ngspice: Ngspice) -> None:
    """Forwards the one-way cell conducts g; nearest over both signs is three quarters of it."""
    hardware = Hardware()
    sweep = cell_sweep(hardware, from_pyspice(OneWayCell, role="cell"))
    plot = run_deck(sweep.deck, ngspice, timeout_s=60).require_ok().plot
    g = torch.tensor([0.0, 3.3e-6, 1e-4], dtype=torch.float64)
    for lowest, share in ((0.0, 1.0), (-1.0, 0.75)):
        fit = fit_cell(sweep, plot, lowest=lowest)
        torch.testing.assert_close(effective_s(fit.mean, g), share * g, rtol=2e-3, atol=1e-12)
        torch.testing.assert_close(effective_s(fit.at_read, g), g, rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize(("lowest", "low", "high"), [(0.0, 0.0, 0.02), (-1.0, -0.2, -0.15)])
def test_held_out_vectors_have_the_signs_of_the_layers_inputs(
    lowest: float, low: float, high: float
) -> None:
    (sweep,) = wire_sweeps(Hardware(), 6, 4, np.zeros(4), lowest=lowest, arrays=1, seed=0, path="a")
    held_out = sweep.vectors_v[6:]
    assert low <= held_out.min() <= high
    assert 0.15 < held_out.max() <= 0.2


def test_every_method_of_the_wires_takes_programmed_conductances() -> None:
    """Cells that conduct half of g are ohmic cells of half of g, whatever is asked."""
    plain = wire_model(4, 3, r_wordline_ohm=50, r_bitline_ohm=20, r_driver_ohm=90, r_sense_ohm=5)
    grid = np.linspace(0, 1e-4, 5)
    half = OwnCellWires(plain.word, plain.bit, cell=fit_curves(grid, 0.5 * grid[:, None]))
    g = torch.from_numpy(np.random.default_rng(0).uniform(1e-6, 9e-5, (4, 3)))
    transfer = plain.transfer_s(g / 2)
    held = torch.tensor([1e-3, -2e-3, 3e-3], dtype=torch.float64)
    torch.testing.assert_close(half.transfer_s(g), transfer)
    torch.testing.assert_close(
        half.offset_current_a(g, transfer, held), plain.offset_current_a(g / 2, transfer, held)
    )
    torch.testing.assert_close(half.with_held(g, held), plain.with_held(g / 2, held))
    assert half.mean_loss(g) == pytest.approx(plain.mean_loss(g / 2))
    assert half.largest_loss(g) == pytest.approx(plain.largest_loss(g / 2))
    assert half.outside(100 * g) == plain.outside(50 * g) != ""
    methods = {name for name in vars(WireModel) if not name.startswith("_")}
    # These take no conductances, or ask the others.
    methods -= {*WireModel.__dataclass_fields__, "with_sense", "with_live", "trained"}
    methods -= {"outside", "outside_by", "with_losses"}
    assert methods <= set(vars(OwnCellWires))
