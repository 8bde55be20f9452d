"""The raw file reader against other outputs of the same run, and against damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.ngspice import Deck, MissingSignalError, Ngspice, RawFormatError, read_raw, run_deck
from cosim.ngspice.raw import parse_raw

SWEEP = (
    "* sweep\nV1 In 0 0 ac 1\nR1 in mid 1e3\nD1 mid 0 dd\nC1 mid 0 1n\n"
    ".model dd d(is=1e-14)\n{analysis}\n.end\n"
)


def raw_of(folder: Path, ngspice: Ngspice, text: str) -> Path:
    assert run_deck(Deck(text), ngspice, timeout_s=30, keep_dir=folder).ok
    return folder / "out.raw"


@pytest.mark.ngspice
@pytest.mark.parametrize("analysis", [".dc V1 -1 1 0.01", ".tran 1u 50u"])
def test_real_values_are_those_that_ngspice_writes_as_text(
    analysis: str, ngspice: Ngspice, tmp_path: Path
) -> None:
    control = (
        "\n.control\nrun\nset filetype=binary\nwrite out.raw\nset wr_singlescale\n"
        "set wr_vecnames\noption numdgt=15\nwrdata table.data v(in) v(mid) i(v1)\nquit 0\n.endc"
    )
    raw = raw_of(tmp_path, ngspice, SWEEP.format(analysis=analysis + control))
    plot = read_raw(raw)[0]
    table = np.loadtxt(tmp_path / "table.data", skiprows=1)
    assert plot.points == len(table) > 50
    np.testing.assert_allclose(plot.axis, table[:, 0], rtol=1e-7)
    read = plot.matrix(["v(in)", "v(mid)", "i(v1)"])
    np.testing.assert_allclose(read, table[:, 1:], rtol=1e-7, atol=1e-20)


@pytest.mark.ngspice
def test_complex_values_are_those_of_the_text_form(ngspice: Ngspice, tmp_path: Path) -> None:
    control = (
        "\n.control\nrun\nwrite out.raw\nset filetype=ascii\nwrite text.raw v(mid)\nquit 0\n.endc"
    )
    raw = raw_of(tmp_path, ngspice, SWEEP.format(analysis=".ac dec 5 1e3 1e7" + control))
    plot = read_raw(raw)[0]
    body = (tmp_path / "text.raw").read_text().partition("Values:\n")[2].split("\n\n")
    pairs = [block.split()[-1].split(",") for block in body if block.strip()]
    text = np.array([complex(float(real), float(imag)) for real, imag in pairs])
    assert plot.points == len(text) == 21
    np.testing.assert_allclose(plot.signal("v(mid)"), text, rtol=1e-12)
    assert np.angle(plot.signal("v(mid)")[-1]) < -1.0  # a low pass lags
    np.testing.assert_allclose(plot.axis[[0, -1]], [1e3, 1e7], rtol=1e-9)
    with pytest.raises(RawFormatError, match="text form"):
        read_raw(tmp_path / "text.raw")


@pytest.mark.ngspice
def test_several_plots_in_one_file(ngspice: Ngspice, tmp_path: Path) -> None:
    text = SWEEP.format(analysis=".op\n.ac dec 1 1e3 1e5\n.tran 1u 5u")
    by_name = {plot.name: plot for plot in read_raw(raw_of(tmp_path, ngspice, text))}
    assert set(by_name) == {"Operating Point", "AC Analysis", "Transient Analysis"}
    assert by_name["AC Analysis"].data.dtype == np.complex128
    assert by_name["Operating Point"].points == 1
    assert by_name["Transient Analysis"].axis[-1] == pytest.approx(5e-6)


@pytest.mark.ngspice
def test_names_are_found_in_any_case_and_device_values_by_their_own_name(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    text = "* t\nV1 Top 0 1\nR1 Top 0 4\n.save v(Top) i(V1) @R1[i]\n.op\n.end\n"
    plot = read_raw(raw_of(tmp_path, ngspice, text))[0]
    assert plot.signal("V(TOP)")[0] == 1.0
    assert plot.signal("@r1[i]")[0] == pytest.approx(0.25)
    np.testing.assert_allclose(plot.matrix(["i(v1)", "v(top)"]), [[-0.25, 1.0]])


@pytest.mark.ngspice
def test_a_missing_signal_is_an_error_that_lists_the_closest(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    text = "* t\nV1 bl_1 0 1\nR1 bl_1 bl_12 4\nR2 bl_12 0 1\n.op\n.end\n"
    plot = read_raw(raw_of(tmp_path, ngspice, text))[0]
    with pytest.raises(MissingSignalError) as caught:
        plot.signal("v(bl_13)")
    assert isinstance(caught.value, InputError)
    assert "v(bl_12)" in str(caught.value)
    assert not plot.has("v(bl_13)")
    with pytest.raises(MissingSignalError):
        plot.matrix(["v(bl_1)", "bl_1"])


@pytest.mark.ngspice
def test_a_truncated_file_keeps_its_whole_points_and_says_so(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    raw = raw_of(tmp_path, ngspice, SWEEP.format(analysis=".dc V1 0 1 0.1"))
    whole = read_raw(raw)[0]
    raw.write_bytes(raw.read_bytes()[:-9])
    cut = read_raw(raw)[0]
    assert "10 of 11 points" in cut.problem
    np.testing.assert_array_equal(cut.data, whole.data[:10])


@pytest.mark.ngspice
def test_data_behind_a_header_that_says_0_points_are_found(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    text = SWEEP.format(analysis=".op\n.dc V1 0 1 0.1")
    content = raw_of(tmp_path, ngspice, text).read_bytes()
    first, second = parse_raw(content)
    died = content.replace(b"No. Points: 11", b"No. Points: 0 ", 1)
    read = parse_raw(died)
    assert "announces 0 points and holds 11" in read[0].problem
    np.testing.assert_array_equal(read[0].data, first.data)
    assert read[1].name == second.name
    assert read[1].problem == ""


@pytest.mark.ngspice
def test_the_part_of_a_killed_run_can_be_read(ngspice: Ngspice, tmp_path: Path) -> None:
    text = "* long\nV1 a 0 sin(0 1 1e6)\nR1 a 0 1\n.tran 1n 1\n.end\n"
    result = run_deck(Deck(text), ngspice, timeout_s=0.5, keep_dir=tmp_path)
    part = read_raw(tmp_path / "out.raw")[0]
    assert part.points > 100
    assert "stopped before its end" in part.problem
    assert np.all(np.diff(part.axis) > 0)
    assert result.plots[0].points == part.points


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00" * 100])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.raw"
    path.write_bytes(content)
    with pytest.raises(RawFormatError, match=r"x\.raw.*not an ngspice raw file"):
        read_raw(path)


def test_a_header_that_contradicts_itself_is_refused() -> None:
    header = "Title: t\nDate: d\nPlotname: p\nFlags: real\nNo. Variables: 2\nNo. Points: 1\n"
    with pytest.raises(RawFormatError, match="announces 2 variables and lists 1"):
        parse_raw((header + "Variables:\n\t0\tv(a)\tvoltage\nBinary:\n").encode() + bytes(16))


def written(values: np.ndarray, *, more: str = "", kind: str = "real", points: int = -1) -> bytes:
    """A raw file as ngspice writes it; `more` stands behind the kind of every signal."""
    signals = values.shape[1]
    names = "".join(f"\t{k}\tV(n_{k})\tvoltage{more}\n" for k in range(signals))
    count = len(values) if points < 0 else points
    return (
        f"Title: t\nDate: d\nPlotname: p\nFlags: {kind}\nNo. Variables: {signals}\n"
        f"No. Points: {count}\nVariables:\n{names}Binary:\n"
    ).encode() + values.tobytes()


@pytest.mark.parametrize("more", ["", "\tgrid=3", " dims=7"])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_values_come_aligned_and_cannot_be_overwritten(kind: str, more: str) -> None:
    values = (
        np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype("c16" if kind[0] == "c" else "f8")
    )
    whole = parse_raw(written(values, more=more, kind=kind) * 2)
    assert [plot.problem for plot in whole] == ["", ""]
    for plot in whole:
        np.testing.assert_array_equal(plot.data, values)
        assert plot.names == ("v(n_0)", "v(n_1)", "v(n_2)")
        assert plot.kinds == ("voltage",) * 3
        assert plot.data.flags.aligned
        assert plot.data.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            plot.data[0, 0] = 0


def test_a_header_without_data_before_a_plot_and_one_behind_it() -> None:
    values = np.arange(6.0).reshape(3, 2)
    empty = written(values).partition(b"Binary:\n")[0]
    plots = parse_raw(empty + written(values) + empty)
    assert [plot.points for plot in plots] == [0, 3, 0]
    assert [bool(plot.problem) for plot in plots] == [True, False, True]
    np.testing.assert_array_equal(plots[1].data, values)


def test_a_header_longer_than_what_is_read_at_first() -> None:
    values = np.arange(120_000.0).reshape(2, -1)
    content = written(values)
    assert content.index(b"Binary:") > 1 << 20
    whole, cut = parse_raw(content)[0], parse_raw(content[:-1])[0]
    np.testing.assert_array_equal(whole.data, values)
    np.testing.assert_array_equal(whole.signal("v(n_59999)"), values[:, -1])
    np.testing.assert_array_equal(cut.data, values[:1])


def test_16000_signals_are_read(tmp_path: Path) -> None:
    signals, points = 16_000, 200
    names = "".join(f"\t{place}\tv(n_{place})\tvoltage\n" for place in range(signals))
    header = (
        f"Title: t\nDate: d\nPlotname: p\nFlags: real\nNo. Variables: {signals}\n"
        f"No. Points: {points}\nVariables:\n{names}Binary:\n"
    )
    values = np.arange(signals * points, dtype=np.float64).reshape(points, signals)
    path = tmp_path / "large.raw"
    path.write_bytes(header.encode() + values.tobytes())
    wanted = [f"v(n_{place})" for place in range(0, signals, 2)]
    part = read_raw(path)[0].matrix(wanted)
    np.testing.assert_array_equal(part, values[:, ::2])
