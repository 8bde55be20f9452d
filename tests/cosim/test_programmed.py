"""An array along its changes: updated or solved again, the same transfer."""

from __future__ import annotations

import pytest
import torch

from compact_models.errors import InputError
from cosim.nodal.lines import Lines
from cosim.nodal.programmed import ProgrammedArray
from cosim.nodal.transfer import solve_transfer


def array(rows: int, cols: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1e-6 + 1e-4 * torch.rand(rows, cols, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("ends", ["near", "both"])
@pytest.mark.parametrize(("rows", "cols"), [(32, 40), (45, 33)])
def test_an_update_is_a_solution(rows: int, cols: int, ends: str) -> None:
    resistances = {"r_wordline_ohm": 4.0, "r_bitline_ohm": 9.0, "r_driver_ohm": 30.0}
    if ends == "both":
        resistances |= {"r_sense_ohm": 12.0, "r_driver_right_ohm": 55.0, "r_sense_top_ohm": 7.0}
    g = array(rows, cols)
    programmed = ProgrammedArray(g, Lines(**resistances))
    # On and off, up from nothing, down to nothing; two cells of one line beside each other.
    for changes in (
        {(3, 7): 0.0},
        {(3, 7): 1e-2, (3, 8): 1e-9, (rows - 1, 0): 5e-5},
        {(0, cols - 1): 3e-4, (9, 9): 0.0},
    ):
        new = g.clone()
        for place, value in changes.items():
            new[place] = value
        found = programmed.program(new)
        wanted = solve_transfer(new, **resistances)
        for name in ("transfer_s", "sense_s"):
            one, other = getattr(found, name), getattr(wanted, name)
            assert float((one - other).abs().max()) <= 1e-12 * float(other.abs().max()), name
        assert programmed.solved == 1


def test_many_changes_are_a_new_solution_and_none_costs_nothing() -> None:
    g, lines = array(32, 40), Lines(4.0, 9.0)
    programmed = ProgrammedArray(g, lines)
    assert programmed.program(g.clone()).transfer_s is programmed.transfer.transfer_s
    assert programmed.solved == 1
    other = array(32, 40, seed=1)
    found = programmed.program(other)
    assert programmed.solved == 2
    wanted = solve_transfer(other, r_wordline_ohm=4.0, r_bitline_ohm=9.0).transfer_s
    torch.testing.assert_close(found.transfer_s, wanted, rtol=1e-12, atol=1e-20)
    # From there on an update starts at the new array.
    other[5, 5] = 0.0
    found = programmed.program(other)
    assert programmed.solved == 2
    wanted = solve_transfer(other, r_wordline_ohm=4.0, r_bitline_ohm=9.0).transfer_s
    assert float((found.transfer_s - wanted).abs().max()) <= 1e-12 * float(wanted.max())


def test_what_is_no_array_is_refused() -> None:
    lines = Lines(1.0, 1.0)
    with pytest.raises(InputError, match="one array at a time"):
        ProgrammedArray(array(4, 4).expand(2, 4, 4), lines)
    programmed = ProgrammedArray(array(8, 9), lines)
    with pytest.raises(InputError, match=r"another shape.*\(9, 8\).*\(8, 9\)"):
        programmed.program(array(9, 8))
    with pytest.raises(InputError, match="not a conductance"):
        programmed.program(-array(8, 9))
