"""Tiles whose cells are devices: every reader against ngspice with the model in every cell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.symbols import V
from cosim.array.device_cells import DeviceCells, device_cells
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.surroundings import Ends, TileWires
from cosim.ngspice import Ngspice, Outcome

READ_V = 0.2


def bent(name: str, **changed: float) -> DeviceCells:
    """A device of the package with some of its numbers changed."""
    model = find_model(name)
    numbers = model.parameter_sets[0]
    return device_cells(
        CellDevice(model, replace(numbers, values={**numbers.values, **changed})), READ_V
    )


INNER = "with an inner equation"
CELLS = {
    "sky130": lambda: bent("stanford"),
    "a fifth bent": lambda: bent("stanford", v_0=0.19, i_0=2.5e-5),
    # Its two signs differ: an array turned over with the wrong sign reads another current.
    "not odd": lambda: bent("yakopcic", a_1=9e-5, a_2=4e-5, b=4.0),
    "a resistor": lambda: bent("vteam_exp", r_on=8e3, r_off=9e5),
    INNER: lambda: bent("jart_v1b"),
}


@dataclass(frozen=True, eq=False)
class Case:
    """Two tiles of 5 x 7 cells, the second padded; no two ends are alike."""

    cells: DeviceCells
    g: torch.Tensor
    wires: TileWires
    forward: Ends
    backward: Ends
    drive_v: torch.Tensor
    drive_back_v: torch.Tensor


def case_of(name: str) -> Case:
    rng = np.random.default_rng(3)
    cells = CELLS[name]()
    low, high = cells.range_s
    low, high = max(low, 1e-6), min(high, 1e-4)

    def uniform(least: float, most: float, *shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(least, most, shape))

    g = uniform(low, high, 1, 2, 5, 7)
    g[0, 1, :2], g[0, 1, :, 5:] = 0.0, 0.0
    drive, back = uniform(-0.2, 0.2, 1, 2, 4, 5), uniform(-0.2, 0.2, 1, 2, 3, 7)
    return Case(
        cells,
        g,
        TileWires(uniform(5, 90, 5, 7), 70.0),
        Ends(40.0, uniform(5, 190, 2, 7), uniform(-0.01, 0.01, 1, 2, 7)),
        Ends(13.0, uniform(70, 400, 1, 2, 5), uniform(-0.01, 0.01, 2, 5)),
        drive,
        back,
    )


def off(found: torch.Tensor, told: torch.Tensor) -> float:
    return float((found - told).abs().max() / told.abs().max())


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == INNER else []) for name in CELLS],
)
def test_exact_and_surrogate_give_the_currents_of_ngspice(name: str, ngspice: Ngspice) -> None:
    case = case_of(name)
    spice = SpiceReads(case.wires, case.forward, case.backward, ngspice, jobs=2, cells=case.cells)
    exact = DeviceExactReads(case.cells, case.wires, case.forward, case.backward)
    ohmic = ExactReads(case.wires, case.forward, case.backward)
    told, back = spice.read(case.g, case.drive_v), spice.read_transposed(case.g, case.drive_back_v)
    for read, mine, control in (
        (
            told,
            exact.transfer(case.g).current_a(case.drive_v),
            ohmic.transfer(case.g).current_a(case.drive_v),
        ),
        (
            back,
            exact.transposed(case.g).current_a(case.drive_back_v),
            ohmic.transposed(case.g).current_a(case.drive_back_v),
        ),
    ):
        assert (read.outcome, read.reason) == (Outcome.OK, "")
        # ngspice ends its iteration at reltol 1e-7; at 1e-10 all of them agree to 1e-10.
        assert off(mine, read.current_a) <= 1e-7
        assert case.cells.linear or off(control, read.current_a) > 3e-4
    surrogate = DeviceSurrogateReads(
        case.cells, case.wires, case.forward, case.backward, low_v=-READ_V, high_v=READ_V, seed=1
    )
    near = surrogate.transfer(case.g).current_a(case.drive_v)
    assert off(near, told.current_a) <= 4 * surrogate.error
    assert surrogate.error < 3e-3
    near = surrogate.transposed(case.g).current_a(case.drive_back_v)
    assert off(near, back.current_a) < 5e-3


def test_the_surrogate_follows_cells_that_move_and_has_their_gradients() -> None:
    """Calibrated once it reads cells that all moved by a tenth, but not any cells."""
    case = case_of("a fifth bent")
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


@pytest.mark.parametrize("name", list(CELLS))
def test_states_and_conductances_are_each_others_inverse(name: str) -> None:
    cells = CELLS[name]()
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
