"""`spiceloop solve` on good input: the four fidelities from a file to a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cosim.array import in_ngspice
from tests.cosim.nodal_reference import nodal_currents
from tests.workflows.command import names_all, refused, spiceloop
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


def test_cells_that_can_hardly_be_meant_are_doubted(tmp_path: Path) -> None:
    assert _solve(_file(tmp_path), "exact")[0]["doubt"] == ""
    with np.load(_file(tmp_path)) as stored:
        micro = {name: stored[name] for name in stored}
    micro["conductance_s"] = 1e6 * micro["conductance_s"]
    np.savez(tmp_path / "micro.npz", **micro)
    said = str(_solve(tmp_path / "micro.npz", "exact")[0]["doubt"])
    names_all(said, f"{micro['conductance_s'].max():.3g} S", "in siemens, 1e-6 for a microsiemens")


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


# Rows and columns unlike, every segment and every end of its own.
LAYOUT: dict[str, np.ndarray] = {
    "conductance_s": np.array([[1e-3, 2e-4, 5e-4], [3e-4, 8e-4, 1e-4]]),
    "input_v": np.array([[0.2, 0.1], [-0.1, 0.15]]),
    "r_wordline_ohm": np.array([[10.0, 200.0, 0.0], [30.0, 4.0, 500.0]]),
    "r_bitline_ohm": np.array([[7.0, 80.0, 9.0], [100.0, 0.0, 20.0]]),
    "r_driver_ohm": np.array([50.0, 300.0]),
    "r_sense_ohm": np.array([5.0, 60.0, 0.0]),
}


def _nodes_by_hand(file: dict[str, np.ndarray]) -> np.ndarray:
    """Kirchhoff's law at every node; a short is 1 nohm, which costs six digits."""
    g, volts = file["conductance_s"], file["input_v"]
    rows, cols = g.shape
    word = np.arange(g.size).reshape(g.shape)
    bit = g.size + word
    matrix = np.zeros((2 * g.size, 2 * g.size))
    driven = np.zeros((2 * g.size, rows))
    at_ends = np.zeros(cols)

    def join(a: int, b: int, siemens: float) -> None:
        matrix[[a, b], [a, b]] += siemens
        matrix[[a, b], [b, a]] -= siemens

    for i in range(rows):
        for j in range(cols):
            join(word[i, j], bit[i, j], g[i, j])
            if j:
                join(word[i, j - 1], word[i, j], 1 / max(file["r_wordline_ohm"][i, j], 1e-9))
            if i:
                join(bit[i - 1, j], bit[i, j], 1 / max(file["r_bitline_ohm"][i - 1, j], 1e-9))
        first = 1 / (file["r_wordline_ohm"][i, 0] + file["r_driver_ohm"][i])
        matrix[word[i, 0], word[i, 0]] += first
        driven[word[i, 0], i] = first
    for j in range(cols):
        at_ends[j] = 1 / max(file["r_bitline_ohm"][-1, j] + file["r_sense_ohm"][j], 1e-9)
        matrix[bit[-1, j], bit[-1, j]] += at_ends[j]
    nodes = np.linalg.solve(matrix, driven @ volts.T)
    return np.asarray((nodes[bit[-1]] * at_ends[:, None]).T)


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_a_resistance_for_every_line_and_segment(tmp_path: Path) -> None:
    """Shorts among them; beside a nodal matrix, and ngspice beside the solver."""
    path = tmp_path / "array.npz"
    np.savez(path, **LAYOUT)
    _, exact = _solve(path, "exact")
    assert exact == pytest.approx(_nodes_by_hand(LAYOUT), rel=1e-5)
    _, spice = _solve(path, "spice")
    assert spice == pytest.approx(exact, rel=1e-9)
    said, near = _solve(path, "surrogate")
    assert said["note"] == ""
    assert near == pytest.approx(exact, rel=0.02)
    np.savez(path, **{k: 4 * v if k[:2] == "r_" else v for k, v in LAYOUT.items()})
    said, _ = _solve(path, "surrogate")
    assert "use exact" in str(said["note"])
    np.savez(path, **{**LAYOUT, "r_wordline_ohm": np.array([[10, np.inf, 1], [30.0, 4, 500]])})
    _, exact = _solve(path, "exact")
    assert _solve(path, "spice")[1] == pytest.approx(exact, rel=1e-9)
    ran = spiceloop("solve", path, "-o", tmp_path / "o.npz", "--fidelity", "surrogate")
    assert (ran.code, "knows no opens: use exact or spice" in ran.out) == (1, True)
    assert not (tmp_path / "o.npz").exists()


