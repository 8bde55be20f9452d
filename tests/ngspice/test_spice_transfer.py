"""The transfer matrix from one sweep over unit vectors: against the nodal solver, and failing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array.read_one import read_array
from cosim.array.spice_transfer import SpiceTransfer, measure_transfer
from cosim.ngspice import Ngspice, Outcome
from cosim.nodal.transfer import solve_transfer
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires

pytestmark = pytest.mark.ngspice

ROWS, COLS = 7, 4


def array_of(*, ends: bool = True, r_bit_ohm: float = 900.0) -> ReadArray:
    """Nothing in it is symmetric, its wires take a good part of the current, one cell is open."""
    rng = np.random.default_rng(3)
    g = rng.uniform(1e-6, 1e-4, (ROWS, COLS))
    g[2, 1] = 0.0
    crossbar = Crossbar(g, Wires(r_wordline_ohm=300.0, r_bitline_ohm=r_bit_ohm))
    if not ends:
        return ReadArray(crossbar)
    return ReadArray(crossbar, r_driver_ohm=120.0, r_sense_ohm=rng.uniform(10, 2000, COLS))


def exact(array: ReadArray) -> np.ndarray:
    crossbar = array.crossbar
    return solve_transfer(
        torch.from_numpy(crossbar.conductance_s),
        r_wordline_ohm=crossbar.wires.r_wordline_ohm,
        r_bitline_ohm=crossbar.wires.r_bitline_ohm,
        r_driver_ohm=array.r_driver_ohm,
        r_sense_ohm=torch.from_numpy(array.sense_ohm.copy()),
    ).transfer_s.numpy()


def wrapper(ngspice: Ngspice, folder: Path, before: str) -> Ngspice:
    """A simulator that does something to its folder, or ends, before ngspice runs."""
    path = folder / "ngspice"
    path.write_text(f'#!/bin/sh\n{before}\nexec {ngspice.path} "$@"\n')
    path.chmod(0o755)
    return replace(ngspice, path=path)


@pytest.mark.parametrize("jobs", [1, 3, 20])
@pytest.mark.parametrize(
    "array",
    [array_of(), array_of(ends=False), array_of(r_bit_ohm=0.0)],
    ids=["all resistances", "bare ends", "ideal bit lines"],
)
def test_every_entry_is_that_of_the_nodal_solver(
    array: ReadArray, jobs: int, ngspice: Ngspice
) -> None:
    found = measure_transfer(array, ngspice=ngspice, jobs=jobs)
    assert (found.outcome, found.reason) == (Outcome.OK, "")
    assert found.transfer_s.shape == (ROWS, COLS)
    assert found.engine.startswith(ngspice.label)
    expected = exact(array)
    np.testing.assert_allclose(found.transfer_s, expected, rtol=1e-9, atol=0)
    # The wires matter: conductances alone would not pass.
    assert np.abs(expected - array.crossbar.conductance_s).max() > 0.05 * expected.max()


def test_products_are_what_a_read_of_every_vector_gives(ngspice: Ngspice) -> None:
    volts = np.random.default_rng(4).uniform(-0.2, 0.2, (9, ROWS))
    found = measure_transfer(array_of(), ngspice=ngspice).current_a(volts)
    read = read_array(array_of(), volts, "spice", ngspice=ngspice)
    np.testing.assert_allclose(found, read.current_a, rtol=0, atol=1e-9 * np.abs(found).max())


def test_all_unit_vectors_go_through_one_process(ngspice: Ngspice, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    keeping = wrapper(ngspice, tmp_path, f"cp deck.cir {kept}/$$.cir")
    assert measure_transfer(array_of(), ngspice=keeping).outcome is Outcome.OK
    (deck,) = kept.iterdir()
    assert f"\n.dc vindex 0 {ROWS - 1} 1\n" in deck.read_text()


def assert_nothing_was_measured(found: SpiceTransfer) -> None:
    assert found.transfer_s.shape == (ROWS, COLS)
    assert np.isnan(found.transfer_s).all()
    assert found.reason


def test_a_simulator_that_fails_gives_an_outcome_and_no_numbers(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    found = measure_transfer(array_of(), ngspice=wrapper(ngspice, tmp_path, "exit 3"))
    assert found.outcome is Outcome.CRASHED
    assert "exit code 3" in found.reason
    assert_nothing_was_measured(found)


def test_one_deck_of_several_that_fails_spoils_the_whole_matrix(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    # Of three decks only the first drives row 0 by a source that looks its value up.
    second = wrapper(ngspice, tmp_path, "grep -q '^bin_0 ' deck.cir || exit 3")
    found = measure_transfer(array_of(), ngspice=second, jobs=3)
    assert found.outcome is Outcome.CRASHED
    assert_nothing_was_measured(found)


@pytest.mark.skipif(shutil.which("sed") is None, reason="the deck is changed with sed")
def test_a_simulator_that_computes_another_array_is_found_out(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    change = "sed -i 's/^\\(xcell_1_2 .* g=\\).*/\\11e-3/' deck.cir"
    found = measure_transfer(array_of(), ngspice=wrapper(ngspice, tmp_path, change))
    assert found.outcome is Outcome.INVALID
    assert "Kirchhoff" in found.reason
    assert_nothing_was_measured(found)


def test_jobs_and_shapes_are_checked(ngspice: Ngspice) -> None:
    with pytest.raises(InputError, match="at least one job"):
        measure_transfer(array_of(), ngspice=ngspice, jobs=0)
    found = measure_transfer(array_of(), ngspice=ngspice)
    for wrong in (np.zeros(ROWS), np.zeros((2, COLS))):
        with pytest.raises(InputError, match="input_v"):
            found.current_a(wrong)
