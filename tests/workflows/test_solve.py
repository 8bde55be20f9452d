"""`spiceloop solve` on good input: the four fidelities from a file to a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.cosim.nodal_reference import nodal_currents
from tests.workflows.command import refused
from workflows.cli import app

WIRES = {"r_wordline_ohm": 4.0, "r_bitline_ohm": 3.0, "r_driver_ohm": 20.0, "r_sense_ohm": 2.0}


def _file(folder: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    content = {
        "conductance_s": rng.uniform(1e-6, 1e-4, (9, 14)),
        "input_v": rng.uniform(-0.2, 0.2, (5, 9)),
        **WIRES,
        **changes,
    }
    path = folder / "array.npz"
    np.savez(path, **content)
    return path


def _solve(array: Path, fidelity: str) -> tuple[dict[str, object], np.ndarray]:
    out = array.parent / f"{fidelity}.npz"
    result = CliRunner().invoke(
        app, ["solve", str(array), "--fidelity", fidelity, "-o", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    with np.load(out, allow_pickle=False) as stored:
        assert stored.files == ["current_a"]
        return json.loads(result.stdout), stored["current_a"]


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_fidelities_agree_as_they_should(tmp_path: Path) -> None:
    array = _file(tmp_path)
    with np.load(array) as stored:
        g, v = stored["conductance_s"], stored["input_v"]
    reference = nodal_currents(g, v, **WIRES)
    largest = np.abs(reference).max()
    errors = {}
    for fidelity in ("ideal", "surrogate", "exact", "spice"):
        summary, current = _solve(array, fidelity)
        assert summary["fidelity"] == fidelity
        assert summary["outcome"] == "ok"
        assert current.shape == (5, 14)
        errors[fidelity] = np.abs(current - reference).max() / largest
    assert errors["exact"] < 1e-11
    assert errors["spice"] < 1e-11
    assert errors["surrogate"] < 5e-3
    assert errors["ideal"] > 10 * errors["surrogate"]


def test_the_surrogate_says_when_it_is_out_of_its_region(tmp_path: Path) -> None:
    inside, _ = _solve(_file(tmp_path), "surrogate")
    assert inside["note"] == ""
    outside, _ = _solve(_file(tmp_path, r_bitline_ohm=400.0), "surrogate")
    assert "use exact" in str(outside["note"])


def test_driver_and_sense_resistance_may_be_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "array.npz"
    g, v = rng.uniform(1e-6, 1e-4, (4, 3)), rng.uniform(0, 0.2, (2, 4))
    np.savez(path, conductance_s=g, input_v=v, r_wordline_ohm=1, r_bitline_ohm=2)
    _, current = _solve(path, "exact")
    expected = nodal_currents(g, v, r_wordline_ohm=1, r_bitline_ohm=2)
    np.testing.assert_allclose(current, expected, rtol=1e-10)


def test_what_only_python_has_and_a_result_over_the_array_are_refused_in_words(
    tmp_path: Path,
) -> None:
    good = {
        "conductance_s": np.full((2, 3), 1e-5), "input_v": np.ones((1, 2)),
        "r_wordline_ohm": 1.0, "r_bitline_ohm": 1.0,
    }  # fmt: skip
    place, out = tmp_path / "array.npz", tmp_path / "out.npz"
    np.savez(place, **good, r_driver_right_ohm=2.0)
    error = refused(tmp_path, "solve", place, "-o", out)
    assert "one end to a line" in error
    assert "did you mean" not in error
    np.savez(place, **good)
    for name in ("out.txt", "out", "out.csv.gz"):
        error = refused(tmp_path, "solve", place, "-o", tmp_path / name)
        assert "ends in .npz or .csv" in error
    np.savez(place, **good)
    assert "would replace the array" in refused(tmp_path, "solve", place, "-o", place)
