"""Cells that are devices: states and conductances, and a surrogate of cells that move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.symbols import V
from cosim.array.device_cells import DeviceCells
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from tests.array.conformance.cases import DEVICES, READ_V, bent, of_device


def off(found: torch.Tensor, told: torch.Tensor) -> float:
    return float((found - told).abs().max() / told.abs().max())


def test_the_surrogate_follows_cells_that_move_and_has_their_gradients() -> None:
    """Calibrated once it reads cells that all moved by a tenth, but not any cells."""
    case = of_device("a fifth bent")
    exact = DeviceExactReads(case.cells, case.wires, case.forward, case.backward)
    surrogate = DeviceSurrogateReads(
        case.cells, case.wires, case.forward, low_v=-READ_V, high_v=READ_V, seed=1
    )
    surrogate.transfer(case.g)
    rng = np.random.default_rng(5)
    factor = torch.from_numpy(rng.uniform(0.9, 1.1, case.g.shape))
    moved = (case.g * factor).clamp(max=1e-4).requires_grad_()
    drive = case.drive_v.clone().requires_grad_()
    wanted = exact.transfer(moved.detach()).current_a(case.drive_v)
    found = surrogate.transfer(moved).current_a(drive)
    assert surrogate.calibrations == 1
    stale = off(found.detach(), wanted)
    assert stale < 2e-3
    still = off(exact.transfer(case.g).current_a(case.drive_v), wanted)
    assert still > 10 * stale
    far = torch.where(case.g > 0, 1e-6 + 0.1 * (1e-4 - case.g), 0.0)
    there = exact.transfer(far).current_a(case.drive_v)
    stale = off(surrogate.transfer(far).current_a(case.drive_v), there)
    surrogate.forget()
    assert off(surrogate.transfer(far).current_a(case.drive_v), there) < 0.2 * stale
    assert surrogate.calibrations == 2
    weight = torch.from_numpy(rng.normal(size=found.shape))
    by_cell, by_drive = torch.autograd.grad((found * weight).sum(), (moved, drive))
    ahead = torch.from_numpy(rng.uniform(-1, 1, case.g.shape)) * 1e-9
    volts = torch.from_numpy(rng.uniform(-1, 1, case.drive_v.shape)) * 1e-5
    change = [
        (exact.transfer(moved.detach() + k * ahead).current_a(case.drive_v + k * volts) * weight)
        .sum()
        for k in (1, -1)
    ]  # fmt: skip
    slope = float(change[0] - change[1]) / 2
    told = float((by_cell * ahead).sum() + (by_drive * volts).sum())
    assert told == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("name", list(DEVICES))
def test_states_and_conductances_are_each_others_inverse(name: str) -> None:
    cells = DEVICES[name]()
    low, high = cells.range_s
    g = torch.from_numpy(np.geomspace(max(low, 1e-4 * high), high, 300)).reshape(1, 2, 10, 15)
    g.requires_grad_()
    states = cells.states_for(g)
    torch.testing.assert_close(cells.conductance_s(states), g, rtol=1e-11, atol=0)
    (ones,) = torch.autograd.grad(cells.conductance_s(states).sum(), g)
    torch.testing.assert_close(ones, torch.ones_like(g), rtol=1e-6, atol=0)
    # What a circuit sees at the read voltage is that conductance, and a netlist gets that state.
    flat = g.detach()[0, 0]
    at_read = torch.full((3, *flat.shape), READ_V, dtype=torch.float64)
    current, slope = cells.law(flat)(at_read)
    torch.testing.assert_close(current, (flat * READ_V).expand(3, -1, -1), rtol=1e-10, atol=0)
    torch.testing.assert_close(cells.current_of(flat)(at_read), current, rtol=1e-12, atol=0)
    beside = cells.law(flat)(at_read + 1e-6)[0] - cells.law(flat)(at_read - 1e-6)[0]
    torch.testing.assert_close(beside / 2e-6, slope, rtol=1e-6, atol=0)
    assert np.allclose(cells.held_of(flat)[cells.memory], states.detach()[0, 0].numpy(), rtol=1e-9)


def test_what_a_device_cannot_hold_is_refused() -> None:
    cells = bent("stanford")
    assert cells.nonlinearity() == pytest.approx(np.sinh(0.2 / 0.43) / (0.2 / 0.43) - 1, rel=1e-4)
    with pytest.raises(InputError, match=r"1 of 2 cells.*3\.06\d*e-07 to 0\.0001029.*stanford"):
        cells.states_for(torch.tensor([5e-5, 2e-4], dtype=torch.float64))
    reached = cells.reached(torch.tensor([0.0, 1e-9, 5e-5, 2e-4], dtype=torch.float64))
    assert reached.tolist() == [0.0, cells.range_s[0], 5e-5, cells.range_s[1]]
    vteam = find_model("vteam")
    r_on, r_off = (one for one in vteam.parameters if one.name in ("r_on", "r_off"))
    deaf = replace(vteam, name="deaf", current=V / (r_on + r_off))
    numbers = find_set(vteam, "sine")
    with pytest.raises(InputError, match=r"deaf sine cannot hold weights: .* depend on 'w'"):
        DeviceCells(CellDevice(deaf, numbers), READ_V)
