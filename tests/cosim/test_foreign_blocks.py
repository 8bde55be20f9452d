"""A user's own cell, amplifier and neuron in a chip: calibrated, read in ngspice, or refused."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from cosim.calibration.calibrate import Calibration, calibrate
from cosim.calibration.cells import cell_sweep, fit_cell
from cosim.calibration.wires import wire_sweeps
from cosim.laws.kirchhoff import ArrayVoltages, check_array, check_wires
from cosim.network.cell_loss import CellLoss, loss_bench
from cosim.network.models import chip_codes, exact_model, ideal_model
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
from tests.cosim.chips import chip_of, conductances
from workflows.watched import held_out_sentences

netlist = pyspice_netlist()


class OpAmpLoop(netlist.SubCircuit):
    """An amplifier as a loop: gain 1e4, offset, feedback resistor."""

    def __init__(self) -> None:
        super().__init__("OpAmpLoop", "inp", "outp", rf=1e4, vos=0.0)
        self.V("os", "plus", "0", "{vos}")
        self.VCVS("amp", "outp", "0", "plus", "inp", voltage_gain=1e4)
        self.R("f", "inp", "outp", "{rf}")


class RailedAmp(netlist.SubCircuit):
    """A loop whose op-amp is stuck in its rails where calibration drives it furthest."""

    def __init__(self) -> None:
        super().__init__("railed", "inp", "outp", rf=1e4, vos=0.0)
        self.B("amp", "outp", "0", v="1.7*tanh(1000*({vos}-V(inp))/1.7)")
        self.R("f", "inp", "outp", "{rf}")


class SoftNeuron(netlist.SubCircuit):
    """A neuron that is steeper than our tanh and never quite flat."""

    def __init__(self) -> None:
        super().__init__("soft", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="0.4*tanh(5*(V(a)+{vos}))+0.02*V(a)")


class DiodeClamp(netlist.SubCircuit):
    """A rectifier of resistors and a diode, without parameters."""

    def __init__(self) -> None:
        super().__init__("clamp", "a", "y")
        self.R("1", "a", "y", 1e3)
        self.R("2", "y", "0", 1e5)
        self.model("dd", "D", IS=1e-9, N=1.2)
        self.D("1", "0", "y", model="dd")


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


def own_chip(
    *sizes: int,
    activation: type[nn.Module] = nn.Tanh,
    inputs: np.ndarray,
    wires: Wires | None = None,
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


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("activation", "blocks"),
    [
        (nn.Tanh, {"tia": OpAmpLoop, "neuron": SoftNeuron}),
        (nn.ReLU, {"tia": OpAmpLoop, "neuron": DiodeClamp}),
        (nn.Tanh, {"tia": RailedAmp}),
        (nn.ReLU, {"cell": SeriesCell, "tia": OpAmpLoop}),
    ],
)
def test_the_surrogate_learns_the_users_blocks(
    activation: type[nn.Module], blocks: dict[str, Any], ngspice: Ngspice
) -> None:
    """Codes of a 4-3-2 network within 1 LSB rms of ngspice, and not those of our own blocks."""
    x = vectors()
    chip = own_chip(4, 3, 2, activation=activation, inputs=x, **blocks)
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    assert np.ptp(read.codes) > 100
    assert rms(surrogate_codes(chip, calibrated(chip, ngspice), x) - read.codes) <= 1.0
    if set(blocks) & {"cell", "neuron"}:  # an amplifier may do the same as ours
        ours = own_chip(4, 3, 2, activation=activation, inputs=x)
        assert rms(read_chip(ours, x, ngspice, jobs=1).codes - read.codes) > 3.0


@pytest.mark.ngspice
def test_the_loop_computes_what_our_closed_form_does(ngspice: Ngspice) -> None:
    x = vectors()
    ours = own_chip(4, 3, 2, inputs=x)
    loop = own_chip(4, 3, 2, inputs=x, tia=OpAmpLoop)
    difference = (
        read_chip(loop, x, ngspice, jobs=1).codes - read_chip(ours, x, ngspice, jobs=1).codes
    )
    # The loop has no rails; ours bends a little towards them.
    assert rms(difference) < 0.05 * np.ptp(read_chip(ours, x, ngspice, jobs=1).codes)


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


class WrongSignAmp(netlist.SubCircuit):
    """A current meter whose output rises."""

    def __init__(self) -> None:
        super().__init__("wrong_sign", "inp", "outp", rf=1e4)
        self.V("x", "inp", "0", 0)
        self.B("out", "outp", "0", v="{rf}*I(Vx)")


class ExchangedAmp(netlist.SubCircuit):
    """A loop whose op-amp has its inputs exchanged: at DC its output is that of a right one."""

    def __init__(self) -> None:
        super().__init__("exchanged", "inp", "outp", rf=1e4, vos=0.0)
        self.V("os", "plus", "0", "{vos}")
        self.VCVS("amp", "outp", "0", "inp", "plus", voltage_gain=1e4)
        self.R("f", "inp", "outp", "{rf}")


class ExchangedRailedAmp(netlist.SubCircuit):
    """The same with rails, in one of which ngspice finds it."""

    def __init__(self) -> None:
        super().__init__("exchanged_railed", "inp", "outp", rf=1e4, vos=0.0)
        self.B("amp", "outp", "0", v="1.7*tanh(1000*(V(inp)-{vos})/1.7)")
        self.R("f", "inp", "outp", "{rf}")


class FixedGainAmp(netlist.SubCircuit):
    """An amplifier with a feedback resistor of its own."""

    def __init__(self) -> None:
        super().__init__("fixed_gain", "inp", "outp")
        self.V("x", "inp", "0", 0)
        self.B("out", "outp", "0", v="-3210*I(Vx)")


class FallingNeuron(netlist.SubCircuit):
    """An inverter."""

    def __init__(self) -> None:
        super().__init__("falling", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="-0.4*tanh(5*(V(a)+{vos}))")


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"tia": WrongSignAmp}, ("user's tia, layer_0", "rises with the current", "which is -rf")),
        (
            {"tia": ExchangedAmp},
            (
                "user's tia, layer_0",
                "positive feedback",
                "inputs are exchanged",
                "V/A at its input",
            ),
        ),
        (
            {"tia": ExchangedRailedAmp},
            ("user's tia, layer_0", "stuck at a rail", "at -1.7 V without a current", "exchanged"),
        ),
        ({"neuron": FallingNeuron}, ("user's neuron, layer_0", "got '-0.789 V", "output falls")),
    ],
)
def test_a_block_of_the_wrong_sign_or_feedback_is_refused(
    blocks: dict[str, Any], words: tuple[str, ...], ngspice: Ngspice
) -> None:
    with pytest.raises(InputError) as refused:
        calibrated(own_chip(4, 2, 2, inputs=vectors(3), **blocks), ngspice)
    for word in words:
        assert word in str(refused.value), refused.value


class SteepNeuron(netlist.SubCircuit):
    """A rectifier of gain 2: its full scale is twice that of the converters."""

    def __init__(self) -> None:
        super().__init__("steep", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="max(0,2*(V(a)+{vos}))")


@pytest.mark.ngspice
def test_a_neuron_beyond_the_converters_is_said_with_the_key(ngspice: Ngspice) -> None:
    chip = own_chip(4, 3, 2, activation=nn.ReLU, inputs=vectors(3), neuron=SteepNeuron)
    (said,) = calibrated(chip, ngspice).notes
    assert "layer_0: gives up to 1 V for inputs up to 0.5 V" in said
    assert "full scale is 0.5 V ([adc] v_full_scale_v): what is beyond clips" in said


@pytest.mark.ngspice
def test_a_gain_other_than_rf_is_said_with_both_numbers(ngspice: Ngspice) -> None:
    chip = own_chip(4, 2, inputs=vectors(3), tia=FixedGainAmp)
    (said,) = calibrated(chip, ngspice).notes
    assert "gives -3.21e+03 V/A" in said
    asked = chip.plans[0].r_feedback_ohm
    assert float(said.split("-rf = ")[1].split()[0]) == pytest.approx(-asked, rel=0.05)
    assert calibrated(own_chip(4, 2, inputs=vectors(3), tia=OpAmpLoop), ngspice).notes == ()


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


@pytest.mark.parametrize(
    ("blocks", "named"),
    [
        ({"tia": OpAmpLoop}, "the block 'tia' is the user's own: {} has no equations for it"),
        ({"cell": SeriesCell, "neuron": SoftNeuron}, "'cell' and 'neuron'"),
    ],
)
def test_fidelities_without_equations_refuse_by_name(blocks: dict[str, Any], named: str) -> None:
    chip = own_chip(4, 3, inputs=vectors(3), **blocks)
    with pytest.raises(InputError, match=named.format("exact")) as refused:
        exact_model(chip.hardware, chip.plans, chip.periphery)
    assert refused.value.hint == "use surrogate or spice"
    with pytest.raises(InputError, match=named.format("ideal")):
        ideal_model(chip.hardware, chip.plans)


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
    assert half.mean_loss(g) == pytest.approx(plain.mean_loss(g / 2))
    assert half.largest_loss(g) == pytest.approx(plain.largest_loss(g / 2))
    assert half.outside(100 * g) == plain.outside(50 * g) != ""
    methods = {name for name in vars(WireModel) if not name.startswith("_")}
    # These take no conductances, or ask the others.
    methods -= {*WireModel.__dataclass_fields__, "with_sense", "with_live", "trained"}
    methods -= {"outside", "outside_by"}
    assert methods <= set(vars(OwnCellWires))
