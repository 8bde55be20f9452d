"""Nonlinear cells read by calibrated drops, beside Newton's method, which is held to ngspice."""

from __future__ import annotations

import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import Cell, device_cell, sinh_cell, solve_nonlinear
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.nonlinear import NonlinearSurrogate, fit_nonlinear

ROWS, COLS = 24, 17
SHAPE = (ROWS, COLS)


def conductances() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 1e-6 + 1e-4 * torch.rand(SHAPE, dtype=torch.float64, generator=generator)


def lines() -> Lines:
    """No two directions alike: a resistance per segment in the word lines, per line at the ends."""
    segments = torch.linspace(1.0, 4.0, ROWS * COLS, dtype=torch.float64).reshape(SHAPE)
    return Lines(segments, 6.0, torch.linspace(5, 40, ROWS, dtype=torch.float64), 15.0)


def calibrated(cell: Cell, **change: object) -> NonlinearSurrogate:
    given = {"low_v": -0.1, "high_v": 0.2, "seed": 3, **change}
    return fit_nonlinear(cell, lines(), SHAPE, **given)  # type: ignore[arg-type]


def inputs(count: int = 40) -> torch.Tensor:
    """None is of the calibration's kinds: binary, slopes over the rows, one row alone."""
    generator = torch.Generator().manual_seed(9)
    drive = torch.rand(count, ROWS, dtype=torch.float64, generator=generator)
    drive[::4] = (drive[::4] > 0.5).to(torch.float64)
    drive[1::4] = drive[1::4, :1] * torch.linspace(0, 1, ROWS, dtype=torch.float64)
    drive[2::4] *= torch.nn.functional.one_hot(torch.arange(2, count, 4) % ROWS, ROWS)
    return -0.1 + 0.3 * drive


def off(found: torch.Tensor, cell: Cell, drive: torch.Tensor) -> torch.Tensor:
    truth = solve_nonlinear(cell, lines(), drive, SHAPE).state.sense_a
    return (found - truth).norm(dim=-1) / truth.norm(dim=-1)


def test_it_is_as_far_off_as_it_says_and_far_nearer_than_resistors() -> None:
    g = conductances()
    cell = sinh_cell(g, 0.26)  # a tenth more current at 0.2 V than a resistor's
    surrogate = calibrated(cell)
    read = surrogate.read(inputs())
    errors = off(read.current_a, cell, inputs())
    assert bool(read.inside.all())
    assert 0 < surrogate.error < 1e-3
    assert float(errors.max()) < 4 * float(surrogate.held_out.max())
    wires = lines()
    resistors = inputs() @ solve_transfer(
        g,
        r_wordline_ohm=wires.r_wordline_ohm,
        r_bitline_ohm=wires.r_bitline_ohm,
        r_driver_ohm=wires.r_driver_ohm,
        r_sense_ohm=wires.r_sense_ohm,
    ).transfer_s  # fmt: skip
    assert float(off(resistors, cell, inputs()).mean()) > 20 * float(errors.mean())


@pytest.mark.parametrize("low_v", [pytest.param(0.0, marks=pytest.mark.slow), -0.2])
def test_its_error_holds_for_one_row_alone_and_for_both_signs(low_v: float) -> None:
    """Where wires count: errors of these kinds are five to ten times those of the fitted kinds."""
    generator = torch.Generator().manual_seed(0)
    g = 1e-6 + 1e-4 * torch.rand(64, 48, dtype=torch.float64, generator=generator)
    cell, wires = sinh_cell(g, 0.26), Lines(1.0, 2.0, r_driver_ohm=50.0)
    fitted = fit_nonlinear(cell, wires, (64, 48), low_v=low_v, high_v=0.2, seed=0)
    kinds = {"one row": 0.2 * torch.eye(64, dtype=torch.float64)}
    if low_v < 0:
        kinds["both signs"] = 0.2 - 0.4 * (
            torch.rand(40, 64, dtype=torch.float64, generator=generator) < 0.5
        ).to(torch.float64)
    assert set(fitted.errors) == {"mixed", *kinds}
    assert fitted.error == max(fitted.errors.values())
    assert len(fitted.family) == len(fitted.held_out)
    for kind, drive in kinds.items():
        truth = solve_nonlinear(cell, wires, drive, (64, 48)).state.sense_a
        current = fitted.read(drive).current_a
        errors = (current - truth).norm(dim=-1) / truth.norm(dim=-1)
        assert float(errors.square().mean().sqrt()) < 1.4 * fitted.errors[kind]


