"""A whole chip at the four fidelities: what must agree agrees, and the control does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from cosim.calibration.calibrate import Calibration, calibrate
from cosim.network.models import (
    EquationModel,
    chip_codes,
    codes_of_chips,
    exact_codes,
    exact_model,
    ideal_model,
)
from cosim.network.run import NetworkModel
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from cosim.periphery.surrogate import FittedPeriphery
from netlists.adcs.quantiser import AdcSpec
from netlists.chip import Chip, another_chip
from netlists.drivers.level import DriverSpec
from netlists.hardware import Hardware
from netlists.neurons.spec import NeuronSpec
from netlists.readout.tia import TiaSpec
from netlists.wires import Wires
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network

pytestmark = pytest.mark.ngspice


def _codes(chip: Chip, model: NetworkModel, x: np.ndarray) -> np.ndarray:
    return chip_codes(chip, model, x)


def _exact(chip: Chip) -> EquationModel:
    return exact_model(chip.hardware, chip.plans, chip.periphery)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_exact_gives_the_codes_of_ngspice(
    activation: type[nn.Module], bias: bool, signed: bool, ngspice: Ngspice
) -> None:
    """Tiles cut both ways, every neuron, with and without bias word line, both signs of input."""
    x = small_inputs(12, signed=signed)
    chip = chip_of(small_network(activation, bias=bias), small_hardware(), x)
    assert len(chip.plans[0].tiles) > 2
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    exact = _codes(chip, _exact(chip), x)
    np.testing.assert_array_equal(exact, read.codes)
    assert len(np.unique(read.codes)) > 8  # or equal codes would say little


@pytest.fixture(scope="module")
def calibrated(ngspice: Ngspice) -> tuple[Chip, Calibration, np.ndarray]:
    x = small_inputs(40)
    chip = chip_of(small_network(), small_hardware(r_ohm=40.0), x)
    found = calibrate(chip, ngspice, arrays=2, held_out=2, seed=0, jobs=2)
    return chip, found, read_chip(chip, x, ngspice, jobs=2).codes


def test_surrogate_is_near_and_the_ideal_model_is_not(
    calibrated: tuple[Chip, Calibration, np.ndarray],
) -> None:
    chip, found, spice = calibrated
    x = small_inputs(40)
    surrogate = _codes(chip, found.model, x) - spice
    ideal = _codes(chip, ideal_model(chip.hardware, chip.plans), x) - spice
    assert np.sqrt(np.mean(surrogate**2)) <= 0.5
    assert np.abs(surrogate).max() <= 2
    assert np.sqrt(np.mean(ideal**2)) >= 3 * max(np.sqrt(np.mean(surrogate**2)), 0.5)


def test_drivers_and_neurons_that_differ_are_the_same_at_every_fidelity(ngspice: Ngspice) -> None:
    """Gains and offsets line by line, both signs, tiles cut both ways; without them it is off."""
    hardware = small_hardware().model_copy(
        update={
            "driver": DriverSpec(sigma_gain=0.1, sigma_offset_v=0.01),
            "neuron": NeuronSpec(sigma_gain=0.1),
        }
    )
    x = small_inputs(40, signed=True)
    chip = chip_of(small_network(nn.Tanh), hardware, x)
    spice = read_chip(chip, x, ngspice, jobs=2).codes
    np.testing.assert_array_equal(exact_codes(chip, x), spice)
    alike = hardware.model_copy(update={"driver": DriverSpec()})
    other = Chip(alike, chip.plans, chip.periphery, chip.conductance_s)
    assert np.abs(exact_codes(other, x) - spice).max() > 10
    found = calibrate(chip, ngspice, arrays=2, held_out=2, seed=0, jobs=2)
    off = _codes(chip, found.model, x) - spice
    assert np.sqrt(np.mean(off**2)) <= 0.5
    assert np.abs(off).max() <= 2
    for layer, drawn in zip(found.model.layers, chip.periphery, strict=True):
        fitted = layer.periphery
        assert isinstance(fitted, FittedPeriphery)
        for tile, (gain, offset) in enumerate(
            zip(fitted.driver_gain[0], fitted.driver_offset_v[0], strict=True)
        ):
            rows = len(drawn.tiles[tile].driver_gain)
            own, held = drawn.tiles[tile].driver_gain, drawn.tiles[tile].driver_offset_v
            np.testing.assert_allclose(gain[0, -rows:].numpy(), own, rtol=1e-9)
            np.testing.assert_allclose(offset[0, -rows:].numpy(), held, atol=1e-12)
    drivers = [row for row in found.errors if "drivers" in row.quantity]
    assert len(drivers) == 2
    assert all(row.worst < 1e-9 for row in drivers)


def test_chips_that_calibration_never_saw_are_an_evaluation(
    calibrated: tuple[Chip, Calibration, np.ndarray], ngspice: Ngspice
) -> None:
    """Three at once, each as alone; one of them in ngspice, and not as the calibrated chip."""
    chip, found, spice = calibrated
    x = small_inputs(40)
    chips = [another_chip(chip, seed=0, sample=sample) for sample in (1, 2, 3)]
    model = found.model.of_chips([one.periphery for one in chips])
    codes = codes_of_chips(chips, model, x)
    for one, of_one in zip(chips, codes, strict=True):
        alone = found.model.of_chips([one.periphery])
        np.testing.assert_array_equal(_codes(one, alone, x), of_one)
    wanted = read_chip(chips[1], x, ngspice, jobs=2).codes
    assert np.sqrt(np.mean((codes[1] - wanted) ** 2)) <= 0.5
    assert np.sqrt(np.mean((spice - wanted) ** 2)) > 2


def test_calibration_reports_held_out_errors_of_every_block(
    calibrated: tuple[Chip, Calibration, np.ndarray],
) -> None:
    chip, found, _ = calibrated
    text = [row.quantity for row in found.errors]
    for plan in chip.plans:
        for role in ("amplifiers", "neurons", "converters", "wires"):
            assert any(plan.name in line and role in line for line in text), (plan.name, role)
    assert {row.held_out for row in found.errors} == {"vectors", "arrays", "instances"}
    assert all(row.n > 0 and row.median <= row.p95 <= row.worst for row in found.errors)
    assert all(s.outcome == "ok" for s in found.simulations)


def test_images_are_dealt_out_and_come_back_in_order(ngspice: Ngspice) -> None:
    x = small_inputs(7)
    chip = chip_of(small_network(), small_hardware(), x)
    together = read_chip(chip, x, ngspice, jobs=1)
    apart = read_chip(chip, x, ngspice, jobs=3)
    assert len(apart.simulations) == 3
    np.testing.assert_array_equal(apart.codes, together.codes)
    reversed_order = read_chip(chip, x[::-1].copy(), ngspice, jobs=2)
    np.testing.assert_array_equal(reversed_order.codes[::-1], together.codes)


def test_a_single_image(ngspice: Ngspice) -> None:
    x = small_inputs(1)
    chip = chip_of(small_network(), small_hardware(), x)
    np.testing.assert_array_equal(
        read_chip(chip, x, ngspice, jobs=2).codes, _codes(chip, _exact(chip), x)
    )


def test_rails_and_converter_range_clip_alike(ngspice: Ngspice) -> None:
    """Inputs far above those that set the ranges drive amplifiers and converters to their ends."""
    hardware = small_hardware().model_copy(update={"tia": TiaSpec(v_rail_v=0.6)})
    chip = chip_of(small_network(), hardware, 0.2 * small_inputs(20))
    x = np.ones((3, 6)) * np.array([[1.0], [0.8], [0.1]])
    spice = read_chip(chip, x, ngspice, jobs=1).codes
    exact = _codes(chip, _exact(chip), x)
    np.testing.assert_array_equal(exact, spice)
    free = hardware.model_copy(update={"tia": TiaSpec(v_rail_v=100)})
    unclipped = _codes(chip, exact_model(free, chip.plans, chip.periphery), x)
    assert np.abs(unclipped - spice)[:2].max() > 10  # the rails were really met


def test_ideal_limit(ngspice: Ngspice) -> None:
    """With every imperfection switched off, SPICE gives the ideal model's codes."""
    perfect = Hardware.model_validate(
        {
            "cell": {"sigma_program": 0},
            "wires": {"r_wordline_ohm": 0, "r_bitline_ohm": 0},
            "driver": {"r_driver_ohm": 0},
            "tia": {
                "open_loop_gain": 1e9,
                "v_rail_v": 100,
                "sigma_offset_v": 0,
                "sigma_feedback": 0,
            },
            "neuron": {"v_knee_v": 1e-9, "sigma_offset_v": 0},
            "adc": {"sigma_offset_v": 0, "sigma_gain": 0},
        }
    )
    x = small_inputs(20)
    chip = chip_of(small_network(), perfect, x)
    spice = read_chip(chip, x, ngspice, jobs=1)
    ideal = _codes(chip, ideal_model(chip.hardware, chip.plans), x)
    # tanh at a hundredth of its rails is 3e-5 off: a code on a step's edge may fall the other way.
    assert np.abs(spice.codes - ideal).max() <= 1
    assert np.mean(spice.codes != ideal) < 0.05