def test_one_resistance_a_line(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    word, bit = np.array([20.0, 300.0]), np.array([5.0, 70.0, 900.0])
    np.savez(path, **{**LAYOUT, "r_wordline_ohm": word, "r_bitline_ohm": bit})
    _, lines = _solve(path, "exact")
    written = {
        "r_wordline_ohm": np.repeat(word[:, None], 3, axis=1),
        "r_bitline_ohm": np.repeat(bit[None], 2, axis=0),
    }
    assert lines == pytest.approx(_nodes_by_hand({**LAYOUT, **written}), rel=1e-5)


def test_csv_has_a_title_with_units_and_all_digits(tmp_path: Path) -> None:
    array = _file(tmp_path)
    _, current = _solve(array, "exact")
    assert spiceloop("solve", array, "-o", tmp_path / "out.CSV").code == 0
    title, *lines = (tmp_path / "out.CSV").read_text().splitlines()
    assert title.split(",")[:3] == ["input", "bl_0 [A]", "bl_1 [A]"]
    table = np.array([[float(x) for x in line.split(",")] for line in lines])
    assert np.array_equal(table, np.column_stack([np.arange(5), current]))


INF = np.inf
HANGING = {
    # name: cells, word-line segments, bit-line segments, drivers, who feeds bit line 0
    "word side": ([[2e-5, 0]], [[4, INF]], [[3, 3]], [20], 0),
    "bit side": ([[0, 0], [2e-5, 0]], [[4, 4]] * 2, [[INF, 3], [3, 3]], [20, 20], 1),
    "driver port": ([[0, 0], [2e-5, 0]], [[INF, 4], [4, 4]], [[3, 3]] * 2, [INF, 20], 1),
    "a piece": ([[5e-5, 7e-5], [2e-5, 0]], [[4, INF], [4, 4]], [[INF, 3], [3, 3]], [INF, 20], 1),
    "a whole row": ([[5e-5, 7e-5], [2e-5, 0]], [[4, 4]] * 2, [[INF] * 2, [3, 3]], [INF, 20], 1),
}


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
@pytest.mark.parametrize("case", HANGING)
def test_what_opens_and_cells_of_0_s_leave_hanging_on_nothing_costs_no_current(
    tmp_path: Path, case: str
) -> None:
    """One path of current is left, so Ohm's law has the answer."""
    g, word, bit, driver, row = HANGING[case]
    v = np.array([[0.15, -0.1][: len(g)], [0.05, 0.2][: len(g)]])
    array = _file(
        tmp_path, conductance_s=np.array(g, float), input_v=v,
        r_wordline_ohm=np.array(word, float), r_bitline_ohm=np.array(bit, float),
        r_driver_ohm=np.array(driver, float), r_sense_ohm=2.0,
    )  # fmt: skip
    bit_lines = 3 * (len(g) - row)
    expected = np.zeros((2, 2))
    expected[:, 0] = v[:, row] / (20 + 4 + 1 / 2e-5 + bit_lines + 2)
    for fidelity in ("exact", "spice"):
        summary, current = _solve(array, fidelity)
        assert summary["outcome"] == "ok", summary["reason"]
        np.testing.assert_allclose(current, expected, rtol=1e-9, atol=1e-18)


def test_a_bit_line_that_ends_in_an_open_carries_nothing_at_all(tmp_path: Path) -> None:
    g = np.random.default_rng(0).uniform(1e-6, 1e-4, (4, 3))
    array = _file(
        tmp_path, conductance_s=g, input_v=np.full((1, 4), 0.2), r_wordline_ohm=5.0,
        r_bitline_ohm=5.0, r_sense_ohm=np.array([10.0, INF, 10.0]),
    )  # fmt: skip
    _, current = _solve(array, "exact")
    assert (current == 0).tolist() == [[False, True, False]]


def test_a_solve_that_fails_sets_the_result_of_an_earlier_one_aside(tmp_path: Path) -> None:
    """And says why in brackets, not run into the outcome."""
    out, kept = tmp_path / "out.csv", []
    opened = np.full((9, 14), 4.0)
    opened[3, 5] = np.inf
    for name in ("out.csv.old", "out.csv.old2"):
        ran = spiceloop("solve", _file(tmp_path), "-o", out)
        assert ran.code == 0, ran.err
        kept.append(out.read_bytes())
        call = ("solve", _file(tmp_path, r_wordline_ohm=opened), "-o", out, "--fidelity")
        ran = spiceloop(*call, "surrogate")
        assert ran.code == 1, ran.err
        assert "invalid (the closed form knows no opens: use exact or spice), " in ran.out
        assert f"no result was written to {out}" in ran.out
        assert f"{out} was from an earlier run: it is now {tmp_path / name}" in ran.out
        assert not out.exists()
        assert (tmp_path / name).read_bytes() == kept[-1]
    failed = json.loads(spiceloop(*call, "surrogate", "--json").out)
    assert failed["set_aside"] is None
    # The ideal one has an answer, to another question.
    told = spiceloop(*call, "ideal")
    assert (told.code, "knows neither wires nor ends" in told.out) == (0, True)
    assert "use exact or spice" in told.out


def test_the_ideal_one_speaks_of_ends_that_float_too_and_of_nothing_else(tmp_path: Path) -> None:
    ends = np.full(9, 20.0)
    assert _solve(_file(tmp_path, r_driver_ohm=ends), "ideal")[0]["note"] == ""
    ends[4] = np.inf
    assert "no opens" in str(_solve(_file(tmp_path, r_driver_ohm=ends), "ideal")[0]["note"])


@pytest.mark.parametrize(
    ("name", "each"), [("r_wordline_ohm", "segment [row, col]"), ("r_sense_ohm", "line")]
)
def test_one_infinity_is_told_from_an_open(tmp_path: Path, name: str, each: str) -> None:
    error = refused(
        tmp_path, "solve", _file(tmp_path, **{name: np.inf}), "-o", tmp_path / "out.npz"
    )
    assert f"infinity in an array, one for every {each}, is an open" in error


@pytest.mark.ngspice
def test_the_deck_of_a_failed_solve_is_kept_where_the_user_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_ngspice, "timeout_for", lambda *_: 1e-6)
    call = ("solve", _file(tmp_path), "--fidelity", "spice", "-o", tmp_path / "out.npz")
    ran = spiceloop(*call)
    assert ran.code == 1
    assert "timeout (stopped after 1e-06 s" in ran.out
    assert "SPICELOOP_KEEP=FOLDER keeps the deck" in ran.out
    keep = tmp_path / "failed"
    monkeypatch.setenv("SPICELOOP_KEEP", str(keep))
    ran = spiceloop(*call)
    assert ran.code == 1
    decks = list(keep.glob("*/deck.cir"))
    assert len(decks) >= 1
    assert ran.sentence.endswith(f"failed ngspice runs are kept in {keep}")
    assert str(len(decks)) in ran.sentence
    assert "xcell_8_13" in decks[0].read_text(encoding="utf-8")
    monkeypatch.setenv("SPICELOOP_KEEP", "/proc/nowhere")
    assert "SPICELOOP_KEEP" in refused(tmp_path, *call)