@pytest.mark.slow
def test_more_steps_are_nearer() -> None:
    cell = sinh_cell(conductances(), 0.15)
    one, two, three = (calibrated(cell, steps=k).error for k in (1, 2, 3))
    assert three < 0.6 * two < 0.6 * 0.6 * one


def test_a_device_of_the_library_whose_current_bends_unlike_for_both_signs() -> None:
    model = find_model("yakopcic")
    values = {**find_set(model, "oblea").values, "a_1": 3e-5, "a_2": 1e-5, "b": 3.0}
    generator = torch.Generator().manual_seed(2)
    x = 0.1 + 0.8 * torch.rand(SHAPE, dtype=torch.float64, generator=generator)
    cell = device_cell(model, values, {"x": x})
    surrogate = calibrated(cell, low_v=-0.2)
    errors = off(surrogate.read(inputs()).current_a, cell, inputs())
    assert 0 < surrogate.error < 0.03
    assert float(errors.mean()) < 3 * surrogate.error


def test_outside_it_says_so_and_solves_only_where_it_may() -> None:
    cell = sinh_cell(conductances(), 0.26)
    surrogate = calibrated(cell)
    drive = inputs(4)
    drive[1, 5], drive[3, 0] = 0.3, -0.15
    read = surrogate.read(drive)
    assert read.inside.tolist() == [True, False, True, False]
    assert read.current_a.isnan().all(-1).tolist() == [False, True, False, True]
    assert not bool(read.solved.any())
    solved = surrogate.read(drive, solve_outside=True)
    assert solved.solved.tolist() == [False, True, False, True]
    errors = off(solved.current_a, cell, drive)
    assert float(errors[[1, 3]].max()) < 1e-9
    assert float(errors.max()) < 1e-3
    drive[0, 0] = torch.nan
    assert not bool(surrogate.read(drive).inside[0])


def test_its_gradient_is_that_of_differences() -> None:
    surrogate = calibrated(sinh_cell(conductances(), 0.2))
    drive = inputs(3).mul(0.9).requires_grad_()
    weight = torch.linspace(-1, 2, COLS, dtype=torch.float64)
    (surrogate.read(drive).current_a @ weight).sum().backward()
    step = 1e-6
    moved = drive.detach().clone()
    moved[2, 7] += step
    back = drive.detach().clone()
    back[2, 7] -= step
    both = [(surrogate.read(one).current_a @ weight).sum() for one in (moved, back)]
    assert drive.grad is not None
    assert float(drive.grad[2, 7]) == pytest.approx(float(both[0] - both[1]) / (2 * step), rel=1e-6)


def test_many_inputs_are_read_a_few_at_a_time() -> None:
    surrogate = calibrated(sinh_cell(conductances(), 0.2))
    drive = inputs(40).repeat(300, 1)  # 12,000 inputs, more voltages than are held at once
    many = surrogate.read(drive).current_a
    torch.testing.assert_close(many[-40:], surrogate.read(inputs(40)).current_a, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low_v": 0.2}, "low_v < high_v"),
        ({"inputs": 11}, r"inputs.*11.*>= 12"),
        ({"held_out": 2}, "held_out"),
        ({"steps": 0}, "steps"),
    ],
)
def test_bad_calibrations_are_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        calibrated(sinh_cell(conductances(), 0.26), **change)


@pytest.mark.parametrize(
    ("wires", "words"),
    [
        (Lines(1.0, 1.0, r_driver_right_ohm=5.0), "r_driver_right_ohm.*solve_nonlinear"),
        (Lines(1.0, 1.0, r_sense_ohm=torch.inf), "r_sense_ohm.*open"),
    ],
)
def test_lines_that_it_does_not_know_are_refused(wires: Lines, words: str) -> None:
    cell = sinh_cell(conductances(), 0.26)
    with pytest.raises(InputError, match=words):
        fit_nonlinear(cell, wires, SHAPE, low_v=0, high_v=0.2, seed=0)


def test_inputs_of_another_shape_or_precision_are_refused() -> None:
    surrogate = calibrated(sinh_cell(conductances(), 0.26))
    with pytest.raises(InputError, match=rf"\[batch, {ROWS}\]"):
        surrogate.read(torch.zeros(2, ROWS + 1, dtype=torch.float64))
    with pytest.raises(InputError, match="float32"):
        solve_nonlinear(sinh_cell(conductances(), 0.26), lines(), torch.zeros(2, ROWS), SHAPE)
