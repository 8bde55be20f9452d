"""Whole chips with a device in every cell: ngspice, the exact solution, the surrogate, ohmic reads.

One chip of several tiles a layer; the same conductances throughout, so that what the fidelities
differ by is what they know of the cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.network.held_chip import cells_of, check_range, held_chip
from cosim.network.models import chip_codes, exact_codes
from cosim.network.watch import tile_errors
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from netlists.cells import held
from netlists.chip import Chip, another_chip
from netlists.dialects.ngspice import render
from netlists.network import network_circuit
from tests.cosim.chips import (
    chip_of,
    conductances,
    small_hardware,
    small_inputs,
    small_network,
    surrogate_of,
)


def device(name: str = "stanford", **changed: float) -> CellDevice:
    model = find_model(name)
    numbers = model.parameter_sets[0]
    return CellDevice(model, replace(numbers, values={**numbers.values, **changed}))


BENT = {"v_0": 0.22, "i_0": 3.3e-5}


def device_chip(cells: CellDevice) -> Chip:
    hardware = small_hardware(20.0).model_copy(update={"device": cells})
    # Biases of one size, so that codes lie in the middle of the converters' range.
    return held_chip(chip_of(small_network(), hardware, small_inputs(200)))


@pytest.mark.ngspice
def test_every_fidelity_reads_a_chip_whose_cells_bend(ngspice: Ngspice) -> None:
    chip, x = device_chip(device(**BENT)), small_inputs(24, seed=4)
    read = read_chip(chip, x, ngspice, jobs=2)
    assert [one.outcome for one in read.simulations] == ["ok"] * len(read.simulations)
    assert read.worst_residual < 1e-7  # by the cells' own equations, at every node
    exact = exact_codes(chip, x)
    assert np.abs(exact - read.codes).max() == 0
    surrogate = chip_codes(chip, surrogate_of(chip), x)
    plain = chip.hardware.model_copy(update={"device": None})
    ohmic = exact_codes(replace(chip, hardware=plain, states=()), x)

    def rms(codes: np.ndarray) -> float:
        return float(np.sqrt(((codes - read.codes) ** 2).mean()))

    assert rms(surrogate) <= 0.2
    assert rms(ohmic) > 2


@pytest.mark.ngspice
def test_as_b_sources_it_is_the_chip_of_compiled_cells(ngspice: Ngspice) -> None:
    """What a designer is given and what is simulated for speed."""
    chip, x = device_chip(device(**BENT)), small_inputs(3, seed=4)
    compiled = read_chip(chip, x, ngspice, jobs=1).codes
    as_sources = read_chip(chip, x, replace(ngspice, osdi=False), jobs=1).codes
    assert np.array_equal(compiled, as_sources)
    text = render(network_circuit(chip, title="a chip"))
    cells = sum(g.size for layer in chip.conductance_s for g in layer)
    name = held.behavioural(chip.hardware.device or device()).name
    assert text.count(f" {name} gap=") == cells
    assert "g=" not in text.replace("gap=", "")  # no cell has a conductance any more


def test_the_surrogate_is_compared_with_the_exact_solution_of_bent_cells() -> None:
    chip = device_chip(device(**BENT))
    errors = tile_errors(surrogate_of(chip), conductances(chip), torch.rand(20, 6).double())
    assert len(errors) == sum(len(plan.tiles) for plan in chip.plans)
    assert all(0 < one.used < 1e-3 for one in errors)


def test_cells_take_the_state_of_their_conductance_as_far_as_the_device_goes() -> None:
    hardware = small_hardware().model_copy(update={"device": device()})
    cells = cells_of(hardware)
    assert cells is not None
    chip = chip_of(small_network(), hardware, small_inputs(100))
    wild = tuple(tuple(1.5 * g for g in layer) for layer in chip.conductance_s)
    made = held_chip(replace(chip, conductance_s=wild))
    low, high = cells.range_s
    for layer, before, states in zip(made.conductance_s, wild, made.states, strict=True):
        for g, wanted, state in zip(layer, before, states, strict=True):
            assert np.array_equal(g, np.clip(wanted, low, high))
            back = cells.conductance_s(torch.from_numpy(state["gap"])).numpy()
            np.testing.assert_allclose(back, g, rtol=1e-11)
    assert any((g == high).any() for layer in made.conductance_s for g in layer)
    # A linear device is in the netlist and read like a resistor; ohmic cells stay what they were.
    assert held_chip(replace(chip, hardware=small_hardware())).states == ()


def test_states_of_another_chip_are_never_used() -> None:
    chip = device_chip(device())
    fresh = another_chip(chip, seed=0, sample=1)
    with pytest.raises(InputError, match=r"Chip\.states.*held_chip"):
        network_circuit(fresh, title="x")
    assert not np.array_equal(held_chip(fresh).states[0][0]["gap"], chip.states[0][0]["gap"])


def test_a_range_that_the_device_does_not_have_is_refused() -> None:
    vteam = find_model("vteam")
    hardware = small_hardware().model_copy(
        update={"device": CellDevice(vteam, find_set(vteam, "sine"))}
    )
    with pytest.raises(InputError, match=r"\[cell\] g_off_s.*0\.001 to 0\.02 S at 0\.2 V"):
        check_range(hardware)
    check_range(small_hardware().model_copy(update={"device": device()}))