def test_the_ideal_codes_are_the_networks_own_outputs() -> None:
    """Scales undone, a fine converter and no programming error: the torch network itself."""
    network = small_network(nn.Tanh)
    x = small_inputs(30, signed=True)
    hardware = small_hardware().model_copy(
        update={
            "adc": AdcSpec(bits=16),
            "wires": Wires(),
            "cell": small_hardware().cell.model_copy(update={"sigma_program": 0.0}),
            "driver": small_hardware().driver.model_copy(update={"dac_bits": 16}),
        }
    )
    chip = chip_of(network, hardware, x)
    codes = _codes(chip, ideal_model(chip.hardware, chip.plans), x)
    last = chip.plans[-1]
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    inside = np.abs(expected) < last.span
    measured = codes * last.output_scale / (2**15 - 1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(measured[inside], expected[inside], atol=2e-3 * last.span)


def test_ir_drop_grows_away_from_driver_and_sense(ngspice: Ngspice) -> None:
    """Equal cells, equal drive: the far top corner gets least, the near bottom corner most."""
    hardware = Hardware.model_validate(
        {
            "cell": {"sigma_program": 0},
            "wires": {"r_wordline_ohm": 30, "r_bitline_ohm": 30},
            "tia": {"sigma_offset_v": 0},
        }
    )
    network = nn.Sequential(nn.Linear(6, 4, bias=False)).double()
    with torch.no_grad():
        network[0].weight.fill_(1e-9)
        network[0].weight[0, 0] = 1.0  # sets the scale; all other cells are off
    chip = chip_of(network, hardware, np.ones((2, 6)))
    flat = (np.full((6, 8), 5e-5),)
    chip = Chip(chip.hardware, chip.plans, chip.periphery, (flat,))
    drop = read_chip(chip, np.ones((2, 6)), ngspice, jobs=1).ir_drop[0][0]
    assert np.unravel_index(drop.argmax(), drop.shape) == (0, 7)
    assert np.unravel_index(drop.argmin(), drop.shape) == (5, 0)
    assert (np.diff(drop, axis=1) > 0).all()
    assert (np.diff(drop, axis=0) < 0).all()


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_converters_of_any_resolution_are_fitted(bits: int, ngspice: Ngspice) -> None:
    """A staircase of few steps is flatter than its edges: the fit must follow the edges."""
    hardware = small_hardware().model_copy(
        update={"adc": AdcSpec(bits=bits, sigma_gain=0.05, sigma_offset_v=0.02)}
    )
    chip = chip_of(small_network(), hardware, small_inputs(30))
    model = calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2).model
    for layer, drawn in zip(model.layers, chip.periphery, strict=True):
        fitted = layer.periphery
        assert isinstance(fitted, FittedPeriphery)
        # An edge is known to half a sample of the sweep, 1/4000 of the range.
        np.testing.assert_allclose(fitted.adc_gain[0, 0].numpy(), drawn.adc_gain, rtol=2e-3)
        np.testing.assert_allclose(fitted.adc_offset_v[0, 0].numpy(), drawn.adc_offset_v, atol=5e-4)


def test_a_converter_without_a_range_is_refused(ngspice: Ngspice) -> None:
    hardware = small_hardware().model_copy(
        update={"adc": AdcSpec(v_full_scale_v=1e-5, sigma_offset_v=1.0)}
    )
    chip = chip_of(small_network(), hardware, small_inputs(5))
    with pytest.raises(InputError, match="offset dwarfs its range"):
        calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2)
